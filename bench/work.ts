// What is stepped: one tensor, the tensors of known networks, or many small ones.
import { countOf } from '../lib/bench/count.ts';
import type { Shape } from '../lib/bench/loops/loop.ts';

export type { Shape };

export const elementsOf = (shape: Shape): number => shape.reduce((product, side) => product * side, 1);
export const totalOf = (shapes: readonly Shape[]): number => shapes.reduce((sum, shape) => sum + elementsOf(shape), 0);

/** Kernel, bias, and the batch normalization's gamma and beta. */
const convolution = (size: number, from: number, to: number): Shape[] => [[size, size, from, to], [to], [to], [to]];

/** keras.applications.ResNet50: 214 trainable tensors, 25,583,592 elements. */
function resnet50(): Shape[] {
  const shapes = convolution(7, 3, 64);
  let width = 64;
  for (const [filters, blocks] of [
    [64, 3],
    [128, 4],
    [256, 6],
    [512, 3],
  ] as const)
    for (let block = 0; block < blocks; block++) {
      if (block === 0) shapes.push(...convolution(1, width, 4 * filters)); // the shortcut
      shapes.push(...convolution(1, width, filters), ...convolution(3, filters, filters));
      shapes.push(...convolution(1, filters, 4 * filters));
      width = 4 * filters;
    }
  return [...shapes, [width, 1000], [1000]];
}

/** GPT-2 124M: 148 tensors, 124,439,808 elements. */
function gpt2(width = 768, layers = 12): Shape[] {
  const norm: Shape[] = [[width], [width]];
  const dense = (from: number, to: number): Shape[] => [[from, to], [to]];
  const attention = [...norm, ...dense(width, 3 * width), ...dense(width, width)];
  const mlp = [...norm, ...dense(width, 4 * width), ...dense(4 * width, width)];
  const blocks = Array.from({ length: layers }, () => [...attention, ...mlp]).flat();
  return [[50257, width], [1024, width], ...blocks, ...norm];
}

/** A table of which a step looks up some rows. */
const embedding = (): Shape[] => [[1_000_000, 64]];

/**
 * A network of any size that is a power of two from 1K on; undefined for others. Seven kernels, each half as large as the one before,
 * and eight biases that make up the rest: most of a network's elements are in few of its tensors.
 */
function layered(elements: number): Shape[] | undefined {
  if (!(elements >= 2 ** 10 && Number.isInteger(Math.log2(elements)))) return undefined;
  const kernel = (length: number): Shape => {
    const columns = 2 ** Math.floor(Math.log2(length) / 2);
    return [length / columns, columns];
  };
  const kernels = Array.from({ length: 7 }, (_, i) => kernel(elements / 2 ** (i + 1)));
  return [...kernels, ...Array.from({ length: 8 }, () => [elements / 2 ** 10])];
}

const networks: Readonly<Record<string, () => Shape[]>> = { resnet50, gpt2, embedding };

/** Any of them, for the command line's help. */
export const workForms = `${Object.keys(networks).join(' ')}, a number of elements such as 256K, 1000x1K for 1000 tensors, or layered:4M for 15 of many sizes`;

/** The shapes that a word stands for; undefined if it stands for none. */
export function shapesOf(word: string): Shape[] | undefined {
  const network = networks[word];
  if (network !== undefined) return network();
  if (word.startsWith('layered:')) return layered(countOf(word.slice('layered:'.length)));
  const [tensors, elements] = word.includes('x') ? word.split('x') : ['1', word];
  const [count, length] = [countOf(tensors ?? ''), countOf(elements ?? '')];
  if (Number.isNaN(count + length)) return undefined;
  return Array.from({ length: count }, () => [length]);
}
