// Variables of TensorFlow.js in place of a problem's own.
import * as tf from '@tensorflow/tfjs-core';

import type { Variable } from '../lib/index.ts';
import { spaceOf, type TensorSpace } from '../lib/tfjs/space.ts';
import type { Setting } from './golden.ts';

/** Whose step is composed of TensorFlow.js's operations whatever the backend; others have a native one. */
export const space: TensorSpace = spaceOf(tf);

/** The numbers of a variable, wherever they lie. */
export function valuesOf(variable: Variable): number[] {
  const tensor = space.tensorOf(variable);
  const values = [...tensor.dataSync()];
  tensor.dispose();
  return values;
}

export interface InTensors extends Setting {
  /** TensorFlow.js's variables that have been made. */
  readonly shown: tf.Variable[];
  readonly dispose: () => void;
}

/** Where a problem's variables are TensorFlow.js's, of the same names: dispose of them before the next ones are made. */
export function inTensors(): InTensors {
  const shown: tf.Variable[] = [];
  const one = (initial: readonly number[], shape: readonly number[], name: string): Variable => {
    const tensor = tf.tensor([...initial], [...shape], 'float32');
    const variable = tf.variable(tensor, true, name);
    tensor.dispose();
    shown.push(variable);
    return space.variable(variable);
  };
  return {
    shown,
    make: ({ variables }) => variables.map(({ name, shape, initial }) => one(initial, shape, name)),
    read: valuesOf,
    dispose: () => shown.forEach((variable) => variable.dispose()),
  };
}
