// npm run figure:nadam: draws docs/figures/nadam-family.svg, and prints the numbers of docs/nadam.md.
import { writeFileSync } from 'node:fs';

import { figure } from './figure.ts';
import { tables } from './tables.ts';

writeFileSync(new URL('../../docs/figures/nadam-family.svg', import.meta.url), figure());
for (const rows of tables()) console.log(`${rows.join('\n')}\n`);
