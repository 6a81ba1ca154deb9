// Errors and warnings as values.

export type CodedError = Error & { readonly code?: string };

/** What an action throws, undefined if it does not. */
export function thrown(action: () => unknown): CodedError | undefined {
  try {
    action();
  } catch (error) {
    return error as CodedError;
  }
  return undefined;
}

/** The warnings of the process while an action runs. */
export async function warnings(action: () => unknown): Promise<string[]> {
  const seen: string[] = [];
  const see = ({ message }: Error): void => void seen.push(message);
  process.on('warning', see);
  action();
  await new Promise(setImmediate);
  process.off('warning', see);
  return seen;
}
