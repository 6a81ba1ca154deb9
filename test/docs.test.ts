// What is written for users is true: every public name has a doc comment, the programs of all pages run, their commands exist, their
// links lead somewhere, and the two builds compile the same files. test/docs/ runs what takes longer.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { assert } from 'chai';
import ts from 'typescript';

import { deserialize } from '../lib/index.ts';
import { anchorsOf, blocksOf, excerptOf, isRun, linksOf, npmCommandsOf, pages, programsOf, read } from './pages.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

describe('the documentation', () => {
  const entries = ['index', 'callbacks/index', 'distributed/index', 'keras/index', 'tfjs/index'].map((name) =>
    here(`../lib/${name}.ts`),
  );
  const program = ts.createProgram(entries, {
    module: ts.ModuleKind.NodeNext,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    allowImportingTsExtensions: true,
  });
  const checker = program.getTypeChecker();
  const names = entries.flatMap((entry) => {
    const source = program.getSourceFile(entry) as ts.SourceFile;
    return checker.getExportsOfModule(checker.getSymbolAtLocation(source) as ts.Symbol);
  });
  const resolved = (symbol: ts.Symbol): ts.Symbol =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const documented = (symbol: ts.Symbol): boolean => symbol.getDocumentationComment(checker).length > 0;

  it('has a comment for every public name', () => {
    assert.isAbove(names.length, 30);
    assert.deepEqual(
      names.filter((name) => !documented(resolved(name))).map((name) => name.name),
      [],
    );
  });

  it('has a comment for every public method and property of the classes users call most', () => {
    const called = ['Optimizer', 'Variable', 'LearningRateSchedule', 'Communicator', 'CommunicatorError'];
    const wrappers = ['LossScaleOptimizer', 'MultiOptimizer', 'OptimizerMap'];
    const callbacks = [
      'Callback',
      'LearningRateScheduler',
      'ProgbarLogger',
      'ReduceLROnPlateau',
      'SwapEMAWeights',
      'TensorBoard',
    ];
    const asked = names.filter(({ name }) => [...called, ...wrappers, ...callbacks].includes(name)).map(resolved);
    const classes = asked.map((symbol) => checker.getDeclaredTypeOfSymbol(symbol).symbol);
    assert.lengthOf(classes, 14);
    for (const cls of classes) {
      const declaration = cls.declarations?.find(ts.isClassDeclaration) as ts.ClassDeclaration;
      const members = declaration.members.filter((member) => member.name !== undefined && ts.isIdentifier(member.name));
      assert.isAtLeast(members.length, 5);
      const bare = members
        .map((member) => checker.getSymbolAtLocation(member.name as ts.Identifier) as ts.Symbol)
        .filter((symbol) => !documented(symbol))
        .map(({ name }) => `${cls.name}.${name}`);
      assert.deepEqual(bare, []);
    }
  });
});

/** Why no stage of .ci/run runs a script that pages name. */
const unrun: Readonly<Record<string, string>> = {
  'bench:bfloat16': 'trains for an hour',
  'bench:distributed': 'takes minutes, beside Python',
  'bench:mnist': 'trains for minutes, beside Python',
  'bench:muon': 'takes minutes, beside Python',
  'bench:report':
    'writes the tables of results that are kept; test/docs/figures.test.ts and test/bench.test.ts run its parts',
  'bench:tfjs': 'takes minutes',
  'example:gpu': 'test/cuda/example.test.ts runs it in its own process',
  format: 'changes files; format:check is run',
  'figure:nadam': 'writes a figure that is kept; test/docs/figures.test.ts draws it',
};

