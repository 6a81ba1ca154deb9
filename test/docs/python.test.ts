// The programs of the pages in Python run and print what they say, where Python's Keras is (`npm run bench:python`).
import { spawnSync } from 'node:child_process';

import { assert } from 'chai';

import { python, pythonFailure, settings } from '../../bench/python.ts';
import { pages, programsOf, root } from '../pages.ts';

describe('the programs in Python', function () {
  this.timeout(300_000);
  for (const { place, text, said } of pages.flatMap((page) => programsOf(page, 'python')))
    it(`run and print what they say: ${place}`, function () {
      const failure = pythonFailure();
      if (failure !== undefined) {
        console.log(`    not run: ${failure}`);
        return this.skip();
      }
      assert.isNotEmpty(said);
      const { stdout, stderr } = spawnSync(python, ['-c', text], { cwd: root, env: settings(2), encoding: 'utf8' });
      assert.equal(stdout.trim(), said, stderr);
    });
});
