// The yardstick of the host: TypedArray.reverse, which reads and writes all of some memory in place as a step does, on several
// threads at once. It computes nothing; a copy from one place to another is slower, as it reads what it overwrites as well.
import { Worker } from 'node:worker_threads';

import { allocated } from '../arrays.ts';

/** Places in the words that the threads share. */
export const places = { round: 0, repetitions: 1, done: 2, count: 3 } as const;

/** What a thread is given. */
export interface Share {
  readonly words: Int32Array<SharedArrayBuffer>;
  /** Of its part of the memory. */
  readonly elements: number;
}

const kPatience = 1; // milliseconds, as a thread may end between a look and the wait
const worker = new URL('./in_place_worker.js', import.meta.url); // of the build: the loaders of TypeScript do not reach a worker

/** A function that turns some of the library's memory around, where a step would work on it. */
export function reversal(elements: number): () => void {
  const { array } = allocated('uint32', elements);
  return () => void array.reverse();
}

/** Every thread has a part of the memory, and repeats without waiting for the others: what no step can do, and so a limit. */
export class InPlace {
  readonly #words = new Int32Array(new SharedArrayBuffer(4 * places.count));
  readonly #workers: readonly Worker[];
  readonly #reverse: () => void;

  /** @param elements of 4 bytes, of all threads together */
  constructor(elements: number, threads: number) {
    const share: Share = { words: this.#words, elements: Math.ceil(elements / threads) };
    this.#workers = Array.from({ length: threads - 1 }, () => new Worker(worker, { workerData: share }));
    this.#reverse = reversal(share.elements);
  }

  /** Resolves when all threads wait for work. */
  async ready(): Promise<void> {
    await Promise.all(
      this.#workers.map(
        (one) => new Promise<void>((resolve, reject) => one.once('message', resolve).once('error', reject)),
      ),
    );
  }

  run(repetitions: number): number {
    const words = this.#words;
    const start = performance.now();
    this.#tell(repetitions);
    for (let i = 0; i < repetitions; i++) this.#reverse();
    const done = (): number => Atomics.load(words, places.done);
    while (done() < this.#workers.length) Atomics.wait(words, places.done, done(), kPatience);
    return (performance.now() - start) / 1000;
  }

  #tell(repetitions: number): void {
    const words = this.#words;
    Atomics.store(words, places.done, 0);
    Atomics.store(words, places.repetitions, repetitions);
    Atomics.add(words, places.round, 1);
    Atomics.notify(words, places.round);
  }

  async release(): Promise<void> {
    await Promise.all(this.#workers.map((one) => one.terminate()));
  }
}
