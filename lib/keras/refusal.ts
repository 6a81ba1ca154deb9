// The one form of what is wrong with a file.
import { CheckpointError, type CheckpointErrorCode } from '../checkpoint/errors.ts';

/** A file expects something, and something else came. */
export const refusal = (code: CheckpointErrorCode, path: string, expected: string, got: string, cause?: unknown) =>
  new CheckpointError(code, `${path} expects ${expected}, got ${got}`, cause);
