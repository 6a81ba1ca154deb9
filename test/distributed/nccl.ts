// NCCL without a GPU: a library of the same functions on the host (test/native/fake_nccl.cpp) and emulated GPUs run all of the path
// that gradients take. And what is said where NCCL is missing or does not start.
// Usage: npm run test:nccl, which builds the emulated addon; NCCL_LIBRARY=libnccl.so.2 also asks the real one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ncclTransport, newNcclId } from '../../lib/distributed/nccl.ts';
import { devices } from '../../lib/index.ts';
import { fakeNccl } from './fake_nccl.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'nccl-'));
let library = '';
const kLimit = 60_000;

interface Rank {
  readonly code: number | null;
  readonly printed: string;
}

/** Runs ranks of a case to their ends. */
function run(name: string, size: number, env: Record<string, string> = {}): Promise<Rank[]> {
  const id = Buffer.from(newNcclId(library).id).toString('hex');
  return Promise.all(
    Array.from({ length: size }, (_, rank) => {
      const given = {
        KERAS_OPTIMIZERS_NCCL: library,
        RANK: String(rank),
        WORLD_SIZE: String(size),
        NCCL_ID: id,
        ...env,
      };
      const child = spawn(process.execPath, ['--expose-gc', here('ranks.mjs'), name], {
        env: { ...process.env, ...given },
      });
      let printed = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (printed += String(text)));
      const timer = setTimeout(() => child.kill('SIGKILL'), kLimit);
      return new Promise<Rank>((resolve) => {
        child.on('close', (code) => (clearTimeout(timer), resolve({ code, printed })));
      });
    }),
  );
}

const refusal = (code: string, text: RegExp) => (error: Error & { readonly code?: string }) => {
  assert.equal(error.code, code, error.stack);
  assert.match(error.message, text);
  return true;
};
const starts = (of: string) => ncclTransport({ rank: 0, size: 1, id: new Uint8Array(128), gpu: 0, library: of });

async function refusals(): Promise<void> {
  const missing = refusal('ERR_COMM_UNAVAILABLE', /libno_such_nccl\.so: .*cannot open shared object file/);
  assert.throws(() => newNcclId('libno_such_nccl.so'), missing);
  await assert.rejects(starts('libno_such_nccl.so'), missing);
  await assert.rejects(
    ncclTransport({ rank: 0, size: 1, id: newNcclId(library).id, gpu: 99, library }),
    refusal('ERR_CUDA_NO_DEVICE', /cuda:99/),
  );
  process.env.FAKE_NCCL_VERSION = '2804';
  assert.throws(
    () => newNcclId(library),
    refusal('ERR_COMM_UNAVAILABLE', /expected NCCL 2\.14 or later, .* is 2\.8\.4/),
  );
  delete process.env.FAKE_NCCL_VERSION;
  process.env.FAKE_NCCL_FAIL = 'ncclCommInitRankConfig:1';
  const why = /ncclCommInitRankConfig failed: unhandled cuda error \(of the fake\)/;
  await assert.rejects(starts(library), refusal('ERR_COMM_UNAVAILABLE', why));
  delete process.env.FAKE_NCCL_FAIL;
}

async function lonely(): Promise<void> {
  const { id } = newNcclId(library);
  await assert.rejects(
    ncclTransport({ rank: 0, size: 2, id, gpu: 0, library, timeout: 300 }),
    refusal('ERR_COMM_TIMEOUT', /expects all ranks to start within 300 ms/),
  );
  console.log('ok   a rank that never comes is a time-out');
}

/** The real library knows its version and makes an id without a GPU, and says why it does not start. */
async function real(of: string): Promise<void> {
  const { id, version } = newNcclId(of);
  assert.equal(id.length, 128);
  assert.ok(id.some((byte) => byte !== 0));
  console.log(`ok   NCCL ${version} makes an id`);
  await assert.rejects(
    ncclTransport({ rank: 0, size: 1, id, gpu: 0, library: of }),
    refusal('ERR_COMM_UNAVAILABLE', /ncclCommInitRankConfig failed: unhandled cuda error/),
  );
  console.log('ok   it does not start without a driver, and says so');
}

async function main(): Promise<void> {
  assert.notEqual(devices().cuda.length, 0, 'expected an addon with emulated GPUs in KERAS_OPTIMIZERS_ADDON');
  library = fakeNccl(folder);
  await refusals();
  console.log('ok   refusals');
  await lonely();
  for (const [name, size] of [
    ['carries', 1],
    ['carries', 2],
    ['carries', 4],
    ['givesUp', 3],
  ] as const) {
    const began = performance.now();
    const ranks = await run(name, size);
    assert.ok(
      ranks.every(({ code }) => code === 0),
      ranks.map(({ code, printed }) => `exit code ${code}: ${printed}`).join('\n'),
    );
    console.log(
      `ok   ${name}, ${size} ranks, ${((performance.now() - began) / 1000).toFixed(1)} s: ${ranks[0]?.printed.trim()}`,
    );
  }
  const failing = await run('carries', 1, { FAKE_NCCL_FAIL: 'ncclAllGather:3' });
  assert.match(failing[0]?.printed ?? '', /ncclAllGather failed: internal error/);
  assert.notEqual(failing[0]?.code, 0);
  console.log('ok   a call that fails is an error');
  if (process.env.NCCL_LIBRARY !== undefined) await real(process.env.NCCL_LIBRARY);
  else console.log('not asked: the real NCCL, since NCCL_LIBRARY is not set');
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true });
}
