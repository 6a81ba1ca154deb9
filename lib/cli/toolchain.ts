// What compiles: the tools, each tried before it is needed, and the headers.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

import { root } from './package.ts';

/** The native part cannot be compiled here; the message says what is missing. */
export class BuildError extends Error {
  readonly code = 'ERR_BUILD';
}

/** `build expects CMake 3.18 ..., got none`. */
export const needs = (expected: string, where: string, got = 'none'): string =>
  `build expects ${expected} (${where}), got ${got}`;

/** A tool that is there. */
export interface Tool {
  readonly name: string;
  /** What it says of itself. */
  readonly said: string;
}

/** The first line that a command says of itself; undefined if it does not run. */
function firstLine(command: string, args: readonly string[], input?: string): string | undefined {
  const [program = '', ...own] = command.split(/\s+/); // CXX may be `ccache g++`
  const { status, stdout } = spawnSync(program, [...own, ...args], { encoding: 'utf8', input });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

function found(name: string, expected: string, where: string, commands: readonly string[]): Tool & { command: string } {
  for (const command of commands) {
    const said = firstLine(command, ['--version']);
    if (said !== undefined) return { name, said, command };
  }
  throw new BuildError(needs(expected, where, `nothing that runs: ${commands.join(', ')}`));
}

/**
 * CMake, a compiler, make or Ninja, and nvcc if it has to be there.
 *
 * @throws BuildError that says what is missing, and how it is installed
 */
export function toolsFor(cuda: boolean): readonly Tool[] {
  if (process.platform === 'win32')
    throw new BuildError('build expects Linux or macOS, as the sources are for GCC and Clang, got Windows');
  const cmake = found('CMake', 'CMake 3.18 or newer', 'apt-get install cmake; brew install cmake', ['cmake']);
  const [major = 0, minor = 0] = cmake.said.match(/\d+/g)?.map(Number) ?? [];
  if (major * 1000 + minor < 3018) throw new BuildError(needs('CMake 3.18 or newer', 'cmake on the PATH', cmake.said));
  const cpp = compiler();
  const maker = found('make', 'make or Ninja', 'apt-get install make', [generator() === 'Ninja' ? 'ninja' : 'make']);
  const nvcc = () =>
    found('nvcc', 'nvcc', "of NVIDIA's CUDA Toolkit; CUDACXX may name it", [process.env.CUDACXX ?? 'nvcc']);
  return [cmake, cpp, maker, ...(cuda ? [nvcc()] : [])];
}

function compiler(): Tool {
  const candidates = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  const tool = found('compiler', 'a C++17 compiler', 'apt-get install g++; CXX may name it', candidates);
  const program = '#include <cstdint>\n#if __cplusplus < 201703L\n#error\n#endif\nint main() {}\n';
  if (firstLine(tool.command, ['-std=c++17', '-fsyntax-only', '-x', 'c++', '-'], program) !== undefined) return tool;
  throw new BuildError(needs('a C++17 compiler', 'with its standard library', tool.said));
}

/** CMake's, unless only Ninja is there. */
export function generator(): 'Ninja' | undefined {
  if (process.env.CMAKE_GENERATOR) return /ninja/i.test(process.env.CMAKE_GENERATOR) ? 'Ninja' : undefined;
  return firstLine('make', ['--version']) === undefined && firstLine('ninja', ['--version']) !== undefined
    ? 'Ninja'
    : undefined;
}

/** Where node_api.h and napi.h are: in this package, else in packages that the project has. */
export function headers(): readonly string[] {
  const own = join(root, 'headers');
  if (existsSync(join(own, 'napi.h'))) return [own];
  const include = { 'node-api-headers': 'include', 'node-addon-api': '.' };
  const folders = Object.entries(include).map(([name, folder]) => {
    const found = [root, process.cwd()].map((from) => resolved(from, name)).find((one) => one !== undefined);
    if (found !== undefined) return join(found, folder);
    throw new BuildError(needs(`the headers of ${name}`, 'npm install --no-save node-addon-api node-api-headers'));
  });
  return folders;
}

function resolved(from: string, name: string): string | undefined {
  try {
    return dirname(createRequire(join(from, 'package.json')).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

/** What a plain CMake does not know of addons. */
export const platformSettings = (): string[] => [
  ...(generator() === 'Ninja' ? ['-G', 'Ninja'] : []),
  ...(process.platform === 'darwin' ? ['-DCMAKE_SHARED_LINKER_FLAGS=-undefined dynamic_lookup'] : []), // Node has the symbols
];

export const parallel = ['--parallel', String(availableParallelism())];

const kTail = 30; // lines

/** Says the command, and runs it; throws a BuildError with the end of what it said if it fails. */
export async function run(command: readonly string[], verbose: boolean, say: (text: string) => void): Promise<void> {
  say(`$ ${command.map((word) => (/[\s;]/.test(word) ? `'${word}'` : word)).join(' ')}`);
  const [program = '', ...args] = command;
  const { code, output } = await ended(program, args, process.env, verbose ? say : undefined);
  if (code !== 0)
    throw new BuildError(`${program} ended with ${code}\n${output.trimEnd().split('\n').slice(-kTail).join('\n')}`);
}

function ended(program: string, args: readonly string[], env: NodeJS.ProcessEnv, say?: (text: string) => void) {
  return new Promise<{ readonly code: number | null; readonly output: string }>((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        say?.(text.trimEnd());
      });
    child.once('error', reject).once('close', (code) => resolve({ code, output }));
  });
}

/** What a command of this program says in a process of its own, with these variables beside the environment's; undefined: without. */
export async function said(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const program = join(root, 'dist', 'cli', 'index.js');
  const { code, output } = await ended(process.execPath, [program, ...args], { ...process.env, ...env });
  if (code === 0) return output;
  throw new BuildError(
    `what was built does not work: keras-optimizers ${args.join(' ')} ended with ${code}\n${output.trimEnd()}`,
  );
}
