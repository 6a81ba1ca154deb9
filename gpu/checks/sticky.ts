// An error that ends the context of a process on the device: in a child process, since nothing can be done there afterwards.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

import { addon } from '../../lib/native.ts';
import { sibling } from '../sibling.ts';
import { Skipped, type Check, type Settings } from './check.ts';

/** What the child says; see sticky_child.ts. */
export interface Report {
  /** Why no such error could be made here. */
  readonly skipped?: string;
  /** Of the step, and of all uses of the device afterwards. */
  readonly errors?: readonly { readonly use: string; readonly code?: string; readonly message: string }[];
  /** Whether the CPU's steps go on. */
  readonly cpu?: boolean;
}

/** Of test builds: makes the nth call from now on of that name fail. */
export const { setFault } = addon as { readonly setFault?: (name: string, nth: number, code: number) => void };

const kPatience = 60_000; // ms

async function sticky({ device, small, say }: Settings): Promise<void> {
  if (small && !addon.cuda.emulated) throw new Skipped('not under a tool that looks for such accesses');
  const args = [...process.execArgv, sibling(import.meta.url, 'sticky_child'), device];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    timeout: kPatience,
  });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  assert.ok(line.startsWith('{'), `the child ended with ${signal ?? status}: ${stderr.slice(-2000)}`);
  const { skipped, errors = [], cpu } = JSON.parse(line) as Report;
  if (skipped !== undefined) throw new Skipped(skipped);
  assert.equal(signal ?? status, 0, `the child's end: ${stderr.slice(-2000)}`);
  assert.ok(errors.length >= 2, 'no use of the device failed');
  say(`${errors[0]?.use}: ${errors[0]?.code}: ${errors[0]?.message}`);
  assert.match(errors[0]?.code ?? '', /^ERR_OPT_(CUDA|POISONED)$/, errors[0]?.message);
  for (const { use, code, message } of errors.slice(1)) assert.equal(code, 'ERR_OPT_POISONED', `${use}: ${message}`);
  assert.equal(cpu, true, "the CPU's steps go on");
  await Promise.resolve();
}

export const stickyCheck = (settings: Settings): Check => ({
  name: 'errors: a fault of a kernel poisons the backend and says so, without a crash',
  run: () => sticky(settings),
});
