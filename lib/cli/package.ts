// The package that this program belongs to.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Its folder; the program itself is two levels below. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/** Its version. */
export function version(): string {
  return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string }).version;
}
