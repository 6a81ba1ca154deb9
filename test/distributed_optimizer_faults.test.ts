// What goes wrong on one rank: all of them hear of it, and nothing has been done.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import {
  Adam,
  IndexedSlices,
  LossScaleOptimizer,
  memory,
  Optimizer,
  SGD,
  Variable,
  type Gradient,
} from '../lib/index.ts';
import { latestCheckpoint, onTermination, saveCheckpoint, type Communicator } from '../lib/distributed/index.ts';
import { Variable as Inner } from '../lib/variable.ts';
import {
  alone,
  bitsOf,
  codesOf,
  gradientsOf,
  passesOf,
  ranksOf,
  start,
  stateBits,
  step,
  variablesOf,
  type Rank,
  type Shapes,
  type Step,
} from './replicas.ts';

const shapes: Shapes = [[17_000], [20, 30], [4, 2]];

/** What every rank throws: its code. */
const codes = (ranks: readonly Rank[], action: (rank: Rank, i: number) => Promise<unknown>): Promise<string[]> =>
  codesOf(ranks.map(action));

const all = (ranks: readonly Rank[]) => [...ranks.flatMap(({ variables }) => bitsOf(variables)), ...stateBits(ranks)];
const given = (i: number): Gradient[] => gradientsOf(shapes, 0, i);

/** A step goes on as if nothing had been. */
async function goesOn(ranks: readonly Rank[], make: () => Optimizer): Promise<void> {
  const steps = passesOf(shapes, 1, ranks.length);
  await step(ranks, ranks.length, (pass) => steps[0]?.passes[pass] ?? []);
  const expected = alone(make, shapes, steps);
  for (const { variables } of ranks) assert.deepEqual(bitsOf(variables), bitsOf(expected.variables));
}

const make = () => new Adam({ global_clipnorm: 1 });

