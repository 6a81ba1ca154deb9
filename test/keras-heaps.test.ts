// HDF5 files that its library would not come to an end with, or take all memory for.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { guarded } from '../lib/keras/h5_heaps.ts';
import { library } from '../lib/keras/h5wasm.ts';
import { loadKerasOptimizer } from '../lib/keras/index.ts';
import { bytesSource } from '../lib/keras/source.ts';
import { CheckpointError } from '../lib/index.ts';
import { rejection } from './errors.ts';

const good = readFileSync(new URL('golden/model-nadam-constant.weights.h5', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'heaps-'));
after(() => rmSync(folder, { recursive: true }));

/** The good file after a change behind a signature. */
function changed(signature: string, change: (bytes: Buffer, at: number) => void): Buffer {
  const bytes = Buffer.from(good);
  change(bytes, bytes.indexOf(signature, 0, 'latin1'));
  return bytes;
}

const load = (bytes: Buffer) => {
  writeFileSync(join(folder, 'file.h5'), bytes);
  return loadKerasOptimizer(join(folder, 'file.h5'), { optimizer: 'nadam' });
};

const lies: Readonly<Record<string, (bytes: Buffer, at: number) => void>> = {
  'an object of no bytes': (bytes, at) => bytes.fill(0, at + 16, at + 32),
  'an object of 4 GiB': (bytes, at) => bytes.writeBigUInt64LE(2n ** 32n, at + 24),
  'an object of 2 ** 64 - 16 bytes': (bytes, at) => bytes.writeBigUInt64LE(2n ** 64n - 16n, at + 24),
  'more bytes than the file': (bytes, at) => bytes.writeBigUInt64LE(BigInt(bytes.length), at + 8),
};

describe('a heap of texts with', () => {
  for (const [name, lie] of Object.entries(lies))
    it(`${name} is not shown to the library`, async () => {
      const bytes = changed('GCOL', lie);
      const at = bytes.indexOf('GCOL');
      const source = await guarded(bytesSource(bytes));
      const read = Buffer.alloc(64);
      source.readNow(read, at - 8);
      assert.equal(read[12], 0xff);
      source.numbers = true;
      source.readNow(read, at - 8);
      assert.equal(read[12], 1);
      await load(bytes).catch((error: unknown) => assert.instanceOf(error, CheckpointError)); // it ends
    });

  it('its right lengths is shown as it is, also in the middle of two pieces', async () => {
    const before = Buffer.alloc(2 ** 20 - good.indexOf('GCOL') - 2);
    const read = Buffer.alloc(8);
    const source = await guarded(bytesSource(Buffer.concat([before, good])));
    source.readNow(read, 2 ** 20 - 2);
    assert.equal(read.toString('latin1', 0, 5), 'GCOL\x01');
    const bad = await guarded(
      bytesSource(Buffer.concat([before, changed('GCOL', (bytes, at) => bytes.fill(0, at + 16, at + 32))])),
    );
    bad.readNow(read, 2 ** 20 - 2);
    assert.equal(read[4], 0xff);
  });
});

describe('a file that says that something in it has 512 MiB', () => {
  it('does not take them', async () => {
    await load(good);
    const bytes = Buffer.from(good);
    for (let at = -1; (at = bytes.indexOf('HEAP', at + 1)) >= 0;) {
      const lying = Buffer.from(good);
      lying.writeBigUInt64LE(2n ** 29n, at + 8);
      await load(lying).catch((error: unknown) => assert.instanceOf(error, CheckpointError));
    }
    assert.isBelow((await library('testing')).hdf5.HEAPU8.length, 2 ** 28);
    assert.equal((await load(good)).optimizer.iterations, 4);
  });
});

describe('an HDF5 file with places of 4 bytes', () => {
  it('is refused', async () => {
    const error = await rejection(() => load(changed('\x89HDF', (bytes) => bytes.fill(4, 14, 15))));
    assert.propertyVal(error, 'code', 'ERR_CKPT_FORMAT');
    assert.match(String(error), /places of 8 bytes/);
  });
});
