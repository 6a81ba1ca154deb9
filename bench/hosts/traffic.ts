// The loops of bench/traffic.cpp.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import type { Instance, Task } from '../host.ts';
import type { Pass } from '../variants.ts';
import { totalOf } from '../work.ts';

/** Returns seconds. */
type Loop = (passes: readonly Pass[], elements: number, repetitions: number, threads: number) => number;

export const trafficAddon = fileURLToPath(new URL('../../build-cmake/bench/traffic.node', import.meta.url));

/** A list of tensors is one array for them: a limit pays for no boundaries. */
export function make({ passes, shapes, threads }: Task, mode: string): Instance {
  const loops = createRequire(import.meta.url)(trafficAddon) as Readonly<Record<'traffic' | 'memcpy', Loop>>;
  const loop = loops[mode === 'memcpy' ? 'memcpy' : 'traffic'];
  const walked = mode === 'read' ? passes.filter(({ from, to }) => from === to) : passes;
  const elements = totalOf(shapes);
  return { run: (repetitions) => loop(walked, elements, repetitions, threads) };
}
