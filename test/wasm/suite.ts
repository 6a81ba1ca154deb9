// The suite on WebAssembly: what `npm run test:wasm` loads before the tests. Here stands what is about native code only, and why; nothing
// else asks which addon there is.
import type { Context } from 'mocha';

const skipped: readonly (readonly [title: RegExp, reason: string])[] = [
  [/^library memory of a matrix's products/, "it is not the library's, but the instance's"],
  [/^library memory that runs out leaves nothing half-built/, 'no allocation of native code can be made to fail'],
  [/^threads are as many as asked for/, 'there is one'],
  [/^backends (of this machine|are chosen|that are unknown)/, 'there is one backend, and no instruction set to choose'],
];

/** Root hooks, which mocha finds by this name. */
export const mochaHooks = {
  beforeEach(this: Context): void {
    const title = this.currentTest?.fullTitle() ?? '';
    const reason = skipped.find(([pattern]) => pattern.test(title))?.[1];
    if (reason === undefined) return;
    console.log(`      not run on WebAssembly: ${title}: ${reason}`);
    this.skip();
  },
};
