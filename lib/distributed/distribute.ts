// `Optimizer.distribute`: the ranks agree about the optimizer, its variables and state become those of rank 0, and its steps are shared
// from then on.
import { finite, flag, nullable, oneOf, readOptions, whole } from '../configurable.ts';
import { nameOf } from '../devices.ts';
import { rangeError, stateError, typeError } from '../errors.ts';
import { awaitState, type StateToCome } from '../checkpoint/state_to_come.ts';
import { stateOf, type StateOf } from '../checkpoint/state_of.ts';
import { Optimizer } from '../optimizer.ts';
import { told } from '../distribution.ts';
import type { Runner } from '../runner.ts';
import { Variable } from '../variable.ts';
import { copyOf } from '../weights.ts';
import { pieceOf } from './collectives.ts';
import type { Communicator } from './communicator.ts';
import { fingerprint, hashOf, rates } from './fingerprint.ts';
import { Replicas, type Settings, type Texts } from './replicas.ts';

const fields = {
  reduction: oneOf(['sum', 'mean'] as const),
  shard_state: flag(false),
  micro_batches: nullable(whole(0)),
  bucket_bytes: nullable({ ...finite(0), expects: 'a number of bytes >= 1024', allows: (x: number) => x >= 1024 }),
};
/** Of `distribute`; the same on all ranks. */
export interface DistributeOptions {
  /** What a step gets of the gradients of all ranks: their sum (default, Keras's), or their mean. */
  readonly reduction?: 'sum' | 'mean' | undefined;
  /** Whether each rank keeps and steps a part of the state, about 1 / size of it (ZeRO-1); default false. */
  readonly shard_state?: boolean | undefined;
  /**
   * Backward passes of all ranks together in a step, a multiple of the ranks: each calls `apply_async` for its own, and the last call
   * steps. The bits are the same for any number of ranks that divides it. Default null: one of each rank.
   */
  readonly micro_batches?: number | null | undefined;
  /**
   * What is summed at a time, 1,024 bytes or more. Default (null): 256 KiB for each rank, and 4 MiB or more, so that it takes longer to
   * send a rank its part than to begin to, however many there are.
   */
  readonly bucket_bytes?: number | null | undefined;
}

/** `Optimizer.distribute`; `who`: its class, `place`: of this call among those of the communicator. */
export async function distribute(
  who: string,
  optimizer: Optimizer,
  communicator: Communicator,
  options: unknown,
  place: number,
): Promise<void> {
  const runner = Optimizer.runnerOf(optimizer);
  const { settings, texts } = await told(communicator, () => {
    const settings = checked(`${who}.distribute`, communicator, options);
    checkFree(who, runner, settings);
    const own = () => `${place} ${fingerprint(optimizer)} ${JSON.stringify(settings)}`;
    own(); // it throws for functions without a name
    return { settings, texts: { fingerprint: own, rates: () => rates(optimizer) } };
  });
  const holder = {}; // nobody steps meanwhile
  runner.hold(holder);
  const start = await agreed(who, optimizer, communicator, settings, texts).finally(() => runner.release());
  start();
}

/** Throws for an optimizer that cannot be shared, or not now. */
function checkFree(who: string, runner: Runner, settings: Settings): void {
  runner.checkIdle('distribute');
  if (runner.shards !== undefined)
    throw stateError(
      'ERR_OPT_DISTRIBUTED',
      `${who}.distribute expects an optimizer that does not share its state yet: call build before, or leave the first step to find out`,
    );
  if (settings.shard_state && runner.state?.site !== undefined)
    throw typeError(
      'ERR_OPT_DEVICE',
      `${who}.distribute expects shard_state only for variables on the cpu, they are on ${nameOf(runner.state.site)}`,
    );
}

