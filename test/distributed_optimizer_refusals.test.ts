// One rank does something else than the others: all of them hear of it at once, and nothing is summed that does not belong together.
import { assert } from 'chai';

import {
  Adam,
  fields,
  LearningRateSchedule,
  Optimizer,
  SGD,
  Variable,
  type GradientAndVariable,
} from '../lib/index.ts';
import { toBfloat16 } from '../lib/halves.ts';
import type { Communicator } from '../lib/distributed/index.ts';
import { bitsOf, codesOf, ranksOf, start, step, type Rank, type Shapes } from './replicas.ts';

const shapes: Shapes = [[5], [3]];
const kSoon = { timeout: 20_000 }; // ms: longer than a test may take

const of = (x: number) => shapes.map(([length = 0]) => new Float32Array(length).fill(x));
const sgd = () => new SGD({ learning_rate: 1 });

/** What everyone throws: its code. */
const codes = <T>(all: readonly T[], action: (one: T, i: number) => Promise<unknown>): Promise<string[]> =>
  codesOf(all.map(action));

/** Two ranks whose variables are 0. */
async function pair(
  make: (rank: number) => Optimizer = sgd,
  options: Parameters<Optimizer['distribute']>[1] = {},
): Promise<readonly Rank[]> {
  const ranks = await start(2, make, shapes, options, true);
  for (const { variables } of ranks) variables.forEach((variable) => variable.assign(variable.value.map(() => 0)));
  return ranks;
}

const firstOf = (ranks: readonly Rank[]) => ranks.map(({ variables }) => variables[0]?.value[0]);

/** The next step is a sum over both. */
async function goesOn(ranks: readonly Rank[]): Promise<void> {
  const before = firstOf(ranks);
  await step(ranks, 2, (pass) => of(pass + 1));
  assert.deepEqual(
    firstOf(ranks),
    before.map((x = NaN) => x - 3),
  );
}

type Call = (rank: Rank) => Promise<unknown>;
const pairsOf = ({ variables }: Rank) => variables.map((v, i) => [of(1)[i], v] as GradientAndVariable);

