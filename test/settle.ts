// What is no longer reachable, given back.
const collect = (globalThis as { gc?: () => void }).gc ?? (() => undefined);

/** Lets finalizers run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    collect();
    await new Promise(setImmediate);
  }
}
