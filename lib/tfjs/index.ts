// Every public name of keras-optimizers/tfjs, one list.
export { fileSystem } from './file_system.ts';
export { fitCallbacks } from './fit_callbacks.ts';
export { optimizers } from './optimizers.ts';

export type { TfOptimizer } from './adapter.ts';
export type { FitCallback, FitHooks, TensorFlowCallback } from './fit_callbacks.ts';
export type { FitModel } from './fit_model.ts';
export type { Optimizers, TfOptimizerClass } from './optimizers.ts';
export type { TensorLoss } from './tape.ts';
export type { TensorFlow } from './tensorflow.ts';
