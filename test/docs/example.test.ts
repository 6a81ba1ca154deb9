// The example from the command line: what it refuses, and what a comparison of optimizers leaves behind.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';
import * as library from 'keras-optimizers';

const cwd = fileURLToPath(new URL('../..', import.meta.url));
const run = (...args: string[]) =>
  spawnSync(process.execPath, ['--import', 'tsx', 'examples/mnist.ts', ...args], { cwd, encoding: 'utf8' });
const wrappers = ['LossScaleOptimizer', 'MultiOptimizer'];
const exported = Object.entries(library).flatMap(([name, value]) =>
  typeof value === 'function' && value.prototype instanceof library.Optimizer && !wrappers.includes(name) ? [name] : [],
);

describe('npm run example', function () {
  this.timeout(60_000);
  let folder = '';
  const at = (name: string): string => join(folder, name);
  before(() => (folder = mkdtempSync(join(tmpdir(), 'example-'))));
  after(() => rmSync(folder, { recursive: true }));

  it('lists every optimizer that the library exports, with a rate and a schedule', () => {
    const { status, stdout } = run('--help');
    assert.equal(status, 0);
    assert.isAtLeast(exported.length, 4);
    for (const name of exported) assert.match(stdout, new RegExp(`^  ${name.toLowerCase()} +[\\d.]+, [a-z-]+$`, 'm'));
  });

  const refused: Readonly<Record<string, readonly string[]>> = {
    '--optimizer expects one of all, ada.*, got "adm"': ['--optimizer', 'adam,adm'],
    '--schedule expects one of constant, .*, got ""': ['--optimizer', 'all', '--schedule', ''],
    '--learning-rate expects a number > 0, got "0"': ['--optimizer', 'all', '--learning-rate', '0'],
    '--page expects several optimizers, got sgd': ['--optimizer', 'sgd', '--page', 'README.md'],
    '--checkpoint expects one optimizer, got adam,sgd': ['--optimizer', 'adam,sgd', '--checkpoint', 'x.safetensors'],
    '--resume expects a file name that ends in .safetensors or .keras, got "x.svg"': ['--resume', 'x.svg'],
    '--page expects a page with a part for the table, got README.md has no lines "<!-- example begins': [
      '--optimizer',
      'all',
      '--page',
      'README.md',
    ],
  };
  for (const [message, args] of Object.entries(refused))
    it(`ends with exit code 2: ${message}`, () => {
      const { status, stdout, stderr } = run('--output', at('refused.svg'), ...args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, new RegExp(`^${message}`));
    });

  it('goes on from a checkpoint as if it had not been interrupted', () => {
    const options = ['--epochs', '2', '--train', '320', '--hidden', '8', '--output', at('resumed.svg')];
    const epochs = (stdout: string) => stdout.split('\n').filter((line) => /epoch 2\/2 .*loss/.test(line));
    const facts = (stdout: string) => epochs(stdout).map((line) => line.replace(/ - \d+ steps\/s$/, ''));
    const whole = run(...options, '--checkpoint', at('run-{epoch}.safetensors'));
    const resumed = run(...options, '--resume', at('run-1.safetensors'));
    assert.deepEqual([whole.status, resumed.status], [0, 0], resumed.stderr);
    assert.lengthOf(facts(whole.stdout), 5);
    assert.deepEqual(facts(resumed.stdout), facts(whole.stdout));
    assert.notInclude(resumed.stdout, 'epoch 1/2');
    const other = run(...options, '--batch-size', '60', '--resume', at('run-1.safetensors'));
    assert.equal(other.status, 1);
    assert.include(other.stderr, '--resume expects a whole number of epochs of 6 steps, got 5 steps');
  });

  it("goes on from a file of Python's Keras, with its weights and its state", () => {
    const file = fileURLToPath(new URL('../golden/mnist-nadam.keras', import.meta.url));
    const options = ['--epochs', '2', '--train', '320', '--hidden', '8', '--output', at('keras.svg')];
    const { status, stdout, stderr } = run(...options, '--resume', file);
    assert.equal(status, 0, stderr);
    assert.notInclude(stdout, 'epoch 1/2');
    const first = (text: string) => Number(/loss: (\d\.\d+)/.exec(text)?.[1]);
    assert.isBelow(first(stdout), 2.1); // a new network has ln 10 = 2.30
    const config = JSON.parse(stdout.slice(0, stdout.indexOf('\n}') + 2)) as { class_name: string };
    assert.equal(config.class_name, 'Nadam');
  });

  it('trains the same network with several optimizers: a figure of them, a table, a part of a page', () => {
    const page = at('page.md');
    writeFileSync(
      page,
      'before\n\n<!-- example begins; npm run example writes what follows -->\n<!-- example ends -->\n',
    );
    const oneStep = ['--epochs', '1', '--train', '640', '--batch-size', '640', '--output', at('few.svg')];
    const { status, stdout, stderr } = run('--optimizer', 'SGD,adam', '--page', page, ...oneStep);
    assert.equal(status, 0, stderr);
    for (const text of [stdout, readFileSync(page, 'utf8')]) {
      const rows = [...text.matchAll(/^\| ((?:SGD|Adam) .*) \|$/gm)].map(([, row]) => row?.split(/ *\| */) ?? []);
      assert.deepEqual(
        rows.map(([name, schedule]) => [name, schedule]),
        [
          ['SGD', 'exponential'],
          ['Adam', 'exponential'],
        ],
      );
      const [[, , rate, training, test, accuracy], [, , rate2, training2, test2, accuracy2]] = rows as [
        string[],
        string[],
      ];
      assert.equal(training, training2, 'the loss before the only step');
      assert.notEqual(test, test2, 'the loss after it');
      for (const number of [rate, rate2, test, test2, accuracy, accuracy2]) assert.isAbove(Number(number), 0);
    }
    assert.lengthOf(readFileSync(at('few.svg'), 'utf8').match(/>(SGD|Adam) [\d.]+<\/text>/g) ?? [], 2 * 3); // panels
  });
});
