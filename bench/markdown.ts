// Tables of a page.
const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

export function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}
