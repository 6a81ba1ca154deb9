// Classes as users write them, in strict TypeScript: typing.test.ts compiles this file against the package's declarations, with
// declarations of its own.
import {
  Adam,
  fields,
  LossScaleOptimizer,
  MultiOptimizer,
  Optimizer,
  OptimizerMap,
  register_keras_serializable,
  SGD,
  Variable,
  type DeviceArray,
  type FloatArray,
  type Gradient,
  type Options,
  type Tape,
  type Trainable,
} from '../../lib/index.ts';

export const own = {
  ...fields.common(0.01),
  momentum: fields.fraction(0.9),
  mode: fields.oneOf(['sign', 'plain']),
  beta: fields.orCallable(fields.fraction(0.9)),
  cap: fields.nullable(fields.positive(1)),
};

export class Signum extends Optimizer<typeof own> {
  static override readonly fields = own;
  static readonly className: string = 'Signum';
  declare readonly momentum: number;
  declare readonly mode: 'sign' | 'plain';
  #momentums: Variable[] = [];

  override build(variables: readonly Trainable[]): void {
    if (this.built) return;
    super.build(variables);
    this.#momentums = this.add_optimizer_variables(variables, 'momentum');
  }

  override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
    const m = this.#momentums[this._get_variable_index(variable)]?.value ?? [];
    const { value } = variable;
    gradient.forEach((g, i) => {
      m[i] = this.momentum * (m[i] ?? 0) + (1 - this.momentum) * g;
      value[i] = (value[i] ?? 0) - learning_rate * (this.mode === 'sign' ? Math.sign(m[i] ?? 0) : (m[i] ?? 0));
    });
  }
}
register_keras_serializable(Signum, 'mine');

const centralized = { ...Adam.fields, centralize: fields.flag(true) };

/** An heir with an option more. */
export class Centralized extends Adam {
  static override readonly fields = centralized;
  static override readonly className = 'Centralized';
  declare readonly centralize: boolean;

  constructor(options: Options<typeof centralized> = {}) {
    super(options);
  }

  override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
    let mean = 0;
    if (this.centralize) for (const g of gradient) mean += g / gradient.length;
    super.update_step(
      gradient.map((g) => g - mean),
      variable,
      learning_rate,
    );
  }
}

/** An heir may also keep the signature that it finds. */
export class Plain extends SGD {
  override update_step(gradient: Gradient, variable: Trainable, learning_rate?: number): void {
    super.update_step(gradient, variable, learning_rate);
  }
}

export const optimizer = new Signum({ momentum: 0.5, learning_rate: 0.1, mode: 'plain', beta: () => 0.3, cap: null });
new Centralized({ centralize: false, beta_1: 0.8, learning_rate: (step) => 1 / (step + 1) });
// @ts-expect-error an unknown option
const unknown = () => new Signum({ momemtum: 0.5 });
// @ts-expect-error an option of the wrong kind
const wrong = () => new Signum({ momentum: '0.5' });
// @ts-expect-error a name that is none of the list
const none = () => new Signum({ mode: 'other' });
// @ts-expect-error options cannot be assigned
const assigned = () => (optimizer.momentum = 1);
// @ts-expect-error a tape is required
const tapeless = () => optimizer.minimize(0, []);
export const mistakes = [unknown, wrong, none, assigned, tapeless];

export const momentum: number = Signum.from_config(optimizer.get_config()).momentum;
const v = new Variable([1, 2]);
const tape: Tape<() => number> = { gradient: (loss, variables) => variables.map(() => [loss(), loss()]) };
optimizer.apply([[1, 2]], [v]);
optimizer.minimize(() => 1, [v], tape);
new SGD().minimize((x: number) => x, [v], { gradient: (loss, variables) => variables.map(() => [loss(1), 1]) });
new SGD().update(new Map([['kernel', v]]), new Map([['kernel', [1, 2]]]));
new SGD().update({ kernel: new Float32Array(2) }, { kernel: new Float32Array(2) });
export const stateless = optimizer.stateless_apply(optimizer.variables, [[1, 2]], [v]);
export const added = [
  optimizer.add_variable({
    shape: [2],
    dtype: 'float64',
    initializer: ([length = 0]) => Array<number>(length).fill(1),
  }),
  optimizer.add_variable_from_reference(v, { name: 'copy', initial_value: v }),
  ...optimizer.add_optimizer_variables([v], ['a', 'b'], { initializer: 'ones' }).flat(),
];
/** Where a variable lies, its type says. */
export const onGpu = (data: Float32Array): DeviceArray => {
  const kernel: Variable<DeviceArray> = new Variable(data, { device: 'cuda:0', name: 'kernel' });
  const bias = Variable.zeros([2, 3], { device: 'cuda' });
  const values: () => [never] = () => [kernel.value]; // they are not on the host
  kernel.gradient.assign(bias.gradient);
  kernel.assign([values.length, 2]);
  optimizer.apply([kernel.gradient, { ...bias.cuda, stream: 0n }], [kernel, bias]);
  optimizer.apply([kernel, data], [kernel, bias]);
  return bias.gradient;
};
export const zeros: Variable = Variable.zeros([2], { dtype: 'float64' });
export const anywhere: Variable | Variable<DeviceArray> = new Variable([1], { device: 'auto' });
export const doubles: number | undefined = new Variable(new Float64Array(2)).gradient[0];

/** Wrappers are optimizers, and say what they wrap. */
const optimizer_map = new OptimizerMap({ default_optimizer: optimizer, optimizer_map: { 'dense/.*': new Adam() } });
export const wrappers: readonly Optimizer[] = [
  new MultiOptimizer({ optimizer_map, loss_scale_factor: 2 }),
  new MultiOptimizer({ optimizer_map: ({ path }) => optimizer_map.get(path), name: 'several' }),
];
export const scaled = new LossScaleOptimizer({ inner_optimizer: wrappers[0] as Optimizer, initial_scale: 2 });
scaled.learning_rate = 0.1;
export const inner: Optimizer = scaled.inner_optimizer;
// @ts-expect-error an inner optimizer is required
const empty = () => new LossScaleOptimizer({});
// @ts-expect-error clipping belongs to the inner optimizer
const clipped = () => new LossScaleOptimizer({ inner_optimizer: optimizer, clipnorm: 1 });
export const refused = [empty, clipped];
/** What the methods take can be named. */
type Given<M extends keyof Optimizer> = Optimizer[M] extends (...args: infer A) => unknown ? A : never;
const given =
  <M extends keyof Optimizer>() =>
  (...args: Given<M>) =>
    args;
export const arguments_ = {
  add_variable: given<'add_variable'>(),
  add_variable_from_reference: given<'add_variable_from_reference'>(),
  add_optimizer_variables: given<'add_optimizer_variables'>(),
  exclude_from_weight_decay: given<'exclude_from_weight_decay'>(),
  set_weights: given<'set_weights'>(),
  stateless_apply: given<'stateless_apply'>(),
};
