// Text for terminals.

/** Lines of two or more columns. */
export function columns(rows: readonly (readonly string[])[], indent = '  '): string {
  const safe = rows.map((row) => row.map((cell) => printable(cell).replaceAll('\n', '\\n')));
  const widths: number[] = [];
  for (const row of safe) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  const line = (row: readonly string[]) => row.map((cell, i) => cell.padEnd(widths[i] as number)).join('  ');
  return safe.map((row) => `${indent}${line(row).trimEnd()}\n`).join('');
}

/** Whether the locale is UTF-8; Windows has none, but terminals that show everything. */
export function isUnicode(env: NodeJS.ProcessEnv, platform = process.platform): boolean {
  if (platform === 'win32') return env.WT_SESSION !== undefined || env.TERM_PROGRAM !== undefined;
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '');
}

// eslint-disable-next-line no-control-regex -- they are what is looked for
const kControl = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** A file may call its arrays anything: what moves the cursor, or turns a line around, is shown as its number. */
export const printable = (text: string): string =>
  text.replace(kControl, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** `1 thread`, `2 threads`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
