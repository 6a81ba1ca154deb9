// Numbers of elements as words.

/** The number that `4M` stands for; NaN if it stands for none. */
export function countOf(word: string): number {
  const [, digits, unit = ''] = /^([1-9]\d{0,8})([KM]?)$/i.exec(word) ?? [];
  return Number(digits) * ({ K: 2 ** 10, M: 2 ** 20 }[unit.toUpperCase()] ?? 1);
}
