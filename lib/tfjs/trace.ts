// Follows what a rule computes (native/trace.h) with numbers of any kind.
import type { Instruction, Trace } from '../native.ts';

type Operation = Instruction['operation'];
/** Of one number. */
type Unary = 'negate' | 'root' | 'magnitude' | 'sign';
type Binary = Exclude<Operation, Unary | 'constant'>;

/** The operations of a trace on numbers of a kind; native/rules/rule.h says what they do with NaN and zeros. */
export type Calculus<N> = { readonly [one in Unary]: (x: N) => N } & {
  readonly [two in Binary]: (a: N, b: N) => N;
} & { readonly constant: (x: number) => N };

/** The outputs of a trace: what the variable (or direction) and the slots are afterwards. */
export function follow<N>(trace: Trace, inputs: readonly N[], calculus: Calculus<N>): N[] {
  const registers = [...inputs];
  const at = (i: number): N => registers[i] as N; // a trace reads what it has written
  for (const { operation, first, second, constant } of trace.instructions) {
    if (operation === 'constant') registers.push(calculus.constant(constant));
    else if (isUnary(operation)) registers.push(calculus[operation](at(first)));
    else registers.push(calculus[operation](at(first), at(second)));
  }
  return trace.outputs.map(at);
}

const isUnary = (operation: Operation): operation is Unary =>
  ['negate', 'root', 'magnitude', 'sign'].includes(operation);
