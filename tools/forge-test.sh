#!/usr/bin/env bash
# Runs every Solidity test, one group after the other: given all of them at once, forge 1.7.1 overflows the stack of
# the parser that it runs beside the tests. Writes snapshots/; with --check, fails if they were others.
set -euo pipefail
cd "$(dirname "$0")/.."

# forge's own --gas-snapshot-check lets differences pass.
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp snapshots/*.json "$before"

# Compiles everything once.
tools/forge test --list >/dev/null
for group in 'bench/*' 'integration/*' 'invariant/*' 'unit/faults/*' 'unit/[A-J]*' 'unit/[K-R]*' 'unit/[S-Z]*'; do
  tools/forge test --match-path "test/$group"
done

if [ "${1:-}" = --check ] && ! diff -u "$before" snapshots; then
  echo "forge-test: gas is not what snapshots/ says; look at the difference, then run make gas" >&2
  exit 1
fi
