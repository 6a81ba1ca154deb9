// The checks that need a GPU, on the emulated one: the same kernels as loops on the host. What only a GPU can get wrong is not seen
// here; run.sh of the bundle runs them there.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import type { Outcome } from '../../gpu/checks/check.ts';
import { checks } from '../../gpu/checks/index.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const addon = here('../../build-emulated/Release/keras_optimizers.node');
const kSteps = 300;
const kMinutes = 4;
const settings = { device: 'cuda:0', seeds: [''], steps: kSteps, small: true, say: () => {} } as const;

describe('a device', () => {
  let outcomes: readonly Outcome[] = [];

  before(function () {
    if (!existsSync(addon)) {
      console.log(
        '      not run: there is no emulated build (npx cmake-js build --out build-emulated --CDCUDA=EMULATED)',
      );
      return this.skip();
    }
    this.timeout(kMinutes * 60_000);
    const folder = mkdtempSync(join(tmpdir(), 'keras-optimizers-'));
    const json = join(folder, 'checks.json');
    const args = ['--small', '--seeds', '1', '--steps', String(kSteps), '--json', json];
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--expose-gc', here('../../gpu/checks/run.ts'), ...args],
      { env: { ...process.env, KERAS_OPTIMIZERS_ADDON: addon }, encoding: 'utf8', maxBuffer: 2 ** 26 },
    );
    try {
      assert.isTrue(existsSync(json), `${stdout.slice(-2000)}\n${stderr.slice(-2000)}`);
      ({ outcomes } = JSON.parse(readFileSync(json, 'utf8')) as { readonly outcomes: readonly Outcome[] });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const { name } of checks(settings))
    it(name, function () {
      const { result, reason } = outcomes.find((outcome) => outcome.name === name) ?? { result: 'failed' };
      if (result === 'skipped') {
        console.log(`      skipped: ${reason}`);
        return this.skip();
      }
      assert.equal(result, 'passed', reason);
    });
});
