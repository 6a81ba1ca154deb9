// Run by memory.test.ts in a process of its own: builds, with one allocation after the other failing.
import { Nadam, Variable, memory, allocate } from 'keras-optimizers';

const data = new Float32Array(1 << 18); // a megabyte
const variables = [new Variable(data), new Variable(data)];
const settle = async () => {
  for (let i = 0; i < 5; i++) {
    globalThis.gc();
    await new Promise(setImmediate);
  }
};
const outcome = async (action) => {
  try {
    await action();
    return 'done';
  } catch (error) {
    return `${error.constructor.name} ${error.code}`;
  }
};

const results = [];
await settle();
const before = memory().cpu;
for (let at = 1; at <= 9; at++) {
  const optimizer = new Nadam({ use_ema: true, gradient_accumulation_steps: 2 });
  process.env.OOM_AT = String(at); // 2 averages, 2 accumulators, 4 moments; then the copies of gradients
  const failed = await outcome(() => optimizer.apply_async([data, data], variables));
  const state = optimizer.variables.length;
  process.env.OOM_AT = '0';
  const again = await outcome(() => optimizer.apply([data, data], variables));
  results.push({ failed, state, again, iterations: optimizer.iterations });
  optimizer.dispose();
}
for (const make of [() => new Variable(data), () => allocate(1 << 18)]) {
  process.env.OOM_AT = '1';
  results.push(await outcome(make));
  process.env.OOM_AT = '0';
  allocate(1 << 18); // disarms
}
await settle();
console.log(JSON.stringify({ results, kept: memory().cpu - before }));
