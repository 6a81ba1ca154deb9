// The figure of npm run bench:bfloat16: for each task the losses, and how far they are from those of float32.
import { lineChart, type Panel, type Point, type Series } from '../../lib/charts/lines.ts';
import type { Curve, Points } from './curve.ts';
import { tasks } from './tasks.ts';
import { variants, type Variant } from './variants.ts';

const byTime = (points: Points, steps: number): Point[] => points.map(([step, loss]) => [(100 * step) / steps, loss]);

/** Point by point: the loss less that of the reference. */
const apart = (points: Points, reference: Points): Points =>
  points.map(([step, loss], i) => [step, loss - (reference[i]?.[1] ?? NaN)]);

const signed = (x: number): string => (x < 0 ? '\u2212' : '+') + Math.abs(x).toFixed(4);

function panelsOf(curves: readonly Curve[], title: string, reference: Curve): Panel[] {
  const draw = (curve: Curve, points: Points, label?: (name: string, last: number) => string): Series => {
    const variant = variants[curve.variant] as Variant;
    const text = label?.(variant.label, points.at(-1)?.[1] ?? NaN);
    return { points: byTime(points, curve.steps), color: variant.color, ...(text && { label: text }) };
  };
  const mine = curves.filter(({ seed }) => seed === reference.seed);
  const others = curves.filter(({ seed }) => seed !== reference.seed);
  const difference = ({ heldOut }: Curve) => apart(heldOut, reference.heldOut);
  const labelled = (curve: Curve) => (curve === reference ? undefined : (_: string, last: number) => signed(last));
  return [
    {
      title: `${title}: training loss, logarithmic`,
      height: 120,
      log: true,
      series: mine.map((curve) => draw(curve, curve.training)),
    },
    {
      title: `${title}: held-out loss`,
      height: 150,
      series: mine.map((curve) => draw(curve, curve.heldOut, (label, last) => `${label} ${last.toFixed(3)}`)),
    },
    {
      title: `${title}: held-out loss less that of float32; faint: float32 with other seeds`,
      height: 150,
      series: [
        ...others.map((curve): Series => ({ ...draw(curve, difference(curve)), look: 'faint' })),
        ...mine.map((curve) => draw(curve, difference(curve), labelled(curve))),
      ],
    },
  ];
}

/** The text of an SVG file. */
export function figure(curves: readonly Curve[]): string {
  const panels = Object.entries(tasks).flatMap(([name, { title }]) => {
    const mine = curves.filter(({ task }) => task === name);
    const reference = mine.find(({ variant }) => variant === 'float32');
    return reference === undefined ? [] : panelsOf(mine, title, reference);
  });
  return lineChart({
    title: 'Nadam with 16-bit states and gradients',
    subtitle: 'Same weights, same batches. nudged: float32 with every weight moved by one unit in its last place.',
    x: 'steps in %',
    panels,
  });
}
