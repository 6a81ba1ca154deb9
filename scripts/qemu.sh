#!/usr/bin/env bash
# The goldens and the kernels' bits on processors without AVX-512, and without AVX2, which qemu imitates: the addon must choose
# the best backend that runs there. Usage: scripts/qemu.sh
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname -m)" = x86_64 ] || { echo "cannot run: these are processors of x86-64, this is $(uname -m)"; exit 0; }
command -v qemu-x86_64 >/dev/null || apt-get install -y qemu-user >/dev/null || { apt-get update >/dev/null && apt-get install -y qemu-user >/dev/null; } || {
  echo 'cannot run: qemu-user could not be installed'
  exit 1
}

node=$(command -v node)
chosen='import("./dist/native.js").then(({ useBackend }) => console.log(useBackend("baseline")))'
on() { # PROCESSOR BACKEND
  local start=$SECONDS backend
  backend=$(qemu-x86_64 -cpu "$1" "$node" -e "$chosen" 2>/dev/null)
  printf -- '-- %s: %s\n' "$1" "$backend"
  [ "$backend" = "$2" ] || { printf 'expected %s\n' "$2"; return 1; }
  qemu-x86_64 -cpu "$1" "$node" --no-warnings --import tsx node_modules/mocha/bin/mocha.js --no-config --reporter dot --timeout 600000 \
    test/goldens.test.ts test/backends.test.ts test/kernels.test.ts --grep 'goldens of|^kernels|^backends (?!are chosen)'
  printf -- '-- %s: %d s\n' "$1" $((SECONDS - start))
}
# Side by side, since each takes minutes of one core.
output=$(mktemp)
on Nehalem baseline >"$output" 2>&1 &
on Haswell avx2
wait $! || { cat "$output"; exit 1; }
cat "$output"
