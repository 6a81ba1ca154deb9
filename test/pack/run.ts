// npm run test:pack: the package as a user gets it. Packs it, looks at what is inside, installs it without a network, an install script or
// a compiler, and trains with it in every way that is promised; then without its binary, with the same bits. What cannot run here is
// printed with the reason. Over 200 lines: a stage after the other.
// Usage: tsx test/pack/run.ts [--only TEXT] [--partial]; --partial takes a package without all that is compiled for it; --only runs the stages whose names contain TEXT, and the two that they need
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const kLimit = 5_000_000; // bytes of the tarball
const root = fileURLToPath(new URL('../..', import.meta.url));
const programs = join(root, 'test/pack/programs');
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'keras-optimizers-pack-')));
const tools = join(root, 'build-pack-tools'); // kept between runs
const npm = join(execFileSync('npm', ['root', '--global'], { encoding: 'utf8' }).trim(), 'npm/bin/npm-cli.js');
const { values: given } = parseArgs({
  options: { only: { type: 'string', default: '' }, partial: { type: 'boolean', default: false } },
});

const prebuild = `prebuilds/${process.platform}-${process.arch}/keras_optimizers.node`;
const wasm = 'dist/wasm/module.cjs';

/** What is not in the repository, and the script that makes it. */
const compiledBy = { [prebuild]: 'release:addon', [wasm]: 'build:wasm', 'headers/napi.h': 'build:headers' };

class Cannot extends Error {}

interface Options {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Output of a program that has to succeed. */
function run(program: string, args: readonly string[], { cwd = folder, env = {} }: Options = {}): string {
  const all = {
    ...process.env,
    npm_config_fund: 'false',
    npm_config_audit: 'false',
    npm_config_update_notifier: 'false',
    ...env,
  };
  for (const name of Object.keys(all)) if (/^npm_(package|lifecycle)/.test(name)) delete all[name as keyof typeof all];
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env: all, encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout + stderr;
}
const npmRun = (args: readonly string[], options?: Options): string => run(process.execPath, [npm, ...args], options);

function expect(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(`expected ${what}`);
}

interface Trained {
  readonly hash: string;
  readonly kind: string;
  readonly backend: string;
  readonly passed: readonly string[];
}

/** What test/pack/programs/train.cjs printed, once or more often. */
function trained(output: string, times = 1): Trained {
  const found = [...output.matchAll(/^trained (.*)$/gm)].map(([, json = '']) => JSON.parse(json) as Trained);
  expect(found.length === times, `${times} trainings, got ${output}`);
  for (const { hash } of found) expect(hash === found[0]?.hash, `the same bits every time, got ${output}`);
  return found[0] as Trained;
}

/** A package from the registry, in a folder of its own that is kept. */
function tool(name: string, packages: readonly string[], overrides = {}): string {
  const place = join(tools, name);
  const wanted = JSON.stringify({ private: true, overrides, wanted: packages });
  const mark = join(place, 'package.json');
  if (existsSync(join(place, 'installed')) && readFileSync(join(place, 'installed'), 'utf8') === wanted) return place;
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  writeFileSync(mark, wanted);
  try {
    npmRun(['install', '--ignore-scripts', '--no-save', '--fetch-retries=1', ...packages], { cwd: place });
  } catch (error) {
    throw new Cannot(
      `npm could not install ${packages.join(' ')}: ${(error as Error).message
        .split('\n')
        .filter((line) => /code|404|ENOTFOUND/.test(line))
        .join(' ')
        .slice(0, 200)}`,
    );
  }
  writeFileSync(join(place, 'installed'), wanted);
  return place;
}

let tarball = '';
const project = join(folder, 'project');
const installed = join(project, 'node_modules/keras-optimizers');

/** An empty project with the programs. */
function makeProject(place: string): string {
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), JSON.stringify({ private: true, name: 'project', version: '1.0.0' }));
  cpSync(programs, place, { recursive: true });
  return place;
}

/** A PATH with nothing but node and a shell: no compiler, no CMake, no Python. */
function barePath(): string {
  const path = join(folder, 'bin');
  mkdirSync(path, { recursive: true });
  for (const [name, target] of [
    ['node', process.execPath],
    ['sh', '/bin/sh'],
  ] as const)
    if (!existsSync(join(path, name))) symlinkSync(target, join(path, name));
  return path;
}

