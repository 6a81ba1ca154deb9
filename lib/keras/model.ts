// The weights of the model, and which of them the optimizer trains, in its order. The file does not list that: it follows from the
// layers in config.json, each of which has its trainable weights first, and from the shapes in the optimizer's state. Where more than one
// arrangement fits, nothing is said.
import { isPlainObject, type Config } from '../configurable.ts';
import { sameShape } from './arrangement.ts';
import { kConfig, objectIn, type KerasFile } from './file.ts';
import type { Stored } from './h5.ts';
import type { KerasVariable } from './types.ts';

/** The weights of a file by layer; `shapes`: those of the variables that the optimizer trains, where they are known. */
export function variablesOf(file: KerasFile, shapes: readonly (readonly number[])[] | undefined): KerasVariable[] {
  const weights = [...file.arrays.values()].filter(({ path }) => isWeight(path));
  const layers = file.config === undefined ? undefined : layersOf(file, weights);
  const trained = layers && trainedOf(layers, shapes);
  const known = layers?.flatMap(({ weights }) => weights) ?? [];
  const ordered = [...known, ...weights.filter((weight) => !known.includes(weight)).sort(byPath)];
  return ordered.map(({ path, shape, dtype, value }) => {
    const place = trained?.findIndex((one) => one.path === path) ?? -1;
    const layer = file.names.get(path.slice(0, path.lastIndexOf('/')));
    return { path, layer, shape, dtype, value, place: place < 0 ? undefined : place };
  });
}

const isWeight = (path: string): boolean => /(^|\/)vars\/\d+$/.test(path) && !path.startsWith('optimizer/');
const { compare } = new Intl.Collator('en', { numeric: true }); // 2 before 10

/** By the parts of the paths: `dense`, `dense_1`, `dense_2`. */
function byPath(a: Stored, b: Stored): number {
  const [first, second] = [a.path.split('/'), b.path.split('/')];
  const at = first.findIndex((part, i) => part !== second[i]);
  return at < 0 ? 0 : compare(first[at] as string, second[at] ?? '');
}

interface Layer {
  readonly weights: readonly Stored[];
  /** How many of them may be trained. */
  readonly counts: readonly number[];
}

/** The layers that have weights, in the model's order; undefined where the file does not say it. */
function layersOf(file: KerasFile, weights: readonly Stored[]): Layer[] | undefined {
  const { config, class_name } = objectIn(file.path, kConfig, file.config ?? '{}');
  if (!isPlainObject(config) || !Array.isArray(config.layers)) return undefined;
  if (class_name !== 'Sequential' && class_name !== 'Functional') return undefined;
  const used = new Map<string, number>();
  const layers = (config.layers as unknown[]).map((layer) => {
    if (!isPlainObject(layer) || typeof layer.class_name !== 'string') return undefined;
    const own = snakeCase(layer.class_name);
    const count = used.get(own) ?? 0;
    used.set(own, count + 1);
    return layerOf(layer, `layers/${own}${count === 0 ? '' : `_${count}`}/`, weights);
  });
  if (layers.includes(undefined)) return undefined;
  const found = (layers as Layer[]).flatMap((layer) => layer.weights);
  return found.length === weights.filter(isOwn).length ? (layers as Layer[]) : undefined;
}

/** A seed is no weight. */
const isOwn = ({ path, dtype }: Stored): boolean => !path.includes('seed_generator') && !dtype.includes('int');

function layerOf(layer: Config, prefix: string, weights: readonly Stored[]): Layer | undefined {
  const own = weights.filter((weight) => weight.path.startsWith(prefix) && isOwn(weight)).sort(byPath);
  const groups = new Set(own.map(({ path }) => path.slice(0, path.lastIndexOf('/'))));
  if (groups.size > 1) return undefined; // a layer of layers: their order is their matter
  return { weights: own, counts: countsOf(layer, own.length) };
}

function countsOf({ class_name, config }: Config, length: number): number[] {
  if (isPlainObject(config) && config.trainable === false) return [0];
  if (class_name === 'BatchNormalization') return [Math.max(0, length - 2)]; // moving mean and variance
  return simple.includes(class_name as string) ? [length] : Array.from({ length: length + 1 }, (_, i) => i);
}

/** Layers all of whose weights are trained. */
const simple = [
  'Dense',
  'Conv1D',
  'Conv2D',
  'Conv3D',
  'Conv1DTranspose',
  'Conv2DTranspose',
  'DepthwiseConv2D',
  'SeparableConv2D',
  'Embedding',
  'LayerNormalization',
  'LSTM',
  'GRU',
  'SimpleRNN',
];

const kMost = 1 << 16; // arrangements that are looked at

/** The trained weights in order, if only one arrangement fits. */
function trainedOf(layers: readonly Layer[], shapes: readonly (readonly number[])[] | undefined): Stored[] | undefined {
  let [looked, found] = [0, [] as Stored[][]];
  const look = (i: number, before: readonly Stored[]): void => {
    if (found.length > 1 || ++looked > kMost) return;
    if (shapes?.slice(0, before.length).some((shape, j) => !sameShape(shape, before[j]?.shape ?? []))) return;
    if (shapes !== undefined && before.length > shapes.length) return;
    const layer = layers[i];
    if (layer === undefined) {
      if (shapes === undefined || before.length === shapes.length) found = [...found, [...before]];
      return;
    }
    for (const count of layer.counts) look(i + 1, [...before, ...layer.weights.slice(0, count)]);
  };
  look(0, []);
  return looked <= kMost && found.length === 1 ? found[0] : undefined;
}

/** As Keras's to_snake_case. Source: keras/src/utils/naming.py. */
export const snakeCase = (name: string): string =>
  name
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
