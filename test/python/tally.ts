// Counts the checks of a class, and prints those that fail.
export class Tally {
  readonly #name: string;
  readonly #counts = new Map<string, number>();
  passed = 0;
  failed = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** What the check returns; undefined if it failed. */
  async check<T>(what: string, about: unknown, check: () => T | Promise<T>): Promise<T | undefined> {
    try {
      const result = await check();
      this.passed++;
      this.count(what);
      return result;
    } catch (error) {
      this.fail(`${what}: ${JSON.stringify(about)}: ${(error as Error).message}`);
      return undefined;
    }
  }

  /** One more of these, in the line. */
  count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  fail(message: string): void {
    this.failed++;
    console.log(`WRONG: ${message}`);
  }

  printLine(): void {
    const counts = [...this.#counts].map(([what, count]) => `${count} ${what}`).join(', ');
    console.log(`${this.#name.padEnd(22)} ${counts}${this.failed > 0 ? `, ${this.failed} WRONG` : ''}`);
  }
}
