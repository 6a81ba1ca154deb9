// What Keras's callbacks that watch a result share: keras/src/callbacks/monitor_callback.py.
import { checkField, type Field } from '../configurable.ts';
import { rangeError } from '../errors.ts';
import type { Logs } from './callback.ts';

/** Whether low or high results are good; "auto" says so of losses only. */
export type Mode = 'auto' | 'min' | 'max';

const metric: Field<number | null> = {
  required: false,
  default: null,
  expects: 'a number or null',
  is: (x) => typeof x === 'number' || x === null,
  allows: () => true,
};

/** A result of the logs; null if it is missing. */
export const resultOf = (who: string, logs: Logs, monitor: string): number | null =>
  checkField(who, `logs.${monitor}`, metric, logs[monitor] ?? null);

/** Whether low results are good. As in Keras, an unknown mode is warned about and taken as "auto". */
export function isMinimized(who: string, monitor: string, mode: string): boolean {
  if (mode === 'min' || mode === 'max') return mode === 'min';
  if (mode !== 'auto') process.emitWarning(`${who} expects mode to be "auto", "min" or "max", got "${mode}"`);
  if (monitor.replace(/^val_/, '') === 'loss') return true;
  throw rangeError(
    'ERR_OPT_CONFIG_RANGE',
    `${who} expects mode to be "min" or "max", whichever is better for "${monitor}", got "${mode}"`,
  );
}

/** Whether a result is better than the best one by more than `min_delta`, in float32 as in Keras. */
export function isBetter(current: number, best: number | null, min_delta: number, minimized: boolean): boolean {
  if (best === null) return true;
  if (minimized) return Math.fround(current + min_delta) < Math.fround(best);
  return Math.fround(current - min_delta) > Math.fround(best);
}
