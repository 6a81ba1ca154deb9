// Keras's own numbers through the adapter for TensorFlow.js: the step is the same native one, so the bits are too.
import { assert } from 'chai';

import { deserialize, type Optimizer } from '../lib/index.ts';
import { optimizers } from '../lib/tfjs/index.ts';
import {
  bits,
  gradientsAt,
  numbers,
  readGolden,
  replayCase,
  type Case,
  type GoldenFile,
  type Problem,
} from './golden.ts';
import { classes } from './optimizers.ts';
import { isInexact } from './promise.ts';
import { nativeBackends, on, tf } from './tfjs.ts';

const { wrap } = optimizers(tf);

/** Runs a case as `replay` does, on variables of TensorFlow.js. Returns what is recorded of them, and the weights. */
async function replayed({ problems }: GoldenFile, c: Case): Promise<{ params: number[][][]; state: number[][] }> {
  const problem = problems[c.problem] as Problem;
  const optimizer = wrap(deserialize({ class_name: c.class, config: c.args }) as Optimizer);
  const variables = tf.tidy(() =>
    problem.variables.map(({ name, shape, initial }) =>
      tf.variable(tf.tensor(initial, [...shape], 'float32'), true, name),
    ),
  );
  if (c.excludeFromWeightDecay) {
    const { variables: names, names: varNames } = c.excludeFromWeightDecay;
    optimizer.excludeFromWeightDecay({ varList: variables.filter(({ name }) => names.includes(name)), varNames });
  }
  const params: number[][][] = [];
  for (let t = 1; t <= (c.float32.at.at(-1) ?? 0); t++) {
    const { learningRate, nullGradients = [] } = c.actions?.[t] ?? {};
    if (learningRate !== undefined) optimizer.learningRate = learningRate;
    const gradients = gradientsAt({ ...problem, steps: c.steps ?? problem.steps }, t, 'float32');
    const named = gradients.map((gradient, i) => ({
      name: problem.variables[i]?.name as string,
      tensor: nullGradients.includes(i)
        ? (null as never)
        : tf.tensor(gradient as Float32Array, [...(problem.variables[i]?.shape ?? [])]),
    }));
    optimizer.applyGradients(named);
    tf.dispose(named.map(({ tensor }) => tensor));
    if (c.float32.at.includes(t)) params.push(variables.map((variable) => [...variable.dataSync()]));
  }
  const state = (await optimizer.getWeights()).map(({ tensor }) => [...tensor.dataSync()]);
  optimizer.dispose();
  tf.dispose(variables);
  return { params, state };
}

const isSparse = ({ steps }: Case): boolean => steps !== undefined;

for (const backend of nativeBackends)
  describe(`TensorFlow.js on ${backend}: goldens`, () => {
    on(backend);
    for (const { className } of classes) {
      const file = readGolden(className === 'ScheduleFreeAdamW' ? 'schedulefreeadamw-meant' : className.toLowerCase());
      const cases = file.cases.filter((c) => !isSparse(c));
      it(`of ${className}: variables and state have the bits of all ${cases.length} cases`, async () => {
        assert.isAtLeast(cases.length, 8);
        for (const c of cases) {
          const { params, state } = await replayed(file, c);
          const core = replayCase(file, c, 'float32');
          assert.deepEqual(params.flat().map(bits), core.params.flat().map(bits), c.id);
          const own = core.optimizer.variables.filter(({ name }) => name !== 'learning_rate');
          assert.deepEqual(
            state.map(bits),
            own.map(({ value }) => bits(Array.from(value, Number))),
            c.id,
          );
          if (isInexact(c)) continue;
          const keras = c.float32.params.map((at) => at.map((list) => bits(numbers(list))));
          assert.deepEqual(
            params.map((at) => at.map(bits)),
            keras,
            c.id,
          );
        }
      });
    }
  });
