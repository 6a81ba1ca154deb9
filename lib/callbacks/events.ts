// Events as TensorFlow 2 writes them, byte by byte: records of TFRecord with the protocol buffers of tensorflow/core/util/event.proto,
// framework/summary.proto and framework/tensor.proto. What has its default, such as step 0, is left out, as there.
import { maskedCrc32c } from './crc32c.ts';

const kFloat = 1; // DT_FLOAT of types.proto

/** Seven bits a byte, the lowest ones first. `value` is a whole number >= 0. */
function varint(value: number): Buffer {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}

const key = (field: number, wireType: number): Buffer => varint(8 * field + wireType);
const number = (field: number, value: number): readonly Buffer[] => (value === 0 ? [] : [key(field, 0), varint(value)]);
const message = (field: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  return Buffer.concat([key(field, 2), varint(content.length), content]);
};
const text = (field: number, value: string): Buffer => message(field, Buffer.from(value));

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function wallTime(seconds: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(seconds);
  return Buffer.concat([key(1, 1), bytes]);
}

/** Length, its checksum, data, its checksum. */
export function record(...parts: readonly Uint8Array[]): Buffer {
  const data = Buffer.concat(parts);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  const checksum = (bytes: Buffer): Buffer => {
    const crc = Buffer.alloc(4);
    crc.writeUInt32LE(maskedCrc32c(bytes));
    return crc;
  };
  return Buffer.concat([length, checksum(length), data, checksum(data)]);
}

/** The first event of a file. `seconds` since 1970. */
export const firstEvent = (seconds: number): Buffer =>
  record(wallTime(seconds), text(3, 'brain.Event:2'), message(10, text(1, 'tensorflow.core.util.events_writer')));

/** A scalar, kept as float32. `step` is a whole number >= 0. */
export function scalarEvent(seconds: number, step: number, tag: string, value: number): Buffer {
  const scalar = message(8, ...number(1, kFloat), message(2), message(4, float32(value)));
  const plugin = message(9, message(1, text(1, 'scalars')));
  return record(wallTime(seconds), ...number(2, step), message(5, message(1, text(1, tag), scalar, plugin)));
}
