// Steps on variables of libtensorflow that are as large as those of a network.
import { assert } from 'chai';

import { gradientOf, variableOf } from '../../bench/inputs.ts';
import { loadTfjsNode } from '../../bench/tfjs/node.ts';
import { elementsOf, shapesOf } from '../../bench/work.ts';
import { Variable } from '../../lib/index.ts';
import { optimizers } from '../../lib/tfjs/index.ts';
import { makers } from '../optimizers.ts';

const tf = loadTfjsNode();
const { wrap, nadam } = optimizers(tf);

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