describe('ranks of an optimizer', () => {
  for (const shard_state of [false, true]) {
    const settings = { shard_state };
    const faults: readonly [string, (i: number) => Gradient[], (string | undefined)[]][] = [
      [
        'a gradient that does not fit',
        (i) => (i === 1 ? [new Float32Array(3), null, null] : given(i)),
        ['ERR_COMM_MISMATCH', 'ERR_OPT_LENGTH', 'ERR_COMM_MISMATCH'],
      ],
      [
        'no gradient at all',
        (i) => (i === 2 ? [null, null, null] : given(i)),
        ['ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH', 'ERR_OPT_NO_GRADIENT'],
      ],
      [
        'null on one rank only',
        (i) => (i === 0 ? [null, ...given(i).slice(1)] : given(i)),
        ['ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH'],
      ],
    ];
    for (const [name, gradients, expected] of faults)
      it(`all reject ${name}, shard_state ${shard_state}`, async () => {
        const ranks = await start(3, make, shapes, settings, true);
        const before = all(ranks);
        assert.deepEqual(await codes(ranks, ({ optimizer }, i) => optimizer.apply_async(gradients(i))), expected);
        assert.deepEqual(all(ranks), before);
        await goesOn(ranks, make);
      });

    it(`find out that variables differ, shard_state ${shard_state}`, async () => {
      const ranks = await start(2, make, shapes, settings);
      ranks[1]?.variables[0]?.assign(new Float32Array(17_000));
      const done = await codes(ranks, ({ optimizer, variables }, i) => optimizer.apply_async(given(i), variables));
      assert.deepEqual(done, ['ERR_OPT_DISTRIBUTED', 'ERR_OPT_DISTRIBUTED']);
      assert.isFalse(ranks[0]?.optimizer.built);
    });

    it(`take the variables of rank 0 when they are built, shard_state ${shard_state}`, async () => {
      const ranks = await Promise.all(
        ranksOf(2).map(async (communicator, i) => {
          const [optimizer, variables] = [make(), variablesOf(shapes)];
          if (i > 0) for (const variable of variables) variable.assign(variable.value.map((x) => 2 * x));
          optimizer.build(variables);
          await optimizer.distribute(communicator, settings);
          return { communicator, optimizer, variables };
        }),
      );
      await goesOn(ranks, make);
    });

    it(`refuse what waits for nobody, shard_state ${shard_state}`, async () => {
      const ranks = await start(2, make, shapes, settings, true);
      const [{ optimizer, variables }] = ranks as [Rank];
      const pairs = variables.map((variable, i) => [given(0)[i], variable] as const);
      for (const action of [
        () => optimizer.apply(given(0)),
        () => optimizer.apply_gradients(pairs as never),
        () => optimizer.minimize(0, variables, { gradient: () => given(0) as never }),
        ...(shard_state
          ? [
              () => optimizer.update_step(given(0)[0] as never, variables[0] as Variable),
              () => optimizer.finalize_variable_values(),
              () => optimizer.swap_ema_weights(),
              () => optimizer.save_own_variables({}),
            ]
          : []),
      ])
        assert.throws(action, /expects/);
    });
  }

  for (const shard_state of [false, true])
    it(`all reject a gradient whose memory goes away during the sums, shard_state ${shard_state}`, async () => {
      const ranks = await start(3, make, shapes, { shard_state, bucket_bytes: 1024 }, true);
      const before = all(ranks);
      const done = await codes(ranks, ({ optimizer }, i) => {
        const gradients = given(i).map((gradient) => new Variable(gradient as Float32Array)); // in library memory
        const step = optimizer.apply_async(gradients.map(({ value }) => value));
        if (i === 1) gradients[2]?.dispose();
        return step;
      });
      assert.deepEqual(done, ['ERR_COMM_MISMATCH', 'ERR_OPT_DETACHED', 'ERR_COMM_MISMATCH']);
      assert.deepEqual(all(ranks), before);
      await goesOn(ranks, make);
    });

  it('agree about class, options and variables', async () => {
    const list = [() => new Adam({ beta_1: 0.5 }), () => new SGD()];
    for (const other of list) {
      const ranks = ranksOf(2).map((communicator, i) => ({
        communicator,
        optimizer: i === 0 ? new Adam() : other(),
        variables: [],
      }));
      assert.deepEqual(await codes(ranks, ({ optimizer, communicator }) => optimizer.distribute(communicator)), [
        'ERR_COMM_MISMATCH',
        'ERR_COMM_MISMATCH',
      ]);
    }
    const ranks = await start(2, make, shapes, {}, true);
    (ranks[1] as Rank).optimizer.learning_rate = 0.5;
    assert.deepEqual(await codes(ranks, ({ optimizer }, i) => optimizer.apply_async(given(i))), [
      'ERR_COMM_MISMATCH',
      'ERR_COMM_MISMATCH',
    ]);
  });

  for (const shard_state of [false, true]) {
    const settings = { shard_state };
    const poisoned = ['ERR_OPT_POISONED', 'ERR_OPT_POISONED', 'ERR_OPT_POISONED'];
    const failing = () => {
      throw Object.assign(new Error('of one rank'), { code: 'own' });
    };

    it(`leave a step out together where a schedule of one throws, shard_state ${shard_state}`, async () => {
      let fails = true;
      let calls = 0;
      const adam = (rank: number) => {
        const fixed = () => (calls++, rank === 1 && fails ? failing() : 0.01);
        return new Adam({ learning_rate: fixed, global_clipnorm: 1 });
      };
      const ranks = await start(3, adam, shapes, settings, true);
      const before = all(ranks);
      const stepped = () => codes(ranks, ({ optimizer }, i) => optimizer.apply_async(given(i)));
      assert.deepEqual(await stepped(), ['ERR_COMM_MISMATCH', 'own', 'ERR_COMM_MISMATCH']);
      assert.deepEqual(all(ranks), before);
      [fails, calls] = [false, 0];
      await goesOn(ranks, () => new Adam({ learning_rate: 0.01, global_clipnorm: 1 }));
      assert.equal(calls, 3); // once on each rank
    });

    /** What goes wrong on rank 1 when it has the sums, and is over then: what that rank throws, and the others in that step. */
    const faults: readonly [string, (variable: Variable) => void, (variable: Variable) => void, string, string][] = [
      ['a constraint', (variable) => (variable.constraint = failing), () => {}, 'own', 'none'],
      [
        'a variable in use',
        (variable) => Inner.use(variable, 1),
        (variable) => Inner.use(variable, -1),
        'ERR_OPT_BUSY',
        shard_state ? 'ERR_OPT_POISONED' : 'none',
      ],
    ];
    for (const [name, spoil, repair, own, others] of faults)
      it(`are of no use where one has not done a step: ${name}, shard_state ${shard_state}`, async () => {
        const run = mkdtempSync(join(tmpdir(), 'run-'));
        let fails = false;
        const make = (rank: number, [variable]: readonly Variable[]) => {
          const fixed = () => {
            if (rank === 1 && fails) spoil(variable as Variable);
            return 0.01;
          };
          return new SGD({ momentum: 0.9, learning_rate: fixed });
        };
        try {
          const ranks = await start(3, make, shapes, settings, true);
          await step(ranks, 3, given);
          const saved = () => codes(ranks, ({ optimizer }) => optimizer.save(join(run, 'last'), { variables: true }));
          assert.deepEqual(await saved(), ['none', 'none', 'none']);
          fails = true;
          const stepped = () => codes(ranks, ({ optimizer }, i) => optimizer.apply_async(given(i)));
          assert.deepEqual(await stepped(), [others, own, others]);
          fails = false;
          repair(ranks[1]?.variables[0] as Variable);
          assert.deepEqual(await stepped(), poisoned);
          assert.deepEqual(await saved(), poisoned);
          assert.deepEqual(await stepped(), poisoned);
          const again = await Promise.all(ranks.map(({ communicator }) => goOn(join(run, 'last'), communicator)));
          await step(again, 3, given);
          const [one] = passesOf(shapes, 1, 3) as [Step];
          const expected = alone(() => new SGD({ momentum: 0.9 }), shapes, [one, one]);
          for (const rank of again) assert.deepEqual(bitsOf(rank.variables), bitsOf(expected.variables));
        } finally {
          rmSync(run, { recursive: true });
        }
      });

    const goOn = async (last: string, communicator: Communicator): Promise<Rank> => {
      const variables = variablesOf(shapes);
      const distribute = { communicator, ...settings };
      const custom_objects = { fixed: () => 0.01 };
      const optimizer = await Optimizer.load(last, { variables, distribute, custom_objects });
      return { communicator, optimizer, variables };
    };
  }

  it('leave a step out together where a gradient is not finite', async () => {
    const scaled = () => new LossScaleOptimizer({ inner_optimizer: new Adam(), initial_scale: 8 });
    for (const shard_state of [false, true]) {
      const ranks = await start(3, scaled, shapes, { shard_state }, true);
      const before = bitsOf(ranks.flatMap(({ variables }) => variables));
      await step(ranks, 3, (pass) =>
        pass === 1 ? given(pass).map((g) => (g as Float32Array).fill(Infinity, 0, 1)) : given(pass),
      );
      assert.deepEqual(bitsOf(ranks.flatMap(({ variables }) => variables)), before);
      for (const { optimizer } of ranks) assert.equal((optimizer as LossScaleOptimizer).dynamic_scale, 4);
    }
  });

  it('sum sparse gradients as dense ones, and pairs', async () => {
    const table: Shapes = [[50, 4]];
    const slices = (i: number) => new IndexedSlices(new Float32Array(8).fill(i + 1), [i, 7], [50, 4]);
    const dense = new Float32Array(200).fill(1, 0, 4).fill(2, 4, 8).fill(3, 28, 32);
    const expected = new SGD();
    const [variable] = variablesOf(table) as [Variable];
    expected.apply([dense], [variable]);
    const ranks = await start(2, () => new SGD(), table);
    const own = ({ variables }: Rank) => variables[0] as Variable;
    await Promise.all(ranks.map((rank, i) => rank.optimizer.apply_async([slices(i)], [own(rank)])));
    for (const rank of ranks) assert.deepEqual(bitsOf(rank.variables), bitsOf([variable]));
    await Promise.all(
      ranks.map(async (rank, i) => {
        const sums = await rank.optimizer.aggregate_gradients([[slices(i), own(rank)]]);
        assert.deepEqual(sums[0]?.[0], dense);
        rank.optimizer.apply_gradients(sums, { skip_gradients_aggregation: true });
        await rank.optimizer.apply_gradients_async(sums, { skip_gradients_aggregation: true });
        await rank.optimizer.apply_gradients_async([[slices(i), own(rank)]]);
      }),
    );
    for (let i = 0; i < 3; i++) expected.apply([dense]);
    for (const rank of ranks) assert.deepEqual(bitsOf(rank.variables), bitsOf([variable]));
  });

  it('constrain the whole variable, and keep a part of the state', async () => {
    const constrained = (variables: readonly Variable[]) => {
      for (const variable of variables)
        variable.constraint = (value) => void value.forEach((x, i) => (value[i] = Math.max(x, 0)));
    };
    const before = memory().cpu;
    const ranks = await start(2, () => new Adam(), [[65_536]], { shard_state: true });
    for (const { variables } of ranks) constrained(variables);
    const [gradient] = gradientsOf([[65_536]], 0, 0) as [Float32Array];
    await step(ranks, 2, () => [gradient]);
    const [one, other] = [new Adam(), variablesOf([[65_536]])];
    constrained(other);
    one.apply([gradient.map((x) => x + x)], other);
    for (const { variables, optimizer } of ranks) {
      assert.deepEqual(bitsOf(variables), bitsOf(other));
      const bytes = optimizer.variables.slice(2).map(({ value }) => value.byteLength);
      assert.deepEqual(bytes, [131_072, 131_072]); // half of 65,536 float32
      optimizer.dispose();
    }
    assert.isAtLeast(memory().cpu, before);
  });

  it('note a signal together, and keep the last checkpoints', async () => {
    const run = mkdtempSync(join(tmpdir(), 'run-'));
    try {
      for (const shard_state of [false, true]) {
        const ranks = await start(2, () => new SGD({ momentum: 0.9 }), shapes, { shard_state }, true);
        const ends = ranks.map(({ communicator }) => onTermination(communicator, ['SIGUSR2']));
        const requested = () => Promise.all(ends.map((end) => end.requested()));
        assert.deepEqual(await requested(), [false, false]);
        ends[0]?.dispose();
        process.emit('SIGUSR2'); // for rank 1 only
        assert.deepEqual(await requested(), [true, true]);
        ends[1]?.dispose();
        for (let i = 0; i < 3; i++) {
          await step(ranks, 2, given);
          await Promise.all(ranks.map(({ optimizer, communicator }) => saveCheckpoint(optimizer, communicator, run)));
        }
        assert.sameMembers(readdirSync(run), ['step-0000000002', 'step-0000000003']);
        const last = await latestCheckpoint(run);
        assert.equal((await Optimizer.load(last ?? '')).iterations, 3);
        for (const name of readdirSync(run)) rmSync(join(run, name), { recursive: true });
      }
      assert.isUndefined(await latestCheckpoint(run));
    } finally {
      rmSync(run, { recursive: true });
    }
  });
});
