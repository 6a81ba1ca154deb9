// What TypeScript never lets happen: an asynchronous step on arrays of the caller's, whose memory is freed while the step waits.
// The address sanitizer must report it; without one it passes, or not. Usage: node --expose-gc stolen.mjs
import { addon } from '../../dist/native.js';

const rule = addon.rules.findIndex(({ name }) => name === 'copy');
const backend = addon.backends.findIndex(({ unusable }) => unusable === null);

/** Starts to copy one array to another. */
function copy(length, to, from) {
  const tensor = { variable: 0, length, decay: false, needs: null, sources: [0, 1] };
  const control = new addon.Memory(8 * addon.controlSize);
  new Float64Array(control.buffer()).fill(1);
  const plan = addon.newPlan(backend, [{ rule, dtype: 0, tensors: [tensor] }], 1, control);
  return new Promise((resolve) => plan.runAsync([to, from], [], resolve));
}

const large = [new Float32Array(16_000_000), new Float32Array(16_000_000)];
const steps = [copy(16_000_000, ...large)];
(function steal() {
  const array = new Float32Array(10_000);
  steps.push(copy(10_000, array, new Float32Array(10_000)));
  structuredClone(array.buffer, { transfer: [array.buffer] });
})();
globalThis.gc();
await Promise.all(steps);
console.log('passed', large[0][0]);
