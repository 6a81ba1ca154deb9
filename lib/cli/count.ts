// Whole numbers on the command line.
import { UsageError } from './commands.ts';

/** What an option says; throws a UsageError for what is no whole number from 1 to `most`. */
export function countIn(option: string, word: string, most: number): number {
  const count = /^\d{1,15}$/.test(word) ? Number(word) : NaN;
  if (count >= 1 && count <= most) return count;
  throw new UsageError(`${option} expects a whole number from 1 to ${most}, got ${JSON.stringify(word)}`);
}
