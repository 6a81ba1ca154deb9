// Data where the transport can reach it: where it is, or in a copy that is written back.
import type { DeviceStorage } from '../storage.ts';
import type { Place } from './collectives.ts';
import { located, type Located } from './data.ts';
import { regionOf } from './region.ts';
import type { Transport } from './transport.ts';

export interface Brought {
  readonly place: Place;
  /** Writes it to where it came from. */
  readonly putBack: () => Promise<void>;
}

/** Data as a transport has it that reaches the host, and a GPU if one is given: other bfloat16 comes to the host as float32. */
export function carriedAs(data: Located, device: number | undefined): Located {
  const widened = data.device !== undefined && data.device.site !== device && data.element === 'bfloat16';
  return widened ? { ...data, element: 'float32', size: Float32Array.BYTES_PER_ELEMENT } : data;
}

/** Where `to` can reach it: on the host, or on its GPU. */
export async function bring(data: Located, to: Pick<Transport, 'device' | 'copies'>): Promise<Brought> {
  if (data.device !== undefined && data.device.site !== to.device) return onHost(data.device, to);
  const stays = data.stays || to.copies === true;
  return { place: { region: regionOf(data), stays }, putBack: () => Promise.resolve() };
}

async function onHost(storage: DeviceStorage, to: Pick<Transport, 'device' | 'copies'>): Promise<Brought> {
  const array = await storage.read();
  const { place } = await bring(located('a copy', array, true), to);
  return { place, putBack: () => Promise.resolve(storage.write(array)) };
}
