// Our optimizers and those of TensorFlow.js on one backend: first whether they do the same, then how long a step takes.
import { check } from '../check.ts';
import { inRounds, summary, type Lane, type Summary } from '../../lib/bench/measure.ts';
import { Peers } from '../peer.ts';
import { taskOf } from '../task.ts';
import { shapesOf } from '../work.ts';
import { workOf, type Options } from './options.ts';

export interface Entrant {
  readonly title: string;
  readonly host: 'tfjs' | 'adapter';
  readonly rule: string;
  /** The title of what it is compared with; absent for TensorFlow.js's own. */
  readonly against?: string;
}

/** TensorFlow.js has no Nadam and no AdamW: beside them stands what their users have there. */
export const entrants: readonly Entrant[] = [
  { title: 'tf.train.adam', host: 'tfjs', rule: 'adam' },
  { title: 'Adam', host: 'adapter', rule: 'adam', against: 'tf.train.adam' },
  { title: 'Nadam', host: 'adapter', rule: 'nadam', against: 'tf.train.adam' },
  { title: 'AdamW', host: 'adapter', rule: 'adamw', against: 'tf.train.adam' },
  { title: 'tf.train.sgd', host: 'tfjs', rule: 'sgd' },
  { title: 'SGD', host: 'adapter', rule: 'sgd', against: 'tf.train.sgd' },
];

export interface Time {
  readonly title: string;
  /** Of a step. */
  readonly seconds: Summary;
  /** Times as fast as what it is compared with, in the same round. */
  readonly faster?: Summary;
}
export interface Outcome {
  readonly backend: string;
  readonly size: string;
  readonly times: readonly Time[];
}

type Failed = (title: string, error: Error) => void;

/** Those whose values are right, with what was found; the others are told to `failed`. */
export async function rightOnes(backend: string, { threads }: Options, failed: Failed): Promise<Map<Entrant, string>> {
  const found = new Map<Entrant, string>();
  const peers = new Peers(threads);
  for (const entrant of entrants)
    try {
      const trial = { rule: entrant.rule, work: '', variant: 'plain', threads };
      found.set(entrant, (await check(`${entrant.host}:${backend}`, trial, peers)) ?? 'not compared');
    } catch (error) {
      failed(entrant.title, error as Error);
    }
  peers.close();
  return found;
}

const kWarmUp = 1; // seconds: the hundred calls of a step of TensorFlow.js are four times as slow until V8 has compiled them

async function warmUp(run: Lane['run']): Promise<void> {
  for (let [repetitions, spent] = [1, 0]; spent < kWarmUp; repetitions *= 2) spent += await run(repetitions);
}

/** Each in a process of its own, in rounds. */
export async function measure(
  backend: string,
  size: string,
  right: Iterable<Entrant>,
  { threads, rounds, seconds }: Options,
  failed: Failed,
): Promise<Outcome> {
  const open: Peers[] = [];
  const laneOf = async ({ title, host, rule }: Entrant): Promise<Lane> => {
    const [peers, driver] = [new Peers(threads), `${host}:${backend}`];
    open.push(peers);
    const peer = peers.of(driver);
    await peer.ask({ do: 'make', driver, task: taskOf(rule, 'plain', threads, shapesOf(workOf(size)) ?? []) });
    const run = async (repetitions: number) => (await peer.ask({ do: 'run', driver, repetitions })).seconds ?? NaN;
    await warmUp(run);
    return { driver: title, run };
  };
  try {
    const lanes: Lane[] = [];
    for (const entrant of right)
      await laneOf(entrant).then(
        (lane) => lanes.push(lane),
        (error: Error) => failed(entrant.title, error),
      );
    const samples = await inRounds(lanes, rounds, seconds, failed);
    return { backend, size, times: entrants.flatMap((entrant) => timeOf(entrant, samples) ?? []) };
  } finally {
    for (const peers of open) peers.close();
  }
}

function timeOf({ title, against }: Entrant, samples: Readonly<Record<string, readonly number[]>>): Time | undefined {
  const [taken, theirs] = [samples[title], samples[against ?? '']];
  if (taken === undefined) return undefined;
  const ratios = taken.map((x, round) => (theirs?.[round] ?? NaN) / x);
  return { title, seconds: summary(taken), ...(theirs !== undefined && { faster: summary(ratios) }) };
}
