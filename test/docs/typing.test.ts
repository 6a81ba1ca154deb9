// The package as another project's TypeScript sees it: classes of the user's own, and the declarations that follow from them.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What the compiler says of test/typing/own.ts in a project that has this package installed. */
function diagnosed(folder: string): string[] {
  const source = readFileSync(join(root, 'test/typing/own.ts'), 'utf8');
  const file = join(folder, 'own.ts');
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(file, source.replace('../../lib/index.ts', 'keras-optimizers'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/keras-optimizers'), 'dir');
  const program = ts.createProgram([file], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noImplicitOverride: true,
    declaration: true,
    skipLibCheck: false,
    preserveSymlinks: true, // as if it were installed: what it does not export cannot be named
    typeRoots: [join(root, 'node_modules/@types')],
    types: ['node'],
  });
  const declarations: string[] = [];
  program.emit(undefined, (name, text) => name.endsWith('.d.ts') && declarations.push(text));
  const looked = program.getSourceFiles().filter(({ fileName }) => fileName === file || fileName.includes('/dist/'));
  assert.isAbove(looked.length, 20, 'the declarations of the package are among them');
  const all = looked.flatMap((one) => [
    ...program.getSemanticDiagnostics(one),
    ...program.getSyntacticDiagnostics(one),
    ...(one.fileName === file ? program.getDeclarationDiagnostics(one) : []),
  ]);
  const texts = all.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
  if (texts.length === 0) assert.match(declarations.join(), /class Signum extends Optimizer/);
  return texts;
}

describe('in a strict TypeScript project', () => {
  it('classes of the own compile, and declarations follow from them', () => {
    const folder = mkdtempSync(join(tmpdir(), 'keras-optimizers-'));
    try {
      assert.deepEqual(diagnosed(folder), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
