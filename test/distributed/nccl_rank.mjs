// One rank of a job of nccl_connect.ts: connects over NCCL as a training does. Usage: node nccl_rank.mjs CASE OPTIONS, those of connect as JSON.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';

import { allocate, Lamb, Nadam, SGD, Variable } from 'keras-optimizers';
import { connect } from 'keras-optimizers/distributed';

import { addon } from '../../dist/native.js';

const [name, options] = process.argv.slice(2);
const join = () => connect({ backend: 'nccl', device: 'cuda:0', ...JSON.parse(options) });

/** Numbers of many magnitudes, the same for the same seed. */
function numbers(length, seed, Type = Float32Array) {
  let state = seed + 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return new Type(length).map(() => (next() - 0.5) * 2 ** (9 * next()));
}

const placed = {
  array: (values) => ({ data: values, read: async () => values }),
  shared(values) {
    const data = new values.constructor(new SharedArrayBuffer(values.byteLength));
    data.set(values);
    return { data, read: async () => data };
  },
  library(values) {
    const data = allocate(values.length, values instanceof Float32Array ? 'float32' : 'float64');
    data.set(values);
    return { data, read: async () => data };
  },
  variable: (values) => variableOf(values, {}),
  'variable on the GPU': (values) => variableOf(values, { device: 'cuda' }),
  'gradient on the GPU'(values) {
    const { gradient } = variableOf(new values.constructor(values.length), { device: 'cuda' }).data;
    gradient.assign(values);
    return { data: gradient, read: () => gradient.read() };
  },
};

function variableOf(values, where) {
  const data = new Variable(values, { dtype: values instanceof Float32Array ? 'float32' : 'float64', ...where });
  return { data, read: () => data.read() };
}

const joined = (arrays) => arrays[0].constructor.from(arrays.flatMap((array) => [...array]));

/** The sum in the order of all sums. */
function folded(arrays) {
  if (arrays.length === 1) return arrays[0];
  const pairs = Array.from({ length: Math.ceil(arrays.length / 2) }, (_, i) => arrays.slice(2 * i, 2 * i + 2));
  return folded(pairs.map(([a, b]) => (b === undefined ? a : a.map((x, j) => x + b[j]))));
}

async function same(what, found, expected) {
  assert.ok(isDeepStrictEqual(await found.read(), expected), what);
}

async function collectives(comm) {
  const { rank, size } = comm;
  for (const Type of [Float32Array, Float64Array])
    for (const length of [1, 1000, 70_000])
      for (const [kind, make] of Object.entries(placed)) {
        const all = Array.from({ length: size }, (_, i) => numbers(length * size, 10 * length + i, Type));
        const of = (i) => all[i].slice();
        const shard = (array) => array.slice(rank * length, (rank + 1) * length);
        const sum = folded(all);
        const what = `${kind}, ${length} ${Type.name}`;
        const [whole, full, part] = [make(of(rank)), make(of(rank)), make(new Type(length))];
        await comm.allReduce(whole.data);
        await same(`allReduce of ${what}`, whole, sum);
        await comm.reduceScatter(full.data, part.data);
        await same(`reduceScatter of ${what}`, part, shard(sum));
        await comm.allGather(part.data, full.data);
        await same(
          `allGather of ${what}`,
          full,
          joined(Array.from({ length: size }, (_, i) => sum.slice(i * length, (i + 1) * length))),
        );
        const root = size - 1;
        const sent = make(of(rank));
        await comm.broadcast(sent.data, root);
        await same(`broadcast of ${what}`, sent, of(root));
        await comm.barrier();
      }
  await assert
    .rejects(
      comm.allReduce(new Float32Array(1 + rank)),
      ({ code }) => code === (size > 1 ? 'ERR_COMM_MISMATCH' : undefined),
    )
    .catch((error) => assert.equal(size, 1, error.message));
  await comm.barrier();
  return 'all places';
}

