// A little of everything that allocates, for the leak sanitizer: all of it is let go of before the process ends.
import { setImmediate } from 'node:timers/promises';

import { allocate, memory, Nadam, Variable } from 'keras-optimizers';

async function use() {
  for (let i = 0; i < 50; i++) {
    const variable = new Variable(new Float32Array(1000));
    const optimizer = new Nadam({ use_ema: true });
    const gradients = [allocate(1000)];
    optimizer.apply(gradients, [variable]);
    await optimizer.apply_async([new Float32Array(1000)]);
    optimizer.dispose();
    variable.dispose();
  }
}

await use();
for (let turn = 0; turn < 20; turn++) {
  globalThis.gc();
  await setImmediate();
}
console.log('left', memory().cpu);
