// A short training, and the hash of all it leaves: the same in every thread of every process.
import { createHash } from 'node:crypto';

import { Adam, allocate, Variable } from 'keras-optimizers';

const fill = (array, seed) => array.forEach((_, i) => (array[i] = ((i * 31 + seed * 17) % 251) / 251 - 0.5));

export async function train(async, steps = 6) {
  const lengths = [70_000, 33_000, 5, 1];
  const variables = lengths.map((length, i) => {
    const variable = new Variable(new Float32Array(length));
    fill(variable.value, i);
    return variable;
  });
  const optimizer = new Adam({ global_clipnorm: 1, use_ema: true });
  const gradients = lengths.map((length) => allocate(length));
  for (let step = 0; step < steps; step++) {
    gradients.forEach((gradient, i) => fill(gradient, step + i));
    if (async) await optimizer.apply_async(gradients, variables);
    else optimizer.apply(gradients, variables);
  }
  const hash = createHash('sha1');
  for (const { value } of [...variables, ...optimizer.variables])
    hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  return hash.digest('hex');
}
