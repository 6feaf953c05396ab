#!/usr/bin/env bash
# Makes the golden files of the inference tests with transformers and PEFT.
#
#   inference/tests/golden/make.sh          the small random model in inference/tests/golden/tiny
#   inference/tests/golden/make.sh DIR      logits of the model in DIR and of it with an adapter, as
#                                           inference/tests/golden/<name of DIR>
#
# The Python environment lives outside the repository and is made on the first run (several GB).
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
venv="${GOLDEN_VENV:-$HOME/.cache/openledger/venv-golden}"

if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet torch==2.15.0 transformers==5.23.0 peft==0.21.2
    touch "$venv/ready"
fi

export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "$venv/bin/python" "$here/make.py" "$@"
