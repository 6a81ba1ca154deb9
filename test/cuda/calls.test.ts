// What a step on the variables' own gradients asks CUDA for, whatever the number of variables: all else is time of the host.
import { assert } from 'chai';

import { Adam, Nadam, Variable } from '../../lib/index.ts';
import { addon } from '../../lib/native.ts';

const { cudaCalls } = addon as unknown as { cudaCalls?: () => Readonly<Record<string, number>> };

describe('a step on a GPU', function () {
  before(function () {
    if (cudaCalls === undefined || !addon.cuda.emulated) this.skip();
  });

  it('tells the norm of the last step while the next one runs', async () => {
    const variable = Variable.zeros([100], { device: 'cuda' });
    const optimizer = new Nadam({ global_clipnorm: 1 });
    optimizer.build([variable]);
    const steps = [() => void optimizer.apply(), () => optimizer.apply_async()];
    for (const [i, step] of [...steps, ...steps, ...steps].entries()) {
      variable.gradient.assign(new Float32Array(100).fill(i + 1));
      await step();
      if (i % 3 === 0) assert.equal(optimizer.gradient_norm, 10 * (i + 1));
      variable.gradient.assign(new Float32Array(100).fill(50));
      const next = optimizer.apply_async();
      assert.equal(optimizer.gradient_norm, 10 * (i + 1));
      await next;
      assert.equal(optimizer.gradient_norm, 500);
    }
    optimizer.dispose();
    variable.dispose();
  });

  const launches = {
    'one without norms': [() => new Nadam(), 1],
    'one with averages': [() => new Adam({ use_ema: true, ema_overwrite_frequency: 3 }), 1],
    'three with norms': [() => new Nadam({ global_clipnorm: 1, weight_decay: 0.01 }), 3],
  } as const;
  for (const [what, [make, count]] of Object.entries(launches))
    for (const variables of [1, 100])
      it(`launches ${what}, of ${variables} variables, and copies and waits for nothing`, () => {
        const all = Array.from({ length: variables }, (_, i) => Variable.zeros([i + 1], { device: 'cuda' }));
        const optimizer = make();
        optimizer.build(all);
        for (let step = 0; step < 20; step++) optimizer.apply();
        const before = { ...cudaCalls?.() };
        for (let step = 0; step < 20; step++) optimizer.apply();
        const calls = Object.entries(cudaCalls?.() ?? {}).map(([name, n]) => [name, (n - (before[name] ?? 0)) / 20]);
        const events = count > 1 ? { cudaEventRecord: 1, cudaEventSynchronize: 1 } : {}; // for who asks for the norm
        assert.deepEqual(Object.fromEntries(calls.filter(([name, n]) => n !== 0 && name !== 'cudaSetDevice')), {
          cudaLaunchKernel: count,
          ...events,
        });
        optimizer.dispose();
        for (const variable of all) variable.dispose();
      });
});
