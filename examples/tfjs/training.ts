// A small convolutional network on MNIST, an epoch at a time.
import { kClasses, kPixels, kSide, type Images } from '../mnist-data.ts';
import { mulberry32, permutation } from '../random.ts';
import { tf } from './tensorflow.ts';

/** A network, the same weights every time, that learns with an optimizer. */
export function network(optimizer: tf.Optimizer): tf.LayersModel {
  let seed = 1;
  const kernelInitializer = () => tf.initializers.glorotUniform({ seed: seed++ });
  const convolution = (filters: number, more: object = {}) =>
    tf.layers.conv2d({ filters, kernelSize: 3, activation: 'relu', kernelInitializer: kernelInitializer(), ...more });
  const model = tf.sequential({
    layers: [
      convolution(8, { inputShape: [kSide, kSide, 1] }),
      tf.layers.maxPooling2d({ poolSize: 2 }),
      convolution(16),
      tf.layers.maxPooling2d({ poolSize: 2 }),
      tf.layers.flatten(),
      tf.layers.dense({ units: kClasses, activation: 'softmax', kernelInitializer: kernelInitializer() }),
    ],
  });
  model.compile({ optimizer, loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

/** Images and labels as tensors, in an order that follows from the seed. */
function tensorsOf({ pixels, labels }: Images, seed: number): { x: tf.Tensor4D; y: tf.Tensor2D } {
  const order = permutation(labels.length, mulberry32(seed));
  const [x, y] = [new Float32Array(pixels.length), new Float32Array(labels.length * kClasses)];
  order.forEach((image, row) => {
    for (let i = 0; i < kPixels; i++) x[row * kPixels + i] = (pixels[image * kPixels + i] as number) / 255;
    y[row * kClasses + (labels[image] as number)] = 1;
  });
  return { x: tf.tensor4d(x, [labels.length, kSide, kSide, 1]), y: tf.tensor2d(y, [labels.length, kClasses]) };
}

/** What was seen of each step; times in ms. */
export interface Step {
  readonly loss: number;
  readonly time: number;
  /** Of it in the optimizer. */
  readonly updating: number;
}

/** Trains an epoch: model.fit on the images in the order of the epoch's number. */
export async function trainEpoch(
  model: tf.LayersModel,
  images: Images,
  batchSize: number,
  epoch: number,
): Promise<readonly Step[]> {
  const { x, y } = tensorsOf(images, epoch);
  const steps: Step[] = [];
  let [start, updating] = [0, 0];
  const restore = around(model.optimizer, (milliseconds) => (updating = milliseconds));
  const callbacks = {
    onBatchBegin: () => void (start = performance.now()),
    onBatchEnd: (_: number, logs?: tf.Logs) =>
      void steps.push({ loss: logs?.loss as number, time: performance.now() - start, updating }),
  };
  await model.fit(x, y, { batchSize, epochs: 1, shuffle: false, verbose: 0, yieldEvery: 'never', callbacks });
  restore();
  tf.dispose([x, y]);
  return steps;
}

/** Tells how long each update takes; returns what ends that. */
function around(optimizer: tf.Optimizer, tell: (milliseconds: number) => void): () => void {
  optimizer.applyGradients = (gradients) => {
    const start = performance.now();
    (Object.getPrototypeOf(optimizer) as tf.Optimizer).applyGradients.call(optimizer, gradients);
    tell(performance.now() - start);
  };
  return () => void Reflect.deleteProperty(optimizer, 'applyGradients');
}

/** The share of images that the network gets right. */
export async function accuracyOf(model: tf.LayersModel, images: Images): Promise<number> {
  const { x, y } = tensorsOf(images, 0);
  const scores = model.evaluate(x, y, { batchSize: 500 }) as tf.Scalar[];
  const accuracy = (await scores[1]?.data())?.[0] ?? NaN;
  tf.dispose([x, y, ...scores]);
  return accuracy;
}
