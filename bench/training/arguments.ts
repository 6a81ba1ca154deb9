// Numbers of the command line.

/** The value of an option; ends the process with exit code 2 unless it is a number > 0, and a whole one if that is asked. */
export function positive(name: string, text: string, whole = true): number {
  const value = Number(text);
  if (value > 0 && value < Infinity && (!whole || Number.isInteger(value))) return value;
  console.error(`--${name} expects a ${whole ? 'whole ' : ''}number > 0, got ${JSON.stringify(text)}`);
  process.exit(2);
}
