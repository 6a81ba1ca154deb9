// What scripts/build_wasm.sh writes into dist/wasm/.
import type { WasmModule } from './kernels.ts';

declare const module: WasmModule;
export = module;
