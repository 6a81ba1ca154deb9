// A file that TensorBoard reads, in a folder.
import { appendFileSync, mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { stateError } from '../errors.ts';
import { firstEvent, scalarEvent } from './events.ts';

const kLongest = 1000; // milliseconds for which a scalar waits for the next one
const kLargest = 65_536; // bytes that wait

let files = 0; // of this process: two in the same second have different names

const newPath = (directory: string): string => {
  const seconds = Math.floor(Date.now() / 1000);
  return join(directory, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${files++}.v2`);
};

/**
 * Scalars on their way into a file, which comes into being with the first ones. They are collected, and appended at once: a training
 * that writes every batch waits for the disk once a second. Nothing is open in between, so nothing has to be closed.
 */
export class EventFile {
  readonly #who: string;
  readonly #directory: string;
  #path: string | undefined;
  #waiting: Buffer[] = [];
  #bytes = 0; // that wait
  #flushed = performance.now();

  constructor(who: string, directory: string) {
    this.#who = who;
    this.#directory = directory;
  }

  /** @throws as `flush` */
  add(tag: string, value: number, step: number): void {
    const event = scalarEvent(Date.now() / 1000, step, tag, value);
    this.#waiting.push(event);
    this.#bytes += event.length;
    if (this.#bytes >= kLargest || performance.now() - this.#flushed >= kLongest) this.flush();
  }

  /**
   * Appends what waits.
   *
   * @throws Error `ERR_OPT_FILE` where the system refuses. What waits is kept for a new file, for the old one may end within a record
   */
  flush(): void {
    if (this.#waiting.length === 0) return;
    const path = this.#path ?? newPath(this.#directory);
    const beginning = this.#path === undefined ? [firstEvent(Date.now() / 1000)] : [];
    this.#path = undefined;
    try {
      mkdirSync(this.#directory, { recursive: true });
      appendFileSync(path, Buffer.concat([...beginning, ...this.#waiting]));
    } catch (error) {
      throw stateError('ERR_OPT_FILE', `${this.#who} expects to write ${path}, got ${(error as Error).message}`);
    }
    this.#path = path;
    this.#waiting = [];
    this.#bytes = 0;
    this.#flushed = performance.now();
  }
}
