#!/usr/bin/env bash
# Kernel objects share no symbol: the linker may keep one copy of a shared one, which another processor cannot run.
# Usage: test/symbols.sh OBJECT...; prints what is shared, or undefined beyond what the C library gives, and fails.
set -euo pipefail
shared=$(nm --extern-only --defined-only --format=posix "$@" | awk 'NF > 1 { print $1 }' | sort | uniq -d)
weak=$(nm --format=posix "$@" | awk '$2 ~ /^[WVu]$/ { print $1 }')
foreign=$(nm --undefined-only --format=posix "$@" | awk 'NF > 1 { print $1 }' | grep -vxE 'memset|memmove|memcpy|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail' || true)
for found in "shared: $shared" "weak: $weak" "undefined: $foreign"; do
  [ -z "${found#*: }" ] || { printf '%s\n' "$found"; failed=1; }
done
exit "${failed:-0}"
