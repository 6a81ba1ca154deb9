// Where there is no GPU that can be used, everything says so.
import { assert } from 'chai';

import { devices, info, memory, Variable } from '../../lib/index.ts';
import { thrown, warnings } from '../errors.ts';

const { cuda, unusable } = devices();

(unusable === null ? describe.skip : describe)('without a GPU that can be used', () => {
  it('none is listed, with the reason', () => {
    assert.deepEqual(cuda, []);
    assert.match(String(unusable?.code), /^ERR_CUDA_/);
    assert.isAbove(unusable?.message.length ?? 0, 40);
    assert.deepEqual(info().cuda.unusable, unusable);
    assert.hasAllKeys(memory(), ['cpu']);
  });
  it('a variable that asks for one is refused with it', () => {
    for (const make of [
      () => new Variable([1], { device: 'cuda' }),
      () => new Variable([1], { device: 'cuda:0' }),
      () => Variable.zeros([1], { device: 'cuda:7' }),
    ]) {
      const error = thrown(make);
      assert.strictEqual<unknown>(error?.constructor, Error);
      assert.equal(error?.code, unusable?.code);
      assert.match(error?.message ?? '', /^Variable(\.zeros)? cannot use device "cuda(:\d)?": /);
      assert.include(error?.message, unusable?.message);
    }
  });
  it('auto is the cpu, which is said once', async () => {
    const made: string[] = [];
    const make = () =>
      made.push(new Variable([1], { device: 'auto' }).device, Variable.zeros([1], { device: 'auto' }).device);
    const said = [...(await warnings(make)), ...(await warnings(make))];
    assert.deepEqual(made, ['cpu', 'cpu', 'cpu', 'cpu']);
    assert.lengthOf(said, 1);
    assert.match(said[0] as string, /^device "auto" is the cpu, because there is no GPU to use: /);
    assert.include(said[0], unusable?.message);
  });
  it('the version and what steps run on are known all the same', () => {
    const { version, node, backend, threads } = info();
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.equal(node, process.versions.node);
    assert.match(backend, /^\w+$/);
    assert.isAtLeast(threads, 1);
  });
});
