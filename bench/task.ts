// What the process of a driver is told.
import { doneAs, type Trial } from './drivers.ts';
import type { Task } from './host.ts';
import { ruleNamed } from '../lib/bench/rules.ts';
import { passesOf, variantNamed } from './variants.ts';
import type { Shape } from './work.ts';

/** For `rule`, which may be another than the trial's where a driver only has a similar one. */
export function taskOf(rule: string, variantName: string, threads: number, shapes: readonly Shape[]): Task {
  const { className = null, options, slots, directed = false } = ruleNamed(rule);
  const variant = variantNamed(variantName);
  return {
    rule,
    className,
    options: { ...options, ...variant.options },
    plain: options,
    slots,
    variant: variantName,
    calls: variant.calls,
    passes: passesOf(variant, slots, directed),
    gradients: variant.gradients ?? null,
    rows: variant.rows ?? null,
    shapes,
    threads,
  };
}

export const taskFor = (driver: string, { rule, variant, threads }: Trial, shapes: readonly Shape[]): Task =>
  taskOf(doneAs(driver, rule) ?? rule, variant, threads, shapes);
