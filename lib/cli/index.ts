#!/usr/bin/env node
// The program `keras-optimizers`.
import { text } from 'node:stream/consumers';

import { main } from './main.ts';
import { isUnicode } from './text.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1); // `| head` has seen enough
});
process.exitCode = await main(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
  width: process.stdout.columns,
  unicode: isUnicode(process.env),
  color: process.stdout.isTTY && process.stdout.hasColors(),
  input: () => text(process.stdin),
});
