// Curves of schedules: what the SVG and the terminal show are the schedule's numbers.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import { characters } from '../lib/charts/characters.ts';
import type { Terminal } from '../lib/cli/commands.ts';
import { lengthOf } from '../lib/cli/curve.ts';
import { main } from '../lib/cli/main.ts';
import * as library from '../lib/index.ts';
import { isUnicode } from '../lib/cli/text.ts';
import type { LearningRateSchedule } from '../lib/index.ts';

const { CosineDecay, CosineDecayRestarts, ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, WarmUp } = library;

const schedules: Readonly<Record<string, LearningRateSchedule>> = {
  cosine: new CosineDecay({ initial_learning_rate: 0, warmup_target: 0.1, warmup_steps: 100, decay_steps: 900 }),
  restarts: new CosineDecayRestarts({ initial_learning_rate: 0.01, first_decay_steps: 150 }),
  exponential: new ExponentialDecay({ initial_learning_rate: 3e-4, decay_steps: 70, decay_rate: 0.9 }),
  stairs: new ExponentialDecay({ initial_learning_rate: 1, decay_steps: 200, decay_rate: 0.5, staircase: true }),
  pieces: new PiecewiseConstantDecay({ boundaries: [300, 600], values: [0.1, 0.01, 0.001] }),
  polynomial: new PolynomialDecay({ initial_learning_rate: 0.1, decay_steps: 500, end_learning_rate: 0.02 }),
};
const golden = (name: string): string => fileURLToPath(new URL(`golden/model-${name}`, import.meta.url));

let folder = '';
const at = (name: string): string => join(folder, name);
before(() => void (folder = mkdtempSync(join(tmpdir(), 'plot-'))));
after(() => rmSync(folder, { recursive: true }));

async function plot(args: readonly string[], terminal: Partial<Terminal> = {}) {
  const [out, error]: [string[], string[]] = [[], []];
  const code = await main(['plot', ...args], {
    ...terminal,
    out: (text) => void out.push(text),
    error: (text) => void error.push(text),
  });
  return { code, out: out.join(''), error: error.join('') };
}

async function drawn(args: readonly string[], terminal?: Partial<Terminal>): Promise<string> {
  const { code, out, error } = await plot(args, terminal);
  assert.equal(code, 0, error);
  return out;
}

const fed = (form: unknown): Partial<Terminal> => ({ input: () => Promise.resolve(JSON.stringify(form)) });
const { serialize } = library;

/** A linear function through two ticks, which are pairs of a place and a number. */
function scaleOf(ticks: readonly (readonly [number, number])[]): (place: number) => number {
  const [[p0, v0], [p1, v1]] = [ticks[0] as [number, number], ticks.at(-1) as [number, number]];
  assert.notEqual(p0, p1);
  return (place) => v0 + ((place - p0) / (p1 - p0)) * (v1 - v0);
}

const numbers = (pattern: RegExp, text: string): [number, number][] =>
  [...text.matchAll(pattern)].map(([, a, b]) => [Number(a), Number(b)]);

/** The lit dots of a column, and how many rows of them there are, of braille with an axis. */
function dotsIn(rows: readonly string[]): Map<number, number[]> {
  const bits = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80];
  const dots = new Map<number, number[]>();
  rows.forEach((row, y) =>
    [...row].forEach((char, x) =>
      bits.forEach((bit, i) => {
        if (((char.codePointAt(0) ?? 0) - 0x2800) & bit && char >= '\u2800') {
          const column = 2 * x + (i % 2);
          dots.set(column, [...(dots.get(column) ?? []), 4 * y + Math.floor(i / 2)]);
        }
      }),
    ),
  );
  return dots;
}

