// float32 numbers as 16-bit ones, to the nearest, ties to even.

const bitsOf = ({ buffer, byteOffset, length }: Float32Array) => new Uint32Array(buffer, byteOffset, length);

/** A sign, 8 bits of exponent and 7 of fraction: the upper half of a float32. */
export function bfloat16(numbers: Float32Array): Uint16Array {
  const bits = bitsOf(numbers);
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i] as number;
    halves[i] = (x & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return halves;
}

/** A sign, 5 bits of exponent and 10 of fraction; what is too large becomes infinite. */
export function float16(numbers: Float32Array): Uint16Array {
  const bits = bitsOf(numbers);
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i] as number;
    halves[i] = ((x >>> 16) & 0x8000) | magnitude16(Math.abs(numbers[i] as number), x);
  }
  return halves;
}

function magnitude16(size: number, bits: number): number {
  if (Number.isNaN(size)) return 0x7e00;
  const exponent = Math.max(((bits >>> 23) & 0xff) - 127, -14); // below, the steps between numbers are equal
  const steps = toEven(size / 2 ** (exponent - 10)); // 1024 to 2048 of them above 2 ** -14; what is rounded up carries over
  return Math.min(((exponent + 15) << 10) + steps - 1024, 0x7c00);
}

function toEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
