#!/usr/bin/env bash
# The bundle of `npm run gpu:bundle`, on a machine without a GPU: below 60 MB; runs in another folder with no environment and says
# why there is no GPU, with code 3; and on the emulated GPU runs every part to the end.
# Usage: scripts/gpu_bundle_test.sh [CUDA_ADDON [EMULATED_ADDON]]
set -euo pipefail
cd "$(dirname "$0")/.."
cuda=${1:-build-cmake/Release/keras_optimizers.node}
emulated=${2:-build-emulated/Release/keras_optimizers.node}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

npx tsc --project tsconfig.build.json
npx tsx scripts/gpu_bundle.ts --addon "$cuda" --output "$folder/made"
bytes=$(find "$folder/made" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
[ "$bytes" -lt 60000000 ]
mv "$folder/made" "$folder/moved here" # a path with a space in it
bundle="$folder/moved here"

run() { env -i PATH=/usr/bin:/bin sh "$bundle/run.sh" "$@"; }

expect() { # code text arguments...
  local code=$1 text=$2 found=0
  shift 2
  run "$@" >"$folder/log" 2>&1 || found=$?
  if [ "$found" -ne "$code" ] || ! grep -q "$text" "$folder/log"; then
    tail -n 100 "$folder/log"
    printf 'run.sh %s ended with %s and was expected to end with %s and to say "%s"\n' "$*" "$found" "$code" "$text"
    exit 1
  fi
  tail -n 12 "$folder/log"
}

if [ -e /proc/driver/nvidia/version ]; then
  printf 'there is a driver: run.sh is not expected to miss it\n'
else
  expect 3 'no GPU to use: ERR_CUDA_NO_DRIVER'
fi
expect 2 'expects parts of' --only nothing
cp "$emulated" "$bundle/build/Release/keras_optimizers.node"
example=build-example-emulated/keras_optimizers_example.node
if [ -e "$example" ]; then
  mkdir -p "$bundle/build-example-emulated"
  cp "$example" "$bundle/build-example-emulated/"
fi
expect 0 '^results: ' --quick
[ -s "$bundle/results/results.json" ]