describe('the pages', () => {
  const blocks = pages.flatMap(blocksOf);
  const kinds = { js: 'run', ts: 'run', sh: 'run', json: 'run', python: 'run', cpp: 'shown', text: 'shown' };
  const { scripts, peerDependencies } = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;

  it('name the language of every block, and say why when nothing runs it', () => {
    assert.isAbove(blocks.length, 40);
    for (const { place, language, note, reason } of blocks) {
      assert.property(kinds, language, place);
      assert.include(['', 'not run', 'continues', 'file'], note, place);
      assert.equal(reason !== '', ['not run', 'file'].includes(note), `${place}: <!-- ${note}: reason -->`);
    }
  });

  it('show the code of the repository as it is', () => {
    const trimmed = (text: string): string => text.replace(/^[ \t]+|[ \t]+$/gm, '');
    const shown = blocks.flatMap((block) => ({ ...block, file: excerptOf(block) }));
    for (const { place, language, text, note, file } of shown)
      if (file !== undefined) assert.include(trimmed(read(file)), trimmed(text.slice(text.indexOf('\n') + 1)), place);
      else if (note !== 'not run') assert.notEqual(language, 'cpp', `${place} is no part of a file`);
    assert.isAtLeast(shown.filter(({ file }) => file !== undefined).length, 5);
  });

  it('have links that lead somewhere', () => {
    const links = pages.flatMap((page) => linksOf(page).map((link) => ({ page, link })));
    assert.isAbove(links.length, 150);
    for (const { page, link } of links) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      assert.isTrue(existsSync(here(`../${target}`)), `${page}: ${link}`);
      if (anchor !== undefined) assert.include(anchorsOf(target), anchor, `${page}: ${link}`);
    }
  });

  it('have configs in JSON that are accepted', () => {
    for (const { place, language, text } of blocks)
      if (language === 'json') {
        const value = JSON.parse(text) as { class_name?: unknown };
        if (value.class_name !== undefined) assert.doesNotThrow(() => deserialize(value), place);
      }
  });

  it('name npm scripts that there are, that .ci/run runs, and options that they have', () => {
    const inCi = [read('.ci/run'), ...readdirSync(here('../scripts')).map((name) => read(`scripts/${name}`))].join(
      '\n',
    );
    const runs = (text: string): string[] =>
      [...text.matchAll(/\bnpm (?:run (?:--silent )?)?([\w:-]*\w)/g)].map(([, name = '']) => name);
    const ran = new Set(runs(inCi));
    for (const name of ran) for (const other of runs(scripts?.[name] ?? '')) ran.add(other);
    const named = pages.flatMap((page) => npmCommandsOf(page).map((command) => ({ page, ...command })));
    assert.isAbove(named.length, 30);
    for (const { page, name, options } of named) {
      const script = scripts?.[name];
      assert.isDefined(script, `${page}: npm run ${name}`);
      assert.isTrue(ran.has(name) || name in unrun, `${page}: nothing runs npm run ${name}, and no reason is given`);
      const main = /(?:tsx|bash) ([\w/.]+)/.exec(script ?? '')?.[1];
      if (main === undefined) continue;
      const sources = readdirSync(here(`../${dirname(main)}`)).filter((file) => /\.(ts|sh)$/.test(file));
      const text = sources.map((file) => read(`${dirname(main)}/${file}`)).join();
      for (const option of options)
        assert.match(text, new RegExp(`\\b${option.slice(2)}\\b`), `${page}: npm run ${name} -- ${option}`);
    }
    const needless = Object.keys(unrun).filter(
      (name) => ran.has(name) || !named.some((command) => command.name === name),
    );
    assert.deepEqual(needless, []);
  });

  it('have lines of the shell that something runs', () => {
    const known = [read('.ci/run'), ...Object.values(scripts ?? {})].join('\n');
    for (const block of blocks.filter(({ language }) => language === 'sh').filter(isRun))
      for (const line of block.text
        .trim()
        .split(/\n|&&|\||; do\n/)
        .map((part) => part.trim().replace(/^(\w+=\S+ )+/, ''))) {
        const [command = '', tool = '', ...args] = line.split(/\s+/);
        const place = `${block.place}: ${line}`;
        if (['for', 'done', 'grep'].includes(command)) continue;
        if (command === 'npx') {
          if (tool !== 'keras-optimizers') assert.include(known, [tool, ...args].join(' '), place);
          continue;
        }
        assert.equal(command, 'npm', place);
        if (tool === 'install')
          for (const name of args) assert.property({ 'keras-optimizers': '', ...peerDependencies }, name, place);
        else assert.include(['run', 'test', 'ci'], tool, place);
      }
  });

  it('name environment variables that something reads', () => {
    const folders = ['lib', 'native', 'cuda'];
    const files = folders.flatMap((folder) =>
      readdirSync(here(`../${folder}`), { recursive: true }).map((name) => `${folder}/${String(name)}`),
    );
    const sources = files
      .filter((file) => /\.\w+$/.test(file))
      .map(read)
      .join('\n');
    const variables = new Set(pages.flatMap((page) => read(page).match(/\bKERAS_OPTIMIZERS_\w+/g) ?? []));
    assert.isAtLeast(variables.size, 5);
    for (const variable of variables) assert.include(sources, variable);
  });
});

