// npm run bench:report -- RESULT.json...: the charts into docs/figures/, the tables into docs/performance.md between its
// markers. Of a trial that several files have, the last one's counts.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { format, resolveConfig } from 'prettier';

import { charts } from './report_charts.ts';
import { tables } from './report_tables.ts';
import type { Trial } from './report_trials.ts';
import type { Result } from './run.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const page = here('../docs/performance.md');
const begin = '<!-- bench:report begins; npm run bench:report writes what follows -->';
const end = '<!-- bench:report ends -->';

const keyOf = ({ rule, work, variant, threads }: Trial): string => [rule, work, variant, threads].join();

async function replaceBetweenMarkers(content: string): Promise<void> {
  const text = readFileSync(page, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no lines "${begin}" and "${end}"`);
  const replaced = `${text.slice(0, from)}${begin}\n\n${content}\n\n${text.slice(to)}`;
  writeFileSync(page, await format(replaced, { ...(await resolveConfig(page)), parser: 'markdown' }));
}

const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error('usage: npm run bench:report -- bench/results/NAME.json...');
  process.exit(2);
}
const results = paths.map((path) => JSON.parse(readFileSync(path, 'utf8')) as Result);
const trials = [...new Map(results.flatMap((result) => result.trials).map((trial) => [keyOf(trial), trial])).values()];
mkdirSync(here('../docs/figures'), { recursive: true });
const drawn = charts(results, trials);
for (const { name, svg } of drawn) writeFileSync(here(`../docs/figures/${name}.svg`), svg);
const images = drawn.map(({ name, title }) => `![${title}](figures/${name}.svg)`);
await replaceBetweenMarkers([...images, ...tables(results, trials)].join('\n\n'));
console.log(`docs/performance.md and ${drawn.map(({ name }) => `docs/figures/${name}.svg`).join(', ')}`);