describe('one rank of an optimizer', () => {
  const calls: readonly [string, Call, Call, string][] = [
    ['an empty list', (r) => r.optimizer.apply_async(of(1)), (r) => r.optimizer.apply_async([]), 'ERR_OPT_LENGTH'],
    [
      'an empty list of pairs',
      (r) => r.optimizer.apply_gradients_async(pairsOf(r)),
      (r) => r.optimizer.apply_gradients_async([]),
      'ERR_OPT_LENGTH',
    ],
    [
      'what are no pairs',
      (r) => r.optimizer.apply_gradients_async(pairsOf(r)),
      (r) => r.optimizer.apply_gradients_async(of(1) as never),
      'ERR_OPT_ARRAY_TYPE',
    ],
    [
      'no pairs to aggregate',
      async (r) => r.optimizer.aggregate_gradients(pairsOf(r)),
      async (r) => r.optimizer.aggregate_gradients(7 as never),
      'ERR_OPT_ARRAY_TYPE',
    ],
  ];
  for (const [name, right, wrong, code] of calls)
    it(`is refused ${name}, and the other hears of it`, async () => {
      const ranks = await pair();
      assert.deepEqual(await codes(ranks, (rank, i) => (i === 0 ? right(rank) : wrong(rank))), [
        'ERR_COMM_MISMATCH',
        code,
      ]);
      assert.deepEqual(firstOf(ranks), [0, 0]);
      await goesOn(ranks);
    });

  const options: readonly [string, object, string][] = [
    ['reduction', { reduction: 'avg' }, 'ERR_OPT_CONFIG_RANGE'],
    ['micro_batches', { micro_batches: 3 }, 'ERR_OPT_CONFIG_RANGE'],
  ];
  for (const [name, given, code] of options)
    it(`is refused ${name} of distribute, and the other hears of it`, async () => {
      const done = await codes(ranksOf(2, kSoon), (communicator, i) =>
        sgd().distribute(communicator, i === 0 ? {} : given),
      );
      assert.deepEqual(done, ['ERR_COMM_MISMATCH', code]);
    });

  it('is refused options that are none, and the other hears of it', async () => {
    const done = await codes(ranksOf(2, kSoon), (communicator, i) =>
      communicator.allReduce(new Float32Array(1), i === 0 ? {} : (null as never)),
    );
    assert.deepEqual(done, ['ERR_COMM_MISMATCH', 'ERR_OPT_CONFIG_TYPE']);
  });

  it('may not step two optimizers in another order', async () => {
    const both = await Promise.all(
      ranksOf(2, kSoon).map(async (communicator) => {
        const made = [sgd(), sgd()].map((optimizer) => ({ optimizer, variables: [new Variable([0])] }));
        for (const { optimizer, variables } of made) optimizer.build(variables);
        for (const { optimizer } of made) await optimizer.distribute(communicator);
        return made;
      }),
    );
    const done = await codes(both, (made, i) =>
      (made[i] as (typeof made)[0]).optimizer.apply_async([new Float32Array([1])]),
    );
    assert.deepEqual(done, ['ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH']);
    for (const made of both) for (const { variables } of made) assert.equal(variables[0]?.value[0], 0);
  });

  it('may not have a rate of its own, even where no config tells', async () => {
    class Hidden extends LearningRateSchedule {
      rate = 1;
      override at(): number {
        return this.rate;
      }
      override get_config(): Record<string, never> {
        return {};
      }
    }
    const ranks = await pair((rank) => {
      const learning_rate = new Hidden();
      if (rank === 1) learning_rate.rate = 0.5;
      return new SGD({ learning_rate });
    });
    const done = await codes(ranks, ({ optimizer }) => optimizer.apply_async(of(1)));
    assert.deepEqual(done, ['ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH']);
    assert.deepEqual(firstOf(ranks), [0, 0]);
  });

  it('may not exclude variables of its own from weight decay', async () => {
    const ranks = ranksOf(2, kSoon).map((communicator, rank) => {
      const optimizer = new SGD({ weight_decay: 0.1 });
      const variables = [new Variable([1])];
      if (rank === 1) optimizer.exclude_from_weight_decay({ var_list: variables });
      optimizer.build(variables);
      return { communicator, optimizer, variables };
    });
    const done = await codes(ranks, ({ optimizer, communicator }) => optimizer.distribute(communicator));
    assert.deepEqual(done, ['ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH']);
  });

  for (const refused of [0, 1])
    for (const awaited of [true, false])
      it(`gives up the step of micro-batch ${refused} that is refused, until it is distributed again, awaited: ${awaited}`, async () => {
        const ranks = await pair(sgd, { micro_batches: 4 });
        const codes = await Promise.all(
          ranks.map(async ({ optimizer }, rank) => {
            const given: string[] = [];
            let before: Promise<unknown> = Promise.resolve();
            for (let pass = 0; pass < 6; pass++) {
              const gradients = rank === 1 && pass === refused ? [new Float32Array(1), null] : of(1);
              const step = optimizer.apply_async(gradients).then(
                () => given.push('none'),
                ({ code }: { code: string }) => given.push(code),
              );
              await (awaited ? step : before);
              before = step;
            }
            await before;
            return given;
          }),
        );
        const late = new Array<string>(4).fill('ERR_OPT_DISTRIBUTED');
        assert.deepEqual(codes[0], ['none', 'ERR_COMM_MISMATCH', ...late]);
        const first = ['ERR_OPT_LENGTH', 'ERR_OPT_DISTRIBUTED'];
        assert.deepEqual(codes[1], [...(refused === 0 ? first : ['none', 'ERR_OPT_LENGTH']), ...late]);
        assert.deepEqual(firstOf(ranks), [0, 0]);
        await Promise.all(
          ranks.map(({ optimizer, communicator }) => optimizer.distribute(communicator, { micro_batches: 4 })),
        );
        await step(ranks, 4, (pass) => of(pass + 1));
        assert.deepEqual(firstOf(ranks), [-10, -10]);
      });

  it('may not close while the other goes on, which has no use for the communicator any more', async () => {
    const group = ranksOf(2, kSoon) as [Communicator, Communicator];
    const done = await codes(group, (communicator, i) =>
      i === 0 ? communicator.close() : communicator.allReduce(new Float32Array(1)),
    );
    assert.deepEqual(done, ['ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH']);
    assert.deepEqual(await codes(group.slice(1), (communicator) => communicator.barrier()), ['ERR_COMM_ABORTED']);
  });
});

