#!/usr/bin/env bash
# Compiles the kernels to WebAssembly, and writes dist/wasm/module.cjs: what there is where no native addon is. Needs clang and lld with
# their parts for wasm32, and a native addon of the same sources, which says what the rules are.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(clang lld wasi-libc libc++-dev-wasm32 libclang-rt-dev-wasm32)
command -v clang++ >/dev/null && command -v wasm-ld >/dev/null && echo '#include <algorithm>' | clang++ --target=wasm32-wasi -E -x c++ - >/dev/null 2>&1 || {
  echo "scripts/build_wasm.sh needs a compiler for WebAssembly; on Debian and Ubuntu: apt-get install ${packages[*]}" >&2
  exit 1
}
# No flag of these changes a value. The warnings are about what the kernels mean: conditions without branches, braces left out.
flags=(-std=c++17 -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -msimd128 -mbulk-memory -mnontrapping-fptoint -msign-ext
  -fno-exceptions -fno-rtti -Wall -Wextra
  -Wno-bitwise-conditional-parentheses -Wno-bitwise-instead-of-logical -Wno-missing-braces)
# No import but the memory; a stack that runs over traps, as it lies below all else.
link=(-nostartfiles -Wl,--no-entry,--import-memory,--strip-all,--stack-first,-z,stack-size=131072)
compiled=$(mktemp)
trap 'rm -f "$compiled"' EXIT
clang++ --target=wasm32-wasi "${flags[@]}" "${link[@]}" native/wasm/{exports,kernels,no_blas,threads}.cpp \
  native/matrix/{adafactor,lamb,muon,newton_schulz,product}.cpp -o "$compiled"
npx tsx scripts/wasm_module.ts "$compiled" dist/wasm/module.cjs
