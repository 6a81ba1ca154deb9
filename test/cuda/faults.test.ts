// What happens when CUDA fails: every call to it, one after the other, with every kind of error. Needs the emulated GPU, whose build
// makes calls fail on purpose.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import { Adam, Lamb, memory, Nadam, Variable, type Gradient } from '../../lib/index.ts';
import { addon } from '../../lib/native.ts';

const { setFault, cudaCalls } = addon as unknown as {
  readonly setFault?: (name: string | null, nth?: number, code?: number) => void;
  readonly cudaCalls: () => Readonly<Record<string, number>>;
};
const codes = { outOfMemory: 2, launch: 98 };
const steps = 4;
const lengths = [5, 40_000];

const numbers = (length: number, step: number) =>
  Float32Array.from({ length }, (_, i) => ((i * 7 + step * 31) % 251) / 100 - 1);

const optimizers = {
  'Nadam with global_clipnorm': () => new Nadam({ global_clipnorm: 1, weight_decay: 0.01 }),
  'Adam with averages and accumulation': () => new Adam({ use_ema: true, gradient_accumulation_steps: 2 }),
  Lamb: () => new Lamb({ learning_rate: 0.01 }),
};

/** What the weights are after each number of steps, on the host. */
function trajectory(make: () => Nadam | Adam | Lamb): readonly (readonly Float32Array[])[] {
  const weights = lengths.map((length) => new Variable(numbers(length, -1)));
  const optimizer = make();
  const after = [weights.map(({ value }) => value.slice())];
  for (let step = 0; step < steps; step++) {
    optimizer.apply(
      lengths.map((length) => numbers(length, step)),
      weights,
    );
    after.push(weights.map(({ value }) => value.slice()));
  }
  return after;
}

interface Failed extends Error {
  readonly code?: string;
}

/** Trains on the GPU; a step or read that fails is tried again. Returns what failed. */
async function train(make: () => Nadam | Adam | Lamb, expected: ReturnType<typeof trajectory>): Promise<Failed[]> {
  const failed: Failed[] = [];
  const made: Variable[] = [];
  const again = async <R>(run: () => R): Promise<Awaited<R>> => {
    for (let attempt = 0; attempt < 3; attempt++)
      try {
        return await run();
      } catch (error) {
        failed.push(error as Failed);
        if ((error as Failed).code === 'ERR_OPT_POISONED') throw error;
      }
    throw failed.at(-1) as Failed;
  };
  const weights: Variable[] = [];
  for (const length of lengths) {
    const one = (await again(() => new Variable(numbers(length, -1), { device: 'cuda' }))) as unknown as Variable;
    weights.push(one);
    made.push(one);
  }
  const optimizer = make();
  try {
    await again(() => optimizer.build(weights));
    for (let step = 0; step < steps; step++) {
      const gradients = lengths.map((length) => numbers(length, step)) as Gradient[];
      await again(() =>
        step % 2 === 0 ? optimizer.apply(gradients, weights) : optimizer.apply_async(gradients, weights),
      );
      assert.equal(optimizer.iterations, Math.floor((step + 1) / (optimizer.gradient_accumulation_steps ?? 1)));
      for (const [i, weight] of weights.entries())
        assert.deepEqual(
          await again(() => weight.read()),
          expected[step + 1]?.[i],
          `weights ${i} after step ${step}, ${failed.map(String).join()}`,
        );
    }
    return failed;
  } catch (error) {
    if (!/half done/.test(String(error))) throw error;
    return failed; // a rule of several launches, the first of which had been made: it says so, and that a checkpoint is needed
  } finally {
    optimizer.dispose();
    for (const variable of made) variable.dispose();
  }
}

describe('a GPU whose calls fail', function () {
  before(function () {
    if (setFault !== undefined && addon.cuda.emulated) return;
    console.log('      not run: this addon has no emulated GPU (npm run test:cuda builds one that has)');
    this.skip();
  });
  afterEach(() => setFault?.(null));

  for (const [what, make] of Object.entries(optimizers))
    for (const [kind, code] of Object.entries(codes))
      it(`${what}: every call once, ${kind}: a coded error, the step again, the same bits, no memory left`, async function () {
        this.timeout(120_000);
        const expected = trajectory(make);
        await train(make, expected);
        const before = { ...cudaCalls() };
        assert.deepEqual(await train(make, expected), []);
        let hits = 0;
        for (const [name, count] of Object.entries(cudaCalls())) {
          const calls = count - (before[name] ?? 0);
          for (let nth = 1; nth <= calls; nth += Math.max(1, Math.floor(calls / 25))) {
            setFault?.(name, nth, code);
            const failed = await train(make, expected);
            setFault?.(null);
            hits += failed.length;
            for (const error of failed)
              assert.oneOf(
                error.code,
                ['ERR_OPT_OOM', 'ERR_OPT_CUDA', 'ERR_OPT_POISONED'],
                `${name}, call ${nth}: ${error.message}`,
              );
            assert.equal(memory()['cuda:0'], 0, `bytes left after ${name}, call ${nth}`);
          }
        }
        assert.isAbove(hits, 20);
      });

  for (const name of [
    'cudaMalloc',
    'cudaMemcpyAsync',
    'cudaMemsetAsync',
    'cudaLaunchKernel',
    'cudaEventRecord',
    'cudaEventQuery',
    'cudaEventSynchronize',
    'cudaStreamSynchronize',
    'cudaSetDevice',
    'cudaFree',
    'cudaEventCreate',
    'cudaHostAlloc',
  ])
    it(`in a process: ${name} says that a kernel has gone astray; every use of a GPU says so from then on`, function () {
      this.timeout(60_000);
      const file = fileURLToPath(new URL('faults.mjs', import.meta.url));
      const { found, host } = JSON.parse(
        execFileSync(process.execPath, ['--import', 'tsx', file, name, '700'], { encoding: 'utf8' }),
      ) as { found: [string, string, string?][]; host: boolean[] };
      assert.deepEqual(host, [true, true]);
      assert.equal(found[0]?.[1], 'ERR_OPT_POISONED', 'the call is made, and its failure is said');
      for (const [what, code, message] of found) {
        if (what === 'dispose' || code === 'done') continue;
        assert.equal(code, 'ERR_OPT_POISONED', `${what}: ${message}`);
        assert.include(message, '(700)');
        assert.include(message, 'checkpoint');
      }
    });
});
