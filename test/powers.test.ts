// The powers that a step's scalars are made of: right, and the same whichever way an exponent is reached.
import { assert } from 'chai';

import { rememberedPower } from '../lib/powers.ts';

const bases = [0.9, 0.999, Math.fround(0.999), 0.96, 1e-3, 0.9999999];

describe('remembered powers', () => {
  it('are those of Math.pow but for the last bit, and its float32', () => {
    const power = rememberedPower();
    for (const base of bases)
      for (let exponent = 0; exponent < 3000; exponent++) {
        const [found, expected] = [power(base, exponent), Math.pow(base, exponent)];
        assert.closeTo(found, expected, 2 ** -52 * expected + 2 ** -1000); // denormals have fewer digits
        assert.equal(Math.fround(found), Math.fround(expected));
      }
  });

  it('do not depend on what was asked before', () => {
    const steps = rememberedPower();
    for (const base of bases)
      for (let exponent = 0; exponent < 200; exponent++)
        assert.equal(steps(base, exponent), rememberedPower()(base, exponent), `${base} ** ${exponent}`);
    for (const exponent of [64, 63, 65, 128, 127, 1e6, 3, 2 ** 40])
      assert.equal(steps(0.999, exponent), rememberedPower()(0.999, exponent), `0.999 ** ${exponent}`);
  });

  it("are Math.pow's for other bases and exponents, and forget the oldest of many bases", () => {
    const power = rememberedPower();
    for (const [base, exponent] of [
      [0, 0],
      [0, 5],
      [1, 7],
      [2, 3],
      [0.5, 0.5],
      [0.5, -1],
      [0.5, Infinity],
      [NaN, 1],
    ] as const)
      assert.deepEqual(power(base, exponent), Math.pow(base, exponent));
    for (let i = 1; i < 100; i++) assert.closeTo(power(i / 100, 10), (i / 100) ** 10, 1e-15);
  });
});
