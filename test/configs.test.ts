// Configs: what comes in from outside does no harm, and what is one's own comes back.
import { assert } from 'chai';
import fc from 'fast-check';

import {
  Adam,
  AdamW,
  deserialize,
  ExponentialDecay,
  get,
  Nadam,
  Optimizer,
  register_keras_serializable,
  serialize,
  SGD,
  WarmUp,
} from '../lib/index.ts';
import { thrown } from './errors.ts';

const nadam = (config: unknown) => ({ module: 'keras.optimizers', class_name: 'Nadam', config, registered_name: null });

describe('get', () => {
  it('knows class names in any case, serialized forms, instances and null', () => {
    for (const [name, cls] of [
      ['nadam', Nadam],
      ['NADAM', Nadam],
      ['adamw', AdamW],
      ['Adam', Adam],
      ['sgd', SGD],
    ] as const)
      assert.equal(get(name)?.constructor, cls);
    const optimizer = new SGD();
    assert.strictEqual(get(optimizer), optimizer);
    assert.isNull(get(null));
    assert.instanceOf(get(serialize(optimizer)), SGD);
  });
  it('refuses the rest, and names what it knows', () => {
    for (const bad of ['typo', 'adam_w', '', 'constructor', '__proto__', 'toString', 3, [], true, {}, () => 1])
      assert.propertyVal(
        thrown(() => get(bad)),
        'code',
        'ERR_OPT_CONFIG_TYPE',
      );
    assert.throws(
      () => get('typo'),
      TypeError,
      /get expects the name of a class \(SGD, RMSprop, Adagrad, .*\) .* got "typo"/,
    );
  });
});

describe('serialize and deserialize', () => {
  it('carry every option of every kind there and back', () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: true });
    const unit = fc.double({ min: 0, max: 1, noNaN: true });
    const options = fc.record(
      {
        name: fc.string(),
        learning_rate: fc.oneof(
          number,
          fc
            .record({
              initial_learning_rate: number,
              decay_steps: fc.double({ min: 0.1, max: 1e9, noNaN: true }),
              decay_rate: number,
            })
            .map((o) => new ExponentialDecay(o)),
        ),
        weight_decay: fc.option(number),
        clipvalue: fc.option(number),
        use_ema: fc.boolean(),
        ema_momentum: unit,
        ema_overwrite_frequency: fc.option(fc.integer({ min: 1 })),
        loss_scale_factor: fc.option(number),
        gradient_accumulation_steps: fc.option(fc.integer({ min: 2 })),
        beta_1: unit,
        beta_2: unit,
        epsilon: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
      },
      { requiredKeys: ['name'] },
    );
    fc.assert(
      fc.property(options, fc.constantFrom(Adam, Nadam), (given, cls) => {
        const optimizer = new cls(given);
        const form = serialize(optimizer);
        // JSON has no -0
        const text = JSON.stringify(form);
        assert.equal(JSON.stringify(serialize(deserialize(JSON.parse(text)))), text);
        assert.equal(JSON.stringify(serialize(cls.from_config(form.config))), text);
      }),
      { numRuns: 300 },
    );
  });

  it("leave momentum_decay out at Keras's value, and write Infinity as text", () => {
    assert.notProperty(new Nadam().get_config(), 'momentum_decay');
    for (const momentum_decay of [0.004, Infinity, 'Infinity'] as const) {
      const optimizer = new Nadam({ momentum_decay });
      assert.equal(optimizer.momentum_decay, Number(momentum_decay));
      const back = deserialize(JSON.parse(JSON.stringify(serialize(optimizer)))) as Nadam;
      assert.equal(back.momentum_decay, Number(momentum_decay));
    }
  });

  it('write a named function by name, and refuse one without', () => {
    function halving(step: number): number {
      return 0.5 ** step;
    }
    const form = serialize(new SGD({ learning_rate: halving }));
    assert.deepEqual(form.config.learning_rate, {
      module: 'builtins',
      class_name: 'function',
      config: 'halving',
      registered_name: 'function',
    });
    assert.equal((deserialize(form, { halving }) as SGD).learning_rate, 1);
    assert.throws(() => deserialize(form), TypeError, /the function "halving" in custom_objects, got nothing/);
    assert.throws(
      () => serialize(new SGD({ learning_rate: () => 1 })),
      TypeError,
      /SGD expects learning_rate to be a named function or a schedule/,
    );
    assert.throws(
      () => serialize({} as never),
      TypeError,
      /serialize expects an optimizer or a schedule, got an object/,
    );
  });

  it("read the short form, and Keras 2's extra arguments are named", () => {
    assert.instanceOf(deserialize({ class_name: 'sgd', config: { learning_rate: 1 } }), SGD);
    assert.throws(
      () => deserialize(nadam({ jit_compile: true })),
      TypeError,
      /options that it knows .* got "jit_compile"/,
    );
  });

  class Lookahead extends Nadam {
    static override readonly className: string = 'Lookahead';
  }
  it("bring optimizers of one's own back, by custom_objects and by registration", () => {
    const form = JSON.parse(JSON.stringify(serialize(new Lookahead({ beta_1: 0.5 })))) as unknown;
    assert.throws(() => deserialize(form), TypeError, /got "Lookahead"/);
    for (const custom of [{ Lookahead }, new Map([['Lookahead', Lookahead]])]) {
      const back = deserialize(form, custom);
      assert.instanceOf(back, Lookahead);
      assert.equal(back.beta_1, 0.5);
    }
    register_keras_serializable(Lookahead, 'Mine');
    const registered = serialize(new Lookahead());
    assert.equal(registered.registered_name, 'Mine>Lookahead');
    assert.instanceOf(deserialize(registered), Lookahead);
  });
});

