// What a rule writes down about itself, followed in plain JavaScript, has the bits of the rule's kernel.
import { assert } from 'chai';

import { addon, newPlan, type RuleInfo } from '../lib/native.ts';
import { follow, type Calculus } from '../lib/tfjs/trace.ts';
import { operations, oracleRules, type Operations } from './oracle.ts';
import { random, wildNumber, words } from './random.ts';

const { float32 } = operations;
const clamp = ({ less }: Operations, x: number, limit: number): number =>
  less(limit, x) ? limit : less(x, -limit) ? -limit : x;

/** The operations as float32 kernels have them. */
const calculus: Calculus<number> = {
  constant: Math.fround,
  add: float32.add,
  subtract: float32.sub,
  multiply: float32.mul,
  divide: float32.div,
  negate: (x) => -x,
  root: float32.sqrt,
  magnitude: Math.abs,
  maximum: (a, b) => (float32.less(a, b) || Number.isNaN(b) ? b : a),
  sign: (x) => Math.sign(x) + 0, // no -0
  clamp: (x, limit) => clamp(float32, x, limit),
  power: float32.power,
};

const length = 500;
const float32Words = (list: Iterable<number>): string[] => words(Float32Array.from(list));

/** What the kernel of a rule makes of streams: the variable and the slots afterwards. */
function native(rule: number, streams: readonly Float32Array[], scalars: readonly number[]): string[][] {
  const arrays = streams.map((stream) => stream.slice());
  const { directed } = addon.rules[rule] as RuleInfo;
  const further = directed && { direction: new addon.Memory(4 * length), shape: [1, 1, length], extra: [] };
  const tensor = { variable: 0, length, decay: false, needs: null, sources: arrays.map((_, i) => i), ...further };
  const memory = new addon.Memory(8 * addon.controlSize);
  const plan = newPlan([{ rule, dtype: 0, tensors: [tensor] }], 1, memory);
  const control = new Float64Array(memory.buffer());
  const fields: Record<string, number> = { active: 1, unscale: 1, limit: Infinity };
  control.set(addon.controls.map((name) => fields[name] ?? 0));
  control.set(scalars, addon.controls.length);
  plan.run(arrays);
  plan.release();
  return arrays.filter((_, i) => i !== 1).map(words);
}

describe('the trace of a rule', () => {
  for (const [id, { name, slots, scalars, directed }] of addon.rules.entries()) {
    if (name === 'adafactor_factored') continue; // its kernel needs factors; the trace is looked at below
    for (const [kind, number] of [
      ['ordinary', (next: () => number) => next() - 0.5],
      ['all kinds of', wildNumber],
    ] as const)
      it(`${name}: the bits of its kernel, on ${kind} numbers`, () => {
        const next = random(name + kind);
        const given = scalars.map((scalar) => (scalar === 'ns_steps' ? 0 : Math.fround(0.01 + 0.98 * next())));
        const streams = Array.from({ length: 2 + slots.length }, (_, i) =>
          Float32Array.from({ length }, () => (i > 1 && kind === 'ordinary' ? next() : number(next))),
        );
        const elements = Array.from({ length }, (_, i) => streams.map((stream) => stream[i] as number));
        const followed = elements.map((element) => follow(addon.trace(id), [...element, ...given], calculus));
        const outputs = [0, ...slots].map((_, k) => float32Words(followed.map((outs) => outs[k] as number)));
        const kernels = native(id, streams, given);
        // Of a directed rule the kernel shows the state; the direction is that of the oracle.
        if (directed) {
          const oracle = elements.map((element) => oracleRules[name]?.(float32, element, given)[0] as number);
          kernels[0] = float32Words(oracle);
        }
        assert.deepEqual(outputs, kernels);
      });
  }

  it('adafactor_factored: the direction is the gradient', () => {
    const id = addon.rules.findIndex(({ name }) => name === 'adafactor_factored');
    assert.deepEqual(follow(addon.trace(id), [1, 2, 3, 4, 5, 6, 7, 8], calculus), [2]);
  });
  it('reads inputs and what it has written alone', () => {
    for (const [id, { slots, scalars }] of addon.rules.entries()) {
      const { inputs, instructions, outputs } = addon.trace(id);
      assert.equal(inputs, 2 + slots.length + scalars.length);
      assert.lengthOf(outputs, 1 + slots.length);
      instructions.forEach(({ first, second }, i) => assert.isBelow(Math.max(first, second), inputs + i));
      for (const output of outputs) assert.isBelow(output, inputs + instructions.length);
    }
  });
  it('of the weight decay is Keras’s: p - p weight_decay learning_rate', () => {
    const [p, decay, rate] = [1.7, 0.1, 0.3].map(Math.fround) as [number, number, number];
    const expected = float32.sub(p, float32.mul(float32.mul(p, decay), rate));
    assert.deepEqual(follow(addon.traceOfDecay(), [p, decay, rate], calculus), [expected]);
  });
  it('is refused for a number that is no rule', () => {
    for (const id of [-1, addon.rules.length]) assert.throws(() => addon.trace(id), /no rule/);
  });
});