const bare = (): NodeJS.ProcessEnv => ({ PATH: barePath(), KERAS_OPTIMIZERS_ADDON: '', NODE_OPTIONS: '' });
const node = (args: readonly string[], options: Options = {}): string =>
  run(process.execPath, args, { cwd: project, ...options, env: { ...bare(), ...options.env } });

let bits = '';
/** Holds a training against the first one. */
function same(found: Trained, kind: string): string {
  bits ||= found.hash;
  expect(found.hash === bits, `the bits ${bits}, got ${found.hash}`);
  expect(found.kind === kind, `the addon of kind ${kind}, got ${JSON.stringify(found)}`);
  return `${found.hash} on ${found.backend}, ${found.kind}`;
}
const kind = (): string => (existsSync(join(installed, prebuild)) ? 'prebuild' : 'wasm');

function pack(): string {
  const absent = Object.entries(compiledBy).filter(([path]) => !existsSync(join(root, path)));
  for (const [path, script] of absent) console.log(`   without ${path}: npm run ${script} makes it`);
  expect(absent.length === 0 || given.partial, 'all that is compiled for the package, or --partial');
  const [about] = JSON.parse(
    npmRun(['pack', '--ignore-scripts', '--json', '--silent', '--pack-destination', folder], { cwd: root }),
  ) as {
    readonly filename: string;
    readonly files: readonly { readonly path: string; readonly size: number }[];
  }[];
  if (about === undefined) throw new Error('npm packed nothing');
  tarball = join(folder, about.filename);
  const paths = about.files.map(({ path }) => path);
  for (const path of [
    'package.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'THIRD_PARTY_NOTICES.md',
    'CMakeLists.txt',
    'dist/index.js',
    'dist/index.d.ts',
    'native/rules/nadam.h',
    'cuda/kernels.cu',
  ])
    expect(paths.includes(path), `${path} in the tarball`);
  const foreign = paths.filter(
    (path) =>
      !/^(dist|native|cuda|docs|headers|prebuilds)\/|^[A-Z_]+(\.md)?$|^CMakeLists\.txt$|^package\.json$/.test(path) ||
      /tsbuildinfo|\.o$/.test(path),
  );
  expect(foreign.length === 0, `nothing else in the tarball, got ${foreign.join(', ')}`);
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly scripts: Record<string, string>;
    readonly gypfile: boolean;
    readonly dependencies?: object;
  };
  for (const script of ['preinstall', 'install', 'postinstall'])
    expect(!(script in manifest.scripts), `no script ${script}`);
  expect(manifest.gypfile === false && manifest.dependencies === undefined, 'gypfile: false, and no dependencies');
  const { size } = statSync(tarball);
  expect(size < kLimit, `less than ${kLimit} bytes, got ${size}`);
  return `${size} bytes, ${paths.length} files`;
}

function publish(): string {
  const output = npmRun(['publish', '--dry-run', '--ignore-scripts'], { cwd: root });
  const warnings = output
    .split('\n')
    .filter((line) => /warn/i.test(line) && !/dry-run|Unknown \w+ config|logged in/i.test(line));
  expect(warnings.length === 0, `no warning of npm publish, got ${warnings.join('\n')}`);
  return 'npm publish --dry-run has nothing to say';
}

function install(): string {
  makeProject(project);
  const cache = join(folder, 'empty-cache');
  npmRun(['install', '--offline', '--ignore-scripts', '--cache', cache, tarball], { cwd: project, env: bare() });
  expect(existsSync(join(installed, 'dist/index.js')), 'an installed package');
  return 'offline, from an empty cache, without scripts';
}

function types(): string {
  for (const name of ['@types', 'undici-types'])
    if (!existsSync(join(project, 'node_modules', name)))
      symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const flags = [
    '--strict',
    '--target',
    'es2023',
    '--lib',
    'es2023,esnext.disposable',
    '--types',
    'node',
    '--outDir',
    'built',
  ];
  node([tsc, ...flags, '--module', 'esnext', '--moduleResolution', 'bundler', 'typed.mts']);
  node([tsc, ...flags, '--module', 'nodenext', 'typed.mts']);
  return node(['built/typed.mjs']).trim();
}

function publint(): string {
  const place = tool('publint', ['publint@0.3.12']);
  return (
    run(process.execPath, [join(place, 'node_modules/publint/src/cli.js'), 'run', '--strict', tarball])
      .trim()
      .split('\n')
      .at(-1) ?? ''
  );
}

