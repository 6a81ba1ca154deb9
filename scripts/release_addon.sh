#!/usr/bin/env bash
# npm run release:addon: the addon as the package brings it, prebuilds/linux-x64/keras_optimizers.node: with CUDA for all
# architectures where there is nvcc, stripped, for glibc 2.28 and newer, which is what Node.js itself needs,
# and the libstdc++ of that time.
set -euo pipefail
cd "$(dirname "$0")/.."
floors=(GLIBC_2.28 GLIBCXX_3.4.25)
platform=$(node -p 'process.platform + "-" + process.arch')
[ "$platform" = linux-x64 ] || { printf 'expected to run on linux-x64, not on %s\n' "$platform"; exit 1; }
output=prebuilds/$platform/keras_optimizers.node
built=build-release/Release/keras_optimizers.node
build() {
  npx cmake-js configure --out build-release --CDCUDA="$cuda" --CDTRAMPOLINES="$1" --log-level warn
  npx cmake-js build --out build-release --log-level warn
}

cuda=OFF
if command -v nvcc >/dev/null; then cuda=ON; else printf 'there is no nvcc: this is a build for the CPU only\n'; fi
build OFF # whose undefined symbols say what the next link needs
bash scripts/trampolines.sh $built "$PWD/build-release/trampolines.S" "${floors[@]}"
build "$PWD/build-release/trampolines.S"
mkdir -p "$(dirname "$output")"
strip -o "$output" $built
bash scripts/needs.sh "$output" "${floors[@]}"
KERAS_OPTIMIZERS_ADDON=$PWD/$output node -e 'require(process.env.KERAS_OPTIMIZERS_ADDON)'
printf '%s: %s bytes, %s packed\n' "$output" "$(stat -c %s "$output")" "$(gzip -9c "$output" | wc -c)"
