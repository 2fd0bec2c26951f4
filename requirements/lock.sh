#!/usr/bin/env bash
# Write the lock files anew from pyproject.toml: exact versions and hashes, no addresses of any package index.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-annotate --no-header --upgrade "$@"; }
lock pyproject.toml --output-file requirements/runtime.txt
lock pyproject.toml --group dev --output-file requirements/dev.txt
lock examples/python/requirements.in --output-file examples/python/requirements.txt
