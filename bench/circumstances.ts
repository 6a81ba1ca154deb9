// Where and when something was measured, and where the result goes.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { dirname } from 'node:path';

export const load = (): readonly number[] => loadavg().map((x) => Math.round(x * 100) / 100);

/**
 * Of a run; its command without the path of the result, which says nothing elsewhere.
 *
 * @param script its name in package.json
 */
export const circumstances = (script: string) => ({
  date: new Date().toISOString(),
  command: [`npm run ${script} --`, ...process.argv.slice(2)].join(' ').replace(/ --json \S+|( --)$/g, ''),
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memory_gb: Math.round(totalmem() / 1e9),
  platform: `${process.platform} ${process.arch}`,
  node: process.version,
  load: load(),
});

/** Two lines for people. */
export function headOf({ date, command, cpu, cores, memory_gb, platform, node, load }: Circumstances): string {
  return `${date}  ${command}\n${cpu}, ${cores} cores, ${memory_gb} GB, ${platform}, Node ${node}, load ${load.join(' ')}`;
}
export type Circumstances = ReturnType<typeof circumstances>;

export function writeResult(path: string, result: object): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(result, null, 1)}\n`);
}
