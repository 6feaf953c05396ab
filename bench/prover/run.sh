#!/usr/bin/env bash
# Measures the payout proof: times and memory in Rust, gas in Foundry, beside a cumulative Merkle root. Table on the
# terminal, bench/results/prover.json and prover.svg. Figures of a machine that is busy are not the argument's.
set -euo pipefail
cd "$(dirname "$0")/../.."

results=bench/results
mkdir -p "$results"
# As everything else is built: fewer packages would mean other features and a second build.
cargo build --workspace --bins --examples
bench=${CARGO_TARGET_DIR:-target}/debug/examples/bench_prover

# EigenDA's powers where Go can get them, else powers of a known secret: they take the same time.
powers=()
if tools/srs.sh; then
  powers=("${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/srs-eigenda.point")
fi
"$bench" measure "$results" "${powers[@]}"
tools/forge test --match-path 'test/bench/*'
"$bench" report "$results"
