// Descriptors for classes of the user's own.
import {
  finite,
  flag,
  fraction,
  nonNegative,
  nullable,
  oneOf,
  orCallable,
  positive,
  positiveFraction,
  text,
  whole,
} from './configurable.ts';
import { common } from './optimizers/common.ts';

/**
 * Descriptors of options: a class that lists them in its static `fields` gets their checks, its config and `from_config`. `common(rate)`
 * are the arguments that every Keras optimizer has; the others take the default: `finite`, `fraction` (0 to 1), `positiveFraction` (0
 * excluded), `nonNegative`, `positive`, `whole` (0, 1, ...), `flag` (true or false), `text`, `oneOf` (a list of texts, the first the
 * default), and around one of them `nullable` and `orCallable` (also a function of no arguments).
 *
 * @example static fields = { ...fields.common(0.01), momentum: fields.fraction(0.9) };
 */
export const fields = {
  common,
  finite,
  flag,
  fraction,
  nonNegative,
  nullable,
  oneOf,
  orCallable,
  positive,
  positiveFraction,
  text,
  whole,
} as const;
