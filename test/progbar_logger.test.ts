// The progress bar: what stands on a terminal and in a file. test:python compares every character with Keras's.
import { assert } from 'chai';

import { ProgressBar } from '../lib/callbacks/progress_bar.ts';
import { ProgbarLogger, type Logs, type Params } from '../lib/callbacks/index.ts';
import { thrown } from './errors.ts';

/** What an action writes to the standard output, on a terminal or not. */
function written(action: () => void, isTTY = false): string {
  const { stdout } = process;
  const before = {
    write: Object.getOwnPropertyDescriptor(stdout, 'write'),
    isTTY: Object.getOwnPropertyDescriptor(stdout, 'isTTY'),
  };
  let text = '';
  Object.defineProperty(stdout, 'write', { value: (more: string) => ((text += more), true), configurable: true });
  Object.defineProperty(stdout, 'isTTY', { value: isTTY, configurable: true });
  try {
    action();
  } finally {
    for (const [name, descriptor] of Object.entries(before)) {
      Reflect.deleteProperty(stdout, name);
      if (descriptor !== undefined) Object.defineProperty(stdout, name, descriptor);
    }
  }
  return text;
}

/** Without times, which no two runs share. */
const timeless = (text: string): string => text.replaceAll(/\d+(?=s\b)|\d+(?:s|ms|us)(?=\/step)/g, '_');

