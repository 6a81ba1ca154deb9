// The size of arrays.

/** The Euclidean norm, without overflow: NaN or Infinity only where a number is. */
export function normOf(numbers: ArrayLike<number | bigint>): number {
  let most = 0;
  for (let i = 0; i < numbers.length; i++) most = Math.max(most, Math.abs(Number(numbers[i])));
  if (most === 0 || !Number.isFinite(most)) return most;
  const scale = 2 ** Math.min(1023, Math.floor(Math.log2(most))); // a power of 2 changes no bit
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += (Number(numbers[i]) / scale) ** 2;
  return scale * Math.sqrt(sum);
}

/** The only number of an array. */
export const numberOf = (numbers: ArrayLike<number | bigint>): number => Number(numbers[0]);
