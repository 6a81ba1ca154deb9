// `keras-optimizers info`.
import type { Gpu, Info } from '../devices.ts';
import type { Command } from './commands.ts';
import { version } from './package.ts';
import { columns, plural } from './text.ts';

/** Where no addon loads, there is only what Node says. */
type Findings = { readonly node: string; readonly version: string; readonly platform: string } & (
  | { readonly info: Info; readonly gpus: readonly Gpu[]; readonly error?: undefined }
  | { readonly error: Error & { readonly code?: string } }
);

export const info: Command = {
  usage: 'info [--json]',
  help: `Shows what this installation is and runs on, for a bug report, or where steps are slower than expected: versions; the
native addon, and why others were passed over; instruction sets, and why one cannot be used; threads; GPUs and their driver.
Where no addon loads it says why, and ends with 1.

Options:
  --json  one JSON object: what info() of the package gives, with platform and the list gpus of devices(); or error, its code and
          message

Environment:
  KERAS_OPTIMIZERS_ADDON        the file of the addon
  KERAS_OPTIMIZERS_BACKEND      the instruction set
  KERAS_OPTIMIZERS_NUM_THREADS  threads of a step
`,
  options: { json: { type: 'boolean' } },
  expects: [],
  async run(_, { json }, { out }) {
    const findings = await look();
    out(json === true ? `${JSON.stringify(objectOf(findings), null, 2)}\n` : columns(rowsOf(findings), ''));
    if (findings.error !== undefined) throw findings.error;
  },
};

async function look(): Promise<Findings> {
  const here = { version: version(), node: process.versions.node, platform: `${process.platform}-${process.arch}` };
  try {
    const { devices, info } = await import('../devices.ts'); // loads the addon
    return { ...here, info: info(), gpus: devices().cuda };
  } catch (error) {
    return { ...here, error: error as Error };
  }
}

function objectOf({ version, node, platform, ...rest }: Findings): object {
  if (rest.error === undefined) return { ...rest.info, platform, gpus: rest.gpus };
  const { code, message } = rest.error;
  return { version, node, platform, error: { code, message } };
}

function rowsOf(findings: Findings): string[][] {
  const head = [
    ['keras-optimizers', findings.version],
    ['Node.js', `${findings.node}, ${findings.platform}`],
  ];
  if (findings.error !== undefined) return [...head, ['addon', 'none loads']];
  return [...head, ...hostOf(findings.info), ...cudaOf(findings.info, findings.gpus)];
}

/** With what the loader says of itself. */
type Loaded = Info & {
  readonly addon?: {
    readonly file: string;
    readonly kind: string;
    readonly passed: readonly { readonly place: string; readonly why: string }[];
  };
  readonly backends?: readonly { readonly name: string; readonly unusable: string | null }[];
};

export const hostOf = ({ addon, backend, backends = [], threads }: Loaded): string[][] => [
  ...(addon === undefined ? [] : [['addon', `${addon.kind}: ${addon.file}`]]),
  ...(addon?.passed ?? []).map(({ place, why }) => ['passed over', `${place}: ${why}`]),
  ['kernels', backend],
  ...backends
    .filter(({ name }) => name !== backend)
    .map(({ name, unusable }) => ['', unusable === null ? `${name} runs here, too` : `${name} does not: ${unusable}`]),
  ['threads', plural(threads, 'thread')],
];

function cudaOf({ cuda }: Info, gpus: readonly Gpu[]): string[][] {
  const needs = `built with ${cuda.runtime ?? '?'}, which needs driver ${cuda.requiredDriver ?? '?'} or newer`;
  return [
    ['CUDA', cuda.built ? needs : 'not built'],
    ['driver', cuda.driver === null ? 'none' : `for CUDA ${cuda.driver}`],
    ...gpus.map(gpuRow),
    ...(cuda.unusable === null ? [] : [['no GPU', `${cuda.unusable.code}: ${cuda.unusable.message}`]]),
  ];
}

const gpuRow = ({ device, name, memory, capability, processors }: Gpu): string[] => [
  device,
  `${name}, ${(memory / 2 ** 30).toFixed(1)} GiB, compute capability ${capability}, ${plural(processors, 'multiprocessor')}`,
];
