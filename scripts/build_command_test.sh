#!/usr/bin/env bash
# `keras-optimizers build` in an installed package: compiles, loads what was made, and leaves a package that fails alone. A minute.
# build_command_test.sh [FOLDER of an installed package, whose build-cmake/ is replaced]; without one a copy of what npm packs.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
package=${1:-$folder/node_modules/keras-optimizers}
if [ $# -eq 0 ]; then
  bash "$repository/scripts/headers.sh"
  mkdir -p "$package"
  cp -r "$repository"/{package.json,CMakeLists.txt,native,cuda,headers,dist} "$package"
fi
package=$(cd "$package" && pwd)
program=("$(command -v node)" "$package/dist/cli/index.js")
addon=$package/build-cmake/Release/keras_optimizers.node
rm -rf "$package/build-cmake"
cd "$folder"
unset KERAS_OPTIMIZERS_ADDON

says() { # PATTERN EXIT-CODE COMMAND...
  local pattern=$1 expected=$2 output code=0
  shift 2
  output=$("$@" 2>&1) || code=$?
  if [ "$code" -ne "$expected" ] || ! grep -q "$pattern" <<<"$output"; then
    printf 'expected "%s" and %s, got %s of: %s\n%s\n' "$pattern" "$expected" "$code" "$*" "$output"
    exit 1
  fi
}

# What is missing is said before anything is compiled.
mkdir tools
says 'ERR_BUILD: build expects CMake 3.18' 1 env PATH="$folder/tools" "${program[@]}" build
ln -s "$(command -v cmake)" tools/cmake
says 'ERR_BUILD: build expects a C++17 compiler' 1 env PATH="$folder/tools" "${program[@]}" build
says 'ERR_BUILD: build expects a C++17 compiler' 1 env CXX=cat "${program[@]}" build
says 'ERR_BUILD: build expects nvcc' 1 env CUDACXX=no-nvcc "${program[@]}" build --cuda on
[ ! -e "$addon" ]

says 'kernels ' 0 "${program[@]}" build --cuda off
[ "$(cd "$package/build-cmake" && find . -type f)" = ./Release/keras_optimizers.node ]
says 'not built' 0 "${program[@]}" info

# A build that fails leaves the one before.
before=$(sha256sum "$addon")
cp "$package/native/cpu/baseline.cpp" kept.cpp # among the first to be compiled
echo 'this is no C++' >>"$package/native/cpu/baseline.cpp"
says 'ERR_BUILD: cmake ended with .*' 1 "${program[@]}" build --cuda off
cp kept.cpp "$package/native/cpu/baseline.cpp"
[ "$(sha256sum "$addon")" = "$before" ]
[ "$(cd "$package/build-cmake" && find . -type f)" = ./Release/keras_optimizers.node ]
echo "keras-optimizers build compiled $addon, which works"
