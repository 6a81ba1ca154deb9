// Keras's own tests of the flags, which it asks of single classes, asked of every class here.
import { assert } from 'chai';

import { deserialize, ScheduleFreeAdamW, serialize, Variable, type Optimizer } from '../lib/index.ts';
import { classes, type OptimizerClass } from './optimizers.ts';
import { random } from './random.ts';
import { close, path, stateOf } from './steps.ts';

describe("Keras's own tests, for each class:", () => {
  const nameOf = (cls: OptimizerClass) => cls.className;
  for (const cls of classes) {
    it(`${nameOf(cls)} sees [100, 100] clipped to a norm of 1, or to 1 each`, () => {
      const norm = 100 / Math.hypot(100, 100);
      // with its state, in which the size of a gradient shows even if the step does not depend on it
      const after = (options: object, x: number) => {
        const optimizer = new cls(options);
        return [...path(optimizer, [1, 2], [[x, x]]).flat(), ...stateOf(optimizer)];
      };
      assert.notDeepEqual(after({}, 100), after({}, norm));
      close(after({ clipnorm: 1 }, 100), after({}, norm));
      close(after({ global_clipnorm: 1 }, 100), after({}, norm));
      close(after({ clipvalue: 1 }, 100), after({}, 1));
    });

    it(`${nameOf(cls)} averages: the first is the variable, the second 0.9 of it and 0.1 of the next`, () => {
      const optimizer = new cls({ learning_rate: 1, use_ema: true, ema_momentum: 0.9 });
      const v = new Variable([1, 2]);
      optimizer.apply([[0.1, 0.2]], [v]);
      const first = [...v.value];
      close(stateOf(optimizer, '_average'), first);
      optimizer.apply([[0.1, 0.2]]);
      const expected = first.map((x, i) => 0.9 * x + 0.1 * (v.value[i] as number));
      close(stateOf(optimizer, '_average'), expected);
      optimizer.finalize_variable_values([v]);
      close(v.value, expected);
    });

    it(`${nameOf(cls)} is overwritten by its average every second step`, () => {
      const gradients = Array<number[]>(2).fill([0.1, 0.2]);
      const [plain, averaged] = [{}, { use_ema: true, ema_momentum: 0.9, ema_overwrite_frequency: 2 }].map((options) =>
        path(new cls({ learning_rate: 1, ...options }), [1, 2], gradients),
      ) as [number[][], number[][]];
      close(averaged[0] ?? [], plain[0] as number[]);
      close(averaged[1] ?? [], plain[0]?.map((x, i) => 0.9 * x + 0.1 * (plain[1]?.[i] as number)) ?? []);
    });

    it(`${nameOf(cls)} accumulates with weight decay as one step with the mean gradient, to the bit`, () => {
      const next = random('accumulation');
      const groups = Array.from({ length: 8 }, () => [0, 0, 0].map(() => [next(), next()].map(Math.fround)));
      const sum = (group: readonly number[][], i: number) =>
        group.reduce((total, g) => Math.fround((g[i] as number) + total), 0);
      const means = groups.map((group) => [0, 1].map((i) => Math.fround(sum(group, i) / 3)));
      const options = { weight_decay: 0.05 };
      const whole = path(new cls(options), [0.9, 0.5], means);
      const accumulated = path(new cls({ ...options, gradient_accumulation_steps: 3 }), [0.9, 0.5], groups.flat());
      assert.deepEqual(
        accumulated.filter((_, i) => i % 3 === 2),
        whole,
      );
    });

    it(`${nameOf(cls)} has Keras's automatic name, numbered, unless it is given one that a config carries`, () => {
      const snake = cls.className.replace(/([a-z])(?=[A-Z])/g, '$1_').toLowerCase();
      const expected = { SGD: 'sgd', RMSprop: 'rm_sprop' }[cls.className] ?? snake;
      const [first, second] = [new cls().name, new cls().name].map(
        (name) => new RegExp(`^${expected}(?:_(\\d+))?$`).exec(name)?.[1] ?? '0',
      );
      assert.equal(Number(second), Number(first) + 1);
      for (const name of [`${expected}_1`, 'my_own'])
        assert.equal((deserialize(serialize(new cls({ name }))) as Optimizer).name, name);
    });
  }

  it('ScheduleFreeAdamW warms up: a first step of a tenth', () => {
    const [whole, tenth] = [0, 10].map((warmup_steps) =>
      path(new ScheduleFreeAdamW({ learning_rate: 0.5, warmup_steps }), [0, 0], [[1, -1]]),
    );
    close(tenth?.[0] ?? [], whole?.[0]?.map((x) => x / 10) ?? []);
    assert.closeTo(whole?.[0]?.[0] ?? 0, -0.5, 1e-6);
  });

  it('ScheduleFreeAdamW decays its variables, but none that is excluded', () => {
    const [decayed, excluded] = [new Variable([2]), new Variable([2])];
    const optimizer = new ScheduleFreeAdamW({ learning_rate: 1, weight_decay: 0.004 });
    optimizer.exclude_from_weight_decay({ var_list: [excluded] });
    // the first step ends at its new point, wherever the average of the points before it was
    for (let step = 0; step < 2; step++) optimizer.apply([[0], [0]], [decayed, excluded]);
    assert.isBelow(decayed.value[0] as number, 1.999);
    close(excluded.value, [2]);
  });
});
