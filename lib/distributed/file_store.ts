// Through a directory that all ranks see. What an earlier job has left there is not taken for an answer: every rank says a random word,
// and the answer that counts repeats it.
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { lateError, parsed, type Answer, type Asker, type Store } from './store.ts';

const kPause = 20; // ms between two looks

/** `job`: what tells this job from others that use the directory at the same time. */
export const fileStore =
  (directory: string, job: string): Store =>
  async (asker, answer) => {
    await mkdir(directory, { recursive: true });
    const name = `${job.replaceAll(/[^\w.-]/g, '_')}-${asker.size}`;
    const pathOf = (what: string) => join(directory, `${name}.${what}`);
    return answer === undefined ? ask(asker, pathOf) : tell(asker, answer, pathOf);
  };

type Paths = (what: string) => string;
interface Told extends Answer {
  readonly words: readonly (string | null)[];
}

async function ask(asker: Asker, pathOf: Paths): Promise<Answer> {
  const word = randomUUID();
  await put(pathOf(`rank${asker.rank}`), word);
  const told = await until(asker, async () => {
    const found = parsed((await get(pathOf('answer'))) ?? '') as Told | undefined;
    return found?.words[asker.rank] === word ? found : undefined;
  });
  if (told === undefined) throw lateError(asker, `rank 0 has not written ${pathOf('answer')}`, [0]);
  await put(pathOf(`heard${asker.rank}`), word);
  return told;
}

async function tell(asker: Asker, answer: Answer, pathOf: Paths): Promise<Answer> {
  const others = Array.from({ length: asker.size - 1 }, (_, i) => i + 1);
  const wordsIn = (what: string) => Promise.all(others.map((rank) => get(pathOf(`${what}${rank}`))));
  let written = '';
  let heard: readonly boolean[] = [];
  const all = await until(asker, async () => {
    const words = await wordsIn('rank');
    const told = JSON.stringify({ ...answer, words: [null, ...words] });
    if (told !== written) await put(pathOf('answer'), (written = told));
    const repeated = await wordsIn('heard');
    heard = words.map((word, i) => word !== null && word === repeated[i]);
    return heard.every(Boolean) || undefined;
  });
  const suspects = others.filter((_, i) => !heard[i]);
  const files = ['answer', ...others.flatMap((rank) => [`rank${rank}`, `heard${rank}`])];
  await Promise.all(files.map((what) => rm(pathOf(what), { force: true })));
  if (all === undefined)
    throw lateError(asker, `no word of ranks ${suspects.join(', ')} in ${pathOf('rank*')}`, suspects);
  return answer;
}

/** Undefined when the time is over. */
async function until<T>({ timeout }: Asker, look: () => Promise<T | undefined>): Promise<T | undefined> {
  const end = performance.now() + timeout;
  for (;;) {
    const found = await look();
    if (found !== undefined || performance.now() >= end) return found;
    await sleep(Math.min(kPause, end - performance.now()));
  }
}

const get = (path: string) => readFile(path, 'utf8').catch(() => null);

// At once or not at all: nobody reads half of it.
async function put(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, text, { mode: 0o600 });
  await rename(temporary, path);
}
