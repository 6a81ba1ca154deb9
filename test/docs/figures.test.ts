// What our own code draws and computes for the documents is what stands there.
import { readFileSync } from 'node:fs';

import { assert } from 'chai';

import { figure } from '../../charts/nadam/figure.ts';
import { tables } from '../../charts/nadam/tables.ts';

const read = (path: string): string => readFileSync(new URL(`../../docs/${path}`, import.meta.url), 'utf8');

describe('docs/nadam.md', () => {
  it('shows the figure that npm run figure:nadam draws', () => {
    assert.include(read('nadam.md'), '](figures/nadam-family.svg)');
    assert.equal(figure(), read('figures/nadam-family.svg'));
  });
  it('has the numbers that it prints', () => {
    const rows = read('nadam.md').replaceAll(/ +/g, ' ').split('\n');
    const numbers = tables().flat();
    assert.isAbove(numbers.length, 8);
    for (const row of numbers) assert.include(rows, row);
  });
});