/** What is seen of a text with carriage returns. */
const seen = (text: string): string[] =>
  // eslint-disable-next-line no-control-regex -- the characters that are not seen
  text.split('\n').map((line) => (line.split('\r').at(-1) ?? '').replaceAll(/\x1b\[\d+m|\x08/g, ''));

function train(callback: ProgbarLogger, params: Params | null, epochs = 2): void {
  if (params !== null) callback.set_params(params);
  callback.on_train_begin();
  for (let epoch = 0; epoch < epochs; epoch++) {
    callback.on_epoch_begin(epoch);
    for (let batch = 0; batch < 3; batch++) {
      callback.on_train_batch_begin(batch);
      callback.on_train_batch_end(batch, { loss: 3 - batch });
    }
    callback.on_test_begin();
    callback.on_test_batch_end(0, { loss: 7 });
    callback.on_test_end({ loss: 7 });
    callback.on_epoch_end(epoch, { loss: 2, val_loss: 0.0005 });
  }
  callback.on_train_end();
}
const results = ' - loss: 2.0000 - val_loss: 5.0000e-04';
const full = '\u2501'.repeat(20);

describe('ProgbarLogger', () => {
  it('writes one line an epoch into a file, no escape sequences', () => {
    const text = written(() => train(new ProgbarLogger(), { epochs: 2, steps: 3, verbose: 1 }));
    assert.equal(timeless(text), [1, 2].map((epoch) => `Epoch ${epoch}/2\n3/3 - _s - _/step${results}\n`).join(''));
  });

  it("shows Keras's bar on a terminal", () => {
    const text = written(() => train(new ProgbarLogger(), { epochs: 2, steps: 3, verbose: 'auto' }), true);
    assert.deepEqual(seen(timeless(text)), [
      ...[1, 2].flatMap((epoch) => [`Epoch ${epoch}/2`, `3/3 ${full} _s _/step${results}`]),
      '',
    ]);
    assert.include(text, '\x1b[1m1/3\x1b[0m \x1b[32m\u2501\u2501\u2501\u2501\u2501\u2501\x1b[0m\x1b[37m');
  });

  it('counts the steps of the first epoch where nobody says how many there are', () => {
    const text = written(() => train(new ProgbarLogger(), null, 1), true);
    assert.match(text, /\r {6}1\/Unknown /);
    assert.match(seen(text)[0] as string, /^3\/3 \u2501{20} /);
    const callback = new ProgbarLogger();
    written(() => train(callback, { epochs: 1 }, 1));
    assert.deepEqual([callback.target, callback.seen, callback.epochs], [3, 3, 1]);
  });

  it('takes verbose from the loop, or from whoever made it', () => {
    const params = (verbose: number | string) => ({ epochs: 2, steps: 3, verbose });
    const lengths = (options: object, verbose: number | string) =>
      written(() => train(new ProgbarLogger(options), params(verbose)), true).split('\r').length - 1;
    assert.equal(
      written(() => train(new ProgbarLogger(), params(0)), true),
      '',
    );
    assert.equal(lengths({}, 2), 0, 'lines');
    assert.isAbove(lengths({}, 1), 3);
    assert.isAbove(lengths({ verbose: 1 }, 0), 3);
    assert.equal(
      written(() => train(new ProgbarLogger({ verbose: 0 }), params(1)), true),
      '',
    );
  });

  it('shows evaluations and predictions outside of a training', () => {
    const callback = new ProgbarLogger();
    const text = written(() => {
      callback.on_test_begin();
      for (const batch of [0, 1]) callback.on_test_batch_end(batch, { loss: 4 });
      callback.on_test_end({ loss: 5 });
      callback.on_predict_begin();
      callback.on_predict_batch_end(0, { outputs: 3 });
      callback.on_predict_end();
    });
    assert.equal(timeless(text), '2/2 - _s - _/step - loss: 5.0000\n2/2 - _s - _/step\n');
  });

  it('needs no model, and shows numbers only', () => {
    const callback = new ProgbarLogger({ verbose: 2 });
    const logs: Logs = { loss: 1, missing: null, absent: undefined };
    const text = written(() => {
      callback.on_train_batch_end(0, logs);
      callback.on_epoch_end(0, { rate: NaN, far: -Infinity });
    });
    assert.equal(timeless(text), '1/1 - _s - _/step - loss: 1.0000 - rate: nan - far: -inf\n');
  });

  const refusals: readonly [string, () => unknown, string, RegExp][] = [
    [
      'verbose: -1',
      () => new ProgbarLogger({ verbose: -1 }),
      'RANGE',
      /ProgbarLogger expects verbose to be a whole number >= 0 or null, got -1/,
    ],
    ['count_mode', () => new ProgbarLogger({ count_mode: 'steps' } as never), 'TYPE', /\(verbose\), got "count_mode"/],
    [
      'a batch of -1',
      () => new ProgbarLogger().on_train_batch_end(-1),
      'RANGE',
      /expects batch to be a whole number >= 0, got -1/,
    ],
    ['an epoch that is text', () => new ProgbarLogger().on_epoch_begin('1' as never), 'TYPE', /expects epoch/],
    [
      'logs that are a number',
      () => new ProgbarLogger().on_epoch_end(0, 3 as never),
      'TYPE',
      /expects logs to be an object, got 3/,
    ],
    [
      'params that are a number',
      () => new ProgbarLogger().set_params(3 as never),
      'TYPE',
      /expects params to be an object/,
    ],
  ];
  for (const [what, action, kind, message] of refusals)
    it(`refuses ${what}`, () => {
      let error;
      assert.equal(
        written(() => (error = thrown(action))),
        '',
      );
      assert.propertyVal(error, 'code', `ERR_OPT_CONFIG_${kind}`);
      assert.match(String(error), message);
    });
});

describe('the progress bar', () => {
  it('is drawn at most every twentieth of a second, and at the end', () => {
    let [time, lines] = [0, 0];
    const bar = new ProgressBar(100, 'bar', { write: () => lines++, now: () => time });
    for (let step = 1; step <= 100; step++) {
      time = step / 100;
      bar.update(step, {}, false);
    }
    assert.isTrue(lines >= 15 && lines <= 21, `${lines}`);
    const before = lines;
    bar.update(100, {}, true);
    assert.equal(lines, before + 1);
  });

  it('rounds ties to the even digit, as Python does', () => {
    let [text, time] = ['', 0];
    const bar = new ProgressBar(1, 'line', { write: (more) => (text += more), now: () => time });
    time = 2.5;
    bar.update(1, { low: 5 / 32, high: 15 / 32, negative: -1 / 32, other: 0.00125, whole: 3 }, true);
    const results = 'low: 0.1562 - high: 0.4688 - negative: -0.0312 - other: 0.0013 - whole: 3.0000';
    assert.equal(text, `1/1 - 2s - 2s/step - ${results}\n`);
  });

  it('covers what was there where it gets shorter', () => {
    let [text, time] = ['', 0];
    const bar = new ProgressBar(2, 'bar', { write: (more) => (text = more), now: () => time });
    time = 1;
    bar.update(1, { loss: 123456 }, false);
    const before = seen(text)[0] as string;
    time = 2;
    bar.update(2, { loss: 1 }, true);
    assert.isTrue(text.startsWith(`${'\b'.repeat(before.length)}\r`));
    assert.lengthOf(seen(text)[0] as string, before.length);
    assert.equal((seen(text)[0] as string).trimEnd(), `2/2 ${full} 2s 1s/step - loss: 1.0000`);
  });
});
