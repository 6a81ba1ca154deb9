// native/rules/power.h once more, in plain JavaScript: for the oracle. The bits are equal as long as every rounding is.

const view = new DataView(new ArrayBuffer(8));

/** x = 2 ** e * m with m in [sqrt(1/2), sqrt(2)), for a finite x > 0. */
function split(x: number): { e: number; m: number } {
  view.setFloat64(0, x);
  const exponent = view.getUint32(0) >>> 20;
  if (exponent === 0) {
    const { e, m } = split(x * 2 ** 54);
    return { e: e - 54, m };
  }
  const m = x / 2 ** (exponent - 1023);
  return m < Math.SQRT2 ? { e: exponent - 1023, m } : { e: exponent - 1022, m: m / 2 };
}

/** The first 26 bits of a number. */
function leading(y: number): number {
  view.setFloat64(0, y);
  view.setUint32(4, view.getUint32(4) & 0xf8000000);
  return view.getFloat64(0);
}

const horner = (x: number, coefficients: readonly number[]): number =>
  coefficients.reduceRight((sum, c) => c + x * sum);

// 2 / ln(2) / (2 i + 1)
const logarithm = [
  2.8853900817779268, 0.9617966939259756, 0.5770780163555853, 0.4121985831111324, 0.3205988979753252,
  0.2623081892525388, 0.22195308321368667, 0.19235933878519512, 0.16972882833987804, 0.15186263588304877,
];
// ln(2) ** i / i!
const exponential = [
  1, 0.6931471805599453, 0.24022650695910072, 0.05550410866482158, 0.009618129107628477, 0.0013333558146428443,
  0.0001540353039338161, 1.5252733804059841e-5, 1.321548679014431e-6, 1.01780860092397e-7, 7.054911620801123e-9,
  4.4455382718708116e-10, 2.5678435993488206e-11, 1.3691488853904128e-12,
];

/** x ** y for a finite y, as the kernels compute it. */
export function power(x: number, y: number): number {
  if (!(x >= 0)) return NaN;
  if (y === 0) return 1;
  if (x === 0 || x === Infinity) return (x === 0) === y > 0 ? 0 : Infinity;
  const { e, m } = split(x);
  const s = (m - 1) / (m + 1);
  const log2 = s * horner(s * s, logarithm);
  const total = y * (e + log2);
  if (Math.abs(total) > 1100) return total > 0 ? Infinity : 0;
  const k = total + 1.5 * 2 ** 52 - 1.5 * 2 ** 52; // to the nearest whole number, to an even one from the middle
  const high = leading(y);
  const r = high * e - k + ((y - high) * e + y * log2);
  const half = Math.floor(k / 2);
  return horner(r, exponential) * 2 ** half * 2 ** (k - half);
}
