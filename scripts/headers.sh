#!/usr/bin/env bash
# Copies the headers of Node-API into headers/, so that `npx keras-optimizers build` finds them in the package: before it is packed.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf headers
mkdir headers
cp node_modules/node-addon-api/napi*.h node_modules/node-api-headers/include/*.h headers/
for name in node-addon-api node-api-headers; do
  cp "node_modules/$name"/LICENSE* "headers/LICENSE-$name"
done
