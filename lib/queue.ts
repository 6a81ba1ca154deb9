// Asynchronous steps, one after the other: one runs, one may wait, a third is refused.
import { stateError } from './errors.ts';

export class StepQueue {
  #steps = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** Whether a step runs or waits. */
  get busy(): boolean {
    return this.#steps > 0;
  }

  /** Throws `ERR_OPT_BUSY` if a step waits already. */
  checkPlace(who: string, method = 'apply_async'): void {
    if (this.#steps > 1)
      throw stateError('ERR_OPT_BUSY', `${who}.${method} expects at most one step to wait, one does: await it first`);
  }

  /** Starts a step when the one before has ended, whether well or not; at once if there is none. */
  add<T>(start: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const step = this.#steps++ === 0 ? start() : before.then(start, start);
    const end = () => void this.#steps--;
    this.#last = step.then(end, end);
    return this.#last.then(() => step);
  }

  /** Throws `ERR_OPT_BUSY` while a step runs or waits. */
  checkIdle(who: string, method: string): void {
    if (this.busy)
      throw stateError(
        'ERR_OPT_BUSY',
        `${who}.${method} expects no asynchronous step to be running: await idle() before`,
      );
  }

  /** Resolves when no step runs or waits. */
  async idle(): Promise<void> {
    while (this.busy) await this.#last;
  }
}
