// Environments that end while a GPU works for them.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import { devices } from '../../lib/index.ts';

describe('workers that step on a GPU', () => {
  before(function () {
    const { unusable } = devices();
    if (unusable === null) return;
    console.log(`      not run: ${unusable.message}`);
    this.skip();
  });

  it('are killed in the middle of it: nothing crashes, all memory comes back, others go on', function () {
    this.timeout(120_000);
    const file = fileURLToPath(new URL('workers.mjs', import.meta.url));
    const output = execFileSync(process.execPath, ['--expose-gc', file, '15'], { encoding: 'utf8' });
    assert.deepEqual(JSON.parse(output), { killed: 30, works: true, left: 0 });
  });
});
