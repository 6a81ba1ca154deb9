// Some steps with sums, divisions, roots, powers, clipping and an average; prints a hash of every bit and what ran them.
const { createHash } = process.getBuiltinModule('node:crypto'); // which bundlers leave alone

module.exports = function train({ Ftrl, Muon, Nadam, Variable, info }) {
  const hash = createHash('sha256');
  for (const optimizer of [
    new Nadam({ learning_rate: 0.01, clipnorm: 1, use_ema: true }),
    new Ftrl({ learning_rate_power: -0.3 }),
    new Muon({ learning_rate: 0.02 }),
  ]) {
    const weights = new Variable(
      Float32Array.from({ length: 33 * 17 }, (_, i) => ((i * 7) % 251) / 251 - 0.5),
      { shape: [33, 17] },
    );
    for (let step = 0; step < 5; step++)
      optimizer.apply([weights.value.map((w, i) => w - Math.fround(((i * 13) % 251) / 251) + step / 8)], [weights]);
    hash.update(new Uint8Array(weights.value.buffer, weights.value.byteOffset, weights.value.byteLength));
  }
  const { addon, backend } = info();
  const passed = addon.passed.map(({ why }) => why);
  return `trained ${JSON.stringify({ hash: hash.digest('hex').slice(0, 16), kind: addon.kind, backend, passed })}`;
};
