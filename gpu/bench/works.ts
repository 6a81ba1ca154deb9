// What is stepped on a GPU: one tensor of a power of 10, the tensors of known networks, thousands of small ones.
import { shapesOf, type Shape } from '../../bench/work.ts';

export interface Work {
  readonly name: string;
  readonly shapes: readonly Shape[];
  /** Gradients that are all 0, so that every root is one of 0: rows of an embedding that nobody looked up. */
  readonly zeros?: boolean;
}

const one = (elements: number): Shape[] => [[elements]];
const known = (name: string): Work => ({ name, shapes: shapesOf(name) ?? [] });

const full: readonly Work[] = [
  { name: '1e6', shapes: one(1e6) },
  { name: '1e7', shapes: one(1e7) },
  { name: '1e8', shapes: one(1e8) },
  { name: '1e8 zeros', shapes: one(1e8), zeros: true },
  { name: '1e9', shapes: one(1e9) },
  known('resnet50'),
  known('gpt2'),
  known('10000x64'),
];

/** To see that it runs. */
const tiny: readonly Work[] = [
  { name: '1000', shapes: one(1000) },
  { name: '1000 zeros', shapes: one(1000), zeros: true },
  known('20x64'),
];

export const works = (isTiny: boolean): readonly Work[] => (isTiny ? tiny : full);

export const rules = ['Nadam', 'AdamW'] as const;
export type Rule = (typeof rules)[number];
export const kClip = 1; // the global_clipnorm of the trials that clip

/** That a step reads and writes for an element: p, g, m, v and again p, m, v; a norm reads g once more. */
export const bytesOf = (clips: boolean): number => 4 * (clips ? 8 : 7);
