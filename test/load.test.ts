// Where the addon comes from, in copies of the package that have some of the places: the first that loads, and why not the others.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import type { Info } from '../lib/index.ts';
import { loaded, whyBroken } from '../lib/load.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const wasm = 'dist/wasm/module.cjs';
const cmake = 'build-cmake/Release/keras_optimizers.node';
const gyp = 'build/Release/keras_optimizers.node';
const prebuild = `prebuilds/${process.platform}-${process.arch}/keras_optimizers.node`;
const other = 'prebuilds/sunos-sparc/keras_optimizers.node';

type Said = Info & { readonly warnings: readonly string[]; readonly code?: string; readonly message?: string };

const program = `
const warnings = [];
process.on('warning', ({ message }) => warnings.push(message));
import('./dist/index.js').then(
  ({ info }) => setImmediate(() => console.log(JSON.stringify({ ...info(), warnings }))),
  ({ code, message }) => console.log(JSON.stringify({ code, message })));`;

describe('the loader', () => {
  let folder = '';
  before(function () {
    if (loaded.kind !== 'wasm') return;
    console.log('      not run: there is no native addon');
    this.skip();
  });
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'keras-optimizers-')));
    cpSync(join(root, 'package.json'), join(folder, 'package.json'));
    cpSync(join(root, 'dist'), join(folder, 'dist'), {
      recursive: true,
      filter: (path) => !path.endsWith('module.cjs'),
    });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const made = (path: string): string => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    return join(folder, path);
  };
  const put = (path: string, target = loaded.file): void => symlinkSync(target, made(path));
  const damage = (path: string): void => writeFileSync(made(path), 'no library');
  function say(asked = '', flags: readonly string[] = []): Said {
    const env = { ...process.env, KERAS_OPTIMIZERS_ADDON: asked };
    const args = [...flags, '-e', program];
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, env, encoding: 'utf8' });
    assert.isNotEmpty(stdout, stderr);
    return JSON.parse(stdout) as Said;
  }
  const places = (passed: Info['addon']['passed']): string[] =>
    passed.map(({ place }) => place.slice(folder.length + 1));

  const order = [cmake, gyp, prebuild];
  for (const [i, place] of order.entries())
    it(`takes ${place} where nothing is before it`, () => {
      for (const path of order.slice(i)) put(path);
      const { addon, warnings } = say();
      assert.deepEqual([addon.file, addon.kind], [join(folder, place), place === prebuild ? 'prebuild' : 'build']);
      assert.deepEqual(places(addon.passed), order.slice(0, i));
      for (const { why } of addon.passed) assert.equal(why, 'not there');
      assert.deepEqual(warnings, []);
    });
  it('passes over an addon that does not load, and warns', () => {
    damage(cmake);
    put(prebuild);
    const { addon, warnings } = say();
    assert.equal(addon.kind, 'prebuild');
    assert.match(addon.passed[0]?.why ?? '', /^it was built for another architecture or system than /);
    assert.match(warnings[0] ?? '', /another addon does not load: .*build-cmake/);
  });
  it('takes WebAssembly where there is no build for this platform, and says for which there is one', function () {
    if (!existsSync(join(root, wasm))) {
      console.log('      not run: there is no WebAssembly (npm run build:wasm)');
      this.skip();
    }
    put(other);
    put(wasm, join(root, wasm));
    const { addon, backend, backends, warnings } = say();
    assert.deepEqual([addon.kind, addon.file, backend], ['wasm', join(folder, wasm), 'wasm']);
    assert.deepEqual(backends, [{ name: 'wasm', unusable: null }]);
    assert.deepEqual(places(addon.passed), order);
    assert.match(addon.passed[2]?.why ?? '', /brings a build for sunos-sparc, this is /);
    assert.deepEqual(warnings, []);
    assert.equal(say(join(folder, wasm)).backend, 'wasm');
    put(cmake);
    assert.equal(say('wasm').addon.kind, 'wasm');
    const forbidden = say('', ['--no-addons']);
    assert.equal(forbidden.addon.kind, 'wasm');
    assert.match(forbidden.warnings[0] ?? '', /build-cmake.*disabled/);
  });
  it('refuses what belongs to another version of the package', () => {
    const of = (text: string): string => {
      writeFileSync(join(folder, 'other.cjs'), `module.exports = ${text};`);
      return say(join(folder, 'other.cjs')).message ?? '';
    };
    assert.match(of('{ rules: [] }'), /it is no addon of this version of the package: it lacks Memory, backends, /);
    assert.match(of("{ version: '0.0.1', tables: {} }"), /it belongs to version 0\.0\.1 of the package, this is /);
  });
  it('lists every place where there is nothing', () => {
    const { code, message = '' } = say();
    assert.equal(code, 'ERR_ADDON_LOAD');
    for (const place of [...order, wasm]) assert.include(message, `${join(folder, place)} (not there`);
    assert.include(message, 'npx keras-optimizers build');
  });
  it('takes what KERAS_OPTIMIZERS_ADDON says, and nothing else', () => {
    put(cmake);
    damage(gyp);
    assert.deepEqual(say(loaded.file).addon, { file: loaded.file, kind: 'environment', passed: [] });
    const { code, message } = say(join(folder, gyp));
    assert.equal(code, 'ERR_ADDON_LOAD');
    assert.match(message ?? '', /build\/Release.* was built for another .*: KERAS_OPTIMIZERS_ADDON expects/);
  });

  const reasons = {
    "/lib/libc.so.6: version `GLIBC_2.34' not found (required by x.node)": /^it needs glibc 2\.34, .* system's: \/lib/,
    "libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by x.node)":
      /^it needs libstdc\+\+ with GLIBCXX_3\.4\.29/,
    'Error relocating x.node: __cxa_thread_atexit_impl: symbol not found': /^it was built for glibc/,
    'Error loading shared library ld-linux-x86-64.so.2: No such file (needed by x.node)': /^it was built for glibc/,
    'libc.musl-x86_64.so.1: cannot open shared object file': /^it was built for musl/,
    'x.node: cannot open shared object file: Exec format error': /^it was built for another architecture/,
    'x.node: wrong ELF class: ELFCLASS32': /^it was built for another architecture/,
    "dlopen(x.node): (mach-o file, but is an incompatible architecture (have 'x86_64', need 'arm64'))":
      /^it was built for another/,
    '\\\\?\\x.node is not a valid Win32 application.': /^it was built for another architecture/,
    'x.node: undefined symbol: napi_create_object_with_properties': /^it was built for another Node-API version/,
    'something else': /^something else$/,
  };
  for (const [text, expected] of Object.entries(reasons))
    it(`explains "${text}"`, () => assert.match(whyBroken(new Error(text)), expected));
});
