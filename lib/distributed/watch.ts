// Waits for the steps of one collective, but not for ever.

const kTicks = 8; // of a time-out: while the event loop is blocked only one of them passes, whatever time that takes

export class Watch {
  readonly #begun = performance.now();
  readonly #timer: NodeJS.Timeout;
  #ticks = 0;
  #reject: ((error: unknown) => void) | undefined;
  #interruption: { readonly error: unknown } | undefined;

  /** `expired` says what to reject with when `timeout` milliseconds have passed without progress. */
  constructor(timeout: number, expired: () => unknown) {
    this.#timer = setInterval(() => {
      if (++this.#ticks === kTicks) this.interrupt(expired());
    }, timeout / kTicks);
  }

  /** Milliseconds since the beginning. */
  get waited(): number {
    return performance.now() - this.#begun;
  }

  /** The result of a step; a rejection if the time is over first. One at a time. */
  async until<T>(step: Promise<T>): Promise<T> {
    if (this.#interruption !== undefined) throw this.#interruption.error;
    const result = await new Promise<T>((resolve, reject) => {
      this.#reject = reject;
      step.then(resolve, reject);
    });
    this.#ticks = 0;
    return result;
  }

  /** Rejects what is waited for, and all after it. */
  interrupt(error: unknown): void {
    this.#interruption ??= { error };
    this.#reject?.(error);
  }

  end(): void {
    clearInterval(this.#timer);
  }
}
