#!/usr/bin/env bash
# Compares the span index with infini-gram on a made corpus: 10,000 counts, the spans of 50 answers, build times and
# sizes. Table on the terminal, bench/results/spans.json and spans.svg. Figures of a machine that is busy are not the index's.
# Arguments: tokens of the corpus, 10,000,000 unless given.
set -euo pipefail
cd "$(dirname "$0")/../.."

tokens=${1:-10000000}
cache=${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/bench-spans
if [ ! -x "$cache/.venv/bin/tqdm" ]; then
  python3 -m venv "$cache/.venv"
  "$cache/.venv/bin/pip" install --quiet infini-gram==2.6.0 numpy
fi
cargo build --workspace --example spans
"$cache/.venv/bin/python" bench/spans/run.py "${CARGO_TARGET_DIR:-target}/debug/examples/spans" "$cache/work" \
  bench/results "$tokens"
