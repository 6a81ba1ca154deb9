// Keras in a process of its own, test/python/keras_answers.py, and what it can be asked.
import { fileURLToPath } from 'node:url';

import { LineProcess } from '../../bench/line_process.ts';
import { python, settings } from '../../bench/python.ts';
import type { Serialized } from '../../lib/index.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const libraries = ['../../bench/python', '../golden'].map(here); // protocol.py, copied_momentum.py

/** Values on their way: base64 of float64. */
export interface Sent {
  readonly shape: readonly number[];
  readonly values: string;
}
/** A gradient: values in the shape of its variable, or of some of its rows. */
export type SentGradient = string | (Sent & { readonly indices: readonly number[] });
/** After a step. */
export interface Moment<V> {
  /** The learning rate of the step, asked before it. */
  readonly rate: number;
  /** Of the variables. */
  readonly values: readonly V[];
  /** Of the optimizer's variables, in their order. */
  readonly state: readonly V[];
}
/** A training by either side; V is how it has values. */
export interface Training<V> {
  readonly moments: readonly Moment<V>[];
  /** The variables after `finalize_variable_values`. */
  readonly finalized: readonly V[];
  /** The optimizer's variables. */
  readonly kept: readonly { readonly path: string; readonly shape: readonly number[]; readonly dtype: string }[];
}
/** A hook of a callback and its arguments, numbers of logs as text; or how many steps the optimizer has had. */
export type Call = readonly [hook: string, ...args: (number | Readonly<Record<string, string>>)[]];
/** In a file of TensorBoard's; the value as Python writes it. */
export interface Scalar {
  readonly tag: string;
  readonly step: number;
  readonly value: string;
}
export interface FileEvent {
  /** In hexadecimal digits, without the time. */
  readonly bytes: string;
  readonly scalars: readonly (Scalar & { readonly plugin: string })[];
}
/** An update of a progress bar: seconds since its beginning, numbers of logs as text. */
export interface Update {
  readonly time: number;
  readonly current: number;
  readonly logs: Readonly<Record<string, string>>;
  readonly done: boolean;
}
export type Folders<E> = Readonly<Record<string, readonly E[]>>;
/** About a model: its optimizer, the dtypes of its layers, and the gradients of the last steps. */
interface ModelQuestion {
  readonly text: string;
  readonly policy: 'float32' | 'mixed_float16';
  readonly after: readonly (readonly string[])[];
}
/** After a step of a model: its trained variables, and the optimizer's. */
export interface ModelMoment<V> {
  readonly values: readonly V[];
  readonly state: readonly V[];
}
export interface Questions {
  readonly train: {
    /** Of an optimizer. */
    readonly text: string;
    readonly variables: readonly (Sent & { readonly path: string })[];
    /** For the optimizer's variables; null for a new optimizer. */
    readonly state: readonly Sent[] | null;
    /** Step by step, variable by variable. */
    readonly gradients: readonly (readonly SentGradient[])[];
  };
  /** Which of these names Keras has. */
  readonly known: { readonly optimizers: readonly string[]; readonly schedules: readonly string[] };
  /** `serialize(get(name))`. */
  readonly default: { readonly name: string };
  /** A file of ours. */
  readonly open_file: { readonly path: string };
  /** `serialize(deserialize(text))`. */
  readonly reread: { readonly kind: 'optimizers' | 'schedules'; readonly text: string };
  /** Trains a small model, saves it, and goes on. Gradients step by step, variable by variable. */
  readonly save_model: ModelQuestion & {
    readonly path: string;
    readonly weights: string;
    readonly before: readonly (readonly string[])[];
  };
  /** Loads a model, and weights into it, and goes on; without a path it is a new one, with the optimizer of `text`. */
  readonly load_model: ModelQuestion & { readonly path: string | null; readonly weights: string | null };
  /** Whether Python has a package that not every build-python/ has. */
  readonly has_package: { readonly name: 'safetensors' | 'tensorboard' };
  /** What is in a folder, read by TensorFlow. */
  readonly events: { readonly directory: string };
  /** What Keras's own TensorBoard writes. */
  readonly keras_events: { readonly optimizer: string; readonly options: object; readonly calls: readonly Call[] };
  /** What is in a folder, read by TensorBoard. */
  readonly shown: { readonly directory: string };
  /** What Keras's progress bar writes. */
  readonly bar: { readonly target: number | null; readonly verbose: 1 | 2; readonly updates: readonly Update[] };
  /** TensorFlow's record of data in base64. */
  readonly record: { readonly data: string };
}
export interface Answers {
  readonly train: Training<string>;
  readonly known: Questions['known'] & { readonly version: string };
  readonly default: { readonly form: Serialized };
  readonly reread: { readonly form: Serialized };
  readonly save_model: { readonly moments: readonly ModelMoment<string>[] };
  readonly load_model: { readonly moments: readonly ModelMoment<string>[] };
  readonly has_package: { readonly known: boolean };
  readonly events: { readonly folders: Folders<FileEvent> };
  readonly keras_events: Answers['events'];
  readonly shown: { readonly folders: Folders<Scalar> };
  readonly bar: { readonly text: string };
  readonly record: { readonly bytes: string };
  readonly open_file: OpenedFile;
}

/** What Python's safetensors finds in a file. */
export interface OpenedFile {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: Readonly<
    Record<string, { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: string }>
  >;
  /** Over the file with zeros in its place. */
  readonly sha256: string;
}

export const encode = (values: Iterable<number>): string =>
  Buffer.from(Float64Array.from(values).buffer).toString('base64');
export const decode = (text: string): Float64Array =>
  new Float64Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer);

export class Keras {
  readonly #process = new LineProcess<object, { readonly error?: string }>([python, '-u', here('keras_answers.py')], {
    ...settings(1),
    PYTHONPATH: libraries.join(':'),
  });

  /** Rejects with what Keras raised. */
  ask<Q extends keyof Questions>(what: Q, question: Questions[Q]): Promise<Answers[Q]> {
    return this.#process.ask({ do: what, ...question }) as Promise<unknown> as Promise<Answers[Q]>;
  }

  close(): void {
    this.#process.close();
  }
}

/** Whether a package is missing, of which it says so: `what` cannot be checked then. */
export async function isMissing(keras: Keras, name: Questions['has_package']['name'], what: string): Promise<boolean> {
  const { known } = await keras.ask('has_package', { name });
  if (!known) console.log(`No checks of ${what}: build-python/ has no ${name}, npm run bench:python looks for it`);
  return !known;
}
