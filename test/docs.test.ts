// What is written for users is true: every public name has a doc comment, the programs of the README and of guides run, and the
// two builds compile the same files.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';
import ts from 'typescript';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const read = (path: string): string => readFileSync(here(path), 'utf8');

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

  const pages = [
    { page: 'README.md', programs: 1, lines: 16 },
    { page: 'docs/callbacks.md', programs: 4, lines: 20 },
    { page: 'docs/checkpoints.md', programs: 3, lines: 14 },
    { page: 'docs/gpu.md', programs: 1, lines: 8 },
    { page: 'docs/loss-scale.md', programs: 2, lines: 14 },
    { page: 'docs/sparse.md', programs: 1, lines: 9 },
    { page: 'docs/tfjs.md', programs: 7, lines: 20 },
  ];
  for (const { page, programs, lines } of pages)
    it(`shows programs that run and print what they say: ${page}`, () => {
      const texts = [...read(`../${page}`).matchAll(/```js\n(.*?)```/gs)].map((match) => match[1] as string);
      assert.lengthOf(texts, programs);
      for (const text of texts) {
        assert.isAtMost(text.split('\n').filter((line) => line !== '' && !line.startsWith('//')).length, lines);
        const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', text], {
          cwd: here('..'),
          encoding: 'utf8',
        });
        const said = [...text.matchAll(/console\.log.*\/\/ (.*)/g)].map((match) => match[1]);
        assert.isNotEmpty(said);
        assert.equal(stdout.trim(), said.join('\n'), stderr);
      }
    });
});

describe('CMakeLists.txt and binding.gyp', () => {
  const sources = (text: string): string[] => [...text.matchAll(/(?:native|cuda)\/[\w/]+\.cpp/g)].map(([path]) => path);
  const forTests = 'native/binding/faults.cpp';
  // node-gyp's build has no CUDA: cuda/absent.cpp is there in their place.
  const ofGpus = /^cuda\/(?!absent)/;
  const flags =
    '-O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -mavx2 -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512';
  const cmake = read('../CMakeLists.txt');
  const gyp = read('../binding.gyp');

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
