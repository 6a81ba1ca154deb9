// In browsers there is one addon to load, which bundlers put beside the library.
import { wasmAddon } from '../wasm/addon.ts';
import module from '../wasm/module.cjs';

export const loaded = { addon: wasmAddon(module), file: 'wasm/module.cjs', kind: 'wasm', passed: [] } as const;
