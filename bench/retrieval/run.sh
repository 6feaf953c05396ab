#!/usr/bin/env bash
# Measures retrieval with the real encoder: recall on planted questions, time to index, time to answer. Table on the
# terminal, bench/results/retrieval.json. Times of a machine that is busy are not the library's.
#
# Rows are all functions of OpenZeppelin's contracts, which the project's Solidity Datanets are made from, one per
# duplicate cluster. Questions (questions.json) were written by hand in a user's words, from the list of the functions'
# names and before anything was measured; for each, the rows that answer it are named, several where several functions do.
set -euo pipefail
cd "$(dirname "$0")/../.."

results=bench/results
mkdir -p "$results"
tools/encoder.sh
cargo build --workspace --example bench_retrieval
CANDLE_NUM_THREADS=1 "${CARGO_TARGET_DIR:-target}/debug/examples/bench_retrieval" \
  "${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/encoder" node_modules/@openzeppelin/contracts \
  bench/retrieval/questions.json "$results"
