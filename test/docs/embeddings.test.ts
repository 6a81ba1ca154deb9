// The example with word vectors: its gradients against differences of its loss, and what it leaves behind.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import { loadCorpus } from '../../examples/embeddings/corpus.ts';
import { nearest } from '../../examples/embeddings/neighbours.ts';
import { kContexts, Pairs } from '../../examples/embeddings/pairs.ts';
import { SkipGram } from '../../examples/embeddings/skip_gram.ts';
import { mulberry32 } from '../../examples/random.ts';

const cwd = fileURLToPath(new URL('../..', import.meta.url));

describe('npm run example:embeddings', function () {
  this.timeout(60_000);
  let folder = '';
  before(() => (folder = mkdtempSync(join(tmpdir(), 'embeddings-'))));
  after(() => rmSync(folder, { recursive: true }));

  it('has gradients that the differences of the loss agree with, several rows of one word among them', () => {
    const random = mulberry32(1);
    const [words, length] = [4, 3];
    const model = new SkipGram(words, length, random);
    for (const { value } of model.variables) value.forEach((_, i) => (value[i] = random() - 0.5));
    const batch = {
      words: Uint32Array.of(0, 2, 2),
      contexts: Uint32Array.from({ length: 3 * kContexts }, (_, i) => i % 3),
    };
    const { gradients } = model.run(batch);
    model.variables.forEach(({ value }, k) => {
      const dense = new Float64Array(value.length);
      const { values, indices } = gradients[k] as (typeof gradients)[number];
      Array.from(values).forEach((x, i) => {
        const place = (indices[Math.floor(i / length)] as number) * length + (i % length);
        dense[place] = (dense[place] as number) + x;
      });
      value.forEach((before, i) => {
        const lossAt = (x: number): number => {
          value[i] = x;
          return 3 * model.run(batch).loss; // of all pairs
        };
        const slope = (lossAt(before + 1e-2) - lossAt(before - 1e-2)) / 2e-2;
        value[i] = before;
        assert.closeTo(dense[i] as number, slope, 1e-3, `variable ${k}, element ${i}`); // float32 and the third derivative
      });
    });
  });

  it('holds one verse of twenty out, and draws the same pairs from the same seed', () => {
    const corpus = loadCorpus(2000);
    const drawn = () => [...new Pairs(corpus, mulberry32(3)).batches(corpus.train.slice(0, 50), 64)];
    assert.deepEqual(drawn(), drawn());
    assert.isAbove(drawn().length, 5);
    assert.lengthOf(corpus.test, 100);
    assert.lengthOf(corpus.train, 1900);
    assert.deepEqual(corpus.words.slice(0, 3), ['and', 'the', 'of']); // of Genesis and Exodus
  });

  it('finds the nearest words', () => {
    const corpus = { words: ['a', 'b', 'c'], counts: [], train: [], test: [] };
    assert.deepEqual(nearest(corpus, Float32Array.of(1, 0, -1, 0.1, 2, 0.1), 'a', 2), ['c', 'b']);
    assert.deepEqual(nearest(corpus, new Float32Array(6), 'z', 2), []);
  });

  it('trains with several optimizers: a figure, two tables, a part of a page', () => {
    const [page, output] = [join(folder, 'page.md'), join(folder, 'few.svg')];
    const [begin, end] = ['begins; npm run example:embeddings writes what follows', 'ends'];
    writeFileSync(page, `before\n\n<!-- example:embeddings ${begin} -->\n<!-- example:embeddings ${end} -->\n`);
    const small = ['--optimizer', 'adagrad,adam', '--verses', '1000', '--epochs', '1', '--dimensions', '8'];
    const args = ['--import', 'tsx', 'examples/embeddings/main.ts', ...small, '--page', page, '--output', output];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    for (const text of [stdout, readFileSync(page, 'utf8')]) {
      const rows = [...text.matchAll(/^\| (?:Adagrad|Adam) .*\|$/gm)].map(([row]) => row.split('|').map(Number));
      assert.lengthOf(rows, 2);
      for (const [, , rate = NaN, loss = NaN, share = NaN] of rows) {
        assert.isAbove(rate, 0);
        assert.isBelow(loss, 4.15); // before the first step it is 6 ln 2
        assert.isTrue(share > 0 && share < 100);
      }
      assert.match(text, /^\| king +\| \w+, \w+/m);
    }
    assert.lengthOf(readFileSync(output, 'utf8').match(/>(Adagrad|Adam) [\d.]+<\/text>/g) ?? [], 2);
  });
});
