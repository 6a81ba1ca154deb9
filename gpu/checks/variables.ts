// Variables here and there, which the checks treat alike.
import { Variable, type DeviceArray, type DeviceName, type Numbers } from '../../lib/index.ts';
import type { Floats } from './numbers.ts';

interface Further {
  readonly shape?: readonly number[];
  readonly name?: string;
}

/** Typed like one on the host; only its `value` is not to be asked for. */
export const variableOn = (device: DeviceName, data: Numbers, further: Further = {}): Variable =>
  new Variable(data, { ...further, device }) as Variable;

export const zerosOn = (device: DeviceName, shape: readonly number[]): Variable =>
  Variable.zeros(shape, { device }) as Variable;

/** A GPU. */
export type GpuName = `cuda:${number}`;

/** Writes into a variable's own gradient, wherever that is. */
export function putGradient(variable: Variable, numbers: Floats): void {
  const gradient = variable.gradient as unknown as Floats | DeviceArray;
  if ('assign' in gradient) gradient.assign(numbers);
  else gradient.set(numbers);
}
