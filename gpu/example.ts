// The example that trains on the GPU, examples/gpu: whether it is here.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { addon } from '../lib/native.ts';
import { sibling } from './sibling.ts';

export interface Example {
  readonly program: string;
  readonly addon: string;
  /** Arguments of a whole run, and of one that only shows that it works. */
  readonly full: readonly string[];
  readonly quick: readonly string[];
}

/** Its addon is built for a GPU, or for the emulated one. */
export function findExample(): Example | { readonly missing: string } {
  const program = sibling(import.meta.url, '../examples/gpu/mnist');
  const folder = addon.cuda.emulated ? 'build-example-emulated' : 'build-example-gpu';
  const path = fileURLToPath(new URL(`../${folder}/keras_optimizers_example.node`, import.meta.url));
  if (!existsSync(program)) return { missing: 'there is no example' };
  if (!existsSync(path)) return { missing: `the example's addon is not here: ${folder}` };
  return { program, addon: path, full: [], quick: ['--epochs', '1', '--train', '2000'] };
}
