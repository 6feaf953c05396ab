#!/usr/bin/env bash
# Measures serving with adapters, beside transformers with PEFT and llama.cpp on the same weights. Table on the terminal,
# bench/results/inference.json and inference.svg. Figures of a machine that is busy are not the engine's.
#
#   bench/inference/run.sh            everything: 20 minutes on two free cores, and what is made once
#   bench/inference/run.sh --quick    few repeats, to see that everything works
#   BENCH_PARTS="soak switch" ...     these parts only; the table takes others from earlier runs
#   BENCH_THREADS=N ...               threads of each engine; 2 without it
set -euo pipefail
cd "$(dirname "$0")/../.."

cache="${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/bench-inference"
results=bench/results
parts="${BENCH_PARTS:-compare registered switch slots memory soak weights}"
mkdir -p "$results" "$cache"

export RAYON_NUM_THREADS="${BENCH_THREADS:-2}" CANDLE_NUM_THREADS=1
cargo build -p inference --example bench_inference
bench=${CARGO_TARGET_DIR:-target}/debug/examples/bench_inference

python="$(bench/inference/setup.sh)"
"$python" bench/inference/make_model.py "$cache" models/openledger-tiny

for part in $parts; do
  echo "$part"
  "$bench" "$part" "$cache" "$results" --python "$python" "$@"
done
"$bench" report "$cache" "$results"
