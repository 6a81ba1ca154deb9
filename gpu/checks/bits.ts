// Every optimizer with every option leaves on a GPU the bits that it leaves on the CPU.
import { flags, makers, classes as optimizers } from '../../test/optimizers.ts';
import type { Dtype } from '../../lib/native.ts';
import type { Optimizer } from '../../lib/index.ts';
import type { Check, Settings } from './check.ts';
import { kinds, randomFrom } from './numbers.ts';
import { assertSameTraining, taskOf } from './training.ts';

type Shapes = readonly (readonly number[])[];

/** Around a 16-byte access, a warp's and a tile's share; matrices of more than one form. */
const small: Shapes = [
  ...[0, 1, 3, 4, 5, 31, 33, 127, 129, 1025].map((length) => [length]),
  ...[
    [7, 5],
    [1, 9],
    [17, 33],
    [2, 3, 4],
    [0, 3],
  ],
];
/** Around a block of a reduction, and enough of them to be folded. */
const large: Shapes = [[16_383], [16_384], [16_385], [70_001], [65, 130], [3, 129, 40], [5]];

const halves: readonly object[] = [
  { state_dtype: 'bfloat16', seed: 5 },
  { state_dtype: 'bfloat16', state_rounding: 'nearest', weight_decay: 0.1, global_clipnorm: 0.5 },
  { state_dtype: 'bfloat16', seed: 7, gradient_accumulation_steps: 2, use_ema: true, clipnorm: 0.5 },
];
const inAll: readonly object[] = [{}, { global_clipnorm: 0.5 }, flags.at(-1) as object];

const kSteps = 6;

/** With `use_ema` the averages change places with the variables, which only copies. */
function swap(optimizer: Optimizer): void {
  if (optimizer.use_ema) optimizer.swap_ema_weights();
}

function checksOf(className: string, { device, seeds, small: few }: Settings): Check[] {
  const makersOf = (options: readonly object[]) =>
    options.flatMap((each) => makers(each)).filter(([name]) => name.startsWith(`${className} `));
  const compare = async (options: readonly object[], dtype: Dtype, shapes: Shapes, kind: string, seed: string) => {
    for (const [name, make] of makersOf(options)) {
      const next = randomFrom(`${seed} ${name} ${kind}`);
      const task = taskOf(shapes, dtype, kSteps, kinds[kind as keyof typeof kinds], next);
      await assertSameTraining({ ...task, make, last: swap }, device, `${name} ${dtype} ${kind} seed ${seed}`);
    }
  };
  const everyKind = async (options: readonly object[], dtype: Dtype): Promise<void> => {
    for (const seed of seeds) for (const kind of Object.keys(kinds)) await compare(options, dtype, small, kind, seed);
    if (!few) await compare(inAll, dtype, large, 'ordinary', seeds[0] ?? '');
  };
  return [
    ...(['float32', 'float64'] as const).map((dtype) => ({
      name: `bits: ${className}, ${dtype}, with every option, in every form of gradient`,
      run: () => everyKind(flags, dtype),
    })),
    ...(makersOf(halves).length === 0
      ? []
      : [{ name: `bits: ${className}, state in bfloat16`, run: () => everyKind(halves, 'float32') }]),
  ];
}

export const bitChecks = (settings: Settings): Check[] =>
  optimizers.flatMap(({ className }) => checksOf(className, settings));
