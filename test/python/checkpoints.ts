// Files of ours, opened by Python's safetensors: the same arrays under the names that the metadata tell, the hash, and a config that
// Keras reads.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { types } from '../../lib/checkpoint/tensors.ts';
import { Adafactor, Adam, LossScaleOptimizer, Muon, Nadam, Variable, type Optimizer } from '../../lib/index.ts';
import { isMissing, type Keras } from './keras.ts';
import { Tally } from './tally.ts';

const makes: Readonly<Record<string, () => Optimizer>> = {
  Nadam: () => new Nadam({ use_ema: true }),
  'Adam in bfloat16': () => new Adam({ state_dtype: 'bfloat16' }),
  Muon: () => new Muon(),
  Adafactor: () => new Adafactor(),
  LossScaleOptimizer: () => new LossScaleOptimizer({ inner_optimizer: new Nadam(), initial_scale: 8 }),
};
type Dtype = 'float32' | 'float64';

function trained(optimizer: Optimizer, dtypes: readonly Dtype[]): Variable[] {
  const variables = dtypes.flatMap((dtype, i) => [
    new Variable([1, 2, 3, 4, 5, 6], { shape: [2, 3], name: `dense_${i}/kernel`, dtype }),
    new Variable([0.5], { shape: [], name: `dense_${i}/scale`, dtype }),
    new Variable([], { shape: [0, 4], name: `dense_${i}/none`, dtype }),
  ]);
  for (let step = 0; step < 3; step++)
    optimizer.apply(
      variables.map((variable) => variable.value.map((_, i) => 1 / (i + step + 3))),
      variables,
    );
  return variables;
}

interface Named {
  readonly path: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly tensor: string;
}
interface Node {
  readonly values: readonly Named[];
  readonly trained: readonly Named[];
  readonly members: readonly Node[];
}

/** A typed array of the bytes that Python sent. */
function valuesOf(type: string, base64: string): ArrayLike<number | bigint> {
  const { buffer } = Uint8Array.from(Buffer.from(base64, 'base64'));
  switch (type) {
    case 'F64':
      return new Float64Array(buffer);
    case 'F32':
      return new Float32Array(buffer);
    case 'I64':
      return new BigInt64Array(buffer);
    case 'I32':
      return new Int32Array(buffer);
    case 'BF16':
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (half) => half * 2 ** 16).buffer);
    default:
      throw new Error(`no array of ours is ${type}`);
  }
}

async function checkFile(
  keras: Keras,
  path: string,
  optimizer: Optimizer,
  variables: readonly Variable[],
): Promise<void> {
  await optimizer.save(path, { variables: true });
  const { metadata, tensors, sha256 } = await keras.ask('open_file', { path });
  assert.equal(metadata.sha256, sha256);
  assert.deepEqual([metadata.format, metadata.class], ['keras-optimizers', optimizer.constructor.name]);
  if (optimizer.state_dtype === 'float32')
    // what is another one Keras does not know
    await keras.ask('reread', { kind: 'optimizers', text: metadata.config as string });
  const state = JSON.parse(metadata.state as string) as Node;
  const all = (node: Node): Named[] => [...node.values, ...node.members.flatMap(all)];
  const [slots, entries] = [all(state), state.trained];
  const kept = optimizer.variables.filter(({ name }) => !['iteration', 'learning_rate'].includes(name));
  const expected = [...kept, ...variables];
  const found = [...slots, ...entries];
  assert.deepEqual(
    found.map((entry) => entry.path),
    expected.map((variable) => variable.path),
  );
  assert.sameMembers(
    Object.keys(tensors),
    found.map(({ tensor }) => tensor),
  );
  found.forEach(({ tensor }, i) => {
    const { dtype, shape, bytes } = tensors[tensor] as (typeof tensors)[string];
    const variable = expected[i] as Variable;
    assert.deepEqual([types[dtype as 'F32'].dtype, shape], [variable.dtype, variable.shape], tensor);
    assert.deepEqual(Array.from(valuesOf(dtype, bytes)), Array.from(variable.value), tensor);
  });
}

export async function checkFiles(keras: Keras): Promise<Tally> {
  const tally = new Tally('files');
  if (await isMissing(keras, 'safetensors', 'files of ours in Python')) return tally;
  const folder = await mkdtemp(join(tmpdir(), 'files-'));
  for (const [name, make] of Object.entries(makes)) {
    const wide: readonly Dtype[] = name.includes('bfloat16') ? ['float32'] : ['float32', 'float64'];
    await tally.check('files in Python', name, async () => {
      const optimizer = make();
      await checkFile(keras, join(folder, 'run.safetensors'), optimizer, trained(optimizer, wide));
    });
  }
  await rm(folder, { recursive: true });
  return tally;
}
