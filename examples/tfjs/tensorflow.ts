// TensorFlow.js on the backend of your choice. Its WebAssembly lacks one kernel that training a convolution needs.
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';

export { tf };

type Inputs = Parameters<tf.KernelFunc>[0]['inputs'];
type Attributes = Readonly<Record<'strides' | 'pad' | 'filterShape', never>>;

/** The gradient of a 2-D filter as that of a 3-D one of depth 1, for which there is a kernel. */
function registerFilterGradient(): void {
  if (tf.getKernel('Conv2DBackpropFilter', 'wasm')) return;
  const deep = ({ dataId, dtype, shape: [batch, ...rest] }: tf.TensorInfo): tf.TensorInfo => ({
    ...{ dataId, dtype },
    shape: [batch as number, 1, ...rest],
  });
  tf.registerKernel({
    kernelName: 'Conv2DBackpropFilter',
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { x, dy } = inputs as Inputs & Record<'x' | 'dy', tf.TensorInfo>;
      const { strides, pad, filterShape } = attrs as Attributes;
      const [stride, size] = [[strides].flat(), filterShape as readonly number[]];
      const kernel = tf.getKernel('Conv3DBackpropFilterV2', 'wasm');
      const made = kernel.kernelFunc({
        inputs: { x: deep(x), dy: deep(dy) },
        attrs: { strides: [1, stride[0], stride[1] ?? stride[0]], pad, filterShape: [1, ...size] } as never,
        backend,
      });
      return { ...(made as tf.TensorInfo), shape: [...size] };
    },
  });
}

/** Sets the backend, or the JavaScript one where WebAssembly does not start; returns its name. */
export async function useBackend(wanted: string): Promise<string> {
  tf.enableProdMode();
  if (wanted === 'wasm') {
    setWasmPaths(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')) + sep);
    registerFilterGradient();
  }
  if (!(await tf.setBackend(wanted).catch(() => false))) await tf.setBackend('cpu');
  return tf.getBackend();
}
