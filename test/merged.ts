// What a sparse gradient stands for, in plain JavaScript: the dense one, with the sum of its slices in each row.
import type { FloatArray, IndexedSlices } from '../lib/index.ts';

/** The dense gradient, in the arithmetic of the dtype that the values have. */
export function merged({ values, indices, dense_shape }: IndexedSlices): FloatArray {
  const size = dense_shape.reduce((product, n) => product * n, 1);
  const columns = dense_shape.slice(1).reduce((product, n) => product * n, 1);
  const dense = values instanceof Float32Array ? new Float32Array(size) : new Float64Array(size);
  const seen = new Set<number>();
  indices.forEach((row, i) => {
    for (let j = 0; j < columns; j++) {
      const [at, value] = [row * columns + j, values[i * columns + j] as number];
      dense[at] = seen.has(row) ? (dense[at] as number) + value : value; // a float32 sum is rounded as it is stored
    }
    seen.add(row);
  });
  return dense;
}