describe('an optimizer of several ranks', () => {
  it('stays as it was where its state cannot be shared', async () => {
    class Own extends Optimizer {
      static override fields = { ...fields.common(0.01) };
      override update_step(gradient: Float32Array, variable: Variable): void {
        variable.value.forEach((x, i) => (variable.value[i] = x - (gradient[i] as number)));
      }
    }
    const made = ranksOf(2, kSoon).map((communicator) => {
      const [optimizer, variables] = [new Own({ learning_rate: 1 }), [new Variable([1])]];
      optimizer.build(variables);
      optimizer.apply([new Float32Array([1])]);
      return { communicator, optimizer, variables };
    });
    const done = await codes(made, ({ optimizer, communicator }) =>
      optimizer.distribute(communicator, { shard_state: true }),
    );
    assert.deepEqual(done, ['ERR_OPT_DISTRIBUTED', 'ERR_OPT_DISTRIBUTED']);
    for (const { optimizer, variables } of made) {
      assert.equal(optimizer.iterations, 1);
      optimizer.apply([new Float32Array([1])]);
      assert.equal(variables[0]?.value[0], -1);
    }
  });

  for (const gradient_dtype of ['bfloat16', 'float16'] as const)
    it(`sums gradients in ${gradient_dtype} as float32`, async () => {
      const ranks = await pair(() => new SGD({ learning_rate: 1, gradient_dtype }));
      const [half, tiny] = gradient_dtype === 'bfloat16' ? [toBfloat16(1.5), toBfloat16(-0.25)] : [0x3e00, 0x8001];
      const bits = shapes.map(([length = 0], i) => new Uint16Array(length).fill(i === 0 ? half : tiny));
      await step(ranks, 2, () => bits);
      const small = gradient_dtype === 'bfloat16' ? 0.5 : 2 ** -23;
      for (const { variables } of ranks) {
        assert.deepEqual(Array.from(variables[0]?.value ?? []), [-3, -3, -3, -3, -3]);
        assert.deepEqual(Array.from(variables[1]?.value ?? []), [small, small, small]);
      }
    });

  it('has a state to share though all variables are empty', async () => {
    const ranks = await start(2, () => new Adam(), [[0]], { shard_state: true }, true);
    await step(ranks, 2, () => [new Float32Array(0)]);
    assert.equal(ranks[0]?.optimizer.iterations, 1);
  });

  it('takes the sums of a class that aggregates gradients by itself', async () => {
    class Tenfold extends SGD {
      override async aggregate_gradients(
        pairs: readonly GradientAndVariable[],
      ): Promise<readonly GradientAndVariable[]> {
        const sums = await super.aggregate_gradients(pairs);
        return sums.map(([sum, variable]) => [(sum as Float32Array).map((x) => 10 * x), variable]);
      }
    }
    const ranks = await pair(() => new Tenfold({ learning_rate: 1 }));
    await Promise.all(ranks.map((rank) => rank.optimizer.apply_gradients_async(pairsOf(rank))));
    assert.deepEqual(firstOf(ranks), [-20, -20]);
    const [optimizer, alone] = [new Tenfold({ learning_rate: 1 }), new Variable([0])];
    await optimizer.apply_gradients_async([[new Float32Array([1]), alone]]);
    assert.equal(alone.value[0], -10);
    assert.deepEqual(bitsOf(ranks[0]?.variables ?? []), bitsOf(ranks[1]?.variables ?? []));
  });
});
