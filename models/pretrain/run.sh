#!/bin/sh
# Trains models/openledger-tiny again from nothing: packages, corpus, tokenizer, weights.
# Usage: models/pretrain/run.sh [output folder]. Needs node_modules of the root package, Node.js,
# Python 3 and cargo; about half an hour on two free cores. A second run goes on from the last
# checkpoint. The same inputs give the same bytes (Python's help topics are those of its version;
# the committed model was made with 3.11.7).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${PRETRAIN_WORK:-$HOME/.cache/openledger/pretrain}
model=${1:-$work/openledger-tiny}
modules=$root/node_modules
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/openledger/target}"

for needed in "@openzeppelin/contracts" solady "@layerzerolabs/toolbox-foundry/lib/forge-std"; do
    [ -d "$modules/$needed" ] || { echo "node_modules/$needed is missing: run npm ci first" >&2; exit 1; }
done

node "$here/fetch.mjs" "$work/packages"
python3 "$here/corpus.py" --packages "$work/packages" \
    --datanets "$modules/@openzeppelin/contracts" "$modules/solady" \
    --held-out "$modules/@layerzerolabs/toolbox-foundry/lib/forge-std" \
    --out "$work/corpus"

# Large tensors come and go with every step: keeping freed memory saves a tenth of the time, and so
# does keeping the tensor library's own threads from spinning.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=268435456
export CANDLE_NUM_THREADS=1
cd "$root"
cargo run -p inference --example pretrain -- "$work/corpus" "$work/run" "$model"
