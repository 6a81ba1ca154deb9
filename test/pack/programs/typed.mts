import { Adam, Variable, info, type Info, type Optimizer } from 'keras-optimizers';
import { ReduceLROnPlateau } from 'keras-optimizers/callbacks';
import type { loadKerasOptimizer } from 'keras-optimizers/keras';

const optimizer: Optimizer = new Adam({ learning_rate: 0.5 });
const weights = new Variable(new Float32Array(3));
optimizer.apply([new Float32Array([1, 2, 3])], [weights]);
const { addon }: Info = info();
const kind: 'environment' | 'build' | 'prebuild' | 'wasm' = addon.kind;
// @ts-expect-error: no such option
export const wrong = (): Optimizer => new Adam({ learningRate: 1 });
export type Used = [typeof loadKerasOptimizer, ReduceLROnPlateau];
console.log(kind, weights.value.join());