function attw(): string {
  const place = tool('attw', ['@arethetypeswrong/cli@0.18.2'], { fflate: '0.8.2' }); // with 0.8.3 it reads the last chunk of a tarball alone
  run(process.execPath, [
    join(place, 'node_modules/@arethetypeswrong/cli/dist/index.js'),
    tarball,
    '--profile',
    'esm-only',
    '--format',
    'ascii',
  ]);
  return 'no problem under --profile esm-only';
}

function program(): string {
  const said = npmRun(['exec', '--offline', '--no', '--', 'keras-optimizers', 'info', '--json'], {
    cwd: project,
    env: bare(),
  });
  const json = said.slice(said.indexOf('{'), said.lastIndexOf('}') + 1); // npm may warn as well
  const { addon, cuda } = JSON.parse(json) as { addon: { kind: string }; cuda: { built: boolean } };
  expect(addon.kind === kind(), `npx keras-optimizers info to say ${kind()}, got ${said}`);
  return `npx keras-optimizers info: ${addon.kind}, ${cuda.built ? 'with' : 'without'} CUDA`;
}

function subpaths(): string {
  const names = Object.keys(
    (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, unknown> }).exports,
  ).filter((name) => !name.endsWith('.json'));
  for (const name of names) node(['--input-type=module', '-e', `await import('keras-optimizers${name.slice(1)}')`]);
  return `${names.join(' ')} are imported`;
}

function bundle(format: 'esm' | 'cjs'): string {
  const file = `bundle.${format === 'esm' ? 'mjs' : 'cjs'}`;
  const esbuild = join(root, 'node_modules/esbuild/bin/esbuild');
  run(
    esbuild,
    ['esm.mjs', '--bundle', '--platform=node', `--format=${format}`, `--outfile=${file}`, '--log-level=error'],
    { cwd: project },
  );
  mkdirSync(join(project, 'out'), { recursive: true });
  renameSync(join(project, file), join(project, 'out', file));
  return same(trained(node([join('out', file)])), kind());
}

function jest(): string {
  const place = tool('jest', ['jest@30.2.0']);
  writeFileSync(
    join(project, 'jest.config.json'),
    JSON.stringify({ transform: {}, testMatch: ['**/jest.test.mjs'], watchman: false }),
  );
  const output = node([join(place, 'node_modules/jest/bin/jest.js'), '--config', 'jest.config.json', '--no-cache'], {
    env: { NODE_OPTIONS: '--experimental-vm-modules' },
  });
  return same(trained(output), kind());
}

function otherNode(major: number): string {
  const place = tool(`node-${major}`, [`node-${process.platform}-${process.arch}@${major}`]);
  const program = join(place, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
  const [esm, commonjs] = ['esm.mjs', 'commonjs.cjs'].map((name) =>
    trained(run(program, [name], { cwd: project, env: bare() })),
  );
  same(commonjs as Trained, kind());
  return `${run(program, ['--version']).trim()}: ${same(esm as Trained, kind())}`;
}

function withoutBinary(): string {
  if (!existsSync(join(installed, wasm))) throw new Cannot(`there is no ${wasm} in the package`);
  const aside = join(folder, 'prebuilds');
  if (existsSync(join(installed, 'prebuilds'))) renameSync(join(installed, 'prebuilds'), aside);
  try {
    const found = trained(node(['esm.mjs']));
    expect(
      found.passed.length === 3 && found.passed.every((why) => why.startsWith('not there')),
      `three places passed over, got ${found.passed.join()}`,
    );
    same(trained(node(['commonjs.cjs'])), 'wasm');
    same(trained(node(['worker.mjs']), 2), 'wasm');
    return same(found, 'wasm');
  } finally {
    if (existsSync(aside)) renameSync(aside, join(installed, 'prebuilds'));
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { readonly port: number };
      server.close(() => resolve(port));
    });
  });

let registry: { readonly url: string; readonly process: ChildProcess } | undefined;

