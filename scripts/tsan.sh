#!/usr/bin/env bash
# Builds the addon with ThreadSanitizer into build-tsan/ and runs on it: a race that it must find, the tests of asynchronous steps,
# workers at once, and killed workers. Nothing is suppressed (what names the node binary would hide every race): a report counts if
# one of its accesses is the addon's own, made by it or by a library on its behalf; those of Node.js and V8, whose atomics are not
# instrumented and which the addon may have called, are only counted.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/sanitized.sh
sanitized tsan -fsanitize=thread

library=$(gcc -print-file-name=libtsan.so)
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
run() { TSAN_OPTIONS=exitcode=0:history_size=4:log_path=$logs/tsan LD_PRELOAD=$library timeout 300 setarch -R "$@"; }

# ours COMMAND...: runs it, prints the reports that name the addon, and fails if there are any.
ours() {
  rm -f "$logs"/*
  run "$@" || return 1
  cat "$logs"/* 2>/dev/null | awk '
    /^WARNING/ { report = ""; mine = 0 }
    { report = report $0 "\n" }
    /^ *#0 / { top = 1 }
    top && /^ *#/ && !/libtsan|libsanitizer|libstdc|libc\.so/ { top = 0; if (/keras_optimizers\.node/) mine = 1 }
    /^SUMMARY/ { if (mine) { printf "%s", report; own++ } else foreign++ }
    END { printf "%d reports, %d more of Node.js alone\n", own, foreign; exit own > 0 }'
}
if ! run node -e 0; then
  echo 'cannot run: node does not start under ThreadSanitizer here (does setarch -R need a privilege?)'
  exit 1
fi

found=$(ours node test/lifecycle/race.mjs) && { echo 'a planted race was not found'; exit 1; }
echo "a planted race is found: $(tail -n 1 <<<"$found")"
stage 'tests' ours node node_modules/mocha/bin/mocha.js --no-config --node-option import=tsx --node-option expose-gc --reporter dot --timeout 600000 test/async.test.ts
stage 'workers' ours node test/lifecycle/workers.mjs
stage 'workers on a GPU' ours node --expose-gc test/cuda/workers.mjs 10
stage 'killed workers' ours node --expose-gc test/lifecycle/kills.mjs 40
