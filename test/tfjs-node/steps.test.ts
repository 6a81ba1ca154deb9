// Steps on variables of libtensorflow that are as large as those of a network.
import { assert } from 'chai';

import { gradientOf, variableOf } from '../../bench/inputs.ts';
import { loadTfjsNode } from '../../bench/tfjs/node.ts';
import { elementsOf, shapesOf } from '../../bench/work.ts';
import { SGD, Variable } from '../../lib/index.ts';
import { optimizers } from '../../lib/tfjs/index.ts';
import { makers } from '../optimizers.ts';
import { on } from '../tfjs.ts';

const tf = loadTfjsNode();
const { wrap, nadam, sgd } = optimizers(tf);

/** As an operation leaves it: a tensor made of an array may still be that array. */
const computed = (values: Float32Array, shape: number[]) => tf.tidy(() => tf.mul(tf.tensor(values, shape), 1));

function network(elements: string) {
  const shapes = (shapesOf(`layered:${elements}`) ?? []).map((shape) => [...shape]);
  const variables = shapes.map((shape, i) =>
    tf.tidy(() => tf.variable(computed(variableOf(elementsOf(shape), i), shape), true, `network/${i}`)),
  );
  const gradients = shapes.map((shape, i) => ({
    name: `network/${i}`,
    tensor: computed(gradientOf(elementsOf(shape), i), shape),
  }));
  return { shapes, variables, gradients, dispose: () => tf.dispose([...variables, ...gradients.map((g) => g.tensor)]) };
}

describe('a step on libtensorflow', () => {
  on('tensorflow');
  for (const [name, make] of makers())
    it(`of ${name} has the bits of the core`, () => {
      const { shapes, variables, gradients, dispose } = network('64K');
      const [core, optimizer] = [make(), wrap(make())];
      const plain = shapes.map((shape, i) => new Variable(variableOf(elementsOf(shape), i), { shape }));
      for (let t = 0; t < 3; t++) {
        core.apply(shapes.map((shape, i) => gradientOf(elementsOf(shape), i)), plain); // prettier-ignore
        optimizer.applyGradients(gradients);
      }
      variables.forEach((variable, i) => {
        const [ours, expected] = [variable.dataSync<'float32'>(), plain[i]?.value as Float32Array];
        assert.isTrue(Buffer.from(ours.slice().buffer).equals(Buffer.from(expected.slice().buffer)), variable.name);
        assert.notDeepEqual([...ours.subarray(0, 9)], [...variableOf(ours.length, i).subarray(0, 9)]);
      });
      optimizer.dispose();
      core.dispose();
      dispose();
    });

  for (const length of [2 ** 10, 2 ** 17 - 1, 2 ** 17, 2 ** 18])
    it(`on ${length} elements copies every bit, and leaves clones and reshapes alone`, () => {
      const special = [1e-42, -1e-42, -0, 0, NaN, Infinity, -Infinity, 3.4e38, 1];
      const values = Float32Array.from({ length }, (_, i) => special[i % special.length] as number);
      const variable = tf.tidy(() => tf.variable(computed(values, [length, 1]), true, 'special'));
      const core = new Variable(values, { shape: [length, 1] });
      const [optimizer, alone] = [sgd(0.5), new SGD({ learning_rate: 0.5 })];
      const gradient = tf.zeros([length, 1]);
      const kept: [ReturnType<typeof tf.tensor>, Buffer][] = [];
      for (let t = 0; t < 3; t++) {
        optimizer.applyGradients({ special: gradient });
        alone.apply([new Float32Array(length)], [core]);
        const now = Buffer.from(core.value.slice().buffer);
        kept.push([variable.clone(), now], [tf.reshape(variable, [length]), now]);
        tf.tidy(() => variable.assign(tf.mul(variable, 2)));
        core.assign(variable.dataSync<'float32'>());
        optimizer.applyGradients({ special: gradient });
        alone.apply([new Float32Array(length)], [core]);
      }
      for (const [tensor, bytes] of kept) assert.isTrue(Buffer.from(tensor.dataSync().slice().buffer).equals(bytes));
      optimizer.dispose();
      alone.dispose();
      tf.dispose([variable, gradient, ...kept.map(([tensor]) => tensor)]);
    });

  it('leaves no memory behind, of which 1000 steps would take 1 GB', () => {
    const { gradients, dispose } = network('256K');
    const optimizer = nadam();
    const steps = (count: number): number => {
      for (let t = 0; t < count; t++) optimizer.applyGradients(gradients);
      globalThis.gc?.();
      return process.memoryUsage.rss();
    };
    const before = steps(100);
    assert.isBelow(steps(1000) - before, 2 ** 28); // what waits to be collected
    optimizer.dispose();
    dispose();
  });
});
