// Loads damaged files, those with the numbers first, first + step, ... below count, and judges what came of it. Usage, by mutated_files.ts:
// node --expose-gc --import tsx test/hostile/mutated_loads.ts COUNT SEED FIRST STEP. Writes the number of each file before it is
// loaded, so that its parent knows which one has ended or stopped it, then what came of it, and last a line of JSON.
import { mkdtempSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CheckpointError } from '../../lib/index.ts';
import { random } from '../random.ts';
import { mutated, originalsIn, variablesOf, type Loaded, type Mutated, type Original } from './originals.ts';

const [count = 0, seed = 1, first = 0, step = 1] = process.argv.slice(2).map(Number);
const kMostMemory = 128 * 2 ** 10; // KiB that one small file may take beyond what was in use before
const kMostTime = 10_000; // ms

/** What must not be, and the worst that was measured. */
export interface Report {
  readonly bad: readonly string[];
  readonly slowest: number; // ms
  readonly memory: number; // KiB
}

const bad: string[] = [];
const kKept = 20;

const folder = mkdtempSync(join(tmpdir(), 'mutated-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
process.removeAllListeners('warning');
const path = join(folder, 'file');

/** Undefined, or what is wrong. */
function judgeError(error: unknown): string | undefined {
  if (!(error instanceof CheckpointError)) return `another exception: ${(error as Error)?.stack ?? String(error)}`;
  if (!/^ERR_CKPT_[A-Z]+$/.test(error.code) || ['ERR_CKPT_IO', 'ERR_CKPT_PEER'].includes(error.code))
    return `code ${error.code}: ${error.stack}`;
  return undefined;
}

function judgeLoaded(original: Original, { sealed }: Mutated, loaded: Loaded, expected: string): string | undefined {
  if (!sealed && original.format === 'safetensors') return 'an altered file was accepted'; // its hash is over every byte
  if (!sealed && original.format === 'zip')
    return loaded.content === expected ? undefined : 'an altered file was accepted, with other content';
  const { optimizer, weights } = loaded;
  if (!Number.isSafeInteger(optimizer.iterations) || !Number.isFinite(optimizer.learning_rate)) return 'bad numbers';
  for (const { path: name, shape, value } of weights) {
    if (value.length !== shape.reduce((a, b) => a * b, 1)) return `${name} has shape [${shape.join(', ')}]`;
    const isFinite = value instanceof Float32Array ? value.every(Number.isFinite) : true;
    if (original.format === 'h5' && !isFinite) return `${name} has numbers that are not finite`;
  }
  return optimizer.built ? undefined : 'it is not built';
}

async function judge(original: Original, made: Mutated, expected: string): Promise<string | undefined> {
  const variables = variablesOf(original.shapes);
  const kind = `${original.format}${made.sealed ? ', right checksum' : ''}`;
  const counted = (outcome: string) =>
    void writeSync(
      1,
      `${kind}: ${outcome}
`,
    );
  try {
    const loaded = await original.load(path, variables);
    counted('loaded');
    const wrong = judgeLoaded(original, made, loaded, expected);
    loaded.optimizer.dispose();
    return wrong;
  } catch (error) {
    counted(String((error as { code?: unknown }).code ?? error));
    const untouched = variablesOf(original.shapes).every(
      ({ value }, i) => String(value) === String(variables[i]?.value),
    );
    return judgeError(error) ?? (untouched ? undefined : 'variables were written, and the load failed');
  }
}

const memoryNow = (): number => process.resourceUsage().maxRSS;

async function main(): Promise<Report> {
  const originals = await originalsIn(folder);
  const expected: string[] = [];
  for (const original of originals) {
    writeFileSync(path, original.bytes);
    expected.push((await original.load(path, variablesOf(original.shapes))).content);
  }
  let slowest = 0;
  for (let i = first; i < count; i += step) {
    const next = random(`${seed} ${i}`);
    for (let skipped = 0; skipped < 5; skipped++) next(); // seeds that are alike begin alike
    const which = Math.floor(next() * originals.length);
    const original = originals[which] as Original;
    const made = mutated(original, next);
    if (made.bytes.equals(original.bytes)) continue;
    writeFileSync(path, made.bytes);
    writeSync(1, `${i}\n`);
    const [memory, start] = [memoryNow(), performance.now()];
    const wrong = await judge(original, made, expected[which] as string);
    const [time, more] = [performance.now() - start, memoryNow() - memory];
    slowest = Math.max(slowest, time);
    const all = [wrong, time > kMostTime && `${time} ms`, more > kMostMemory && `${more} KiB more memory`].filter(
      Boolean,
    );
    if (all.length > 0) bad.push(`file ${i}, ${original.name}, ${made.what}: ${all.join('; ')}`);
    if (i % 64 === first) globalThis.gc?.();
    if (bad.length >= kKept) break;
  }
  return { bad, slowest, memory: memoryNow() };
}

writeSync(1, `${JSON.stringify(await main())}\n`);
