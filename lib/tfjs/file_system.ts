// A folder for model.save and tf.loadLayersModel in Node without tfjs-node, in the form that tfjs-node and browsers read:
// model.json and weights.bin.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { io } from '@tensorflow/tfjs-core';

import { describe, typeError } from '../errors.ts';

/**
 * Where `model.save` writes and `tf.loadLayersModel` reads. Each file is written beside the old one and then takes its place.
 *
 * @param path of a folder, which is made if it is not there
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything but a string; its methods reject as node:fs/promises, `load` with a
 *   SyntaxError for a broken model.json
 * @example
 * await model.save(fileSystem('run'), { includeOptimizer: true });
 * const again = await tf.loadLayersModel(fileSystem('run'));
 */
export function fileSystem(path: string): io.IOHandler {
  if (typeof path !== 'string' || path === '')
    throw typeError('ERR_OPT_CONFIG_TYPE', `fileSystem expects the path of a folder, got ${describe(path)}`);
  return { save: (artifacts) => save(path, artifacts), load: () => load(path) };
}

async function save(
  path: string,
  { weightData, weightSpecs = [], ...rest }: io.ModelArtifacts,
): Promise<io.SaveResult> {
  const weights = Buffer.concat([weightData ?? []].flat().map((part) => new Uint8Array(part)));
  const model = JSON.stringify({ ...rest, weightsManifest: [{ paths: ['weights.bin'], weights: weightSpecs }] });
  await mkdir(path, { recursive: true });
  await replace(join(path, 'weights.bin'), weights);
  await replace(join(path, 'model.json'), model);
  const modelArtifactsInfo = {
    dateSaved: new Date(),
    modelTopologyType: 'JSON' as const,
    modelTopologyBytes: Buffer.byteLength(model),
    weightDataBytes: weights.length,
  };
  return { modelArtifactsInfo };
}

async function replace(path: string, content: Uint8Array | string): Promise<void> {
  const written = `${path}.${process.pid}.tmp`;
  await writeFile(written, content);
  await rename(written, path);
}

type Manifest = readonly { readonly paths: readonly string[]; readonly weights: readonly io.WeightsManifestEntry[] }[];

async function load(path: string): Promise<io.ModelArtifacts> {
  const text = await readFile(join(path, 'model.json'), 'utf8');
  const { weightsManifest = [], ...rest } = JSON.parse(text) as io.ModelArtifacts & { weightsManifest?: Manifest };
  const files = weightsManifest.flatMap(({ paths }) => paths);
  const parts = await Promise.all(files.map((file) => readFile(join(path, file))));
  const weightData = new Uint8Array(Buffer.concat(parts)).buffer;
  return { ...rest, weightSpecs: weightsManifest.flatMap(({ weights }) => [...weights]), weightData };
}
