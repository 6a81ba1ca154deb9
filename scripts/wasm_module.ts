// Writes the compiled kernels, with what a native addon of the same sources says of them, as a module that needs no file beside it.
// Usage: tsx scripts/wasm_module.ts COMPILED.wasm dist/wasm/module.cjs
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { gzipSync } from 'node:zlib';

import { addon } from '../lib/native.ts';
import { versions } from '../lib/platform.ts';
import { compiled, instantiated, type WasmModule } from '../lib/wasm/kernels.ts';

const [from, to] = process.argv.slice(2);
if (from === undefined || to === undefined)
  throw new Error('usage: tsx scripts/wasm_module.ts COMPILED.wasm MODULE.cjs');
if (!addon.backends.some(({ name }) => name === 'baseline'))
  throw new Error('the tables of dist/wasm/module.cjs come from the native addon: run "npm run build:addon" first');

const binary = readFileSync(from);
const bytes = binary.toString('base64');
const { heapBase } = instantiated(compiled({ bytes, pages: 0 }), 2 ** 22);
const { rules, controls, controlSize } = addon;
const tables = {
  rules,
  traces: rules.map((_, rule) => addon.trace(rule)),
  traceOfDecay: addon.traceOfDecay(),
  controls,
  controlSize,
};
const module: WasmModule = { version: versions().version, tables, pages: Math.ceil(heapBase / 2 ** 16), bytes };
const text = JSON.stringify(module, (key, value: unknown) => {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new Error(`${key} is ${value}, which JSON has not`);
  return value;
});
const program = `// Written by scripts/build_wasm.sh.\nmodule.exports = ${text};\n`;
mkdirSync(dirname(to), { recursive: true });
writeFileSync(to, program);
const kilobytes = (size: number): string => `${(size / 1000).toFixed(1)} KB`;
console.log(
  `${to}: ${kilobytes(program.length)}, ${kilobytes(gzipSync(program).length)} with gzip; of it the kernels ` +
    `${kilobytes(binary.length)}, ${kilobytes(gzipSync(binary).length)} with gzip`,
);
