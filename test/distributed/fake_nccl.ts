// The library of test/native/fake_nccl.cpp, made for a test.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../native/fake_nccl.cpp', import.meta.url));
const flags = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-shared', '-fPIC', '-pthread'];

/** Builds it into a folder; returns its path. */
export function fakeNccl(folder: string): string {
  const library = join(folder, 'libnccl.so.2');
  execFileSync('c++', [...flags, source, '-o', library]);
  return library;
}
