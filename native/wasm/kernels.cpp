// Compiled with the flags of scripts/build_wasm.sh.
#include "../cpu/kernels.inc"
extern const Kernels kWasm = tableOf(Rules());
