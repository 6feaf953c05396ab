#!/usr/bin/env bash
# Runs every Solidity test, one group after the other: given all of them at once, forge 1.7.1 overflows the stack of
# the parser that it runs beside the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
# Compiles everything once.
tools/forge test --list >/dev/null
for group in 'bench/*' 'integration/*' 'invariant/*' 'unit/faults/*' 'unit/[A-J]*' 'unit/[K-R]*' 'unit/[S-Z]*'; do
  tools/forge test --match-path "test/$group"
done
