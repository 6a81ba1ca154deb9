// A thread of InPlace.
import { parentPort, workerData } from 'node:worker_threads';

import { places, reversal, type Share } from './in_place.ts';

const { words, elements } = workerData as Share;
const reverse = reversal(elements);
parentPort?.postMessage('ready');
for (let round = 0; ; round++) {
  Atomics.wait(words, places.round, round);
  const repetitions = Atomics.load(words, places.repetitions);
  for (let i = 0; i < repetitions; i++) reverse();
  Atomics.add(words, places.done, 1);
  Atomics.notify(words, places.done);
}
