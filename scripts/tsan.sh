#!/usr/bin/env bash
# Builds the addon with ThreadSanitizer into build-tsan/ and runs on it: a race that it must find, the tests of asynchronous steps,
# workers at once, and killed workers. Nothing is suppressed (what names the node binary would hide every race): a report counts if
# the addon is in one of its stacks; those of Node.js and V8 alone, whose atomics are not instrumented, are only counted.
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
  cat "$logs"/* 2>/dev/null | awk -v RS='==================\n' '
    /WARNING/ { if (/keras_optimizers\.node/) { print; own++ } else foreign++ }
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
stage 'killed workers' ours node --expose-gc test/lifecycle/kills.mjs 40
