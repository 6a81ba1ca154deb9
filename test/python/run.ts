// npm run test:python: configs, steps and states of every class that Python's Keras has too, through Python and back. Outside
// mocha, because Python is optional.
import { parseArgs } from 'node:util';

import { pythonFailure } from '../../bench/python.ts';
import { positive } from '../../bench/training/arguments.ts';
import { checkFiles } from './checkpoints.ts';
import { optimizers, schedules } from './configurations.ts';
import { checkOptimizer, checkRandom, checkSchedule, type Common } from './everything.ts';
import { checkSaved, saved, savedWrappers } from './files.ts';
import { Keras } from './keras.ts';
import { plantInOptimizer, plantInSchedule } from './self_test.ts';
import { checkProgressBar, plantInProgressBar } from './progress_bar.ts';
import type { Tally } from './tally.ts';
import { checkTensorBoard, plantInTensorBoard } from './tensor_board.ts';
import { checkWrapper, wrapped } from './wrappers.ts';

const help = `Checks every optimizer and schedule, files for TensorBoard and progress bars, against Python's Keras.

  npm run test:python -- [options]

  --self-test  instead plants differences, each of which has to be found
  --seed TEXT  of the random configurations; default: 1
  --random N   so many of them; default: 200
  --optional   without Python, says so and succeeds
  --help       this text`;

const known = {
  'self-test': { type: 'boolean', default: false },
  seed: { type: 'string', default: '1' },
  random: { type: 'string', default: '200' },
  optional: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

function readOptions() {
  try {
    const { values } = parseArgs({ options: known });
    if (values.help) {
      console.log(help);
      process.exit(0);
    }
    return { ...values, random: positive('random', values.random) };
  } catch (error) {
    console.error(`${(error as Error).message.split('\n')[0]} (--help shows what is possible)`);
    process.exit(2);
  }
}
const options = readOptions();

async function commonClasses(keras: Keras): Promise<Common> {
  const all = { optimizers: [...optimizers.keys()], schedules: [...schedules.keys()] };
  const { version, ...common } = await keras.ask('known', all);
  const isOurs = (name: string) => !common.optimizers.includes(name) && !common.schedules.includes(name);
  console.log(`${version}; ours alone: ${[...all.optimizers, ...all.schedules].filter(isOurs).join(', ')}`);
  if (common.optimizers.includes('ScheduleFreeAdamW'))
    console.log(
      'ScheduleFreeAdamW of Keras has a bug on TensorFlow: here it runs as test/golden/copied_momentum.py mends it',
    );
  if (common.optimizers.includes('Lamb'))
    console.log('Lamb is missing among the names that Keras reads: here it is entered');
  return common;
}

/** Each line when its checks are done. */
async function* tallies(keras: Keras): AsyncGenerator<Tally> {
  const common = await commonClasses(keras);
  yield await (options['self-test'] ? plantInProgressBar(keras) : checkProgressBar(keras));
  yield* options['self-test'] ? plantInTensorBoard(keras) : checkTensorBoard(keras);
  const [schedule, optimizer] = options['self-test']
    ? [plantInSchedule, plantInOptimizer]
    : [checkSchedule, checkOptimizer];
  for (const name of common.schedules) yield await schedule(keras, name);
  for (const name of common.optimizers) yield await optimizer(keras, name, common);
  if (!options['self-test']) for (const name of Object.keys(wrapped)) yield await checkWrapper(keras, name);
  if (!options['self-test']) yield await checkFiles(keras);
  if (!options['self-test']) yield* savedTallies(keras, common);
  if (!options['self-test']) yield await checkRandom(keras, options.seed, options.random, common);
}

/** Of Keras's files. */
async function* savedTallies(keras: Keras, common: Common): AsyncGenerator<Tally> {
  for (const name of common.optimizers) yield await checkSaved(keras, `files, ${name}`, saved(name));
  yield await checkSaved(keras, 'files, wrappers', savedWrappers);
  const scaled = ['Adam', 'Nadam'].flatMap((name) => saved(name).slice(0, 1));
  yield await checkSaved(keras, 'files, mixed_float16', scaled, 'mixed_float16');
}

/** Whether all is well. */
async function runAll(): Promise<boolean> {
  const keras = new Keras();
  let [passed, failed] = [0, 0];
  try {
    for await (const tally of tallies(keras)) {
      tally.printLine();
      passed += tally.passed;
      failed += tally.failed;
    }
  } finally {
    keras.close();
  }
  const [well, ill] = options['self-test'] ? ['planted differences found', 'not'] : ['checks passed', 'failed'];
  console.log(`${passed} ${well}, ${failed} ${ill}`);
  return passed > 0 && failed === 0;
}

async function main(): Promise<number> {
  const failure = pythonFailure();
  if (failure === undefined) return (await runAll()) ? 0 : 1;
  console.log(`No Python checks: ${failure}`);
  return options.optional ? 0 : 1;
}
process.exitCode = await main();
