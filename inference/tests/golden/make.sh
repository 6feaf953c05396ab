#!/usr/bin/env bash
# Makes the golden files of the model and adapter tests with transformers and PEFT.
#
#   inference/tests/golden/make.sh                          the tiny model in tests/golden/tiny
#   inference/tests/golden/make.sh models/openledger-tiny   and that base, with one adapter
#
# The Python environment lives outside the repository and is made on the first run (several GB).
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
venv="${GOLDEN_VENV:-$HOME/.cache/openledger/venv-golden}"

if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet torch==2.13.0 transformers==5.17.0 peft==0.21.2
    touch "$venv/ready"
fi

"$venv/bin/python" "$here/make.py" --install-only 2>/dev/null || true
exec "$venv/bin/python" "$here/make.py" "$@"
