#!/usr/bin/env node
// The program `keras-optimizers`.
import { main } from './main.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1); // `| head` has seen enough
});
process.exitCode = await main(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
});
