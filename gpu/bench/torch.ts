// PyTorch in a process of its own, where there is a Python that has it with CUDA; its lanes are measured in turn with ours.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { LineProcess } from '../../bench/line_process.ts';
import type { Lane, Timing } from './lanes.ts';
import { kClip, type Rule, type Work } from './works.ts';

interface Reply extends Partial<Timing> {
  readonly torch?: string;
  readonly cuda?: string | null;
  readonly device?: string;
  readonly error?: string;
}

const kPatience = 120_000; // ms: the first import of it reads gigabytes
const pythons = ['python3', 'python', '/opt/conda/bin/python', '/usr/local/bin/python3', '/opt/venv/bin/python'];

/** `Nadam`'s peer there is foreach: it has no fused one. */
const modes: Readonly<Record<Rule, readonly string[]>> = { AdamW: ['fused', 'graph'], Nadam: ['foreach', 'graph'] };

/** A Python that can do it, or why none can. */
function find(device: string, asked: string | undefined): { readonly python: string } | { readonly missing: string } {
  const program = `import sys, torch; sys.exit(None if ${device === 'cpu' ? 'True' : 'torch.cuda.is_available()'} else "its PyTorch finds no GPU")`;
  let missing = 'there is no Python';
  for (const python of asked === undefined ? pythons : [asked]) {
    const { error, status, stderr } = spawnSync(python, ['-c', program], { encoding: 'utf8', timeout: kPatience });
    if (error !== undefined) continue;
    if (status === 0) return { python };
    missing = `${python}: ${stderr.trim().split('\n').at(-1) ?? ''}`;
  }
  return { missing };
}

export class Torch {
  readonly #process: LineProcess<object, Reply>;
  readonly version: string;

  private constructor(process: LineProcess<object, Reply>, version: string) {
    this.#process = process;
    this.version = version;
  }

  /**
   * Starts it, or says why it cannot be.
   *
   * @param device `cuda`; `cpu` only to see that this file works
   */
  static async start(device: string, asked: string | undefined): Promise<Torch | { readonly missing: string }> {
    const found = find(device, asked);
    if ('missing' in found) return found;
    const script = fileURLToPath(new URL('torch_peer.py', import.meta.url));
    const child = new LineProcess<object, Reply>([found.python, '-u', script, device], process.env);
    try {
      const { torch, cuda, device: name } = await child.ask({ do: 'hello' });
      return new Torch(child, `torch ${torch}, CUDA ${cuda ?? 'none'}, on ${name}`);
    } catch (error) {
      child.close();
      return { missing: `${found.python}: ${(error as Error).message}` };
    }
  }

  /** The lanes of a trial; one that cannot be made is reported to `failed`. */
  async lanes(work: Work, rule: Rule, clips: boolean, failed: (name: string, reason: string) => void): Promise<Lane[]> {
    const lanes: Lane[] = [];
    for (const mode of modes[rule]) {
      const name = `torch ${mode}`;
      const { shapes, zeros = false } = work;
      const request = { do: 'make', name, optimizer: rule, mode, shapes, zeros, clip: clips ? kClip : null };
      await this.#process.ask(request).then(
        () => lanes.push(this.#lane(name)),
        async (error: Error) => {
          failed(name, error.message);
          await this.#drop(name);
        },
      );
    }
    return lanes;
  }

  #lane(name: string): Lane {
    return {
      name,
      run: async (repetitions) => {
        const { gpu = NaN, wall = NaN } = await this.#process.ask({ do: 'run', name, repetitions });
        return { gpu, wall };
      },
      release: () => this.#drop(name),
    };
  }

  /** One that has ended needs no dropping. */
  async #drop(name: string): Promise<void> {
    await this.#process.ask({ do: 'drop', name }).catch(() => undefined);
  }

  close(): void {
    this.#process.close();
  }
}
