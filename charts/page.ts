// Pages of the documentation that a script writes a part of.
import { readFileSync, writeFileSync } from 'node:fs';

const markers = (script: string): readonly [begin: string, end: string] => [
  `<!-- ${script} begins; npm run ${script} writes what follows -->`,
  `<!-- ${script} ends -->`,
];

/** The page as it is, before and after the part that the script writes; throws an Error if there is no such part. */
export function aroundPart(page: string, script: string): readonly [before: string, after: string] {
  const text = readFileSync(page, 'utf8');
  const [begin, end] = markers(script);
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page} has no lines "${begin}" and "${end}"`);
  return [text.slice(0, from + begin.length), text.slice(to)];
}

export async function replacePart(page: string, script: string, content: string): Promise<void> {
  const { format, resolveConfig } = await import('prettier'); // an example that writes no page runs without
  const replaced = aroundPart(page, script).join(`\n\n${content}\n\n`);
  writeFileSync(page, await format(replaced, { ...(await resolveConfig(page)), parser: 'markdown' }));
}
