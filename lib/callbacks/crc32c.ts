// The checksum of records in TensorFlow's files: CRC-32C (RFC 3720, appendix B.4), masked as TFRecord does.
const kPolynomial = 0x82f63b78; // Castagnoli's, its bits reversed

/** The remainder of each byte. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ kPolynomial : rest >>> 1;
  return rest;
});

export function crc32c(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (const byte of bytes) rest = (rest >>> 8) ^ (table[(rest ^ byte) & 255] as number);
  return ~rest >>> 0;
}

/** A checksum of data that has checksums in it would be weak: so it is rotated by 15 bits, and a constant added. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
