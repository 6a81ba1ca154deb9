// Finds the addon: the one file that knows where it may lie. What is asked for by KERAS_OPTIMIZERS_ADDON, or else the first that loads
// of a local build, the build that the package brings for this platform, and WebAssembly.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import nodeModule from 'node:module'; // its members by name are what some bundlers take out
import { dirname, join, resolve } from 'node:path';

import { stateError } from './errors.ts';
import type { Addon } from './native.ts';
import { wasmAddon } from './wasm/addon.ts';
import type { WasmModule } from './wasm/kernels.ts';

/**
 * Where the addon came from: KERAS_OPTIMIZERS_ADDON, a local build, the build that the package brings for this platform, or
 * WebAssembly.
 */
export type AddonKind = 'environment' | 'build' | 'prebuild' | 'wasm';

/** A place whose addon was not taken. */
export interface PassedOver {
  /** A file. */
  readonly place: string;
  /** Why it was not taken. */
  readonly why: string;
}

interface Loaded {
  readonly addon: Addon;
  readonly file: string;
  readonly kind: AddonKind;
  /** The places before it, in their order. */
  readonly passed: readonly PassedOver[];
}

interface Place {
  readonly kind: AddonKind;
  readonly file: string;
}

// In a bundle this module is a part of another file, and a bundle of CommonJS has no import.meta.url.
declare const __filename: string | undefined;
const url: string | undefined = import.meta.url;
const inFolder = join(process.cwd(), 'bundle.cjs');
const here = url || (typeof __filename === 'string' ? __filename : inFolder);

/** What package.json says of a package. */
interface Manifest {
  readonly name: string;
  readonly version: string;
}

/**
 * This package: its folder, and what its package.json says. From a bundle, the one that is installed where the bundle lies, or where the
 * process was started: some bundlers write the place of this file on their machine into the bundle.
 */
function packageFrom(): { readonly folder: string; readonly manifest: Manifest } | undefined {
  const own = nodeModule.createRequire(here);
  const started = nodeModule.createRequire(inFolder);
  const requests = [
    [own, '../package.json'],
    [own, 'keras-optimizers/package.json'],
    [started, 'keras-optimizers/package.json'],
  ] as const;
  for (const [require, request] of requests)
    try {
      const manifest = require(request) as Manifest;
      if (manifest.name === 'keras-optimizers') return { folder: dirname(require.resolve(request)), manifest };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_INVALID_ARG_VALUE') throw error;
    }
  return undefined;
}

const installed = packageFrom();
const require = nodeModule.createRequire(here);

/** The version of this package; empty in a bundle beside which it is not installed. */
export const version = installed?.manifest.version ?? '';

const isMusl = (): boolean => {
  try {
    return readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-');
  } catch {
    const { header } = process.report.getReport() as { readonly header: { readonly glibcVersionRuntime?: string } };
    return header.glibcVersionRuntime === undefined;
  }
};

/** What a prebuild for this machine is called: `linux-x64`, `linux-x64-musl`. */
const platformName = (): string =>
  `${process.platform}-${process.arch}${process.platform === 'linux' && isMusl() ? '-musl' : ''}`;

const addonFile = 'keras_optimizers.node';

function placesIn(folder: string): Place[] {
  const at = (kind: AddonKind, ...path: string[]): Place => ({ kind, file: join(folder, ...path) });
  return [
    at('build', 'build-cmake/Release', addonFile),
    at('build', 'build/Release', addonFile),
    at('prebuild', 'prebuilds', platformName(), addonFile),
    at('wasm', 'dist/wasm/module.cjs'),
  ];
}

function whyAbsent({ kind, file }: Place): string {
  if (kind !== 'prebuild') return 'not there';
  const folder = dirname(dirname(file));
  const others = existsSync(folder) ? readdirSync(folder).join(', ') : '';
  return others === '' ? 'not there' : `not there: the package brings a build for ${others}, this is ${platformName()}`;
}

const needed = [
  'Memory',
  'backends',
  'beyondLine',
  'controls',
  'cuda',
  'mergeRows',
  'newPlan',
  'putRows',
  'rules',
  'threadCount',
  'trace',
] as const satisfies readonly (keyof Addon)[];

