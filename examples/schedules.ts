// The learning-rate schedules by the names of the command line, each fitted to the length of the training.
import {
  CosineDecay,
  CosineDecayRestarts,
  ExponentialCyclicalLearningRate,
  ExponentialDecay,
  InverseTimeDecay,
  OneCycle,
  PiecewiseConstantDecay,
  PolynomialDecay,
  PowerDecay,
  Triangular2CyclicalLearningRate,
  TriangularCyclicalLearningRate,
  WarmUp,
  type LearningRate,
} from 'keras-optimizers';

export interface Choice {
  /** For `--help`. */
  readonly text: string;
  /** @param rate the highest one; @param steps of the whole training */
  make(rate: number, steps: number): LearningRate;
}

const kLast = 1 / 20; // what decay leaves of the rate in the end

const wave = (rate: number, steps: number) => ({
  initial_learning_rate: rate / 10,
  maximal_learning_rate: rate,
  step_size: steps / 8,
});

export const schedules: Readonly<Record<string, Choice>> = {
  constant: {
    text: 'the rate stays as it is',
    make: (rate) => rate,
  },
  exponential: {
    text: 'ExponentialDecay to 1/20 of the rate',
    make: (initial_learning_rate, decay_steps) =>
      new ExponentialDecay({ initial_learning_rate, decay_steps, decay_rate: kLast }),
  },
  piecewise: {
    text: 'PiecewiseConstantDecay: a fifth after 1/2 of the steps, a twentieth after 3/4',
    make: (rate, steps) =>
      new PiecewiseConstantDecay({ boundaries: [steps / 2, (3 * steps) / 4], values: [rate, rate / 5, rate * kLast] }),
  },
  polynomial: {
    text: 'PolynomialDecay with power 1, a straight line to 1/20',
    make: (rate, decay_steps) =>
      new PolynomialDecay({ initial_learning_rate: rate, decay_steps, end_learning_rate: rate * kLast }),
  },
  'inverse-time': {
    text: 'InverseTimeDecay, rate / (1 + 19 t), t from 0 to 1',
    make: (initial_learning_rate, decay_steps) =>
      new InverseTimeDecay({ initial_learning_rate, decay_steps, decay_rate: 1 / kLast - 1 }),
  },
  power: {
    text: 'PowerDecay with power 1/2: the inverse square root of the step',
    make: (initial_learning_rate, steps) =>
      new PowerDecay({ initial_learning_rate, decay_steps: steps / 100, power: 0.5 }),
  },
  cosine: {
    text: 'CosineDecay to 0',
    make: (initial_learning_rate, decay_steps) => new CosineDecay({ initial_learning_rate, decay_steps }),
  },
  'cosine-restarts': {
    text: 'CosineDecayRestarts: three cosines, each twice as long as the one before',
    make: (initial_learning_rate, steps) =>
      new CosineDecayRestarts({ initial_learning_rate, first_decay_steps: steps / 7 }),
  },
  'warm-up': {
    text: 'WarmUp for 1/10 of the steps, then CosineDecay',
    make: (initial_learning_rate, steps) =>
      new WarmUp({
        schedule: new CosineDecay({ initial_learning_rate, decay_steps: 0.9 * steps }),
        warmup_steps: 0.1 * steps,
      }),
  },
  'one-cycle': {
    text: 'OneCycle: up to the rate, down again, and to almost 0',
    make: (maximal_learning_rate, total_steps) => new OneCycle({ maximal_learning_rate, total_steps }),
  },
  triangular: {
    text: 'TriangularCyclicalLearningRate: four equal triangles',
    make: (rate, steps) => new TriangularCyclicalLearningRate(wave(rate, steps)),
  },
  triangular2: {
    text: 'Triangular2CyclicalLearningRate: four triangles, each half as high as the one before',
    make: (rate, steps) => new Triangular2CyclicalLearningRate(wave(rate, steps)),
  },
  'exponential-cyclical': {
    text: 'ExponentialCyclicalLearningRate: four triangles that shrink to 1/20',
    make: (rate, steps) => new ExponentialCyclicalLearningRate({ ...wave(rate, steps), gamma: kLast ** (1 / steps) }),
  },
};
