#!/usr/bin/env bash
# For an addon that asks for symbols of a newer glibc than FLOOR: writes assembly through which a second link of it reaches the
# versions of these symbols that an older glibc has as well, and the linker's options for that, OUTPUT.options. glibc moved the
# threads' and the loader's functions from libraries of their own, which every Node.js has loaded, into libc, and gave them a new
# version; the old one stays. x86-64 alone.
# Usage: scripts/trampolines.sh ADDON FLOOR OUTPUT.S
set -euo pipefail
addon=$1 floor=$2 output=$3
defined=$(ldd "$addon" | awk '/=> \// && /lib(c|m|dl|pthread|rt)\.so/ { print $3 }' | xargs objdump -T)
versions() { awk -v name="$1" '$NF == name && !/\*UND\*/ { gsub(/[()]/, "", $(NF - 1)); print $(NF - 1) }' <<<"$defined" | sort -Vu; }
isNewer() { [ "$(printf '%s\n' "$floor" "$1" | sort -V | tail -n 1)" != "$floor" ]; }

: >"$output.options"
printf '.text\n' >"$output"
while read -r version symbol; do
  isNewer "${version#GLIBC_}" || continue
  old=$(versions "$symbol" | head -n 1)
  if [ -z "$old" ] || isNewer "${old#GLIBC_}"; then printf '%s needs %s, which glibc %s does not have\n' "$addon" "$symbol" "$floor" && exit 1; fi
  printf '.globl __wrap_%s\n.type __wrap_%s, @function\n.symver old_%s, %s@%s\n__wrap_%s: jmp old_%s@PLT\n' \
    "$symbol" "$symbol" "$symbol" "$symbol" "$old" "$symbol" "$symbol" >>"$output"
  printf -- '-Wl,--wrap=%s\n' "$symbol" >>"$output.options"
done < <(objdump -T "$addon" | awk '/\*UND\*/ && /GLIBC_/ { gsub(/[()]/, "", $(NF - 1)); print $(NF - 1), $NF }')
printf '.section .note.GNU-stack, "", @progbits\n' >>"$output"
printf '%d symbols of a glibc newer than %s are reached by their old versions\n' "$(wc -l <"$output.options")" "$floor"
