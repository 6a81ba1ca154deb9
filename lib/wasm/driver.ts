// Runs work off the event loop's way: a few milliseconds at a time, one piece of work after the other.
const kSlice = 4; // milliseconds

interface Work {
  readonly parts: Generator<void, number>;
  readonly done: (result: number, error?: Error) => void;
}
const waiting: Work[] = [];

/** Goes through the parts, which begin later; then calls `done`. */
export function start(work: Work): void {
  waiting.push(work);
  if (waiting.length === 1) later(drive);
}

function drive(): void {
  const { parts, done } = waiting[0] as Work;
  const outcome = someOf(parts);
  if (outcome !== undefined) waiting.shift();
  if (waiting.length > 0) later(drive);
  if (outcome !== undefined) done(...outcome); // at the end: it may throw
}

function someOf(parts: Generator<void, number>): Parameters<Work['done']> | undefined {
  try {
    for (const begin = Date.now(); Date.now() - begin < kSlice;) {
      const { done, value } = parts.next();
      if (done) return [value];
    }
    return undefined;
  } catch (error) {
    return [-1, error as Error];
  }
}

const later: (task: () => void) => void = globalThis.setImmediate ?? afterEvents();

/** Of a browser: its timers wait for 4 ms. */
function afterEvents(): (task: () => void) => void {
  if (typeof MessageChannel === 'undefined') return (task) => void setTimeout(task, 0);
  const { port1, port2 } = new MessageChannel();
  (port1 as unknown as { onmessage: () => void }).onmessage = drive; // as browsers have it
  return () => port2.postMessage(null);
}
