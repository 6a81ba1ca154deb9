// The lines of the pages that begin with `npx keras-optimizers` are run, block by block, in a folder with the files that they name.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

import { assert } from 'chai';

import { blocksOf, isRun, pages, root } from '../pages.ts';

const golden = ['model-nadam-constant.keras', 'model-nadam-constant.weights.h5'];
const command = /^(?:\w+=\S+ )*npx keras-optimizers\b/m;

describe('the commands of the pages', function () {
  this.timeout(300_000);
  for (const page of pages) {
    const blocks = blocksOf(page);
    const files = blocks.filter(({ note }) => note === 'file');
    for (const { place, text } of blocks.filter(
      (block) => block.language === 'sh' && isRun(block) && command.test(block.text),
    ))
      it(`end well: ${place}`, () => {
        const folder = mkdtempSync(join(tmpdir(), 'commands-'));
        try {
          for (const name of golden)
            copyFileSync(join(root, 'test/golden', name), join(folder, name.replace('-nadam-constant', '')));
          for (const { reason, text } of files) writeFileSync(join(folder, reason), text);
          const npx = join(folder, 'npx');
          writeFileSync(npx, `#!/bin/sh\nshift\nexec '${process.execPath}' '${root}dist/cli/index.js' "$@"\n`);
          chmodSync(npx, 0o755);
          const PATH = [folder, process.env.PATH].join(delimiter);
          const { status, stderr } = spawnSync('bash', ['-euo', 'pipefail', '-c', text], {
            cwd: folder,
            env: { ...process.env, PATH },
            encoding: 'utf8',
          });
          assert.equal(status, 0, stderr);
        } finally {
          rmSync(folder, { recursive: true });
        }
      });
  }
});
