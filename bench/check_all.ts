// npm run bench -- --check: every driver's values for every rule and variant, on small work, with nothing timed.
import { check, Difference } from './check.ts';
import { fits, type Trial } from './drivers.ts';
import { Peers } from './peer.ts';
import { ruleNames } from '../lib/bench/rules.ts';
import { variants } from './variants.ts';

const kRule = Math.max(...ruleNames.map((name) => name.length)); // characters

interface Finding {
  readonly text: string;
  readonly right: boolean;
}

/** Undefined if there is nothing to compare. */
async function find(driver: string, trial: Trial, peers: Peers): Promise<Finding | undefined> {
  try {
    const text = fits(driver, trial, 2, 2) === true ? await check(driver, trial, peers) : undefined;
    return text === undefined ? undefined : { text, right: true };
  } catch (error) {
    const right = !(error instanceof Difference);
    return { text: `${right ? 'skipped' : 'WRONG'}: ${(error as Error).message}`, right };
  }
}

/** Whether no driver differs. A variant that ours does not have is skipped for all. */
async function checkVariant(rule: string, variant: string, drivers: readonly string[], peers: Peers): Promise<boolean> {
  let right = true;
  for (const driver of drivers) {
    const finding = await find(driver, { rule, work: '', variant, threads: 1 }, peers);
    if (finding === undefined) continue;
    console.log(`${rule.padEnd(kRule)} ${variant.padEnd(20)} ${driver.padEnd(15)} ${finding.text}`);
    right &&= finding.right;
    if (driver === 'ours' && finding.text.startsWith('skipped')) return right;
  }
  return right;
}

/** Prints what it finds; whether no driver differs. Words select rules and variants. */
export async function checkAll(words: readonly string[], drivers: readonly string[]): Promise<boolean> {
  const chosen = (known: readonly string[]): readonly string[] => {
    const named = known.filter((name) => words.includes(name));
    return named.length > 0 ? named : known;
  };
  const peers = new Peers(1);
  let right = true;
  try {
    for (const rule of chosen(ruleNames))
      for (const variant of chosen(Object.keys(variants)))
        right = (await checkVariant(rule, variant, drivers, peers)) && right;
  } finally {
    peers.close();
  }
  return right;
}
