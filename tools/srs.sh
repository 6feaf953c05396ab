#!/usr/bin/env bash
# Lays the powers of EigenDA's ceremony in the cache, as srs-eigenda.point: all 2^19 or as many as asked for. They come
# from EigenDA's Go module and are checked against the hash that EigenDA publishes, then by pairing against tau G2. Does
# nothing twice.
#
#   tools/srs.sh [powers]
set -euo pipefail
cd "$(dirname "$0")/.."

library=github.com/Layr-Labs/eigenda@v0.9.2
# srs-files-16777216.sha256 of that module.
published=8f18b9c04ed4bddcdb73001fb693703197328cecabdfa9025f647410b0c50d7f
powers=${1:-524288}
cache=${OPENLEDGER_CACHE:-$HOME/.cache/openledger}
file=$cache/srs-eigenda.point
PATH=$PATH:/usr/local/go/bin # where Go's own packages put it

say() { printf '\033[1m• %s\033[0m\n' "$*"; }
fail() { echo "srs: $*" >&2; exit 1; }

[[ $powers =~ ^[0-9]+$ ]] && ((powers >= 2 && powers <= 524288)) || fail "powers must be from 2 to 524288, got $powers"
[ -f "$file" ] && [ "$(stat -c %s "$file")" -ge $((32 * powers)) ] && exit

mkdir -p "$cache"
# The proxy's files, if it is built already, are the same.
source=$cache/eigenda/resources/g1.point
if [ ! -f "$source" ]; then
  command -v go >/dev/null || fail "go is missing; install Go 1.24 or newer (go.dev/dl)"
  say "EigenDA's Go module, which holds the powers"
  folder=$(cd / && GOFLAGS=-mod=mod go mod download -json "$library" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  [ -n "$folder" ] || fail "the Go module could not be downloaded"
  source=$folder/resources/srs/g1.point
fi
echo "$published  $source" | sha256sum --check --status || fail "$source is not the file that EigenDA published"

head -c $((32 * powers)) "$source" >"$file.partial"
say "Checking $powers powers by pairing"
cargo run -q -p prover --example check_srs -- "$file.partial" "$powers"
mv "$file.partial" "$file"
# Tables of another length than before.
rm -f "$cache"/srs-eigenda.lagrange-* "$cache"/srs-eigenda.derivative-*
say "$file"
