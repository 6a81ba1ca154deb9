#!/usr/bin/env bash
# Makes build-python/, the virtual environment of the Python peers, with what pip finds.
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 -m venv build-python
build-python/bin/python -m pip install --quiet --disable-pip-version-check --requirement bench/python/requirements.txt
build-python/bin/python -m pip list --disable-pip-version-check | grep -iE '^(keras|tensorflow|torch|jax|optax|numpy) ' || true
