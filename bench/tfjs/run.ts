// npm run bench:tfjs: a step (applyGradients) of our optimizers in TensorFlow.js beside one of tf.train.adam and tf.train.sgd, by
// backend and size. Values first; then each optimizer in a process of its own, in interleaved rounds. Prints a table.
import { circumstances, headOf, load, writeResult } from '../circumstances.ts';
import { tensorflowFailure } from '../missing.ts';
import { pinning } from '../peer.ts';
import { threadsName } from '../table.ts';
import { measure, rightOnes, type Entrant, type Outcome } from './contest.ts';
import { readOptions } from './options.ts';
import { head, row } from './table.ts';

const options = readOptions();
const about = circumstances('bench:tfjs');
console.log(`${headOf(about)}
${threadsName(options.threads)}, ${pinning(options.threads)}
Milliseconds of a step, medians of ${options.rounds} rounds, "~" where the middle half of them is spread over more than 20 %; in brackets how
many times as fast as tf.train.adam, SGD as tf.train.sgd, in the same round. A work is 15 tensors, of which the largest has half of the elements.
`);

const failures: string[] = [];
const failed =
  (place: string) =>
  (title: string, { message }: Error): void =>
    void failures.push(`${place}, ${title}: ${message}`);

/** By backend, those that do what they should. */
async function checkAll(): Promise<Map<string, readonly Entrant[]>> {
  const all = new Map<string, readonly Entrant[]>();
  for (const backend of options.backends) {
    const missing = tensorflowFailure(backend);
    if (missing !== undefined) {
      console.log(`${backend} is left out: ${missing}`);
      continue;
    }
    const right = await rightOnes(backend, options, failed(backend));
    for (const [{ title }, found] of right) console.log(`${backend}, ${title}: ${found}`);
    all.set(backend, [...right.keys()]);
  }
  return all;
}

const right = await checkAll();
const outcomes: Outcome[] = [];
console.log(`\n${head}`);
for (const [backend, entrants] of right)
  for (const size of options.sizes) {
    const outcome = await measure(backend, size, entrants, options, failed(`${backend}, ${size}`));
    console.log(row(outcome));
    outcomes.push(outcome);
  }
const load_afterwards = load();
console.log(`\nload afterwards ${load_afterwards.join(' ')}`);
for (const failure of failures) console.log(failure);
if (failures.length > 0) process.exitCode = 1;
if (options.json !== undefined) writeResult(options.json, { ...about, ...options, load_afterwards, outcomes });
