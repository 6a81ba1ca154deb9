// Asynchronous steps of wrappers that wait behind another one, and do not come to begin.
import { assert } from 'chai';

import { MultiOptimizer, OptimizerMap, SGD, Variable } from '../lib/index.ts';

describe('a step of a wrapper that waits', () => {
  const twoMembers = () => {
    const variables = ['a', 'b'].map((name) => new Variable(new Float32Array(200_000).fill(1), { name }));
    const members = variables.map(() => new SGD({ learning_rate: 1 }));
    const [a, b] = members as [SGD, SGD];
    const map = new OptimizerMap({ default_optimizer: b, optimizer_map: { a } });
    const multi = new MultiOptimizer({ optimizer_map: map });
    multi.build(variables);
    return { variables, members, multi, gradients: () => variables.map(({ value }) => value.map(() => 0.5)) };
  };

  it('is refused without a trace in the one that runs', async () => {
    const { variables, members, multi, gradients } = twoMembers();
    const [fit] = gradients();
    const running = multi.apply_async(gradients());
    const error = await multi
      .apply_async([fit as Float32Array, new Float32Array(3)])
      .catch((reason: unknown) => reason);
    assert.propertyVal(error, 'code', 'ERR_OPT_LENGTH');
    assert.equal(await running, 1);
    for (const { value } of variables) assert.isTrue(value.every((x) => x === 0.5));
    assert.deepEqual(
      members.map(({ iterations }) => iterations),
      [1, 1],
    );
    multi.dispose();
  });

  it('lets go of every member when it cannot begin', async () => {
    const { variables, members, multi } = twoMembers();
    const [a, b] = variables as [Variable, Variable];
    for (const { gradient } of variables) gradient.fill(1);
    const steps = [multi.apply_async(), multi.apply_async()];
    a.dispose(); // before the first has begun
    for (const { status } of await Promise.allSettled(steps)) assert.equal(status, 'rejected');
    await multi.idle();
    members[1]?.apply([new Float32Array(200_000).fill(1)], [b]);
    assert.equal(b.value[0], 0);
    multi.dispose();
  });
});
