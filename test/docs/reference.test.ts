// `npm run docs` passes, and would not with a public name or member that nothing is said of, or a link that leads nowhere.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { root } from '../pages.ts';

const typedoc = (...args: string[]) =>
  spawnSync(process.execPath, ['node_modules/typedoc/bin/typedoc', '--emit', 'none', ...args], {
    cwd: root,
    encoding: 'utf8',
  });

const planted = {
  'export class BareClass {}': 'BareClass (Class)',
  '/** One. */ export class Half { bare = 1; }': 'Half.bare (Property)',
  'export const bareValue = 1;': 'bareValue (Variable)',
  '/** See {@link nobody}. */ export const lost = 1;': 'Failed to resolve link to "nobody"',
};

describe('the reference', function () {
  this.timeout(300_000);

  it('says something of every public name, type and member, and its links lead somewhere', () => {
    const { status, stderr } = typedoc();
    assert.equal(status, 0, stderr);
  });

  it('is refused otherwise', () => {
    const folder = mkdtempSync(join(tmpdir(), 'planted-'));
    try {
      const write = (name: string, text: string): string => {
        writeFileSync(join(folder, name), text);
        return join(folder, name);
      };
      write('tsconfig.json', '{ "compilerOptions": { "types": [] } }');
      write('planted.ts', Object.keys(planted).join('\n'));
      write('other.ts', 'export {};'); // with two entry points each is a module, as in typedoc.json
      const options = {
        extends: [join(root, 'typedoc.json')],
        entryPoints: ['planted.ts', 'other.ts'],
        tsconfig: 'tsconfig.json',
      };
      const { status, stdout, stderr } = typedoc('--options', write('typedoc.json', JSON.stringify(options)));
      assert.notEqual(status, 0);
      for (const message of Object.values(planted)) assert.include(stdout + stderr, message);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
