#!/usr/bin/env bash
# Installs what the build needs and makes the dev chain's genesis. Says what it does; does nothing twice.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m• %s\033[0m\n' "$*"; }
need() { command -v "$1" >/dev/null || { echo "setup: $1 is missing; install $2 first" >&2; exit 1; }; }

need cargo "Rust (rustup.rs)"
need node "Node.js 20 or newer"
need npm "Node.js 20 or newer"

if ! ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* >/dev/null 2>&1 || ! command -v g++ >/dev/null; then
  say "Debian packages: g++ and libclang (RocksDB is C++)"
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++ libclang-dev clang >/dev/null
fi

if ! cmp -s package-lock.json node_modules/.openledger-lock.json 2>/dev/null; then
  say "npm packages: compiler, chain, contract libraries"
  # Not "npm ci": it refuses a lock file without the binaries of platforms other than this one.
  npm install --no-save --no-progress --loglevel=error
  cp package-lock.json node_modules/.openledger-lock.json
fi

genesis=${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/genesis-l2.json
[ -s "$genesis" ] || say "genesis of the dev chain, from a real OP Stack"
tools/genesis.sh "$genesis"

# Only retrieval needs it, so a registry that cannot be reached is no reason to stop.
tools/encoder.sh || say "no sentence encoder: retrieval with vectors will not work"
