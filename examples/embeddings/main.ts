// Word vectors by sparse gradients, with the optimizers of your choice: npm run example:embeddings -- --help
import { writeFileSync } from 'node:fs';

import { get } from 'keras-optimizers';

import { circumstances } from '../../bench/circumstances.ts';
import { replacePart } from '../../charts/page.ts';
import { loadCorpus } from './corpus.ts';
import { kScript, rateOf, readOptions } from './options.ts';
import { figureOf, tablesOf } from './report.ts';
import { train } from './training.ts';

const options = readOptions();
const { dimensions, batchSize, output, page } = options;
const corpus = loadCorpus(options.verses);
const trainings = options.optimizers.map((name) => {
  const optimizer = get(name);
  optimizer.learning_rate = rateOf(name) ?? optimizer.learning_rate;
  return train(corpus, optimizer, options);
});
const tables = tablesOf(corpus, trainings);
const subtitle = `${corpus.words.length} words, ${dimensions} dimensions, ${batchSize} pairs a step`;
writeFileSync(output, figureOf(trainings, 'Word vectors by sparse gradients', subtitle));
console.log(`${tables}\n\nchart: ${output}`);
if (page !== undefined) {
  const { date, cpu, node, command } = circumstances(kScript);
  await replacePart(page, kScript, `${tables}\n\n${date.slice(0, 10)}, ${cpu}, Node ${node}: \`${command}\``);
}
