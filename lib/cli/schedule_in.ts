// The schedule that a file or a text describes.
import { open, readFile } from 'node:fs/promises';

import { CheckpointError, systemError } from '../checkpoint/errors.ts';
import { isPlainObject } from '../configurable.ts';
import { describe, typeError } from '../errors.ts';
import { deserialize, type LearningRateSchedule } from '../index.ts';
import { isSchedule } from '../schedules/schedule.ts';
import { UsageError, type Terminal } from './commands.ts';
import { describeFile } from './description.ts';
import { rateIn } from './rate.ts';

/**
 * Of JSON, alone or in a config of an optimizer or a model, or of a checkpoint.
 *
 * @param path of a file; `-`: what comes in
 * @throws CheckpointError as `describeFile`, and `ERR_CKPT_FORMAT` for what is no JSON; TypeError and RangeError as `deserialize`
 */
export async function scheduleIn(path: string, { input }: Terminal): Promise<LearningRateSchedule> {
  if (path === '-' && input === undefined) throw new UsageError('expects a file, there is no standard input');
  const text = path === '-' ? await input?.() : await textIn(path);
  const form = text === undefined ? (await describeFile(path)).config : parsed(path, text);
  return scheduleOf(path, form);
}

/** Undefined for the files of checkpoints, whose first 8 bytes are those of an archive, of HDF5, or a number. */
async function textIn(path: string): Promise<string | undefined> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
      const isText = !buffer.subarray(0, bytesRead).includes(0) && !/^(PK|\x89HDF)/.test(buffer.toString('latin1'));
      return isText ? await readFile(path, 'utf8') : undefined;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw systemError(`reading ${path}`, error);
  }
}

function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (error) {
    const message = `${path === '-' ? 'standard input' : path} expects JSON of a schedule: ${(error as Error).message}`;
    throw new CheckpointError('ERR_CKPT_FORMAT', message, error);
  }
}

function scheduleOf(path: string, form: unknown): LearningRateSchedule {
  const rate = rateIn(form);
  const schedule: unknown = typeof rate === 'number' ? rate : deserialize(isPlainObject(rate) ? rate : form);
  if (isSchedule(schedule)) return schedule;
  const got = typeof rate === 'number' ? `the constant learning rate ${rate}` : describe(form);
  throw typeError('ERR_OPT_CONFIG_TYPE', `plot expects a schedule in ${path}, got ${got}`);
}
