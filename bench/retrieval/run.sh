#!/usr/bin/env bash
# Measures retrieval with the real encoder: recall on planted questions, time to index, time to answer. Table on the
# terminal, bench/results/retrieval.json. Times of a machine that is busy are not the library's.
#
# Two sets (docs/retrieval.md): facts in English prose that are planted among paragraphs of anything else
# (planted.json), and all functions of OpenZeppelin's contracts, one per duplicate cluster (questions.json). Questions
# were written before anything was measured on them; those with "judges" when settings had been tried out on the
# others. None is dropped or reworded for being missed, only for having another answer that is as good, and then the
# other answer is added: a row with the same selector as one that is named, its internal or external half, or one that
# does nothing but call it, if who reads it agrees.
set -euo pipefail
cd "$(dirname "$0")/../.."

results=bench/results
mkdir -p "$results"
tools/encoder.sh
cargo build --workspace --example bench_retrieval
CANDLE_NUM_THREADS=1 "${CARGO_TARGET_DIR:-target}/debug/examples/bench_retrieval" \
  "${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/encoder" node_modules/@openzeppelin/contracts \
  bench/retrieval/questions.json bench/retrieval/planted.json "$results"
