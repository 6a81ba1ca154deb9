#!/usr/bin/env bash
# For an addon that asks for symbols of a newer glibc or libstdc++ than these: writes assembly through which a second link of it
# reaches the versions of these symbols that older ones have as well, and the linker's options for that, OUTPUT.options. glibc moved
# the threads' and the loader's functions from libraries of their own, which every Node.js has loaded, into libc, and gave them a new
# version; the old one stays. x86-64 alone.
# Usage: scripts/trampolines.sh ADDON OUTPUT.S GLIBC_2.28 GLIBCXX_3.4.25
set -euo pipefail
addon=$1 output=$2
floors=("${@:3}")
defined=$(ldd "$addon" | awk '/=> \// && /lib(c|m|dl|pthread|rt|stdc\+\+)\.so/ { print $3 }' | xargs objdump -T)
versions() { awk -v name="$1" '$NF == name && !/\*UND\*/ { gsub(/[()]/, "", $(NF - 1)); print $(NF - 1) }' <<<"$defined" | sort -Vu; }
# isNewer VERSION: than the floor of its library, if there is one.
isNewer() {
  local floor
  for floor in "${floors[@]}"; do
    [ "${floor%%_*}" != "${1%%_*}" ] || [ "$(printf '%s\n' "$floor" "$1" | sort -V | tail -n 1)" = "$floor" ] || return 0
  done
  return 1
}

: >"$output.options"
printf '.text\n' >"$output"
while read -r version symbol; do
  isNewer "$version" || continue
  printf -- '-Wl,--wrap=%s\n' "$symbol" >>"$output.options"
  # What libstdc++'s headers look at before they count references: there are always threads.
  if [ "$symbol" = __libc_single_threaded ]; then
    printf '.globl __wrap_%s\n.hidden __wrap_%s\n.type __wrap_%s, @object\n.size __wrap_%s, 1\n.section .rodata\n__wrap_%s: .byte 0\n.text\n' \
      "$symbol" "$symbol" "$symbol" "$symbol" "$symbol" >>"$output"
    continue
  fi
  # What an older one has under another name: the exception that this one derives from.
  known=$symbol
  [ "$symbol" != _ZSt28__throw_bad_array_new_lengthv ] || known=_ZSt17__throw_bad_allocv
  old=$(versions "$known" | head -n 1)
  if [ -z "$old" ] || isNewer "$old"; then printf '%s needs %s of %s, which older ones do not have\n' "$addon" "$symbol" "$version" && exit 1; fi
  printf '.globl __wrap_%s\n.hidden __wrap_%s\n.type __wrap_%s, @function\n.symver old_%s, %s@%s\n__wrap_%s: jmp old_%s@PLT\n' \
    "$symbol" "$symbol" "$symbol" "$symbol" "$known" "$old" "$symbol" "$symbol" >>"$output"
done < <(objdump -T "$addon" | awk '/\*UND\*/ && /GLIBC/ { gsub(/[()]/, "", $(NF - 1)); print $(NF - 1), $NF }')
printf '.section .note.GNU-stack, "", @progbits\n' >>"$output"
printf '%d symbols newer than %s are reached by their old versions\n' "$(wc -l <"$output.options")" "${floors[*]}"
