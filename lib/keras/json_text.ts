// Replaces one value in a JSON text and leaves every other character as it is: what Python writes as 1.0 would come back as 1.

/** Where a value of a valid JSON text is, by the keys that lead to it; undefined if it is not there. */
export function spanOf(text: string, keys: readonly string[]): readonly [begin: number, end: number] | undefined {
  let begin = skipSpace(text, 0);
  for (const key of keys) {
    const found = memberOf(text, begin, key);
    if (found === undefined) return undefined;
    begin = found;
  }
  return [begin, valueEnd(text, begin)];
}

/** Where the value of a key begins, in the object that begins at a place; the last one, as JSON.parse takes it. */
function memberOf(text: string, object: number, wanted: string): number | undefined {
  if (text[object] !== '{') return undefined;
  let found: number | undefined;
  let at = skipSpace(text, object + 1);
  while (text[at] === '"') {
    const end = stringEnd(text, at);
    const value = skipSpace(text, skipSpace(text, end) + 1); // behind the colon
    if (JSON.parse(text.slice(at, end)) === wanted) found = value;
    at = skipSpace(text, valueEnd(text, value));
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return found;
}

function skipSpace(text: string, at: number): number {
  while (/\s/.test(text[at] ?? '')) at++;
  return at;
}

function stringEnd(text: string, begin: number): number {
  let at = begin + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function valueEnd(text: string, begin: number): number {
  if (text[begin] === '"') return stringEnd(text, begin);
  let [at, depth] = [begin, 0];
  for (; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '"') at = stringEnd(text, at) - 1;
    else if ('{['.includes(character)) depth++;
    else if ('}]'.includes(character) && --depth <= 0) return depth === 0 ? at + 1 : at;
    else if (depth === 0 && /[,\s]/.test(character)) return at;
  }
  return at;
}
