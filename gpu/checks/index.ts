// The one list of checks that need a device.
import { arithmeticChecks } from './arithmetic.ts';
import { bitChecks } from './bits.ts';
import type { Check, Settings } from './check.ts';
import { gradientChecks } from './gradients.ts';
import { memoryChecks, soakCheck } from './memory.ts';
import { orderChecks } from './order.ts';
import { reductionChecks } from './reductions.ts';
import { stickyCheck } from './sticky.ts';

export const checks = (settings: Settings): Check[] => [
  ...orderChecks(settings),
  ...arithmeticChecks(settings),
  ...bitChecks(settings),
  ...reductionChecks(settings),
  ...gradientChecks(settings),
  ...memoryChecks(settings),
  stickyCheck(settings),
  soakCheck(settings),
];