describe('the programs of the pages', () => {
  const programs = pages.map((page) => ({ page, js: programsOf(page, 'js'), ts: programsOf(page, 'ts') }));
  const timeless = (text: string): string => text.replace(/\b\d+[mu]?s\b/g, 'some time');

  /** What it writes to the standard output; rejected if it ends with an error. */
  const output = async (text: string): Promise<string> => {
    const ended = promisify(execFile)(process.execPath, ['--input-type=module', '-e', text], { cwd: here('..') });
    return (await ended).stdout.trim();
  };

  for (const { page, js } of programs)
    if (js.length > 0)
      it(`run and print what they say: ${page}`, async () => {
        const outputs = await Promise.all(js.map(({ text }) => output(text)));
        for (const [i, { place, said }] of js.entries()) {
          assert.isNotEmpty(said, place);
          assert.equal(timeless(outputs[i] as string), timeless(said), place);
        }
      });

  it('are short in the README', () => {
    const lines = programs
      .flatMap(({ page, js }) => (page === 'README.md' ? js : []))
      .map(({ text }) => text.split('\n'));
    for (const program of lines)
      assert.isAtMost(program.filter((line) => line !== '' && !line.startsWith('//')).length, 16);
  });

  it('compile and run where they are in TypeScript', async () => {
    const typed = programs.flatMap(({ ts }) => ts);
    const texts = new Map(typed.map(({ place, text }) => [here(`../${place.replace(/\W/g, '-')}.ts`), text]));
    const options = {
      module: ts.ModuleKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
      strict: true,
      skipLibCheck: true,
    };
    const host = ts.createCompilerHost(options);
    const files = { ...host };
    host.fileExists = (path) => texts.has(path) || files.fileExists(path);
    host.readFile = (path) => texts.get(path) ?? files.readFile(path);
    host.getSourceFile = (path, target) => {
      const text = texts.get(path);
      return text === undefined ? files.getSourceFile(path, target) : ts.createSourceFile(path, text, target);
    };
    const program = ts.createProgram([...texts.keys()], { ...options, noEmit: true }, host);
    const problems = ts.getPreEmitDiagnostics(program).map((problem) => ts.formatDiagnostic(problem, { ...host }));
    assert.deepEqual(problems, []);
    for (const { place, text, said } of typed)
      assert.equal(
        await output(
          ts.transpileModule(text, { compilerOptions: { ...options, module: ts.ModuleKind.ESNext } }).outputText,
        ),
        said,
        place,
      );
  });
});

describe('CMakeLists.txt and binding.gyp', () => {
  const sources = (text: string): string[] => [...text.matchAll(/(?:native|cuda)\/[\w/]+\.cpp/g)].map(([path]) => path);
  const forTests = 'native/binding/faults.cpp';
  // node-gyp's build has no CUDA: cuda/absent.cpp is there in their place.
  const ofGpus = /^cuda\/(?!absent)/;
  const flags =
    '-O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -mavx2 -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512';
  const cmake = read('CMakeLists.txt');
  const gyp = read('binding.gyp');

  it('compile the same files', () => {
    assert.sameMembers(
      [...new Set(sources(gyp)), forTests],
      [...new Set(sources(cmake))].filter((path) => !ofGpus.test(path)),
    );
  });
  it('with the same kernel flags, none of which changes a value', () => {
    for (const flag of flags.split(' ')) for (const text of [cmake, gyp]) assert.include(text, flag);
    assert.notMatch(cmake + gyp, /-ffast-math|-Ofast|-funsafe-math|-fassociative-math|-ffinite-math/);
  });
});
