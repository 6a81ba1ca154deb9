// Trains a network on MNIST with the optimizers and the schedule of your choice: npm run example -- --help
import { writeFileSync } from 'node:fs';
import { Optimizer, serialize, type Variable } from 'keras-optimizers';
import { loadKerasOptimizer } from 'keras-optimizers/keras';
import { circumstances } from '../bench/circumstances.ts';
import { replacePart } from '../charts/page.ts';
import { figureOfAll, figureOfOne } from './figures.ts';
import { kClasses, kPixels } from './mnist-data.ts';
import { makeOptimizer, settingOf } from './optimizers.ts';
import { kScript, readOptions } from './options.ts';
import { table, type Training } from './table.ts';
import { stepsOf, train, type Start } from './training.ts';

const options = readOptions();
const { epochs, batchSize, hidden, output, page } = options;
const steps = epochs * stepsOf(options);
const subtitle = `${kPixels} \u2192 ${hidden} \u2192 ${kClasses} network, epochs: ${epochs}, steps: ${steps}, batch size: ${batchSize}`;
const several = options.optimizers.length > 1;

const trainings: Training[] = [];
for (const name of options.optimizers) {
  const own = settingOf(name);
  const schedule = options.schedule ?? own.schedule;
  const start: Start = async (variables) => {
    if (options.resume !== undefined) return shown(await loaded(options.resume, variables));
    const optimizer = makeOptimizer(name, { rate: options.learningRate ?? own.rate, schedule }, steps);
    optimizer.build(variables);
    return shown(optimizer);
  };
  trainings.push({ history: await train(options, start), schedule });
}
await (several ? reportAll(trainings) : trainings.forEach(reportOne));

/** Weights and optimizer of a file of ours, or of one that Keras wrote. */
async function loaded(path: string, variables: readonly Variable[]): Promise<Optimizer> {
  if (path.endsWith('.keras')) return (await loadKerasOptimizer(path, { variables })).optimizer;
  return Optimizer.load(path, { variables });
}

function shown(optimizer: Optimizer): Optimizer {
  if (!several) console.log(JSON.stringify(serialize(optimizer), null, 2));
  return optimizer;
}

function reportOne({ history, schedule }: Training): void {
  const accuracy = `test accuracy ${(100 * history.last.test.accuracy).toFixed(2)} %`;
  const title = `MNIST with ${history.name}: ${accuracy}`;
  writeFileSync(output, figureOfOne(history, title, `${subtitle}, learning rate: ${schedule}`));
  console.log(`${accuracy} after ${history.seconds.toFixed(1)} s; chart: ${output}`);
}

async function reportAll(trainings: readonly Training[]): Promise<void> {
  const histories = trainings.map(({ history }) => history);
  writeFileSync(output, figureOfAll(histories, `MNIST with ${histories.length} optimizers`, subtitle));
  const { date, command, cpu, node } = circumstances(kScript);
  console.log(`${table(trainings, true)}\nchart: ${output}`);
  if (page)
    await replacePart(
      page,
      kScript,
      `${table(trainings, false)}\n\n${date.slice(0, 10)}, ${cpu}, Node ${node}: \`${command}\``,
    );
}
