// The library as bundlers put it into a page: bundled for browsers, it trains where there is nothing of Node.js, with the bits it has here.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';

import { assert } from 'chai';
import { build } from 'esbuild';

import { Lamb, Nadam, Variable } from '../../lib/index.ts';
import { train } from './train.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What a page has, beside JavaScript itself, of which the library makes use. */
const page = () => ({ atob, structuredClone, MessageChannel: Channel, console });

const channels: Channel[] = [];
class Channel extends MessageChannel {
  constructor() {
    super();
    channels.push(this); // an open one keeps the process alive
  }
}

/** Bundles a program that imports the package, and runs it in a context of its own. */
async function inPage(program: string): Promise<unknown> {
  const stdin = { contents: program, resolveDir: root };
  const { outputFiles } = await build({ stdin, bundle: true, platform: 'browser', write: false, logLevel: 'error' });
  const context = createContext(page());
  runInContext(outputFiles[0]?.text ?? '', context);
  return (context as unknown as { readonly result: unknown }).result;
}

describe('a bundle for browsers', () => {
  after(() => {
    for (const { port1 } of channels) port1.close();
  });
  it('trains without Node.js, with the bits it has here, sync and async', async () => {
    const program = `
      import { info, Lamb, Nadam, Variable } from 'keras-optimizers';
      import { train } from './test/wasm/train.ts';
      globalThis.result = train(Nadam, Lamb, Variable).then((values) => ({ values, info: info() }));`;
    const found = (await inPage(program)) as { values: number[]; info: { backend: string; version: string } };
    assert.deepEqual([...found.values], await train(Nadam, Lamb, Variable));
    assert.equal(found.info.backend, 'wasm');
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    assert.equal(found.info.version, version);
  });
  it('says with a code what a page cannot do', async () => {
    const codes = await inPage(`
      import { Adam, Variable } from 'keras-optimizers';
      const code = (error) => error.code;
      const thrown = (action) => { try { action(); } catch (error) { return error.code; } };
      globalThis.result = Promise.all([
        new Adam().save('state').catch(code),
        Adam.load('state').catch(code),
        thrown(() => new Variable([1], { device: 'cuda' })),
      ]);`);
    assert.deepEqual(Array.from(codes as string[]), [
      'ERR_OPT_NOT_IMPLEMENTED',
      'ERR_OPT_NOT_IMPLEMENTED',
      'ERR_CUDA_NOT_BUILT',
    ]);
  });
});
