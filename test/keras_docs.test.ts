// docs/keras.md and docs/keras-tests.md name tests and defaults: they are there, and they are true. A link into test/ has a
// test's title as its text, in which "..." stands for any text.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import type { Fields } from '../lib/configurable.ts';
import { Optimizer } from '../lib/index.ts';
import { common } from '../lib/optimizers/common.ts';
import { classes } from './optimizers.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const pages = ['keras', 'keras-tests'].map((name) => readFileSync(here(`../docs/${name}.md`), 'utf8'));
const [keras, kerasTests] = pages as [string, string];

/** The cells of each row of the tables under the headings that match; the heads and the rules under them are left out. */
function rowsUnder(page: string, heading: RegExp): string[][] {
  const sections = page.split(/^(?=##+ )/m).filter((section) => heading.test(section.split('\n', 1)[0] ?? ''));
  const tables = sections.flatMap((section) => section.match(/(?:^\|.*\n)+/gm) ?? []);
  const lines = tables.flatMap((table) => table.trim().split('\n').slice(2));
  return lines.map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim())); // prettier-ignore
}

const links = (text: string) =>
  [...text.matchAll(/\[((?:[^[\]]|\[[^\]]*\])+)\]\(\.\.\/test\/([\w./-]+)\)/g)].map(([, title = '', file = '']) => ({
    file,
    title: title.replaceAll('\\', ''),
  }));
const patternOf = (title: string): RegExp =>
  new RegExp(`^${title.split('...').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`); // prettier-ignore

interface Listed {
  readonly tests: readonly { readonly file: string; readonly title: string; readonly fullTitle: string }[];
}

/** Titles by file, with and without those of the suites around them, of all test files, which are read and not run. */
function allTitles(): Map<string, string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'titles-'));
  try {
    const output = join(folder, 'titles.json');
    const mocha = here('../node_modules/mocha/bin/mocha.js');
    const options = ['--dry-run', '--no-parallel', '--reporter', 'json', '--reporter-option', `output=${output}`];
    execFileSync(process.execPath, [mocha, ...options], { cwd: here('..'), stdio: ['ignore', 'ignore', 'pipe'] });
    const titles = new Map<string, string[]>();
    for (const { file, title, fullTitle } of (JSON.parse(readFileSync(output, 'utf8')) as Listed).tests)
      titles.set(file, [...(titles.get(file) ?? []), title, fullTitle]);
    return titles;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the pages about Keras', () => {
  it('name tests that exist', () => {
    const titles = allTitles();
    const named = pages.flatMap(links);
    assert.lengthOf(named, pages.join().split('](../test/').length - 1, 'links that are read');
    assert.isAbove(named.length, 80);
    const missing = named.filter(({ file, title }) => {
      const path = here(file);
      assert.isTrue(existsSync(path), path);
      return !titles.get(path)?.some((text) => patternOf(title).test(text));
    });
    assert.deepEqual(missing, []);
  });

  it('have a test or a reason in every row', () => {
    const tables = [
      [rowsUnder(kerasTests, /./), 45],
      [rowsUnder(keras, /Kept|Bugs/), 20],
    ] as const;
    for (const [rows, least] of tables) {
      assert.isAtLeast(rows.length, least);
      for (const row of rows) assert.isTrue(links(row.join()).length > 0 || (row.at(-1) ?? '') !== '', row.join(' | '));
    }
  });

  it('list every public method and property of an optimizer', () => {
    const listed = rowsUnder(keras, /^## Methods/).flatMap(([names = '']) => names.match(/(?<=`)\w+/g) ?? []);
    const forHeirs = [
      'constructor',
      '_get_variable_index',
      'rule',
      'blocks',
      'initial',
      'scalars',
      'running',
      'ruleOf',
      'slotOf',
      'decayOf',
    ];
    const members = Object.getOwnPropertyNames(Optimizer.prototype).filter((name) => !forHeirs.includes(name));
    assert.isAtLeast(members.length, 20);
    assert.includeMembers(listed, members);
  });

  /** The first two columns of the tables there: options, and what "here" says of them, the default first. */
  const check = (heading: RegExp, expected: readonly (readonly [string, Fields[string]])[]): void => {
    const cells = rowsUnder(keras, heading).filter(([name]) => name !== '');
    const listed = cells.map(([name = '', ours = '']) => `${name} ${ours.split(/[,;: ]/, 1)[0]}`);
    assert.sameMembers(
      listed,
      expected.map(([name, field]) => `\`${name}\` ${Array.isArray(field.default) ? '[]' : field.default}`),
    );
  };
  const options = (all: Fields) => Object.entries(all).filter(([, { transient }]) => transient !== true);
  const shared = options(common(0)).filter(([name]) => name !== 'learning_rate');

  it('list the options that every optimizer has, with their defaults', () => {
    check(/^## Options of every/, shared);
  });
  for (const cls of classes)
    it(`list the options of ${cls.className}, with their defaults`, () => {
      const { fields } = cls as unknown as { readonly fields: Fields };
      const parent = Object.getPrototypeOf(cls) as { readonly fields?: Fields };
      const inherited = (name: string) =>
        parent.fields === undefined ? shared.some(([other]) => other === name) : parent.fields[name] === fields[name];
      check(
        new RegExp(`^### ${cls.className}$`),
        options(fields).filter(([name]) => !inherited(name)),
      );
    });
});
