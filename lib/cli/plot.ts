// `keras-optimizers plot SCHEDULE.json`.
import { writeFile } from 'node:fs/promises';
import { styleText } from 'node:util';

import { characters } from '../charts/characters.ts';
import { lineChart, type Point } from '../charts/lines.ts';
import { systemError } from '../checkpoint/errors.ts';
import { serialize, type LearningRateSchedule } from '../index.ts';
import { UsageError, type Command, type Terminal } from './commands.ts';
import { countIn } from './count.ts';
import { curveOf, lengthOf } from './curve.ts';
import { scheduleIn } from './schedule_in.ts';
import { printable } from './text.ts';

export const plot: Command = {
  usage: 'plot SCHEDULE.json [--steps N] [--svg FILE | --json] [--ascii]',
  help: `Draws the learning rate of a schedule over the steps: in the terminal, or as an SVG. SCHEDULE.json is what
JSON.stringify(schedule) gives here, or json.dumps(keras.optimizers.schedules.serialize(schedule)) in Python: an object with
class_name and config. The config of an optimizer or of a model with a schedule in it will do, and so will a checkpoint: a
.safetensors of this package, or a .keras of Keras. With - the JSON is read from the standard input.

Options:
  --steps N             from step 0 to step N; if it is not given, until the schedule has become constant, or four times as long as
                        its config counts
  --svg FILE, -o FILE   writes an SVG, which shows dark where the reader's system is; - for the standard output
  --json                one JSON object: schedule, and the lists steps and values
  --ascii               no other characters than those of ASCII; so it is where the locale is not UTF-8

Examples:
  keras-optimizers plot schedule.json --steps 10000 --svg schedule.svg
  keras-optimizers plot model.keras
  echo '{ "class_name": "CosineDecay", "config": { "initial_learning_rate": 0.1, "decay_steps": 1000 } }' | keras-optimizers plot -
`,
  options: {
    steps: { type: 'string' },
    svg: { type: 'string', short: 'o' },
    json: { type: 'boolean' },
    ascii: { type: 'boolean' },
  },
  expects: ['SCHEDULE.json'],
  async run([path = ''], { steps: asked, svg, json, ascii }, terminal) {
    const given = typeof asked === 'string' ? countIn('--steps', asked, kMost) : undefined;
    if (typeof svg === 'string' && svg !== '-' && !svg.endsWith('.svg'))
      throw new UsageError(`--svg expects a file that ends in .svg, got ${JSON.stringify(svg)}`);
    if (svg !== undefined && json === true) throw new UsageError('expects --svg or --json, not both');
    const schedule = await scheduleIn(path, terminal);
    const steps = given ?? lengthOf(schedule);
    if (json === true) return terminal.out(jsonOf(schedule, steps));
    if (typeof svg === 'string') return writeSvg(svg, schedule, steps, terminal);
    terminal.out(shown(schedule, steps, { ...terminal, ...(ascii === true && { unicode: false }) }));
  },
};

const kMost = 1e12; // steps
const kPoints = 1500; // of the SVG, in which more cannot be told apart
const kFine = 16; // points for each character
const kHeight = 16; // lines
const kNarrow = 40; // characters

function jsonOf(schedule: LearningRateSchedule, steps: number): string {
  const points = curveOf(schedule, steps, kPoints);
  const lists = { steps: points.map(([step]) => step), values: points.map(([, value]) => value) };
  return `${JSON.stringify({ schedule: serialize(schedule), ...lists })}\n`;
}

async function writeSvg(file: string, schedule: LearningRateSchedule, steps: number, { out }: Terminal): Promise<void> {
  const points = curveOf(schedule, steps, kPoints);
  const text = lineChart({
    title: schedule.constructor.name,
    subtitle: optionsOf(schedule),
    x: 'steps',
    panels: [{ title: 'Learning rate', height: 300, series: [{ points, color: 'blue', label: lastOf(points) }] }],
  });
  if (file === '-') return out(text);
  await writeFile(file, text).catch((error: unknown) => {
    throw systemError(`writing ${file}`, error);
  });
  out(`${file}: ${steps + 1} steps of ${schedule.constructor.name}\n`);
}

function shown(schedule: LearningRateSchedule, steps: number, { width = 80, unicode, color }: Terminal): string {
  const look = { width: Math.max(width, kNarrow), height: kHeight, ascii: unicode !== true };
  const points = curveOf(schedule, steps, kFine * look.width);
  const paint = (text: string): string => (color === true ? styleText('cyan', text, { validateStream: false }) : text);
  const head = printable(`learning rate of ${schedule.constructor.name}, ${optionsOf(schedule)}`);
  return `${[...wrapped(head, look.width), '', ...characters(points, 'steps', look, paint)].join('\n')}\n`;
}

/** Lines that end between two words, where that is possible. */
const wrapped = (text: string, width: number): string[] =>
  text.match(new RegExp(`\\S.{0,${width - 1}}(?= |$)|\\S+`, 'g')) ?? [];

/** Those of the config that tell one from another. */
const optionsOf = (schedule: LearningRateSchedule): string =>
  Object.entries(schedule.get_config())
    .filter(([name, value]) => name !== 'name' && value !== null)
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');

const lastOf = (points: readonly Point[]): string => `${Number(points.at(-1)?.[1].toPrecision(4))}`;
