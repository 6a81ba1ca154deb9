// Memory of the process over many steps: the least-squares slope of its resident set over the last 80 % of the samples.
// Usage: node --expose-gc slope.mjs [SYNC STEPS] [ASYNC STEPS]; fails above half a byte a step.
import { setImmediate } from 'node:timers/promises';

import { memory, Nadam, Variable } from 'keras-optimizers';

const [syncSteps, asyncSteps] = [process.argv[2] ?? 1_000_000, process.argv[3] ?? 100_000].map(Number);
const samples = 100;
const limit = 0.5; // bytes a step; a leak of 64 bytes every tenth step is 6.4

function slope(points) {
  const mean = (of) => points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean((p) => p.step), mean((p) => p.bytes)];
  return mean((p) => (p.step - x) * (p.bytes - y)) / mean((p) => (p.step - x) ** 2);
}

async function sampled(steps, step) {
  const points = [];
  const each = steps / samples;
  for (let sample = 0; sample < samples; sample++) {
    for (let i = 0; i < each; i++) await step();
    for (let turn = 0; turn < 3; turn++) {
      globalThis.gc();
      await setImmediate();
    }
    points.push({ step: (sample + 1) * each, bytes: process.memoryUsage.rss() });
  }
  return slope(points.slice(samples * 0.2));
}

function make() {
  const variable = new Variable([1, 2, 3, 4]);
  const optimizer = new Nadam({ clipnorm: 1 });
  optimizer.build([variable]);
  return { optimizer, gradients: [new Float32Array([1, -1, 1, -1])] };
}

const { optimizer, gradients } = make();
const live = memory().cpu;

/** The least slope of three tries: pages that come and go make one try steep in either way, a leak makes all of them so. */
async function leastOf(measure) {
  let least = Infinity;
  for (let tries = 0; tries < 3 && least > limit; tries++) least = Math.min(least, await measure());
  return least;
}

const syncHundred = () => {
  for (let i = 0; i < 100; i++) optimizer.apply(gradients);
};
const sync = await leastOf(async () => (await sampled(syncSteps / 100, syncHundred)) / 100);
const async = await leastOf(() => sampled(asyncSteps, () => optimizer.apply_async(gradients)));
console.log(JSON.stringify({ sync, async, grown: memory().cpu - live }));
if (sync > limit || async > limit) process.exitCode = 1;