function checked(who: string, communicator: Communicator, options: unknown): Settings {
  const settings = readOptions(who, fields, [options]);
  const { micro_batches: count, bucket_bytes } = settings;
  if (count !== null && (count < 1 || count % communicator.size !== 0))
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `${who} expects micro_batches to be a multiple of the ${communicator.size} processes, got ${count}`,
    );
  return { ...settings, bucket_bytes: bucket_bytes ?? pieceOf(communicator.size) };
}

/** Asks the other ranks; returns what shares the steps from then on. */
async function agreed(
  who: string,
  optimizer: Optimizer,
  communicator: Communicator,
  settings: Settings,
  texts: Texts,
): Promise<() => void> {
  const runner = Optimizer.runnerOf(optimizer);
  const built = runner.state !== undefined;
  await communicator.barrier({ layout: hashOf(texts.fingerprint()) });
  const set = built ? await broadcast(runner, communicator) : () => {};
  return () => {
    set();
    const replicas = new Replicas(who, runner, communicator, settings, texts, built);
    if (replicas.shards !== undefined) shard(optimizer, runner, replicas.shards);
    runner.distribution?.release();
    runner.distribution = replicas;
  };
}

/** All numbers of rank 0 to the others; returns what writes those that are no arrays. */
async function broadcast(runner: Runner, communicator: Communicator): Promise<() => void> {
  const all = runnersIn(runner);
  const kept = all.flatMap(({ tracked }) => tracked).filter((variable) => Variable.hasMemory(variable));
  for (const variable of [...(runner.state?.variables ?? []), ...kept]) await communicator.broadcast(variable);
  const scalars = all.flatMap((one) => scalarsOf(one));
  const numbers = Float64Array.from(scalars, ({ get }) => get());
  await communicator.broadcast(numbers);
  return () => scalars.forEach(({ set }, i) => set(numbers[i] as number));
}

interface Scalar {
  readonly get: () => number;
  readonly set: (x: number) => void;
}

/** The numbers of an optimizer that are no arrays. */
function scalarsOf(runner: Runner): readonly Scalar[] {
  const { tracked } = runner;
  const storages = tracked.filter((variable) => !Variable.hasMemory(variable)).map((one) => Variable.storageOf(one));
  return [
    { get: () => runner.counter, set: (x) => (runner.counter = x) },
    ...storages.map((storage) => ({ get: () => storage.number?.() ?? 0, set: (x: number) => storage.write([x]) })),
    ...(['float32', 'float64'] as const).map((dtype) => ({
      get: () => runner.running?.[dtype] ?? NaN,
      set: (x: number) => {
        if (!Number.isNaN(x)) runner.setRunning({ ...runner.running, [dtype]: x });
      },
    })),
  ];
}

const runnersIn = (runner: Runner): readonly Runner[] => [
  runner,
  ...runner.wrapped.flatMap((optimizer) => runnersIn(Optimizer.runnerOf(optimizer))),
];

/** Keeps the own part of the state from now on: builds it again where it is there already. */
function shard(optimizer: Optimizer, runner: Runner, shards: Runner['shards']): void {
  const { state } = runner;
  if (state === undefined) {
    runner.shards = shards;
    return;
  }
  const values = copied(stateOf(optimizer));
  const rebuild = (next: Runner['shards']) => {
    for (const one of runnersIn(runner).toReversed()) one.demolish();
    runner.shards = next;
    awaitState(optimizer, values);
    optimizer.build(state.trainables);
  };
  try {
    rebuild(shards);
  } catch (error) {
    rebuild(undefined);
    throw error;
  }
}

/** A state that stays when the optimizer loses it. */
const copied = ({ values, members, ...rest }: StateOf): StateToCome => ({
  ...rest,
  from: 'distribute',
  values: values.map((value) => {
    if (!(value instanceof Variable)) return value;
    const { path, shape, dtype } = value;
    const copy = copyOf(value);
    return { path, shape, dtype, numbers: copy instanceof BigInt64Array ? Float64Array.from(copy, Number) : copy };
  }),
  members: members.map(copied),
});
