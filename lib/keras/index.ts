// Keras's files: `keras-optimizers/keras`. Needs the package h5wasm, which is loaded when the first file is read.
import '../index.ts'; // which registers the classes that files name

export { loadKerasOptimizer } from './load.ts';
export { saveKerasOptimizer } from './save.ts';

export type { LoadedKeras, LoadKerasOptions } from './load.ts';
export type { KerasWeight, SaveKerasOptions } from './save.ts';
export type { KerasNumbers, KerasVariable } from './types.ts';
