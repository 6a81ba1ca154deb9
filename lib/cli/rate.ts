// Where a config keeps its learning rate.
import { isPlainObject } from '../configurable.ts';

const kWays = ['compile_config', 'optimizer', 'config', 'inner_optimizer']; // of a model, an optimizer, and one that wraps another

/** The learning rate in a config of an optimizer, serialized or not, or of a model: a number, or the form of a schedule. */
export function rateIn(form: unknown, depth = 0): unknown {
  if (!isPlainObject(form) || depth > 2 * kWays.length) return undefined;
  if (Object.hasOwn(form, 'learning_rate')) return form.learning_rate;
  return kWays.map((way) => rateIn(form[way], depth + 1)).find((found) => found !== undefined);
}
