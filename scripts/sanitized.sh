# Sourced by asan.sh and tsan.sh: a build of the addon with a sanitizer, and stages that print what runs.

# sanitized NAME FLAGS...: builds into build-NAME/ and has the tests load that.
sanitized() {
  local name=$1
  shift
  if ! command -v cmake >/dev/null || ! command -v g++ >/dev/null; then apt-get update && apt-get install -y cmake g++ make; fi
  cmake -S . -B "build-$name" -DCMAKE_BUILD_TYPE=Sanitized -DCMAKE_CXX_FLAGS_SANITIZED="-O1 -g -fno-omit-frame-pointer $*" \
    -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DFAULTS=ON -DCUDA=EMULATED >/dev/null
  cmake --build "build-$name" --parallel "$(nproc)" -- --no-print-directory --quiet
  grep -q 'mavx2.*avx2\.cpp' "build-$name/compile_commands.json" || [ "$(uname -m)" != x86_64 ]
  grep -q 'mavx512f.*avx512\.cpp' "build-$name/compile_commands.json" || [ "$(uname -m)" != x86_64 ]
  export KERAS_OPTIMIZERS_ADDON=$PWD/build-$name/Release/keras_optimizers.node
}

# stage NAME COMMAND...: runs a command and says how long it took.
stage() {
  local start=$SECONDS
  printf -- '-- %s\n' "$1"
  "${@:2}" || { printf -- '-- %s failed\n' "$1"; exit 1; }
  printf -- '-- %s: %d s\n' "$1" $((SECONDS - start))
}

# fails COMMAND...: whether a command is stopped by a sanitizer.
fails() {
  local output
  if output=$("$@" 2>&1); then printf 'it passed\n%s\n' "$output"; return 1; fi
  grep -qE 'ERROR: AddressSanitizer|runtime error|WARNING: ThreadSanitizer' <<<"$output" || { printf '%s\n' "$output"; return 1; }
}
