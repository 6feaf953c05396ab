#!/usr/bin/env bash
# Measures attribution against retraining: three tasks, our methods and dattri's on the same weights, rows and gradients. Table
# on the terminal, bench/results/attribution.json, attribution.svg and attribution-d.svg. What was trained is kept, so a run
# that was cut off goes on where it was.
#
#   bench/attribution/run.sh            everything: some hours on two cores
#   bench/attribution/run.sh --quick    few retrainings of small tasks: under ten minutes
#   BENCH_PARTS="digits speed" ...      these parts only; the table takes others from earlier runs
#   BENCH_THREADS=N ...                 threads; 2 without it
set -euo pipefail
cd "$(dirname "$0")/../.."

cache="${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/bench-attribution"
results=bench/results
parts="${BENCH_PARTS:-digits text solidity speed}"
mkdir -p "$results" "$cache"

export BENCH_THREADS="${BENCH_THREADS:-2}" CANDLE_NUM_THREADS=1
# Threads that wait should not spin where others work.
export RAYON_NUM_THREADS="$BENCH_THREADS" OMP_NUM_THREADS="$BENCH_THREADS" GOMP_SPINCOUNT=0
cargo build --workspace --example bench_attribution
bench=${CARGO_TARGET_DIR:-target}/debug/examples/bench_attribution

python="$(bench/attribution/setup.sh)"
prepare() {
  "$python" bench/attribution/prepare.py "$1" "$2" "$cache" "${@:3}"
}

for part in $parts; do
  case "$part" in
    speed)
      folder="$(prepare texts solidity "$@")"
      "$bench" speed "$folder" models/openledger-tiny "$results" "$@"
      ;;
    *)
      folder="$(prepare setup "$part" "$@")"
      # Removing rows takes a training for each method and query: too many for a quick run of the larger tasks.
      if [ "$part" = digits ] || [ "${1:-}" != --quick ]; then
        "$bench" plan "$folder"
        prepare drop "$part" "$@" > /dev/null
      fi
      "$bench" measure "$folder" "$results"
      ;;
  esac
done
"$bench" report "$results"
