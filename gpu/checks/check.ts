// What a check on a GPU is, and how a list of them is run: plain data, node:assert, nothing to install.
import type { GpuName } from './variables.ts';

export interface Check {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** How much is checked, and where. */
export interface Settings {
  /** `cuda:0`. */
  readonly device: GpuName;
  /** One for each time that the inputs are drawn anew. */
  readonly seeds: readonly string[];
  /** Of the soak. */
  readonly steps: number;
  /** Small arrays only: for the emulated device, and for tools that make every access slow. */
  readonly small: boolean;
  /** Where a check says what it found, besides that it passed. */
  readonly say: (line: string) => void;
}

/** Thrown by a check that cannot be done here; its message says why. */
export class Skipped extends Error {}

export interface Outcome {
  readonly name: string;
  readonly result: 'passed' | 'failed' | 'skipped';
  readonly seconds: number;
  /** Why it failed or was skipped. */
  readonly reason?: string;
}

const kLines = 12; // of an error: assert prints whole arrays

function outcomeOf(name: string, error: unknown): Omit<Outcome, 'seconds'> {
  if (error instanceof Skipped) return { name, result: 'skipped', reason: error.message };
  const { stack, code } = error as { readonly stack?: string; readonly code?: unknown };
  const text = (stack ?? String(error)).split('\n').slice(0, kLines).join('\n');
  return { name, result: 'failed', reason: typeof code === 'string' ? `${code}: ${text}` : text };
}

/** One after the other; `report` gets each as soon as it is there. */
export async function runAll(checks: readonly Check[], report: (outcome: Outcome) => void): Promise<void> {
  for (const { name, run } of checks) {
    const start = performance.now();
    const ended = await run().then(
      () => ({ name, result: 'passed' as const }),
      (error: unknown) => outcomeOf(name, error),
    );
    report({ ...ended, seconds: Number(((performance.now() - start) / 1000).toFixed(3)) });
    globalThis.gc?.();
  }
}
