#!/usr/bin/env bash
# Makes the golden files of the inference tests with transformers and PEFT.
#
#   inference/tests/golden/make.sh          everything but the last line
#   inference/tests/golden/make.sh NAME     one family of families.py, `merge`, `tokenizers`, `chats`,
#                                           `exports` or `encoders`
#   inference/tests/golden/make.sh DIR      logits of the model in DIR and of it with an adapter, as
#                                           inference/tests/golden/<name of DIR>
#
# The Python environment lives outside the repository and is made on the first run (several GB).
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
venv="${GOLDEN_VENV:-$HOME/.cache/openledger/venv-golden}"

if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet torch==2.15.0 transformers==5.23.0 peft==0.21.2 \
        sentencepiece==0.2.3 protobuf==7.36.2 jinja2==3.1.6
    touch "$venv/ready"
fi

export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "$venv/bin/python" "$here/make.py" "$@"
