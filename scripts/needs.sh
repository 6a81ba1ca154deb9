#!/usr/bin/env bash
# The newest glibc and libstdc++ that an addon asks for, and the symbols that ask for it; fails above a glibc. A build of CUDA's
# static runtime asks for 2.34, a release (scripts/release_addon.sh) for less.
# Usage: scripts/needs.sh build-cmake/Release/keras_optimizers.node 2.34
set -euo pipefail
floor=$2
symbols=$(objdump -T "$1" | awk '/\*UND\*/ { gsub(/[()]/, "", $(NF - 1)); print $(NF - 1), $NF }')
newest() { sed -n "s/^$1_\([0-9.]*\) .*/\1/p" <<<"$symbols" | sort -Vu | tail -n 1; }
for library in GLIBC GLIBCXX; do
  version=$(newest $library)
  printf '%s %s:%s\n' "$library" "${version:-none}" "$(awk -v of="${library}_$version" '$1 == of { printf " %s", $2 }' <<<"$symbols")"
done
glibc=$(newest GLIBC)
[ "$(printf '%s\n' "$floor" "$glibc" | sort -V | tail -n 1)" = "$floor" ] || {
  printf '%s needs glibc %s, newer than %s\n' "$1" "$glibc" "$floor"
  exit 1
}
