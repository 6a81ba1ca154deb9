import type { Arithmetic } from '../arithmetic.ts';
import {
  finite,
  flag,
  fraction,
  nonNegative,
  nullable,
  orCallable,
  whole,
  type Field,
  type Values,
} from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import type { Variable } from '../variable.ts';
import { adamScalars } from './adam.ts';
import { common } from './common.ts';

const isPattern = (text: string): boolean => {
  try {
    return new RegExp(text).test('') || true;
  } catch {
    return false;
  }
};

/** Keras keeps null as an empty list. */
const patterns: Field<readonly string[] | null, false> = {
  required: false,
  default: Object.freeze([]),
  expects: 'a list of regular expressions, as strings, or null',
  is: (x) => x === null || (Array.isArray(x) && x.every((one) => typeof one === 'string')),
  allows: (x) => x === null || x.every(isPattern),
  take: (x) => Object.freeze([...(x ?? [])]),
};

const own = {
  /** `beta_1` of the other variables, which are AdamW's; or a function of no arguments, called once a step. */
  adam_beta_1: orCallable(fraction(0.9)),
  /** `beta_2` of the other variables; or a function of no arguments, called once a step. */
  adam_beta_2: orCallable(fraction(0.999)),
  /** Keeps divisors from 0, >= 0: of the norm of a matrix, and in AdamW. */
  epsilon: nonNegative(1e-7),
  /** Regular expressions; a variable in whose path one is found is left to AdamW. */
  exclude_layers: patterns,
  /** Of the Newton-Schulz polynomial `a x + b x^3 + c x^5`. */
  muon_a: finite(3.4445),
  /** Of the Newton-Schulz polynomial. */
  muon_b: finite(-4.775),
  /** Of the Newton-Schulz polynomial. */
  muon_c: finite(2.0315),
  /** The learning rate of AdamW in learning rates. */
  adam_lr_ratio: finite(1),
  /** What the momentum of a matrix keeps of itself. */
  momentum: finite(0.95),
  /** Newton-Schulz iterations: a whole number >= 0. */
  ns_steps: whole(5),
  /** Whether the direction looks ahead along the momentum. */
  nesterov: flag(true),
  /** Whether embeddings are left to AdamW. */
  exclude_embeddings: flag(true),
  /** Decoupled weight decay of AdamW; null: none. */
  adam_weight_decay: { ...nullable(finite()), default: 0.004 },
  /** Scales the direction of a matrix, with the root of its longer side; null: it is not scaled. */
  rms_rate: { ...nullable(finite()), default: 0.2 },
};
const fields = { ...common(0.001), weight_decay: { ...nullable(finite()), default: 0.004 }, ...own };

export interface Muon extends Values<typeof own> {}

/**
 * Muon, kellerjordan.github.io/posts/muon: momentum whose direction is made orthogonal by `ns_steps` Newton-Schulz iterations with the
 * coefficients `muon_a`, `muon_b`, `muon_c`, and scaled by sqrt(max(rows, columns)) `rms_rate` (arxiv.org/abs/2502.16982; null: not
 * at all). It takes variables of two dimensions; all others, those with "embedding" in their path (unless `exclude_embeddings` is
 * false) and those in whose path a regular expression of `exclude_layers` is found are `AdamW`'s, with `learning_rate`
 * `adam_lr_ratio` as their rate and `adam_weight_decay`. Name your output layer in `exclude_layers`. Unlike elsewhere, the weight decay is
 * 0.004 unless given. A step multiplies matrices: docs/muon.md says what that costs. Source: keras/src/optimizers/muon.py.
 *
 * @example new Muon({ learning_rate: 0.001, exclude_layers: ['output'] })
 */
export class Muon extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className: string = 'Muon';

  protected override get rule(): string {
    return this.nesterov ? 'muon_nesterov' : 'muon';
  }
  protected override ruleOf(variable: Variable): string {
    return this.#isAdams(variable) ? 'adam' : this.rule;
  }
  protected override get blocks() {
    return [['momentum', 'velocity']];
  }
  protected override slotOf(slot: string, variable: Variable) {
    return slot === 'momentum' || this.#isAdams(variable) ? super.slotOf(slot, variable) : undefined;
  }
  protected override decayOf(rule: string): number | null {
    return rule === 'adam' ? this.adam_weight_decay : this.weight_decay;
  }

  #isAdams({ shape, path }: Variable): boolean {
    if (shape.length !== 2) return true;
    if (this.exclude_embeddings && path.toLowerCase().includes('embedding')) return true;
    return (this.exclude_layers ?? []).some((pattern) => new RegExp(pattern).test(path));
  }

  protected override scalars(hyper: Hyper<typeof fields>, moment: Moment, arithmetic: Arithmetic) {
    const { round, mul } = arithmetic;
    const { learning_rate, rule } = moment;
    if (rule === 'adam') {
      const { adam_beta_1: beta_1, adam_beta_2: beta_2, epsilon } = hyper;
      const rate = mul(learning_rate, round(hyper.adam_lr_ratio));
      return adamScalars({ beta_1, beta_2, epsilon }, { ...moment, learning_rate: rate }, arithmetic);
    }
    return {
      momentum_minus_one: round(hyper.momentum - 1),
      momentum: round(hyper.momentum),
      learning_rate,
      adjusts: Number(hyper.rms_rate !== null),
      rms_rate: round(hyper.rms_rate ?? 1),
      muon_a: round(hyper.muon_a),
      muon_b: round(hyper.muon_b),
      muon_c: round(hyper.muon_c),
      ns_steps: hyper.ns_steps,
    };
  }
}