const shapes = [[30_000], [70, 30], [1]];
const classes = [
  ['Nadam', () => new Nadam({ use_ema: true })],
  ['Lamb', () => new Lamb({ weight_decay: 0.01 })],
  ['SGD', () => new SGD({ momentum: 0.9, global_clipnorm: 0.5 })],
];

/** Gradients as they are given: nothing for the variables' own. */
const ways = {
  own(given, variables, device) {
    variables.forEach(({ gradient }, i) => (device === 'cuda' ? gradient.assign(given[i]) : gradient.set(given[i])));
    return undefined;
  },
  mixed: (given, _, device) => (device === 'cuda' ? given.map((array, i) => kinds[i % kinds.length](array)) : given),
};
const kinds = [
  (array) => ({ ...new Variable(array, { device: 'cuda' }).cuda, stream: 0n }),
  (array) => placed.library(array).data,
  (array) => new Variable(array, { device: 'cuda' }),
];

/** What a rank ends with: variables and the optimizer's own. And how often numbers went between the host and the GPU in its steps. */
async function trained(comm, make, settings, way, device) {
  const variables = shapes.map((shape, i) => {
    const length = shape.reduce((product, n) => product * n, 1);
    return new Variable(numbers(length, i), { shape, name: `v${i}`, device });
  });
  const optimizer = make();
  optimizer.build(variables);
  await optimizer.distribute(comm, settings);
  const passes = (settings.micro_batches ?? comm.size) / comm.size;
  let crossings = 0;
  for (let step = 0; step < 3; step++)
    for (let pass = 0; pass < passes; pass++) {
      const seed = 100 * step + 10 * (comm.rank * passes + pass);
      const given = variables.map((variable, i) => numbers(variable.gradient.length, seed + i));
      const gradients = ways[way](given, variables, device);
      const stop = counting(() => crossings++);
      await optimizer.apply_async(gradients);
      stop();
    }
  const all = await Promise.all([...variables, ...optimizer.variables].map((variable) => variable.read()));
  optimizer.dispose();
  for (const variable of variables) variable.dispose();
  return { all, crossings };
}

/** Calls `seen` for every copy between the host and the GPU; returns what ends that. */
function counting(seen) {
  const { read, readNow, write } = addon.cuda;
  const counted =
    (copy) =>
    (...args) => (seen(), copy(...args));
  Object.assign(addon.cuda, { read: counted(read), readNow: counted(readNow), write: counted(write) });
  return () => Object.assign(addon.cuda, { read, readNow, write });
}

async function trains(comm) {
  for (const [title, make] of classes)
    for (const settings of [{}, { reduction: 'mean' }, { micro_batches: 2 * comm.size, bucket_bytes: 50_000 }])
      for (const way of ['own', 'mixed']) {
        const what = `${title}, ${JSON.stringify(settings)}, ${way}`;
        const expected = await trained(comm, make, settings, way, 'cpu');
        const found = await trained(comm, make, settings, way, 'cuda');
        assert.ok(isDeepStrictEqual(found.all, expected.all), what);
        const zeros = settings.reduction === 'mean' ? 1 : 0; // that a division adds to, once
        if (way === 'own') assert.equal(found.crossings, zeros, `${what}: copies to or from the host`);
      }
  return classes.map(([title]) => title).join(', ');
}

const failure = async (promise) => {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  return error === undefined ? 'nothing' : `${error.code} ${error.message}`;
};

/** Each resolves to what the rank prints. */
const cases = {
  async works() {
    const comm = await join();
    assert.equal(comm.kind, 'nccl');
    const said = [`${comm.size} ranks`, await collectives(comm), await trains(comm)];
    await comm.close();
    return said.join('; ');
  },
  /** What a sum says that does not end well, and what is said after it. */
  async fails() {
    const comm = await join();
    const began = performance.now();
    const said = [await failure(comm.allReduce(new Float32Array(5000))), await failure(comm.barrier())];
    assert.ok(performance.now() - began < 20_000, 'it took too long');
    await comm.close();
    return said.join('\n');
  },
  async starts() {
    return failure(join());
  },
};

console.log(`rank ${await cases[name]()}`);
