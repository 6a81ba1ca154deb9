// Every public name of keras-optimizers/tfjs, one list.
export { fileSystem } from './file_system.ts';
export { optimizers } from './optimizers.ts';

export type { TfOptimizer } from './adapter.ts';
export type { Optimizers, TfOptimizerClass } from './optimizers.ts';
export type { TensorLoss } from './tape.ts';
export type { TensorFlow } from './tensorflow.ts';