/** verdaccio with this package alone, and no way to another registry. */
async function startRegistry(): Promise<string> {
  const place = tool('verdaccio', ['verdaccio@6.3.2'], { 'node-fetch': '2.7.0' });
  const [home, port] = [join(folder, 'verdaccio'), await freePort()];
  mkdirSync(home);
  writeFileSync(
    join(home, 'config.yaml'),
    `storage: ./storage\nuplinks: {}\npackages:\n  '**':\n    access: $all\n    publish: $all\nlog: { type: stdout, level: warn }\nmax_body_size: 20mb\n`,
  );
  const url = `http://127.0.0.1:${port}/`;
  const program = join(place, 'node_modules/verdaccio/bin/verdaccio');
  registry = {
    url,
    process: spawn(process.execPath, [program, '--config', join(home, 'config.yaml'), '--listen', String(port)], {
      cwd: home,
      stdio: 'ignore',
    }),
  };
  for (let tries = 0; ; tries++) {
    if (
      await fetch(`${url}-/ping`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      break;
    expect(tries < 300, 'a registry that answers');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  writeFileSync(join(folder, '.npmrc'), `registry=${url}\n//127.0.0.1:${port}/:_authToken=anybody\n`);
  npmRun(['publish', tarball, '--registry', url, '--userconfig', join(folder, '.npmrc')]);
  return `published to ${url}`;
}

/** Installs by a name and range from the registry, scripts not forbidden. */
function from(manager: 'npm' | 'pnpm' | 'yarn'): string {
  if (registry === undefined) throw new Cannot('there is no registry');
  const place = makeProject(join(folder, `by-${manager}`));
  writeFileSync(join(place, '.npmrc'), `registry=${registry.url}\n`);
  writeFileSync(join(place, '.yarnrc'), `registry "${registry.url}"\n`);
  const home = join(folder, `home-${manager}`);
  mkdirSync(home);
  const options = {
    cwd: place,
    env: {
      ...bare(),
      HOME: home,
      npm_config_registry: registry.url,
      npm_config_cache: join(home, 'cache'),
      CI: 'true',
    },
  };
  if (manager === 'npm') npmRun(['install', 'keras-optimizers'], options);
  if (manager === 'pnpm')
    run(
      process.execPath,
      [
        join(tool('pnpm', ['pnpm@10.20.0']), 'node_modules/pnpm/bin/pnpm.cjs'),
        'add',
        'keras-optimizers',
        '--store-dir',
        join(home, 'store'),
      ],
      options,
    );
  if (manager === 'yarn')
    run(
      process.execPath,
      [
        join(tool('yarn', ['yarn@1.22.22']), 'node_modules/yarn/bin/yarn.js'),
        'add',
        'keras-optimizers',
        '--cache-folder',
        join(home, 'yarn'),
      ],
      options,
    );
  return same(trained(run(process.execPath, ['esm.mjs'], { cwd: place, env: bare() })), kind());
}

const stages: Readonly<Record<string, () => string | Promise<string>>> = {
  pack,
  publish,
  install,
  ESM: () => same(trained(node(['esm.mjs'])), kind()),
  CommonJS: () => same(trained(node(['commonjs.cjs'])), kind()),
  worker: () => same(trained(node(['worker.mjs']), 2), kind()),
  types,
  publint,
  attw,
  'the program': program,
  subpaths,
  'bundle as ESM': () => bundle('esm'),
  'bundle as CommonJS': () => bundle('cjs'),
  Jest: jest,
  'without the binary': withoutBinary,
  'Node.js 20': () => otherNode(20),
  'Node.js 22': () => otherNode(22),
  'Node.js 24': () => otherNode(24),
  registry: startRegistry,
  'by npm': () => from('npm'),
  'by pnpm': () => from('pnpm'),
  'by yarn 1': () => from('yarn'),
};
const needed = ['pack', 'install'];

async function main(): Promise<void> {
  const failed: string[] = [];
  const missing: string[] = [];
  for (const [name, stage] of Object.entries(stages).filter(
    ([name]) => needed.includes(name) || name.includes(given.only),
  )) {
    const start = performance.now();
    const say = (text: string): void =>
      console.log(`${name.padEnd(20)} ${((performance.now() - start) / 1000).toFixed(1).padStart(5)} s  ${text}`);
    try {
      say(await stage());
    } catch (error) {
      if (error instanceof Cannot) missing.push(name);
      else failed.push(name);
      say(error instanceof Cannot ? `not run: ${error.message}` : `failed: ${(error as Error).message}`);
      if (needed.includes(name)) break;
    }
  }
  registry?.process.kill();
  rmSync(folder, { recursive: true, force: true });
  console.log(
    `${failed.length === 0 ? 'passed' : `failed: ${failed.join(', ')}`}${missing.length === 0 ? '' : `; not run: ${missing.join(', ')}`}`,
  );
  if (failed.length > 0) process.exitCode = 1;
}

await main();
