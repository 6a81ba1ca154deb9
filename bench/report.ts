// npm run bench:report -- RESULT.json...: the charts into docs/figures/, the tables into docs/performance.md between its
// markers. Of a trial that several files have, the last one's counts. Results of --rules have tables of their own.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { replacePart } from '../charts/page.ts';
import { charts } from './report_charts.ts';
import { tables } from './report_tables.ts';
import type { Trial } from './report_trials.ts';
import type { Result } from './run.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const page = here('../docs/performance.md');

const keyOf = ({ rule, work, variant, threads }: Trial): string => [rule, work, variant, threads].join();

const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error('usage: npm run bench:report -- bench/results/NAME.json...');
  process.exit(2);
}
const read = paths.map((path) => JSON.parse(readFileSync(path, 'utf8')) as Result);
const trialsOf = (results: readonly Result[]): Trial[] => [
  ...new Map(results.flatMap(({ trials }) => trials).map((trial) => [keyOf(trial), trial])).values(),
];
const results = read.filter(({ plan }) => plan !== 'rules');
const trials = trialsOf(results);
const ofRules = trialsOf(read.filter((result) => !results.includes(result)));
mkdirSync(here('../docs/figures'), { recursive: true });
const drawn = charts(results, trials);
for (const { name, svg } of drawn) writeFileSync(here(`../docs/figures/${name}.svg`), svg);
const images = drawn.map(({ name, title }) => `![${title}](figures/${name}.svg)`);
await replacePart(page, 'bench:report', [...images, ...tables(read, trials, ofRules)].join('\n\n'));
console.log(`docs/performance.md and ${drawn.map(({ name }) => `docs/figures/${name}.svg`).join(', ')}`);
