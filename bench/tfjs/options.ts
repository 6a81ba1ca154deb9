// The command line of npm run bench:tfjs: words select backends and sizes.
import { parseArgs } from 'node:util';

import { positive } from '../training/arguments.ts';
import { shapesOf } from '../work.ts';

export const backends = ['cpu', 'wasm', 'tensorflow'];
const sizes = ['64K', '1M', '4M', '16M'];
const quick = { sizes: ['256K'], rounds: 3, seconds: 0.002 };

const help = `Measures a step of our optimizers in TensorFlow.js beside a step of its own.

  npm run bench:tfjs -- [words] [options]

  words          backends (${backends.join(' ')}) and elements, powers of two (${sizes.join(' ')}); default: all these
  --rounds N     samples of every optimizer; default: 7
  --threads N    of ours, of WebAssembly and of libtensorflow; default: 1
  --quick        ${quick.sizes.join(' ')}, ${quick.rounds} short rounds
  --json FILE    writes every number there
  --help         this text

Backend tensorflow is there when scripts/tfjs_node.sh --install has made it.`;

const known = {
  rounds: { type: 'string' },
  threads: { type: 'string', default: '1' },
  quick: { type: 'boolean', default: false },
  json: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** The name of a work of that many elements, in tensors of many sizes. */
export const workOf = (size: string): string => `layered:${size}`;
const isSize = (word: string): boolean => shapesOf(workOf(word)) !== undefined;

function parsed() {
  try {
    return parseArgs({ options: known, allowPositionals: true });
  } catch (error) {
    return refuse((error as Error).message.split('\n')[0] ?? '');
  }
}

function refuse(message: string): never {
  console.error(`${message} (--help shows what is possible)`);
  process.exit(2);
}

/** What the arguments mean; ends the process after `--help`, and with exit code 2 if they mean nothing. */
export function readOptions() {
  const { values, positionals: words } = parsed();
  if (values.help) {
    console.log(help);
    process.exit(0);
  }
  const unknown = words.find((word) => !backends.includes(word) && !isSize(word));
  if (unknown !== undefined)
    refuse(`bench:tfjs expects ${backends.join(', ')} or a size such as 64K, got "${unknown}"`);
  const pick = (of: (word: string) => boolean, own: readonly string[]): readonly string[] =>
    words.some(of) ? words.filter(of) : own;
  return {
    backends: pick((word) => backends.includes(word), backends),
    sizes: pick(isSize, values.quick ? quick.sizes : sizes),
    rounds: values.rounds === undefined ? (values.quick ? quick.rounds : 7) : positive('rounds', values.rounds),
    seconds: values.quick ? quick.seconds : 0.02, // of a sample
    threads: positive('threads', values.threads),
    json: values.json,
  };
}
export type Options = ReturnType<typeof readOptions>;
