// What the errors of a collective say.
import { stateError } from '../errors.ts';
import { CommunicatorError } from './errors.ts';
import type { Mismatch, Operation } from './handshake.ts';

/** A collective on a rank. */
export interface About {
  readonly rank: number;
  readonly op: Operation;
  readonly sequence: number;
  readonly bytes: number;
}

const nameOf = ({ rank, op, sequence, bytes }: About) => `rank ${rank}: ${op} (number ${sequence}, ${bytes} bytes)`;

const ranks = (list: readonly number[]) => `rank${list.length === 1 ? '' : 's'} ${list.join(', ')}`;

const missing = (arrived: readonly boolean[]) => [...arrived.keys()].filter((rank) => arrived[rank] === false);

export function timeOut(about: About, waited: number, arrived: readonly boolean[]): CommunicatorError {
  const unknown = arrived[about.rank] === false; // this one has come
  const suspects = unknown ? [] : missing(arrived);
  const data = unknown ? 'not all ranks arrived, nobody knows which' : 'all ranks arrived, their data did not';
  const what = suspects.length > 0 ? `${ranks(suspects)} did not arrive` : data;
  const message = `${nameOf(about)} timed out after ${Math.round(waited)} ms: ${what}`;
  return new CommunicatorError('ERR_COMM_TIMEOUT', message, { ...about, waited, suspects });
}

/** What has ended a collective, as an error between ranks. */
export function failureOf(
  error: unknown,
  about: About,
  waited: number,
  arrived: readonly boolean[],
): CommunicatorError {
  if (error instanceof CommunicatorError && error.op !== undefined) return error;
  const known = error instanceof CommunicatorError ? error : undefined;
  if (known?.code === 'ERR_COMM_ABORTED' && known.suspects.includes(about.rank)) return known; // by this rank itself
  const why = error instanceof Error ? error.message : String(error);
  const code = known?.code ?? 'ERR_COMM_PEER_LOST';
  const suspects = known?.suspects.length ? known.suspects : arrived[about.rank] ? missing(arrived) : [];
  return new CommunicatorError(code, `${nameOf(about)} failed: ${why}`, { ...about, waited, suspects, cause: error });
}

/** Whether an error says that some ranks have done a step and others not; of a collective, in its cause. */
export const isPoisoned = (error: unknown): boolean =>
  (error as { readonly code?: unknown } | null | undefined)?.code === 'ERR_OPT_POISONED';

/** Of an optimizer that some ranks have stepped, and others not. */
export const poisonedError = (who: string, cause: unknown): Error =>
  Object.assign(
    stateError(
      'ERR_OPT_POISONED',
      `${who}: a step was broken off when some ranks had done it: go on from the last checkpoint, with what load gives`,
    ),
    { cause },
  );

export function mismatchError(about: About, { suspects, message, poisoned }: Mismatch): CommunicatorError {
  const expected = `expects all ranks to call the same collective as number ${about.sequence}`;
  return new CommunicatorError('ERR_COMM_MISMATCH', `rank ${about.rank} ${expected}, got ${message}`, {
    ...about,
    suspects,
    ...(poisoned ? { cause: poisonedError(`rank ${suspects.join(', ')}`, undefined) } : {}),
  });
}

/** The exit code of a job that may go well another time: EX_TEMPFAIL of sysexits.h. */
export const kTemporaryFailure = 75;

/** Says why a job ends. */
export const report = ({ code, message }: CommunicatorError): void =>
  void process.stderr.write(`keras-optimizers: ${code} ${message}\n`);

/** Of a call after a failure. */
export function afterwards(op: Operation, rank: number, failure: CommunicatorError): CommunicatorError {
  const message = `rank ${rank}: ${op} expects a communicator that works, this one has failed: ${failure.message}`;
  const { suspects } = failure;
  return new CommunicatorError('ERR_COMM_ABORTED', message, { rank, op, suspects, cause: failure });
}
