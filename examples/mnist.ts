// Trains a network on MNIST with an optimizer and a schedule of your choice: npm run example -- --help
import { writeFileSync } from 'node:fs';
import { get, serialize, type Optimizer } from 'keras-optimizers';
import { History } from './history.ts';
import { batches, kClasses, kPixels, loadMnist, type Images } from './mnist-data.ts';
import { Network, type Score } from './network.ts';
import { readOptions, type Options } from './options.ts';
import { Mean, Progress } from './progress.ts';
import { mulberry32 } from './random.ts';
import { schedules, type Choice } from './schedules.ts';

const options = readOptions(process.argv.slice(2));
const { epochs, batchSize, hidden, output } = options;
const { train, test } = loadMnist(options.train);
const steps = Math.ceil(train.labels.length / batchSize); // of an epoch

const random = mulberry32(options.seed);
const network = new Network(kPixels, hidden, kClasses, random);
const optimizer = makeOptimizer(options, epochs * steps);
optimizer.build(network.variables);
console.log(JSON.stringify(serialize(optimizer), null, 2));

const history = new History(steps);
const start = performance.now();
for (let epoch = 1; epoch <= epochs; epoch++) {
  const progress = new Progress(`Epoch ${epoch}/${epochs}`, steps);
  for (const batch of batches(train, batchSize, random)) {
    const { learning_rate } = optimizer;
    const score = network.run(batch, true); // writes the variables' gradients,
    const step = optimizer.apply_async(); // which are used here, while the bar is drawn
    history.addStep(score, learning_rate);
    await progress.step(score, batch.labels.length, learning_rate);
    await step;
  }
  const score = evaluate(test);
  progress.end(score);
  history.addEpoch(progress.mean, score);
}
report((performance.now() - start) / 1000);

/** As `new Nadam({ learning_rate: new ExponentialDecay({ ... }) })`, with the names from the command line. */
function makeOptimizer({ optimizer: name, schedule, learningRate }: Options, allSteps: number): Optimizer {
  const made = get(name); // readOptions has checked both names
  const boldness = name === 'sgd' ? 20 : 3; // a network this small bears more than Keras's default
  const rate = learningRate ?? boldness * made.learning_rate;
  made.learning_rate = (schedules[schedule] as Choice).make(rate, allSteps);
  return made;
}

function evaluate(images: Images): Score {
  const mean = new Mean();
  for (const batch of batches(images, 100)) mean.add(network.run(batch, false), batch.labels.length);
  return mean;
}

function report(seconds: number): void {
  const accuracy = `test accuracy ${(100 * history.testAccuracy).toFixed(2)} %`;
  const shape = `${kPixels} \u2192 ${hidden} \u2192 ${kClasses} network`;
  const run = `epochs: ${epochs}, steps: ${epochs * steps}, batch size: ${batchSize}, learning rate: ${options.schedule}`;
  writeFileSync(output, history.chart(`MNIST with ${optimizer.constructor.name}: ${accuracy}`, `${shape}, ${run}`));
  console.log(`${accuracy} after ${seconds.toFixed(1)} s; chart: ${output}`);
}
