#!/bin/sh
# Writes requirements.lock (what a control host installs, and what builds the project there), requirements-dev.lock
# (that, and the tools of the tests) and the list of components that a wheel carries. Versions that stand in a lock
# stay, unless pip-compile is given --upgrade or --upgrade-package NAME here.
# usage: lock.sh [OPTION OF pip-compile]...
set -eu
cd "$(dirname "$0")/.."

compile() {
    .venv/bin/pip-compile -q --generate-hashes --allow-unsafe --strip-extras --build-deps-for editable \
        --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header \
        "$@" pyproject.toml
}
compile -o requirements.lock "$@"
compile -o requirements-dev.lock --extra dev --constraint requirements.lock "$@"
.venv/bin/python scripts/components.py
