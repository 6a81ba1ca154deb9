// base ** exponent for the whole exponents that an optimizer counts through: a product in twice the precision of float64 that
// goes on from the exponent before, where Math.pow would cost more than all other numbers of a step. It depends on base and
// exponent only, because every kAnchor-th power is computed afresh: a step after a resume has the bits of one without.
// Dekker 1971, doi.org/10.1007/BF01397083: the error of a product is a float64.

const kAnchor = 64;
const kSplitter = 2 ** 27 + 1;

/** The upper half of the bits of x. */
const upper = (x: number): number => {
  const wide = kSplitter * x;
  return wide - (wide - x);
};

/** The powers of one base; high + low is the last one. */
class Powers {
  readonly base: number;
  readonly #upper: number;
  #exponent = 0;
  readonly #last = Float64Array.of(1, 0); // high, low

  constructor(base: number) {
    this.base = base;
    this.#upper = upper(base);
  }

  at(exponent: number): number {
    const anchor = exponent - (exponent % kAnchor);
    if (exponent < this.#exponent || anchor > this.#exponent) this.#restart(anchor);
    for (; this.#exponent < exponent; this.#exponent++) this.#multiply();
    return this.#last[0] as number;
  }

  /** By squaring, from the exponent's first binary digit on. */
  #restart(exponent: number): void {
    this.#last[0] = 1;
    this.#last[1] = 0;
    let bit = 2 ** Math.floor(Math.log2(exponent || 1));
    for (let rest = exponent; bit >= 1; bit /= 2) {
      this.#square();
      if (rest < bit) continue;
      this.#multiply();
      rest -= bit;
    }
    this.#exponent = exponent;
  }

  #square(): void {
    const [high, low] = this.#last as unknown as readonly [number, number];
    const [product, top] = [high * high, upper(high)];
    const bottom = high - top;
    this.#set(product, top * top - product + 2 * top * bottom + bottom * bottom + 2 * high * low);
  }

  #multiply(): void {
    const high = this.#last[0] as number;
    const product = high * this.base;
    const top = upper(high);
    const [bottom, baseBottom] = [high - top, this.base - this.#upper];
    const error = top * this.#upper - product + top * baseBottom + bottom * this.#upper + bottom * baseBottom;
    this.#set(product, error + (this.#last[1] as number) * this.base);
  }

  #set(product: number, rest: number): void {
    const high = product + rest;
    this.#last[0] = high;
    this.#last[1] = rest - (high - product);
  }
}

const kMostBases = 16; // a base that is a function of the caller's may change at every step

/** A function for Math.pow that remembers; exact to the last bit of float64 but for rare cases. */
export function rememberedPower(): (base: number, exponent: number) => number {
  const remembered: Powers[] = [];
  return (base, exponent) => {
    if (!(Number.isSafeInteger(exponent) && exponent >= 0 && base > 0 && base < 1)) return Math.pow(base, exponent);
    for (const powers of remembered) if (powers.base === base) return powers.at(exponent);
    if (remembered.length === kMostBases) remembered.length = 0;
    remembered.push(new Powers(base));
    return (remembered.at(-1) as Powers).at(exponent);
  };
}
