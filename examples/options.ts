// The options of the example with MNIST.
import {
  checkpointOf,
  fromCommandLine,
  oneOf,
  optional,
  pageOf,
  positive,
  several,
  whole,
  writable,
} from './command_line.ts';
import { help, kDefaults } from './help.ts';
import { kTrainImages } from './mnist-data.ts';
import { optimizers } from './optimizers.ts';
import { schedules } from './schedules.ts';

export interface Options {
  /** At least one of `optimizers`. */
  readonly optimizers: readonly string[];
  /** Undefined: each optimizer's own one. */
  readonly learningRate: number | undefined;
  /** A key of `schedules`; undefined: each optimizer's own one. */
  readonly schedule: string | undefined;
  readonly epochs: number;
  readonly batchSize: number;
  readonly hidden: number;
  /** Number of training images. */
  readonly train: number;
  readonly seed: number;
  /** Path of the chart. */
  readonly output: string;
  /** Path of the file that all is saved in after every epoch, whose number stands for `{epoch}` in it. */
  readonly checkpoint: string | undefined;
  /** Path of such a file, to go on from. */
  readonly resume: string | undefined;
  /** Path of the Markdown page that the table of several optimizers goes into. */
  readonly page: string | undefined;
}

/** Its name in package.json. */
export const kScript = 'example';

/** Those of the command line. */
export const readOptions = (): Options =>
  fromCommandLine(
    { defaults: kDefaults, optional: ['learning-rate', 'schedule', 'page', 'checkpoint', 'resume'] as const, help },
    (texts) => {
      const names = several(optimizers, '--optimizer', texts.optimizer);
      return {
        optimizers: names,
        learningRate: optional((text) => positive('--learning-rate', text), texts['learning-rate']),
        schedule: optional((text) => oneOf(Object.keys(schedules), '--schedule', text), texts.schedule),
        epochs: whole(1, 1000, '--epochs', texts.epochs),
        batchSize: whole(1, kTrainImages, '--batch-size', texts['batch-size']),
        hidden: whole(1, 10_000, '--hidden', texts.hidden),
        train: whole(1, kTrainImages, '--train', texts.train),
        seed: whole(0, 2 ** 32 - 1, '--seed', texts.seed),
        output: writable('--output', texts.output),
        checkpoint: optional((text) => checkpointOf(names, '--checkpoint', ['.safetensors'], text), texts.checkpoint),
        resume: optional((text) => checkpointOf(names, '--resume', ['.safetensors', '.keras'], text), texts.resume),
        page: optional((text) => pageOf(names, kScript, '--page', text), texts.page),
      };
    },
  );
