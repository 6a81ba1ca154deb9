// docs/figures/nadam-family.svg: what the warm-up of the momentum does to a step, and to a descent.
import { lineChart, type Panel, type Point, type Series } from '../../lib/charts/lines.ts';
import { all, family, stepLengths, type Member } from './members.ts';
import { descend, kDimensions, kRuns } from './valley.ts';

const kSteps = 30_000; // after which the slowest warm-up has ended
const kRate = 0.03;

/** Step numbers that lie evenly on a logarithmic axis. */
const at = [...new Set(Array.from({ length: 201 }, (_, i) => Math.round(kSteps ** (i / 200))))];

const curve = ({ name, color }: Member, value: (step: number, i: number) => number): Series => ({
  points: at.map((step, i): Point => [step, value(step, i)]),
  color,
  label: name,
});

const momenta = (): Panel => ({
  title: 'Momentum, for momentum_decay = 1 (Keras 3), 0.004 (PyTorch) and Infinity (optax)',
  height: 130,
  series: family.map((member) => {
    const optimizer = member.make({ learning_rate: kRate });
    return curve(member, (step) => optimizer.momentum(step));
  }),
});

const lengths = (): Panel => ({
  title: 'Length of a step in learning rates while the gradient stays the same',
  height: 150,
  series: all.map((member) => {
    const every = stepLengths(member, kSteps);
    return curve(member, (step) => every[step - 1] as number);
  }),
});

function losses(): Panel[] {
  const curves = all.map((member) => descend(member.make({ learning_rate: kRate }), at));
  const loss = (k: number, i: number) => curves[k]?.[i] ?? NaN;
  const problem = `a badly scaled quadratic in ${kDimensions} dimensions, noisy gradients`;
  return [
    {
      title: `Loss on ${problem}, learning rate ${kRate}, mean of ${kRuns} runs`,
      height: 140,
      log: true,
      series: all.map((member, k) => curve(member, (_, i) => loss(k, i))),
    },
    {
      title: "The same loss divided by Adam's",
      height: 230,
      series: all.map((member, k) => curve(member, (_, i) => loss(k, i) / loss(0, i))),
    },
  ];
}

/** The text of an SVG file. */
export const figure = (): string =>
  lineChart({
    title: "Nadam's family: one formula, three momenta",
    subtitle: 'beta_1 = 0.9, beta_2 = 0.999. The legacy Nadam of Keras 2 has the momentum of PyTorch.',
    x: 'steps',
    marks: [1, 10, 100, 1000, 10_000].map((step) => ({ at: step, text: step.toLocaleString('en-US') })),
    panels: [momenta(), lengths(), ...losses()],
  });
