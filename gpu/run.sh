#!/bin/sh
# Runs everything that needs a GPU, on any Linux with an NVIDIA driver: sh run.sh --help. Needs gzip, no network, npm or compiler.
# Exit code: 0 if all passed, 1 if something failed, 3 if there is no GPU to use, 4 if this machine cannot run what is in here.
set -u
here=$(cd "$(dirname "$0")" && pwd)

cannot() {
  printf '%s\n' "$@" >&2
  exit 4
}

# Large files are here compressed; what has been unpacked stays.
[ -w "$here" ] || [ -x "$here/node" ] || cannot "$here is where files are unpacked, and cannot be written: copy the folder"
command -v gzip >/dev/null || [ -x "$here/node" ] || cannot 'run.sh expects gzip, which is not on this machine'
while read -r file; do
  [ -e "$here/$file" ] && continue
  gzip -dc "$here/$file.gz" >"$here/$file.part" && mv "$here/$file.part" "$here/$file" || cannot "could not unpack $file.gz"
done <"$here/packed.txt"
chmod +x "$here/node"

# The C++ library of this machine, or, where that is older than the one it was built with, the one in here.
loads() { "$here/node" "$here/gpu/loads.js" 2>&1; }
if ! first=$(loads); then
  LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LD_LIBRARY_PATH
  second=$(loads) || cannot "$first" "$second" "This machine cannot run it: $(cat "$here/needs.txt")"
fi
exec "$here/node" --expose-gc "$here/gpu/main.js" --output "$here/results" "$@"
