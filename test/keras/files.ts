// Files of Keras for the tests: the goldens, and small ones that are damaged or odd.
import { readFileSync } from 'node:fs';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { unzipSync, zipSync, type Zippable } from 'fflate';

import type { Optimizer, Serialized } from '../../lib/index.ts';
import { Variable } from '../../lib/index.ts';
import type { KerasVariable } from '../../lib/keras/index.ts';

/** Files that Keras has written, with what it did after that. */
export const goldens = [
  'model-nadam-constant',
  'model-nadam-exponentialdecay',
  'model-nadam-keras3.9',
  'model-sgd-momentum',
] as const;
export type Golden = (typeof goldens)[number];

/** What the JSON beside a file has. */
export interface Truth {
  readonly keras: string;
  readonly trainableVariables: readonly { readonly shape: readonly number[] }[];
  readonly optimizerConfig: Serialized;
  readonly atSave: {
    readonly weights: readonly (readonly number[])[];
    readonly optimizerVariables: readonly { readonly path: string; readonly value: readonly number[] }[];
  };
  readonly uninterrupted: {
    readonly nextSteps: readonly {
      readonly gradients: readonly (readonly number[])[];
      readonly learningRate: number;
      readonly weights: readonly (readonly number[])[];
      readonly iterations: number;
    }[];
  };
}

export const fileOf = (golden: string): string => fileURLToPath(new URL(`../golden/${golden}`, import.meta.url));
export const truthOf = (golden: Golden): Truth => JSON.parse(readFileSync(fileOf(`${golden}.json`), 'utf8')) as Truth;
export const bytesOf = (file: string): Uint8Array => new Uint8Array(readFileSync(fileOf(file)));

/** Members of an archive, as another library reads them. */
export const membersOf = (archive: Uint8Array): Record<string, Uint8Array> => unzipSync(archive);

/** An archive, as another library writes it. */
export const archiveOf = (members: Zippable, level: 0 | 9 = 0): Uint8Array => zipSync(members, { level });

/** The variables of a model in the order in which it trains them. */
export const trainedOf = (variables: readonly KerasVariable[]): Variable[] =>
  variables
    .filter(({ place }) => place !== undefined)
    .sort((a, b) => (a.place as number) - (b.place as number))
    .map(({ value, shape }) => new Variable(value as Float32Array, { shape }));

/** All numbers of an optimizer that is built. */
export const stateOf = ({ variables }: Optimizer): number[][] =>
  variables.map(({ value }) => Array.from(value as Float32Array, Number));

/** A folder that is gone after the tests. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'keras-optimizers-'));
  #files = 0;

  /** A new file with these bytes. */
  file(bytes: Uint8Array | string, ending = ''): string {
    const path = this.name(ending);
    writeFileSync(path, bytes);
    return path;
  }

  /** A path that is not there yet. */
  name(ending = ''): string {
    return join(this.path, `${++this.#files}${ending}`);
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}
