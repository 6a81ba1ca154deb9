// JSON for Python: the same values as serialize, with a point in the floats. What Keras makes of it is in test/python.
import { assert } from 'chai';

import {
  Adam,
  CosineDecay,
  deserialize,
  ExponentialDecay,
  fields,
  LearningRateSchedule,
  Nadam,
  Optimizer,
  PiecewiseConstantDecay,
  register_keras_serializable,
  serialize,
  SGD,
  stringify,
  WarmUp,
} from '../lib/index.ts';
import { thrown } from './errors.ts';
import { makers } from './optimizers.ts';

const configText = (instance: Parameters<typeof stringify>[0]): string =>
  /"config":(.*),"registered_name"/.exec(stringify(instance))?.[1] ?? '';

describe('stringify', () => {
  const schedule = new ExponentialDecay({ initial_learning_rate: 1, decay_steps: 10, decay_rate: 0.5 });
  it('has the values of serialize, in their order', () => {
    for (const [name, make] of makers({ learning_rate: schedule, gradient_accumulation_steps: 2, weight_decay: 1 })) {
      const optimizer = make();
      const text = stringify(optimizer);
      assert.equal(JSON.stringify(JSON.parse(text)), JSON.stringify(serialize(optimizer)), name);
      assert.deepEqual(serialize(deserialize(JSON.parse(text))), serialize(optimizer));
    }
  });
  it('has a point in every float, and in no count', () => {
    const exponential = { initial_learning_rate: '1.0', decay_steps: '10', decay_rate: '0.5' };
    for (const [name, text] of Object.entries(exponential)) assert.include(configText(schedule), `"${name}":${text},`);
    const sgd = new SGD({
      learning_rate: 1,
      use_ema: true,
      ema_overwrite_frequency: 3,
      gradient_accumulation_steps: 2,
    });
    for (const member of ['"learning_rate":1.0', '"ema_overwrite_frequency":3', '"gradient_accumulation_steps":2'])
      assert.include(configText(sgd), `${member},`);
    assert.include(configText(sgd), '"momentum":0.0');
    assert.include(configText(new Adam({ epsilon: 0, weight_decay: 1e21 })), '"weight_decay":1e+21,');
    assert.include(configText(new Adam({ weight_decay: -0 })), '"weight_decay":-0.0,');
  });
  it('has one in lists and in nested schedules too', () => {
    const pieces = new PiecewiseConstantDecay({ boundaries: [1, 2.5], values: [1, 0.5, 0] });
    const text = '"boundaries":[1,2.5],"values":[1.0,0.5,0.0]';
    assert.include(stringify(pieces), text);
    assert.include(stringify(new Adam({ learning_rate: new WarmUp({ schedule: pieces, warmup_steps: 3 }) })), text);
    assert.include(stringify(new CosineDecay({ initial_learning_rate: 0, decay_steps: 9.5 })), '0.0,"decay_steps":9.5');
    assert.include(stringify(new Nadam({ momentum_decay: Infinity })), '"momentum_decay":"Infinity"');
  });
  it("reads the fields of a user's class, and leaves numbers without fields as they are", () => {
    class Own extends Optimizer {
      static override readonly fields = { ...fields.common(1), scale: fields.positive(2), every: fields.whole(3) };
      override update_step(): void {}
    }
    class Bare extends LearningRateSchedule {
      override at = () => 1;
      override get_config = () => ({ start: 1, list: [0, undefined], nothing: undefined, method: () => 1 });
    }
    assert.include(stringify(new Own()), '"scale":2.0,"every":3}');
    register_keras_serializable(Own, 'mine');
    assert.include(stringify(new Own({ learning_rate: new Bare() })), '"config":{"start":1,"list":[0,null]}');
    assert.include(stringify(new Own()), '"scale":2.0,"every":3},"registered_name":"mine>Own"');
  });
  it('refuses what serialize refuses', () => {
    for (const bad of [null, {}, SGD, 'SGD', 3])
      assert.propertyVal(
        thrown(() => stringify(bad as never)),
        'code',
        'ERR_OPT_CONFIG_TYPE',
      );
    assert.equal(thrown(() => stringify(new SGD({ learning_rate: () => 1 })))?.code, 'ERR_OPT_CONFIG_TYPE');
  });
});
