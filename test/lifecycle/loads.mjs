// Two loads of the addon in one process, each used at once and in turn. Usage: node loads.mjs dlopen|cache|copy|vm [worker]
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import vm from 'node:vm';

import * as first from 'keras-optimizers';

const [how, where] = isMainThread ? process.argv.slice(2) : workerData;
const root = fileURLToPath(new URL('../..', import.meta.url));
const addon = process.env.KERAS_OPTIMIZERS_ADDON ?? join(root, 'build-cmake/Release/keras_optimizers.node');

/** The package again, from another folder: with a copy of the addon, or with the same file. */
async function secondPackage(copied) {
  const folder = mkdtempSync(join(tmpdir(), 'keras-optimizers-'));
  try {
    cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(folder, 'package.json'));
    mkdirSync(join(folder, 'build-cmake/Release'), { recursive: true });
    const place = join(folder, 'build-cmake/Release/keras_optimizers.node');
    if (copied) cpSync(addon, place);
    else symlinkSync(addon, place);
    const { cache } = createRequire(import.meta.url);
    for (const path of Object.keys(cache)) if (path.endsWith('.node')) delete cache[path];
    delete process.env.KERAS_OPTIMIZERS_ADDON;
    return await import(pathToFileURL(join(folder, 'dist/index.js')).href);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Sync and async steps of one load. */
async function use({ SGD, Variable }) {
  const variable = new Variable(new Float32Array(100_000).fill(1));
  const optimizer = new SGD({ learning_rate: 1 });
  optimizer.apply([variable.gradient.fill(2)], [variable]);
  await Promise.all([optimizer.apply_async(), optimizer.apply_async()]);
  return variable.value[99_999];
}

function opened(module) {
  process.dlopen(module, addon);
  return module.exports;
}

/** The classes of a load, and bytes of a block of it. */
const shape = ({ Memory, newPlan, rules }) =>
  [typeof newPlan, rules.length > 0, new Memory(64).buffer().byteLength].join(' ');

const loads = {
  dlopen: () => [opened({ exports: {} }), opened({ exports: {} })].map(shape),
  cache: async () => Promise.all([use(first), use(await secondPackage(false))]),
  copy: async () => Promise.all([use(first), use(await secondPackage(true))]),
  vm: () => {
    const context = vm.createContext({ process, addon });
    const open = 'const m = { exports: {} }; process.dlopen(m, addon); m.exports';
    const array = vm.runInContext('new Float32Array([1, 2])', context);
    const options = vm.runInContext('({ learning_rate: 1 })', context);
    new first.SGD(options).apply([vm.runInContext('new Float32Array([3, 3])', context)], [array]);
    return [
      shape(vm.runInContext(open, context)),
      shape(vm.runInContext(open.replaceAll('m', 'n'), context)),
      ...array,
    ];
  },
};

if (where === 'worker' && isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { workerData: [how, 'inside'] });
  const [code] = await once(worker, 'exit');
  console.log('worker', code);
} else {
  console.log((await loads[how]()).join(', '));
  if (where === 'inside') process.exit(3);
}
