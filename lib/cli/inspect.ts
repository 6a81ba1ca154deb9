// `keras-optimizers inspect FILE`.
import { isPlainObject } from '../configurable.ts';
import type { Command } from './commands.ts';
import { describeFile, type ArrayDescription, type Description, type MemberDescription } from './description.ts';
import { columns } from './text.ts';

export const inspect: Command = {
  usage: 'inspect FILE [--json]',
  help: `Shows what a checkpoint holds: class, config, iteration and learning rate of the optimizer, and the path, shape, dtype
and Euclidean norm of every array. FILE is a .safetensors of this package, or a .keras or .weights.h5 of Keras; its content
says which. The whole file is read and verified: a .safetensors by its SHA-256, the members of a .keras by their CRC. A
.weights.h5 has no checksum, and does not say which class its optimizer has.

Options:
  --json  one JSON object: file, format, class, config, iteration, learning_rate, and the lists optimizer and variables of
          { path, shape, dtype, norm, value }; what the file does not say is left out, and a number that is none is null

Examples:
  keras-optimizers inspect run.safetensors
  keras-optimizers inspect model.keras --json | jq '.variables[] | [.path, .norm]'
`,
  options: { json: { type: 'boolean' } },
  expects: ['FILE'],
  async run([path = ''], { json }, { out }) {
    const description = await describeFile(path);
    out(json === true ? `${JSON.stringify(description, null, 2)}\n` : shown(description));
  },
};

function shown(description: Description): string {
  const { optimizer, wrapped = [], variables } = description;
  return [
    columns(headOf(description), ''),
    configOf(description),
    arraysOf('State of the optimizer', optimizer),
    ...membersOf(wrapped),
    arraysOf('Variables', variables),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function headOf({ file, format, keras_version: version, iteration, learning_rate, ...rest }: Description) {
  const by = format === '.safetensors' ? '' : version === undefined ? ' of Keras' : ` of Keras ${version}`;
  return [
    ['file', file],
    ['format', `${format}${by}`],
    ['class', rest.class ?? 'not in the file'],
    ['iteration', iteration === undefined ? 'not in the file' : String(iteration)],
    ['learning rate', learning_rate === undefined ? 'not in the file' : numberText(learning_rate)],
  ];
}

function configOf({ config }: Description): string {
  if (!isPlainObject(config?.config)) return '';
  return `Config\n${columns(Object.entries(config.config).map(([name, value]) => [name, JSON.stringify(value)]))}`;
}

const membersOf = (members: readonly MemberDescription[], path = ''): string[] =>
  members.flatMap(({ iteration, learning_rate: rate, optimizer, wrapped }, i) => {
    const number = `${path}${i}`;
    const head = `iteration ${iteration}${rate === undefined ? '' : `, learning rate ${numberText(rate)}`}`;
    return [
      arraysOf(`State of the wrapped optimizer ${number}: ${head}`, optimizer) || `${head}\n`,
      ...membersOf(wrapped, `${number}.`),
    ];
  });

function arraysOf(title: string, arrays: readonly ArrayDescription[]): string {
  if (arrays.length === 0) return '';
  const count = arrays.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const hasPlaces = arrays.some(({ layer, place }) => layer !== undefined && place !== undefined);
  const rows = arrays.map(({ path, shape, dtype, norm, value, layer, place }) => [
    path,
    `[${shape.join(', ')}]`,
    dtype,
    value === undefined ? (norm === undefined ? 'not in the file' : numberText(norm)) : `= ${numberText(value)}`,
    [layer ?? '', hasPlaces && place !== undefined ? `trained ${place}` : ''].filter((text) => text !== '').join(', '),
  ]);
  const head = ['path', 'shape', 'dtype', 'norm', ''];
  return `${title} (${arrays.length} arrays, ${count} numbers)\n${columns([head, ...rows])}`;
}

const numberText = (x: number): string => (Number.isInteger(x) ? String(x) : String(Number(x.toPrecision(9))));
