// Nadam's relatives under their own names. That they have their numbers is in peers.test.ts.
import { assert } from 'chai';

import { deserialize, ExponentialDecay, Nadam, serialize } from '../lib/index.ts';
import { thrown } from './errors.ts';

const own = ({ learning_rate, beta_1, beta_2, epsilon, momentum_decay }: Nadam) => ({
  learning_rate,
  beta_1,
  beta_2,
  epsilon,
  momentum_decay,
});
const keras = { learning_rate: 1e-3, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, momentum_decay: 1 };
const presets = {
  keras2_legacy: {
    make: (options?: object) => Nadam.keras2_legacy(options),
    defaults: { ...keras, momentum_decay: 0.004 },
  },
  pytorch: {
    make: (options?: object) => Nadam.pytorch(options),
    defaults: { ...keras, learning_rate: 2e-3, epsilon: 1e-8, momentum_decay: 0.004 },
  },
  optax: {
    make: (options?: object) => Nadam.optax({ learning_rate: 0.5, ...options }),
    defaults: { ...keras, learning_rate: 0.5, epsilon: 1e-8, momentum_decay: Infinity },
  },
};

for (const [name, { make, defaults }] of Object.entries(presets))
  describe(`Nadam.${name}`, () => {
    it('has the defaults of its library, which are not those of Keras', () => {
      assert.deepEqual(own(make()), defaults);
      assert.notDeepEqual(own(make()), keras);
      assert.deepEqual(own(new Nadam()), keras);
    });
    it('takes every option of Nadam, which wins; undefined is not given', () => {
      const given = { learning_rate: 0.25, beta_1: 0.5, beta_2: 0.75, epsilon: 0.125, momentum_decay: 2 };
      assert.deepEqual(own(make(given)), given);
      const undecided = { epsilon: undefined, momentum_decay: undefined, clipnorm: 3, name: 'mine' };
      assert.deepEqual(own(make(undecided)), defaults);
      assert.include(make(undecided), { clipnorm: 3, name: 'mine' });
      const learning_rate = new ExponentialDecay({ initial_learning_rate: 0.75, decay_steps: 10, decay_rate: 0.5 });
      assert.equal(make({ learning_rate }).learning_rate, 0.75);
    });
    it('has a config that makes an equal Nadam', () => {
      const optimizer = make({ weight_decay: 0.5 });
      const form = JSON.parse(JSON.stringify(serialize(optimizer))) as ReturnType<typeof serialize>;
      assert.equal(form.class_name, 'Nadam');
      for (const back of [deserialize(form) as Nadam, Nadam.from_config(form.config)]) {
        assert.deepEqual(own(back), defaults);
        assert.deepEqual(serialize(back), serialize(optimizer));
      }
    });
    it('refuses what the constructor refuses', () => {
      const code = (options: unknown) => thrown(() => make(options as object))?.code;
      assert.equal(code({ epsilon: -1 }), 'ERR_OPT_CONFIG_RANGE');
      assert.equal(code({ beta: 1 }), 'ERR_OPT_CONFIG_TYPE');
      assert.equal(code({ epsilon: null }), 'ERR_OPT_CONFIG_TYPE');
      const positional = Nadam[name as keyof typeof presets].bind(Nadam) as (...args: unknown[]) => Nadam;
      for (const args of [[0.1], [null], [[]], [{ learning_rate: 1 }, 0.9]])
        assert.match(
          String(thrown(() => positional(...args))),
          /^TypeError: Nadam expects one object of options, as in/,
        );
    });
  });

describe("Nadam's presets", () => {
  it('say that optax has no default for the learning rate', () => {
    const untyped = Nadam.optax.bind(Nadam) as (options?: object) => Nadam;
    for (const options of [undefined, {}, { learning_rate: undefined, epsilon: 1 }]) {
      const error = thrown(() => untyped(options));
      assert.instanceOf(error, TypeError);
      assert.equal(error.code, 'ERR_OPT_CONFIG_TYPE');
      assert.match(error.message, /^Nadam\.optax expects learning_rate, a finite number, .* got nothing$/);
    }
  });

  class Patient extends Nadam {
    static override readonly className: string = 'Patient';
    readonly patience: number;
    constructor({
      patience = 3,
      ...options
    }: ConstructorParameters<typeof Nadam>[0] & { readonly patience?: number } = {}) {
      super({ beta_1: 0.5, ...options });
      this.patience = patience;
    }
  }
  it('make an heir of Nadam with its own options and defaults', () => {
    const heirs: Patient[] = [
      Patient.pytorch({ patience: 4 }),
      Patient.keras2_legacy(),
      Patient.optax({ learning_rate: 1 }),
    ];
    assert.deepEqual(
      heirs.map(({ patience }) => patience),
      [4, 3, 3],
    );
    assert.deepEqual(own(heirs[0] as Nadam), { ...presets.pytorch.defaults, beta_1: 0.5 });
    assert.match(String(thrown(() => Patient.optax({} as { learning_rate: number }))), /Patient\.optax expects/);
  });

  it('are checked by the compiler', () => {
    const wrong = [
      // @ts-expect-error -- optax has no default for it
      () => Nadam.optax({ epsilon: 1 }),
      // @ts-expect-error -- the constructor's options, no others
      () => Nadam.pytorch({ lr: 1 }),
      // @ts-expect-error -- and their types
      () => Nadam.keras2_legacy({ beta_1: '0.9' }),
    ];
    for (const call of wrong) assert.equal(thrown(call)?.code, 'ERR_OPT_CONFIG_TYPE');
  });
});
