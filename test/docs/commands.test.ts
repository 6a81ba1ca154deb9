// The lines of the pages that begin with `npx keras-optimizers` are run, block by block, in a folder with the files that they name.
// What they print is what the block of text right below says, unless that is shortened: has "..." in it.
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
    for (const [i, block] of blocks.entries()) {
      const { place, text } = block;
      if (block.language !== 'sh' || !isRun(block) || !command.test(text)) continue;
      const below = blocks[i + 1];
      const said = below?.language === 'text' && below.follows && !below.text.includes('...') ? below.text : undefined;
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
          const { status, stdout, stderr } = spawnSync('bash', ['-euo', 'pipefail', '-c', text], {
            cwd: folder,
            env: { ...process.env, PATH, LC_ALL: 'C.UTF-8' },
            encoding: 'utf8',
          });
          assert.equal(status, 0, stderr);
          if (said !== undefined) assert.equal(stdout.trim(), said.trim());
        } finally {
          rmSync(folder, { recursive: true });
        }
      });
    }
  }
});
