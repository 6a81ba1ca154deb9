#!/usr/bin/env bash
# The newest glibc and libstdc++ that an addon asks for, and the symbols that ask for it; fails above these versions. A build of CUDA's
# static runtime asks for glibc 2.34, a release (scripts/release_addon.sh) for less.
# Usage: scripts/needs.sh build-cmake/Release/keras_optimizers.node GLIBC_2.34 [GLIBCXX_3.4.25]
set -euo pipefail
symbols=$(objdump -T "$1" | awk '/\*UND\*/ { gsub(/[()]/, "", $(NF - 1)); print $(NF - 1), $NF }')
newest() { sed -n "s/^$1_\([0-9.]*\) .*/\1/p" <<<"$symbols" | sort -Vu | tail -n 1; }
for library in GLIBC GLIBCXX; do
  version=$(newest $library)
  printf '%s %s:%s\n' "$library" "${version:-none}" "$(awk -v of="${library}_$version" '$1 == of { printf " %s", $2 }' <<<"$symbols")"
done
for floor in "${@:2}"; do
  library=${floor%%_*} version=$(newest "${floor%%_*}")
  [ "$(printf '%s\n' "${floor#*_}" "$version" | sort -V | tail -n 1)" = "${floor#*_}" ] || {
    printf '%s needs %s %s, newer than %s\n' "$1" "$library" "$version" "$floor"
    exit 1
  }
done
