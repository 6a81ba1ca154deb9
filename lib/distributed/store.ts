// How ranks that cannot talk to each other yet come to know a secret of rank 0: the id that NCCL's ranks join by.
import type { Communicator } from './communicator.ts';
import { CommunicatorError } from './errors.ts';

/** A rank that asks. */
export interface Asker {
  readonly rank: number;
  readonly size: number;
  /** Milliseconds. */
  readonly timeout: number;
}

/** What rank 0 says: the secret, or why there is none. */
export interface Answer {
  /** In base64. */
  readonly secret?: string;
  readonly error?: string;
}

export type Store = (asker: Asker, answer: Answer | undefined) => Promise<Answer>;

/** The secret that `make` makes on rank 0, on all ranks. Where it throws, all of them reject. */
export async function share(store: Store, asker: Asker, make: () => Uint8Array): Promise<Uint8Array> {
  let failed: unknown;
  const made = (): Answer => {
    try {
      return { secret: Buffer.from(make()).toString('base64') };
    } catch (error) {
      failed = error;
      return { error: error instanceof Error ? error.message : String(error) };
    }
  };
  const { secret, error } = await store(asker, asker.rank === 0 ? made() : undefined);
  if (failed !== undefined) throw failed as Error;
  if (secret !== undefined) return new Uint8Array(Buffer.from(secret, 'base64'));
  throw new CommunicatorError('ERR_COMM_UNAVAILABLE', `rank 0 cannot begin: ${error}`, {
    rank: asker.rank,
    suspects: [0],
  });
}

const kMost = 1024; // bytes of an answer

/** Over ranks that talk to each other already. */
export const overCommunicator =
  (communicator: Communicator): Store =>
  async (_, answer) => {
    const bytes = new Uint8Array(kMost);
    new TextEncoder().encodeInto(JSON.stringify(answer ?? {}).slice(0, kMost), bytes);
    await communicator.broadcast(bytes);
    return parsed(Buffer.from(bytes).toString().replaceAll('\0', '')) as Answer;
  };

/** JSON of whomever; undefined for anything else. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Of a rank that has waited too long. */
export function lateError({ rank, timeout }: Asker, what: string, suspects: readonly number[]): CommunicatorError {
  const message = `rank ${rank} timed out after ${timeout} ms: ${what}`;
  return new CommunicatorError('ERR_COMM_TIMEOUT', message, { rank, op: 'connect', waited: timeout, suspects });
}
