// Labels beside lines that end at the same place.
import { assert } from 'chai';
import { lineChart, type Series } from '../lib/charts/lines.ts';
import { colors } from '../lib/charts/svg.ts';

describe('a line chart', () => {
  const points = [
    [0, 1],
    [1, 2],
  ] as const;
  const names = Array.from({ length: 12 }, (_, i) => `OptimizerOfALongName ${i}`);
  const chart = (labels: readonly string[]): string => {
    const series = labels.map((label, i): Series => ({ points, label, color: colors[i % colors.length] ?? 'grey' }));
    return lineChart({ title: 't', subtitle: 's', x: 'x', panels: [{ title: 'p', height: 300, series }] });
  };
  const labelsOf = (svg: string) =>
    [...svg.matchAll(/<text class="label" x="([\d.]+)" y="([\d.]+)">/g)].map(([, x, y]) => ({
      x: Number(x),
      y: Number(y),
    }));

  it('keeps a dozen labels apart, inside the panel and the paper', () => {
    const labels = labelsOf(chart(names));
    assert.lengthOf(labels, names.length);
    const [top, bottom] = [84, 84 + 32 + 300]; // kHead, and a panel's title and height below it
    labels.forEach(({ x, y }, i) => {
      assert.isAtLeast(y - (labels[i - 1]?.y ?? -Infinity), 17);
      assert.isTrue(y > top && y < bottom + 17, `${y}`);
      assert.isAtMost(x + 8.5 * 23, 900);
    });
  });

  it('leads a line to a label only where it had to move', () => {
    const leads = (svg: string): number => svg.match(/<line [^>]*stroke="currentColor"/g)?.length ?? 0;
    assert.equal(leads(chart(names.slice(0, 1))), 0);
    assert.equal(leads(chart(names)), names.length - 1);
  });
});