// What the system's loader says, and what that means.
const meanings: readonly (readonly [RegExp, (match: RegExpExecArray) => string])[] = [
  [/version `GLIBC_([\d.]+)' not found/, ([, of]) => `it needs glibc ${of}, which is newer than this system's`],
  [
    /version `GLIBCXX_([\d.]+)' not found/,
    ([, of]) => `it needs libstdc++ with GLIBCXX_${of}, newer than this system's`,
  ],
  [/ld-linux|Error relocating|libc\.so\.6: /, () => 'it was built for glibc, which this system does not have'],
  [/libc\.musl|ld-musl/, () => 'it was built for musl, which this system does not have'],
  [
    /wrong ELF class|ELF file's|invalid ELF|file too short|incompatible architecture|slice is not valid mach-o|not a valid Win32|Exec format/i,
    () => `it was built for another architecture or system than ${process.platform}-${process.arch}`,
  ],
  [
    /NODE_MODULE_VERSION|Node-API version|napi_/i,
    () => `it was built for another Node-API version than ${process.versions.napi}`,
  ],
];

/** Why an addon that is there does not load, by what was thrown. */
export function whyBroken(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  for (const [pattern, meaning] of meanings) {
    const match = pattern.exec(text);
    if (match) return `${meaning(match)}: ${text}`;
  }
  return text;
}

const isWasm = (exported: object): exported is WasmModule => 'tables' in exported;

/** Throws unless it is an addon of this version, with memory that this runtime takes: some refuse that of native code. */
function open({ file }: Place): Addon {
  const exported = require(file) as Partial<Addon> | WasmModule;
  if (isWasm(exported)) {
    if (version !== '' && exported.version !== version)
      throw new Error(`it belongs to version ${exported.version} of the package, this is ${version}`);
    return wasmAddon(exported);
  }
  const missing = needed.filter((name) => exported[name] === undefined);
  if (missing.length > 0)
    throw new Error(`it is no addon of this version of the package: it lacks ${missing.join(', ')}`);
  const addon = exported as Addon;
  const memory = new addon.Memory(64);
  memory.buffer();
  memory.release();
  return addon;
}

/** The addon of the first place that has one, and why not those before it. */
function loadFirst(places: readonly Place[]): Loaded {
  const passed: PassedOver[] = [];
  let forbidden: Error | undefined;
  for (const place of places) {
    const { kind, file } = place;
    if (!existsSync(file)) {
      passed.push({ place: file, why: whyAbsent(place) });
      continue;
    }
    try {
      return { addon: open(place), file, kind, passed };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED') forbidden ??= disabled(file, error as Error);
      passed.push({ place: file, why: whyBroken(error) });
    }
  }
  if (forbidden !== undefined) throw forbidden;
  throw stateError('ERR_ADDON_LOAD', `keras-optimizers found no addon: ${listed(passed)}: ${advice()}`);
}

const listed = (passed: readonly PassedOver[]): string =>
  passed.map(({ place, why }) => `${place} (${why})`).join(', ');

const advice = (): string =>
  process.env.KERAS_OPTIMIZERS_ADDON
    ? 'KERAS_OPTIMIZERS_ADDON expects the file of an addon, or "wasm"'
    : 'install the package again, or run "npx keras-optimizers build"';

const disabled = (file: string, { message }: Error): Error =>
  stateError(
    'ERR_ADDON_DISABLED',
    `keras-optimizers could not load ${file}: ${message}: start node with --allow-addons (and without --no-addons)`,
  );

function load(): Loaded {
  const asked = process.env.KERAS_OPTIMIZERS_ADDON;
  if (asked && asked !== 'wasm') return loadFirst([{ kind: 'environment', file: resolve(asked) }]);
  if (installed === undefined)
    throw stateError(
      'ERR_ADDON_LOAD',
      `keras-optimizers is a part of ${here} and found no package of that name from there: install it beside the bundle, or set KERAS_OPTIMIZERS_ADDON to the file of its addon`,
    );
  const places = placesIn(installed.folder);
  const found = loadFirst(asked ? places.filter(({ kind }) => kind === 'wasm') : places);
  const broken = found.passed.filter(({ place }) => existsSync(place));
  if (broken.length > 0)
    process.emitWarning(`keras-optimizers uses ${found.file}, because another addon does not load: ${listed(broken)}`);
  return found;
}

/** The addon of this process, and where it was found. */
export const loaded: Loaded = load();
