#!/usr/bin/env bash
# Makes build-python/, the virtual environment of the Python peers, with what pip finds. Leaves nothing half made, and one that
# was there already.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ -e build-python ] || trap '[ $? -eq 0 ] || rm -rf build-python' EXIT
python3 -m venv build-python
build-python/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 \
  --requirement bench/python/requirements.txt
build-python/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 \
  --requirement bench/python/optional.txt || echo 'Some checks will be left out.'
build-python/bin/python -m pip list --disable-pip-version-check | grep -iE '^(keras|tensorflow_cpu|torch|jax|optax|numpy|safetensors|tensorboard) '
