// What is said of files: with a stable `code`, and the error of the system or of a class in `cause`.

/**
 * The stable `code` of a `CheckpointError`:
 *
 * - `ERR_CKPT_IO`: a file cannot be read or written; `cause` is the error of the system
 * - `ERR_CKPT_FORMAT`: it is no file of this kind, or what describes it cannot be read
 * - `ERR_CKPT_VERSION`: a later version of this package wrote it
 * - `ERR_CKPT_LAYOUT`: the lengths and places that it tells do not fit its size or each other
 * - `ERR_CKPT_HASH`: it has been altered since it was written
 * - `ERR_CKPT_CLASS`: it has another optimizer than the one that is asked for, or one that nobody knows
 * - `ERR_CKPT_CONFIG`: its class refuses the config
 * - `ERR_CKPT_MISMATCH`: the state does not fit the variables
 * - `ERR_CKPT_PEER`: a package that reads this kind of file is not installed
 */
export type CheckpointErrorCode =
  | 'ERR_CKPT_IO'
  | 'ERR_CKPT_FORMAT'
  | 'ERR_CKPT_VERSION'
  | 'ERR_CKPT_LAYOUT'
  | 'ERR_CKPT_HASH'
  | 'ERR_CKPT_CLASS'
  | 'ERR_CKPT_CONFIG'
  | 'ERR_CKPT_MISMATCH'
  | 'ERR_CKPT_PEER';

/** A file that cannot be written, read or used. Nothing has been loaded, and a file that was there before is as it was. */
export class CheckpointError extends Error {
  /** The name of its class. */
  override readonly name = 'CheckpointError';
  /** What has happened. */
  readonly code: CheckpointErrorCode;

  /** @internal */
  constructor(code: CheckpointErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The same for what the system refuses: `doing` is `writing run.safetensors`. */
export function systemError(doing: string, cause: unknown): CheckpointError {
  if (cause instanceof CheckpointError) return cause;
  return new CheckpointError(
    'ERR_CKPT_IO',
    `${doing}: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
  );
}
