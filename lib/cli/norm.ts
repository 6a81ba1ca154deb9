// The size of arrays.

/** The Euclidean norm, without overflow: NaN or Infinity only where a number is. */
export function normOf(numbers: ArrayLike<number | bigint>): number {
  let most = 0;
  for (let i = 0; i < numbers.length; i++) most = Math.max(most, Math.abs(Number(numbers[i])));
  if (most === 0 || !Number.isFinite(most)) return most;
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum += (Number(numbers[i]) / most) ** 2;
  return most * Math.sqrt(sum);
}

/** The only number of an array. */
export const numberOf = (numbers: ArrayLike<number | bigint>): number => Number(numbers[0]);
