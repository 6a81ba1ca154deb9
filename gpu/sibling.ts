// Files beside the one that asks, whether they are TypeScript in the repository or JavaScript in the bundle.
import { fileURLToPath } from 'node:url';

/** The path of a program that lies at `path`, without its extension, from the module of that URL. */
export const sibling = (url: string, path: string): string =>
  fileURLToPath(new URL(`${path}${/\.[jt]s$/.exec(url)?.[0] ?? '.js'}`, url));