describe('keras-optimizers plot', () => {
  for (const [name, schedule] of Object.entries(schedules)) {
    it(`draws an SVG whose points are schedule(step): ${name}`, async () => {
      const svg = await drawn(['-', '--steps', '1000', '--svg', '-'], fed(schedule));
      const x = scaleOf(numbers(/class="tick middle" x="([\d.]+)" y="[\d.]+">(\d+)</g, svg));
      const y = scaleOf(
        numbers(/class="tick end" x="[\d.]+" y="([\d.]+)">([\d.e-]+)</g, svg).map(([p, v]) => [p - 4, v]),
      );
      const points = numbers(/([\d.]+),([\d.]+)/g, /<path [^>]*d="M([^"]+)"/.exec(svg)?.[1] ?? '');
      assert.lengthOf(points, 1001);
      const pixel = Math.abs(y(1) - y(0));
      points.forEach(([px, py], step) => {
        if (step % 7 !== 0 && ![99, 101, 299, 301].includes(step)) return;
        assert.closeTo(x(px), step, 0.15);
        assert.closeTo(y(py), schedule(step), 0.15 * pixel, `step ${step}`);
      });
    });

    it(`draws characters whose dots are schedule(step): ${name}`, async () => {
      const lines = (await drawn(['-', '--steps', '1000'], { ...fed(schedule), width: 100, unicode: true })).split(
        '\n',
      );
      const corner = lines.findIndex((line) => line.includes('\u2514'));
      const left = (lines[corner] as string).indexOf('\u2514') + 1;
      const rows = lines.filter(
        (line, i) => i < corner && /^[^\u2502\u2524]*[\u2502\u2524]/.test(line) && line.length >= left,
      );
      assert.lengthOf(rows, 16);
      const marks = rows.flatMap((row, i) =>
        row[left - 1] === '\u2524' ? [[4 * i, Number(row.slice(0, left - 1))] as const] : [],
      );
      const y = scaleOf(marks.map(([row, v], i) => [i === marks.length - 1 ? 63 : row, v])); // the ends are those of the axis
      const across = [...(lines[corner] as string).slice(left)].flatMap((char, i) => (char === '\u252c' ? [i] : []));
      const labels = (lines[corner + 1] as string).trim().split(/ +/).slice(0, -1).map(Number);
      const last = 2 * (lines[corner] as string).slice(left).length - 1;
      const x = (column: number): number => (column / last) * (labels.at(-1) as number);
      assert.lengthOf(labels, across.length);
      const dots = dotsIn(rows.map((row) => row.slice(left)));
      const dot = Math.abs(y(1) - y(0));
      for (const [column, lit] of dots) {
        const near = Array.from({ length: 41 }, (_, i) =>
          schedule(Math.min(1000, Math.max(0, x(column + (i - 20) / 20)))),
        );
        for (const row of lit) {
          assert.isAtLeast(y(row), Math.min(...near) - 0.6 * dot, `column ${column}`);
          assert.isAtMost(y(row), Math.max(...near) + 0.6 * dot, `column ${column}`);
        }
      }
      assert.isAtLeast(dots.size, (1000 / (labels.at(-1) as number)) * last - 1);
    });
  }

  it('fits the width, in ASCII alone where there is no UTF-8 or --ascii', async () => {
    for (const width of [40, 60, 133])
      for (const unicode of [true, false]) {
        const text = await drawn(['-'], { ...fed(schedules.cosine), width, unicode });
        assert.isAtMost(Math.max(...text.split('\n').map((line) => line.length)), width);
        assert.equal(/[^\n -~]/.test(text), unicode);
      }
    const text = await drawn(['-', '--ascii'], { ...fed(schedules.cosine), unicode: true });
    assert.notMatch(text, /[^\n -~]/);
    assert.match(text, /\n0\.10 \+ +\*/);
    assert.isTrue(isUnicode({ LC_ALL: '', LANG: 'de_DE.utf8' }, 'linux'));
    assert.isFalse(isUnicode({ LC_ALL: 'C', LANG: 'de_DE.utf8' }, 'linux'));
  });

  it('leaves out what is not finite', () => {
    const lines = characters([[0, 1], [1, NaN], [2, Infinity], [3, 2]], 'x', { width: 40, height: 4, ascii: true }); // prettier-ignore
    assert.include(lines[0], '*');
    assert.match(lines.at(-1) ?? '', /^ +0 .* x$/);
  });

  it('colours the curve alone', async () => {
    const text = await drawn(['-'], { ...fed(schedules.cosine), color: true, unicode: true });
    const plain = await drawn(['-'], { ...fed(schedules.cosine), unicode: true });
    assert.include(text, '\u001b[36m');
    // eslint-disable-next-line no-control-regex -- that is what colours are
    assert.equal(text.replace(/\u001b\[\d+m/g, '').replace(/ +\n/g, '\n'), plain);
  });

  it('gives the numbers with --json', async () => {
    for (const schedule of Object.values(schedules)) {
      const { steps, values, ...rest } = JSON.parse(await drawn(['-', '--json', '--steps', '3000'], fed(schedule))) as {
        readonly steps: number[];
        readonly values: number[];
        readonly schedule: unknown;
      };
      assert.deepEqual([steps[0], steps.at(-1), steps.length], [0, 3000, 1501]);
      assert.deepEqual(values, steps.map((step) => schedule(step))); // prettier-ignore
      assert.deepEqual(rest.schedule, JSON.parse(JSON.stringify(schedule)));
    }
  });

  it('takes a schedule alone, in an optimizer, in a model, in a checkpoint', async () => {
    const schedule = schedules.cosine as LearningRateSchedule;
    const optimizer = new library.Nadam({ learning_rate: schedule });
    const scaled = new library.LossScaleOptimizer({ inner_optimizer: optimizer });
    const form = serialize(schedule);
    const named = { class_name: form.class_name, config: form.config };
    const whole = serialize(optimizer);
    const forms = [schedule, named, whole, whole.config, serialize(scaled), { compile_config: { optimizer: whole } }];
    const first = await drawn(['-', '--json'], fed(schedule));
    for (const one of forms) assert.equal(await drawn(['-', '--json'], fed(one)), first);
    optimizer.build([new library.Variable([1])]);
    await optimizer.save(at('run.safetensors'));
    writeFileSync(at('schedule.json'), `\ufeff\n${JSON.stringify(schedule)}`);
    for (const file of ['run.safetensors', 'schedule.json']) assert.equal(await drawn([at(file), '--json']), first);
    assert.match(
      await drawn([golden('nadam-exponentialdecay.keras')]),
      /^learning rate of ExponentialDecay, [^]*decay_rate 0.8/,
    );
  });

  it('chooses how many steps are worth to be seen', () => {
    assert.equal(lengthOf(schedules.cosine as LearningRateSchedule), 1300); // it ends after 1000
    assert.equal(lengthOf(schedules.pieces as LearningRateSchedule), 750);
    assert.equal(lengthOf(schedules.exponential as LearningRateSchedule), 280); // it does not end
    assert.equal(lengthOf(schedules.restarts as LearningRateSchedule), 600);
    const warm = new WarmUp({ schedule: schedules.polynomial as LearningRateSchedule, warmup_steps: 500 });
    assert.equal(lengthOf(warm), 1300);
  });

  it('writes the SVG into a file, and says what is wrong', async () => {
    const json = at('s.json');
    writeFileSync(json, JSON.stringify(schedules.cosine));
    assert.match(await drawn([json, '-o', at('s.svg')]), /s\.svg: 1301 steps of CosineDecay\n$/);
    assert.match(readFileSync(at('s.svg'), 'utf8'), /^<svg [^]*<\/svg>\n$/);
    writeFileSync(at('no.json'), '{ no');
    const wrong: [number, RegExp, string[], unknown?][] = [
      [1, /ERR_CKPT_IO: reading .*ENOENT/, [at('nothing.json')]],
      [1, /ERR_CKPT_FORMAT: .*no\.json expects JSON/, [at('no.json')]],
      [1, /ERR_CKPT_IO: writing .*ENOENT/, [json, '-o', at('none/s.svg')]],
      [1, /ERR_OPT_CONFIG_TYPE: .*constant learning rate 0\.001/, ['-'], serialize(new library.Adam())],
      [1, /ERR_OPT_CONFIG_TYPE: .*CosineDecay.* got "Mine"/, ['-'], { class_name: 'Mine', config: {} }],
      [1, /ERR_OPT_CONFIG_TYPE: /, ['-'], [1]],
      [1, /ERR_OPT_CONFIG_RANGE: .*decay_steps/, ['-'], { class_name: 'CosineDecay', config: { initial_learning_rate: 1, decay_steps: 0 } }], // prettier-ignore
      [2, /--svg expects a file that ends in \.svg/, [json, '-o', json]],
      [2, /--steps expects a whole number/, [json, '--steps', '0']],
      [2, /not both/, [json, '--svg', '-', '--json']],
    ];
    for (const [code, message, args, form] of wrong) {
      const got = await plot(args, fed(form));
      assert.deepInclude(got, { code, out: '' }, got.error);
      assert.match(got.error, message);
    }
  });

  it('reads what is piped into it', () => {
    const program = fileURLToPath(new URL('../lib/cli/index.ts', import.meta.url));
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', program, 'plot', '-'], {
      encoding: 'utf8',
      input: JSON.stringify(schedules.cosine),
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    });
    assert.match(stdout, /^learning rate of CosineDecay, [^]*\u2524[^]*\u2514\u252c/, stderr);
  });
});
