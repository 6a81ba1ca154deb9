// Data where the transport can reach it: where it is, or in a copy that is written back.
import { allocated } from '../arrays.ts';
import { addon, type Memory } from '../native.ts';
import type { DeviceStorage } from '../storage.ts';
import type { Place } from './collectives.ts';
import { located, type Located } from './data.ts';
import { deviceRegion, regionOf } from './region.ts';
import type { Transport } from './transport.ts';

export interface Brought {
  readonly place: Place;
  /** Writes it to where it came from. */
  readonly putBack: () => Promise<void>;
}

/** Data as a transport on the host, or on a GPU, has it: bfloat16 on a GPU comes to the host as float32. */
export function carriedAs(data: Located, device: number | undefined): Located {
  const widened = data.device !== undefined && data.device.site !== device && data.element === 'bfloat16';
  return widened ? { ...data, element: 'float32', size: Float32Array.BYTES_PER_ELEMENT } : data;
}

/** Where `to` can reach it. */
export function bring(data: Located, to: Pick<Transport, 'device' | 'copies'>): Promise<Brought> {
  if (data.device !== undefined && data.device.site !== to.device) return viaHost(data.device, to);
  if (data.device === undefined && to.device !== undefined) return Promise.resolve(onDevice(data, to.device));
  const stays = data.stays || to.copies === true;
  return Promise.resolve({ place: { region: regionOf(data), stays }, putBack: () => Promise.resolve() });
}

async function viaHost(storage: DeviceStorage, to: Pick<Transport, 'device' | 'copies'>): Promise<Brought> {
  const array = await storage.read();
  const { place, putBack } = await bring(located('a copy', array, true), to);
  return { place, putBack: async () => (await putBack(), storage.write(array)) };
}

function onDevice({ bytes, length, size }: Located, gpu: number): Brought {
  const byteLength = length * size;
  const { memory: host, array } = allocated('uint16', Math.ceil(byteLength / Uint16Array.BYTES_PER_ELEMENT));
  const staged = new Uint8Array(array.buffer, 0, byteLength);
  staged.set(bytes);
  const memory = new addon.Memory(array.byteLength, 0, gpu);
  if (array.length > 0) addon.cuda.write(memory, array);
  const putBack = async () => {
    if (array.length > 0) await read(memory, host);
    bytes.set(staged);
  };
  return { place: { region: deviceRegion(memory, byteLength), stays: true }, putBack };
}

const read = (from: Memory, to: Memory) =>
  new Promise<void>((resolve, reject) => {
    addon.cuda.read(from, to, (_, error) => (error === undefined ? resolve() : reject(error)));
  });
