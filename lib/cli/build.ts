// `keras-optimizers build`: the addon of the installed package, from the sources in it.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';

import { systemError } from '../checkpoint/errors.ts';
import { UsageError, type Command, type Terminal } from './commands.ts';
import { root } from './package.ts';
import { BuildError, headers, needs, parallel, platformSettings, run, said, toolsFor } from './toolchain.ts';

export const build: Command = {
  usage: 'build [--cuda on|off|auto] [--arch LIST] [--verbose]',
  help: `Compiles the native part of this package for this machine, from the sources that are in it, into its folder build-cmake/; the
package loads what is there before anything else. Only a file that has been loaded and has computed takes the place of the one
before; a build that fails changes nothing. It takes a minute or two, with CUDA some more, and nothing from the network.

It needs CMake 3.18 or newer, a C++17 compiler (GCC or Clang; the environment variable CXX may name it), make or Ninja, and for CUDA
nvcc (CUDACXX may name it). The headers of Node-API come with the package; without them it needs, in your project,
"npm install --no-save node-addon-api node-api-headers".

Options:
  --cuda WHEN   on, off, or auto (default): with CUDA where there is nvcc
  --arch LIST   GPUs to compile for, as 90 or 80,90, or native; without: all from compute capability 7.5 on
  --verbose     show all that CMake and the compiler say

Examples:
  npx keras-optimizers build
  npx keras-optimizers build --cuda on --arch native
`,
  options: { cuda: { type: 'string', default: 'auto' }, arch: { type: 'string' }, verbose: { type: 'boolean' } },
  expects: [],
  async run(_, { cuda, arch, verbose }, terminal) {
    const settings = settingsFor(String(cuda), typeof arch === 'string' ? arch : undefined);
    const tools = toolsFor(cuda === 'on');
    for (const { name, said } of tools) terminal.out(`${name}: ${said}\n`);
    const include = `-DCMAKE_JS_INC=${headers().join(';')}`;
    await compile([...platformSettings(), ...settings, include], verbose === true, terminal);
  },
};

/** What CMake is told. */
function settingsFor(cuda: string, arch: string | undefined): string[] {
  if (!['on', 'off', 'auto'].includes(cuda)) throw new UsageError(`--cuda expects on, off or auto, got "${cuda}"`);
  const list = arch?.split(',') ?? [];
  if (!list.every((one) => /^(\d{2,3}[af]?(-real|-virtual)?|native|all|all-major)$/.test(one)))
    throw new UsageError(`--arch expects compute capabilities as 80,90, or native, got "${arch}"`);
  if (cuda === 'off' && list.length > 0) throw new UsageError('expects --arch only with CUDA');
  return [`-DCUDA=${cuda.toUpperCase()}`, ...(list.length > 0 ? [`-DCMAKE_CUDA_ARCHITECTURES=${list.join(';')}`] : [])];
}

const kFile = 'keras_optimizers.node';
/** Compares values before it measures. */
const kTrial = ['bench', 'adam', 'nadam', '--elements', '1K', '--rounds', '1', '--threads', '1'];

/** Beside the place where it will be, so that moving it there is one act. */
async function compile(settings: readonly string[], verbose: boolean, { out }: Terminal): Promise<void> {
  const target = join(root, 'build-cmake', 'Release', kFile);
  const folder = temporaryIn(join(root, 'build-cmake'));
  try {
    const say = (text: string): void => out(`${text.replaceAll(folder, relative(root, folder))}\n`);
    await run(['cmake', '-S', root, '-B', folder, '-DCMAKE_BUILD_TYPE=Release', ...settings], verbose, say);
    await run(['cmake', '--build', folder, ...parallel], verbose, say);
    const made = join(folder, 'Release', kFile);
    await said(kTrial, { KERAS_OPTIMIZERS_ADDON: made });
    mkdirSync(join(target, '..'), { recursive: true });
    renameSync(made, target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  out(`\n${await said(['info'], { KERAS_OPTIMIZERS_ADDON: undefined })}`);
}

function temporaryIn(folder: string): string {
  try {
    if (!existsSync(join(root, 'CMakeLists.txt')))
      throw new BuildError(needs('CMakeLists.txt', `the sources in ${root}`));
    mkdirSync(folder, { recursive: true });
    return mkdtempSync(join(folder, 'compile-'));
  } catch (error) {
    throw error instanceof BuildError ? error : systemError(`writing ${folder}`, error);
  }
}
