// What the system does not do: every call of a save fails in turn, writes are short, a disk is full. There is the old file or the new
// one, an error says what has happened, and nothing is left beside it.
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { system } from '../lib/checkpoint/system.ts';
import { Adam, CheckpointError, Optimizer, Variable } from '../lib/index.ts';
import { rejection } from './errors.ts';

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'checkpoint-'));
  path = join(folder, 'run.safetensors');
});
afterEach(() => rm(folder, { recursive: true }));

type Call = (...args: never[]) => Promise<unknown>;
/** Stands between a save and the system: gets the name of a call and what does it. */
type Between = (name: string, call: Call, args: never[]) => Promise<unknown>;

/** Runs a part with something between it and the system. */
async function through(between: Between, part: () => Promise<unknown>): Promise<void> {
  const table = system as unknown as Record<string, Call>;
  const original = { ...table };
  const handleOf = (file: FileHandle): FileHandle =>
    new Proxy(file, {
      get: (_, key) => {
        const member: unknown = Reflect.get(file, key, file);
        if (typeof member !== 'function') return member;
        return (...args: never[]) => between(`file.${String(key)}`, (member as Call).bind(file), args);
      },
    });
  for (const [name, call] of Object.entries(original)) {
    if (name === 'hostname') continue;
    table[name] = async (...args: never[]) => {
      const result = await between(name, call, args);
      return name === 'open' ? handleOf(result as FileHandle) : result;
    };
  }
  try {
    await part();
  } finally {
    Object.assign(table, original);
  }
}

/** Fails; a file is closed all the same, as the system does. */
async function fail(code: string, name: string, call: Call): Promise<never> {
  if (name === 'file.close') await call();
  throw failure(code, name);
}

const failure = (code: string, name: string): Error =>
  Object.assign(new Error(`${code}: injected, ${name}`), { code, syscall: name });

/** An optimizer after so many steps. */
function stepped(steps: number): Optimizer {
  const variable = new Variable(new Float32Array(400_000), { name: 'w' });
  const optimizer = new Adam();
  optimizer.build([variable]);
  for (let i = 0; i < steps; i++) optimizer.apply([new Float32Array(400_000).fill(1)]);
  return optimizer;
}
const [older, newer] = [stepped(1), stepped(2)];
const iterations = async () => (await Adam.load(path)).iterations;
const leftOver = async () => (await readdir(folder)).filter((name) => name !== 'run.safetensors');

describe('a save that the system lets down', () => {
  it('leaves the old file or the new one, whichever call fails', async () => {
    await older.save(path);
    const calls: string[] = [];
    await through(
      (name, call, args) => (calls.push(name), call(...args)),
      () => older.save(path),
    );
    assert.includeMembers(calls, ['open', 'file.chmod', 'file.write', 'file.sync', 'file.close', 'rename']);
    const renamed = calls.indexOf('rename');
    const tolerated = ['readdir'];
    const codes = ['EIO', 'ENOSPC', 'EACCES'];
    for (let k = 0; k < calls.length; k++) {
      const code = codes[k % codes.length] as string;
      await older.save(path);
      let n = 0;
      const fails: Between = (name, call, args) => (n++ === k ? fail(code, name, call) : call(...args));
      let error: Error | undefined;
      await through(fails, async () => (error = await rejection(() => newer.save(path))));
      const told = `${code} at call ${k}, ${calls[k]}`;
      if (tolerated.includes(calls[k] as string)) {
        assert.isUndefined(error, told);
        continue;
      }
      assert.instanceOf(error, CheckpointError, told);
      assert.equal(error.code, 'ERR_CKPT_IO');
      assert.equal((error.cause as { code?: string }).code, code);
      assert.equal(await iterations(), k > renamed ? 2 : 1, told);
      assert.deepEqual(await leftOver(), [], told);
    }
  });

  it('is whole if the system takes only some bytes at a time', async () => {
    await newer.save(path);
    const expected = await readFile(path);
    await rm(path);
    await through(
      (name, call, args) => {
        const [bytes, offset, length, position] = args as unknown as [Uint8Array, number, number, number];
        if (name !== 'file.write') return call(...args);
        const less = Math.max(1, Math.min(length, 50_021));
        return call(...([bytes, offset, less, position] as never[]));
      },
      () => newer.save(path),
    );
    assert.deepEqual(await readFile(path), expected);
  });

  it('ends if the system takes no bytes at all', async () => {
    await older.save(path);
    let n = 0;
    let error: Error | undefined;
    await through(
      (name, call, args) => (name === 'file.write' && n++ > 2 ? Promise.resolve({ bytesWritten: 0 }) : call(...args)),
      async () => (error = await rejection(() => newer.save(path))),
    );
    assert.instanceOf(error, CheckpointError);
    assert.equal(await iterations(), 1);
    assert.deepEqual(await leftOver(), []);
  });

  it('syncs the file before it is renamed, and the folder after', async () => {
    const calls: string[] = [];
    await through(
      (name, call, args) => (calls.push(name), call(...args)),
      () => newer.save(path),
    );
    const late = calls.slice(calls.lastIndexOf('file.write') + 1);
    assert.deepEqual(late, ['file.sync', 'file.close', 'rename', 'open', 'file.sync', 'file.close']);
  });

  it('finds a disk that is full', async function () {
    const disk = join(folder, 'disk');
    try {
      execFileSync('mkdir', [disk]);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      this.skip(); // this user may not mount anything
    }
    try {
      path = join(disk, 'run.safetensors');
      await older.save(path); // 3.2 MB of 4
      const error = (await rejection(() => newer.save(path))) as CheckpointError;
      assert.equal(error.code, 'ERR_CKPT_IO', String(error));
      assert.equal((error.cause as { code?: string }).code, 'ENOSPC');
      assert.equal(await iterations(), 1);
      assert.deepEqual(await readdir(disk), ['run.safetensors']);
    } finally {
      execFileSync('umount', [disk]);
    }
  });
});

describe('a load that the system lets down', () => {
  it('is an error, whichever call fails, and whole if it gives only some bytes at a time', async () => {
    await newer.save(path);
    const calls: string[] = [];
    await through(
      (name, call, args) => (calls.push(name), call(...args)),
      () => Adam.load(path),
    );
    const failing = calls.filter((name) => name !== 'file.close');
    for (let k = 0; k < failing.length; k++) {
      let n = 0;
      let error: Error | undefined;
      await through(
        (name, call, args) => (n++ === k ? fail('EIO', name, call) : call(...args)),
        async () => (error = await rejection(() => Adam.load(path))),
      );
      assert.equal((error as CheckpointError | undefined)?.code, 'ERR_CKPT_IO', `call ${k}, ${failing[k]}`);
    }
    const some: Between = (name, call, args) => {
      const [bytes, offset, length, position] = args as unknown as [Uint8Array, number, number, number];
      if (name !== 'file.read') return call(...args);
      return call(...([bytes, offset, Math.max(1, Math.min(length, 70_001)), position] as never[]));
    };
    await through(some, async () => assert.equal(await iterations(), 2));
  });
});
