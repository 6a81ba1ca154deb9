// The numbers in docs/nadam.md, as rows of Markdown.
import { all, family, stepLengths, type Member } from './members.ts';

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function table<M extends Member>(
  members: readonly M[],
  steps: readonly number[],
  at: (one: M, step: number) => number,
) {
  const head = row(['step', ...steps.map((step) => step.toLocaleString('en-US'))]);
  return [head, ...members.map((one) => row([one.name, ...steps.map((step) => at(one, step).toFixed(4))]))];
}

/** The momentum at some steps, and the length of some steps while the gradient stays the same. */
export const tables = (): string[][] => [
  table(family, [1, 10, 100, 1000, 10_000], ({ make }, step) => make({ learning_rate: 1 }).momentum(step)),
  table(all, [1, 2, 4, 10, 30, 100], (one, step) => stepLengths(one, step).at(-1) as number),
];
