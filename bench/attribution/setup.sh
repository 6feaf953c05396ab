#!/usr/bin/env bash
# The Python environment of the retrainings and of the peers, outside the repository; made once. Prints the interpreter's path.
#
# It takes over torch and what comes with it from the environment of the golden files where that exists.
set -euo pipefail

cache="${OPENLEDGER_CACHE:-$HOME/.cache/openledger}"
venv="$cache/venv-attribution"
golden="${GOLDEN_VENV:-$cache/venv-golden}"
python="$venv/bin/python"

if [ ! -e "$venv/ready" ]; then
    {
        python3 -m venv "$venv"
        if [ -e "$golden/ready" ] || "$golden/bin/python" -c 'import torch' 2> /dev/null; then
            packages="$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
            "$golden/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$packages/golden.pth"
        fi
        # dattri imports torchvision and pretty_midi without declaring them.
        "$venv/bin/pip" install --quiet torch==2.15.0 torchvision==0.29.2 safetensors numpy tokenizers \
            scikit-learn==1.9.1 scipy dattri==0.3.0 pretty_midi==0.2.11.post0 rank-bm25==0.2.2
        touch "$venv/ready"
    } >&2
fi
echo "$python"
