#!/usr/bin/env bash
# Installs @tensorflow/tfjs-node into build-tfjs-node/ with its addon compiled against the TensorFlow of build-python/, and runs the
# adapter's tests on its backend. Of TensorFlow.js itself there stays one copy, the project's.
# Usage: scripts/tfjs_node.sh [--install] [--optional]; --install only installs, --optional succeeds with the reason where it cannot
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.22.0 # as that of TensorFlow.js in package.json
only_install='' optional=''
for argument; do
  case $argument in
    --install) only_install=yes ;;
    --optional) optional=yes ;;
    *) printf '%s expects --install or --optional, got %s\n' "$0" "$argument" && exit 2 ;;
  esac
done

cannot() {
  printf 'cannot run on tfjs-node: %s\n' "$1"
  [ -n "$optional" ] && exit 0
  exit 1
}

# fetch: the package as it is published, and what it needs but TensorFlow.js, which require finds in node_modules/ further up.
fetch() {
  local module=node_modules/@tensorflow/tfjs-node
  rm -rf node_modules package.json
  echo '{ "private": true }' >package.json
  export npm_config_fetch_retries=1 # the default waits for minutes where there is no network
  npm pack --silent "@tensorflow/tfjs-node@$version" >/dev/null || return 1
  mapfile -t needed < <(tar -xzOf "tensorflow-tfjs-node-$version.tgz" package/package.json | node -p '
    Object.entries(JSON.parse(fs.readFileSync(0)).dependencies)
      .filter(([name]) => name !== "@tensorflow/tfjs")
      .map(([name, range]) => `${name}@${range}`)
      .join("\n")')
  [ ${#needed[@]} -gt 0 ] || return 1
  npm install --silent --ignore-scripts --no-audit --no-fund "${needed[@]}" || return 1
  mkdir -p "$module"
  tar -xzf "tensorflow-tfjs-node-$version.tgz" --strip-components=1 --directory "$module"
  rm "tensorflow-tfjs-node-$version.tgz"
}

# compile TENSORFLOW: the two files of its binding.gyp. The wheel has the C API in libtensorflow_cc, in place of libtensorflow.
compile() {
  local module=build-tfjs-node/node_modules/@tensorflow/tfjs-node addon=lib/napi-v8/tfjs_binding.node headers
  headers=$(node -p 'require("node-api-headers").include_dir')
  mkdir -p "$module/$(dirname $addon)"
  g++ -std=c++17 -O2 -fPIC -shared -w -DNAPI_VERSION=8 -I "$headers" -I "$1/include" "$module"/binding/*.cc -o "$module/$addon.part" \
    "$1"/libtensorflow_cc.so.2 "$1"/libtensorflow_framework.so.2 -Wl,-rpath,"$1"
  mv "$module/$addon.part" "$module/$addon"
}

tensorflow=$(echo "$PWD"/build-python/lib/python3*/site-packages/tensorflow)
[ -e "$tensorflow/libtensorflow_cc.so.2" ] || cannot 'there is no TensorFlow in build-python (npm run bench:python installs it)'
[ "$(uname -s)" = Linux ] || cannot 'its addon is compiled here for Linux alone'
command -v g++ >/dev/null || cannot 'there is no g++'
# What is there is for this version and this TensorFlow, and whole, if the mark says so, which is written last.
mark="$version $(stat --dereference --format '%Y %s' "$tensorflow/libtensorflow_cc.so.2") $tensorflow"
if [ "$(cat build-tfjs-node/installed 2>/dev/null)" != "$mark" ]; then
  mkdir -p build-tfjs-node
  rm -f build-tfjs-node/installed
  (cd build-tfjs-node && fetch) || cannot 'npm could not install @tensorflow/tfjs-node'
  compile "$tensorflow"
  echo "$mark" >build-tfjs-node/installed
fi
[ -z "$only_install" ] || exit 0
TFJS_BACKENDS=tensorflow npx mocha --no-config --node-option import=tsx --node-option expose-gc --timeout 60000 \
  'test/tfjs*.test.ts' 'test/tfjs-node/*.test.ts'