describe('a hostile config', () => {
  const polluted = () => Object.keys({}).length > 0 || 'polluted' in {} || !Object.isExtensible({});

  it("with names of Object's own is an unknown class or option", () => {
    for (const name of ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty']) {
      for (const custom of [undefined, {}, new Map()])
        assert.throws(() => deserialize({ class_name: name, config: {} }, custom), TypeError, /the name of a class/);
      assert.throws(() => deserialize(nadam(JSON.parse(`{"${name}": {"polluted": 1}}`))), TypeError, /got "/);
    }
    assert.isFalse(polluted());
  });

  it('with an inherited option, or that is no plain object, is refused', () => {
    const inherited = Object.create({ beta_1: 0.5 }) as object;
    for (const config of [inherited, [], 'x', 3, null, new Map(), new Date()])
      assert.instanceOf(
        thrown(() => Nadam.from_config(config)),
        TypeError,
      );
    assert.throws(() => deserialize([nadam({})]), TypeError, /deserialize expects/);
  });

  it('of 10,000 levels is refused, wherever they are', () => {
    let config: unknown = 0.1;
    for (let level = 0; level < 10_000; level++)
      config = { class_name: 'WarmUp', config: { schedule: config, warmup_steps: 1 } };
    assert.throws(() => deserialize(config), RangeError, /at most 64 levels of nesting/);
    assert.throws(() => deserialize(nadam({ learning_rate: config })), RangeError, /at most 64 levels/);
    let list: unknown = [];
    for (let level = 0; level < 10_000; level++) list = [list];
    assert.throws(() => deserialize(nadam({ learning_rate: list })), RangeError, /at most 64 levels/);
  });

  it('has every getter read once: what is checked is what is used', () => {
    let reads = 0;
    const config = {
      get beta_1() {
        return reads++ === 0 ? 0.5 : 'text';
      },
    };
    assert.equal(Nadam.from_config(config).beta_1, 0.5);
    assert.equal(reads, 1);
    const proxy = new Proxy({ beta_1: 0.25 }, { get: (target, key) => (reads++, Reflect.get(target, key) as unknown) });
    assert.equal(new Nadam(proxy).beta_1, 0.25);
    assert.equal(reads, 2);
  });

  it('is neither changed nor kept', () => {
    const freeze = (value: unknown): unknown => {
      if (typeof value === 'object' && value !== null) Object.values(value).forEach(freeze);
      return Object.freeze(value);
    };
    const schedule = { class_name: 'PiecewiseConstantDecay', config: { boundaries: [1], values: [1, 2] } };
    const form = freeze(nadam({ learning_rate: schedule }));
    assert.equal((deserialize(form) as Nadam).learning_rate, 1);
    const values = [1, 2];
    const optimizer = deserialize(
      nadam({ learning_rate: { class_name: 'PiecewiseConstantDecay', config: { boundaries: [1], values } } }),
    );
    values[0] = 77;
    assert.equal((optimizer as Nadam).learning_rate, 1);
  });

  it('of any JSON does nothing but throw a coded error', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom('Nadam', 'SGD', 'CosineDecay', 'WarmUp', 'nothing'),
        (json, class_name) => {
          for (const attempt of [() => deserialize(json), () => deserialize({ class_name, config: json })]) {
            const error = thrown(attempt);
            if (error !== undefined) assert.match(String(error.code), /^ERR_OPT_CONFIG_/, String(error));
          }
          assert.isFalse(polluted());
        },
      ),
      { numRuns: 500 },
    );
  });

  it('cannot give a class through custom_objects that is none of ours', () => {
    for (const custom of [{ Evil: Object }, { Evil: class {} }, { Evil: () => 1 }, { Evil: {} }])
      assert.throws(() => deserialize({ class_name: 'Evil', config: {} }, custom), TypeError, /got "Evil"/);
    assert.instanceOf(deserialize({ class_name: 'Any', config: {} }, { Any: SGD }), Optimizer as never);
    assert.throws(() => new WarmUp({ schedule: WarmUp as never, warmup_steps: 1 }), TypeError, /the class WarmUp/);
  });
});
