#!/usr/bin/env bash
# Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer into build-asan/ and runs on it: the tests (but those that
# read object files, run processes of their own, replace malloc or hardly come to native code), those of GPUs on an emulated one, ranks
# of MPI, random hostile calls, killed workers, and a leak check.
# Usage: scripts/asan.sh [CALLS]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/sanitized.sh
sanitized asan -fsanitize=address,undefined -fno-sanitize-recover=undefined

libraries="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
run() { # LEAKS COMMAND...; V8 exits without freeing, so that leaks are looked for in one scenario only
  ASAN_OPTIONS=detect_leaks=$1:allocator_may_return_null=1 LSAN_OPTIONS=print_suppressions=0 LD_PRELOAD=$libraries "${@:2}"
}

stage 'finds a planted use after free' fails run 0 node --expose-gc test/lifecycle/stolen.mjs
stage 'tests' run 0 node node_modules/mocha/bin/mocha.js --no-config --node-option import=tsx --node-option expose-gc \
  --reporter dot --timeout 600000 --grep '^(the compiled kernels|the package|a process|a worker|the addon)|that runs out' --invert \
  --ignore 'test/{bench,charts,cli,docs,keras_docs,progbar_logger,tensor_board}.test.ts' 'test/*.test.ts'
stage 'GPUs' run 0 node node_modules/mocha/bin/mocha.js --no-config --node-option import=tsx --node-option expose-gc \
  --reporter dot --timeout 600000 --grep 'in a process|PTX' --invert 'test/cuda/*.test.ts'
if command -v mpirun.mpich >/dev/null; then
  stage 'MPI' mpirun.mpich -n 2 env ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 "LD_PRELOAD=$libraries" \
    node --expose-gc test/distributed/ranks.mjs works '{}'
else
  echo '-- not run over MPI: there is no MPICH'
fi
stage 'hostile calls' run 0 node --expose-gc --import tsx test/hostile.ts "${1:-200000}"
stage 'killed workers' run 0 node --expose-gc test/lifecycle/kills.mjs 40
stage 'leaks' run 1 node --expose-gc test/lifecycle/leaks.mjs
