// The optimizer in config.json: left as it is where it says the same, else replaced as a text.
import { CheckpointError } from '../checkpoint/errors.ts';
import { isPlainObject, type Config } from '../configurable.ts';
import { describe } from '../errors.ts';
import { stringify } from '../json.ts';
import type { Optimizer } from '../optimizer.ts';
import { LossScaleOptimizer } from '../optimizers/loss_scale_optimizer.ts';
import { deserialize, get, knownClass, serialize, type CustomObjects } from '../serialization.ts';
import type { KerasFile } from './file.ts';
import { spanOf } from './json_text.ts';
import { formIn } from './load.ts';
import { refusal } from './refusal.ts';

const kKeys = ['compile_config', 'optimizer'];

/** config.json for an optimizer; undefined where it can stay as it is. */
export function configFor(
  file: KerasFile & { readonly config: string },
  optimizer: Optimizer,
  custom: CustomObjects | undefined,
): string | undefined {
  const form = formIn(file);
  const written = writtenBy(file, form, optimizer);
  const span = spanOf(file.config, kKeys) as readonly [number, number]; // the form is there
  const before = file.config.slice(...span);
  const text = stringify(forKeras(file.path, written, before, custom));
  if (text === textOf(form, custom)) return undefined;
  return file.config.slice(0, span[0]) + text + file.config.slice(span[1]);
}

/** A model of mixed_float16 wraps its optimizer by itself, and writes the one inside. */
function writtenBy({ names }: KerasFile, form: unknown, optimizer: Optimizer): Optimizer {
  const isScaled = isPlainObject(form) && form.class_name === 'LossScaleOptimizer';
  const wraps = names.has('optimizer/inner_optimizer/vars') && !isScaled;
  return optimizer instanceof LossScaleOptimizer && wraps ? optimizer.inner_optimizer : optimizer;
}

function textOf(form: unknown, custom: CustomObjects | undefined): string | undefined {
  try {
    return stringify(typeof form === 'string' ? get(form) : deserialize(form, custom));
  } catch {
    return undefined; // a class of Python's
  }
}

/** How an optimizer keeps its state here is no matter of Keras's. */
const kStorage = ['state_dtype', 'state_rounding', 'seed', 'gradient_dtype'];

/** The optimizer, or one without what Keras does not have and need not. */
function forKeras(path: string, optimizer: Optimizer, before: string, custom: CustomObjects | undefined) {
  const form = serialize(optimizer);
  let stripped = false;
  const strip = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(strip);
    if (!isPlainObject(value)) return value;
    checkModule(path, value, before);
    const fields = knownClass(value.class_name, value.registered_name)?.fields ?? {};
    const entries = Object.entries(isPlainObject(value.config) ? value.config : value).filter(([name, option]) => {
      if (!isPlainObject(value.config) || fields[name]?.extension !== true) return true;
      if (!kStorage.includes(name)) throw notOfKeras(path, `${name} = ${describe(option)}`);
      return !(stripped = true);
    });
    const inner = Object.fromEntries(entries.map(([name, option]) => [name, strip(option)]));
    return isPlainObject(value.config) ? { ...value, config: inner } : inner;
  };
  const plain = strip(form);
  return stripped ? deserialize(plain, custom) : optimizer;
}

/** A class that Keras does not have, unless the file names it already. */
function checkModule(path: string, { module, class_name, registered_name: name }: Config, before: string): void {
  if (class_name === undefined || (typeof module === 'string' && /^(keras(\.|$)|builtins$)/.test(module))) return;
  const known = before.includes(JSON.stringify(name)) && before.includes(JSON.stringify(class_name));
  if (!known) throw notOfKeras(path, `the class ${describe(class_name)}`);
}

const notOfKeras = (path: string, what: string): CheckpointError =>
  refusal('ERR_CKPT_CONFIG', path, 'an optimizer that Keras has', what);
