// The learning rate as Keras's callbacks see it: the optimizer's variable, which is float32 unless the first trained variable is
// float64. So every decision that depends on the rate is Keras's.
import { checkField, finite, whole, type Field } from '../configurable.ts';
import { typeError } from '../errors.ts';
import type { Optimizer } from '../optimizer.ts';
import { titleOf, type Logs } from './callback.ts';

/** The optimizer whose rate it is: the inner one of a LossScaleOptimizer, whose own rate is not used. Throws if there are several. */
function ratedBy(who: string, optimizer: Optimizer): Optimizer {
  if ('inner_optimizer' in optimizer) return ratedBy(who, optimizer.inner_optimizer as Optimizer);
  if (!('optimizers' in optimizer)) return optimizer;
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `${who} expects an optimizer with one learning rate, got ${titleOf(optimizer)}: give the callback each of its optimizers`,
  );
}

/** The learning rate that a callback may replace. Throws where a schedule or a function says what it is. */
export function readRate(who: string, optimizer: Optimizer): number {
  const held = ratedBy(who, optimizer).variables.find(({ name }) => name === 'learning_rate');
  if (held !== undefined) return held.value[0] as number;
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `${who} expects the learning rate of ${titleOf(optimizer)} to be a number, which it can replace, got a schedule or a function: ` +
      `give the optimizer a number as learning_rate, or drop ${who}`,
  );
}

const object: Field<Logs | null | undefined> = {
  required: false,
  default: null,
  expects: 'an object',
  is: (x) => x === undefined || (typeof x === 'object' && !Array.isArray(x)),
  allows: () => true,
};

/** The logs of the caller, or new ones. */
export const checkLogs = (who: string, logs: Logs | null | undefined): Logs =>
  checkField(who, 'logs', object, logs) ?? {};
export const checkEpoch = (who: string, epoch: number): number => checkField(who, 'epoch', whole(0), epoch);
export const checkBatch = (who: string, batch: number): number => checkField(who, 'batch', whole(0), batch);
export const checkRate = (who: string, name: string, rate: number): number => checkField(who, name, finite(), rate);

/** Writes the learning rate of an epoch into its logs, as Keras does. */
export function logRate(who: string, logs: Logs, rate: number): void {
  if (Reflect.set(logs, 'learning_rate', rate)) return;
  throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects logs that take a learning_rate, got a frozen object`);
}

/** Keras's line on the standard output. */
export function printRate(who: string, epoch: number, does: string, rate: number): void {
  console.log(`\nEpoch ${epoch + 1}: ${who} ${does} learning rate to ${rate}.`);
}
