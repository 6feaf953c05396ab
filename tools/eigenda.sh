#!/usr/bin/env bash
# Builds EigenDA's proxy and lays its powers of tau beside it, in the cache; says what it does; does nothing twice.
# With "run" builds nothing, and starts it on 127.0.0.1, port $EIGENDA_PORT (default 3100), keeping blobs in memory.
set -euo pipefail
cd "$(dirname "$0")/../eigenda"

folder=${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/eigenda
binary=$folder/eigenda-proxy
library=github.com/Layr-Labs/eigenda
PATH=$PATH:/usr/local/go/bin # where Go's own packages put it

say() { printf '\033[1m• %s\033[0m\n' "$*"; }

build() {
  command -v go >/dev/null || { echo "eigenda: go is missing; install Go 1.24 or newer (go.dev/dl)" >&2; exit 1; }
  say "EigenDA's proxy, from its Go module (first time: 1.2 GB of modules on disk, some minutes)"
  # Two packages at a time: each may take some hundred megabytes.
  go build -buildvcs=false -mod=readonly -trimpath -p 2 -o "$binary.partial" github.com/Layr-Labs/eigenda-proxy/cmd/server
  mv "$binary.partial" "$binary"
}

# The powers of EigenDA's ceremony, as the library of the same module ships them. The hashes are the ones that EigenDA
# publishes beside the files (srs-files-16777216.sha256).
powers() {
  say "EigenDA's powers of tau, 84 MB"
  local source
  source=$(go list -mod=readonly -m -f '{{.Dir}}' "$library")
  [ -n "$source" ] || source=$(go mod download -json "$library" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  mkdir -p "$folder/resources"
  for file in g1.point g2.point g2.trailing.point; do
    install -m 644 "$source/resources/srs/$file" "$folder/resources/$file"
  done
}

intact() {
  (cd "$folder/resources" && sha256sum --check --status) 2>/dev/null <<'SUMS'
8f18b9c04ed4bddcdb73001fb693703197328cecabdfa9025f647410b0c50d7f  g1.point
a6942684aa751b4ec7873e2edb4660ac5c4516adb3b310441802cc0d489f645a  g2.point
78fad17d74d28cecdb7f826fdd72dee08bdbe1e8ad66f2b24fcf2fc140176788  g2.trailing.point
SUMS
}

is_built() { [ -x "$binary" ] && cmp -s go.sum "$folder/go.sum" && cmp -s go.mod "$folder/go.mod"; }

if [ "${1:-}" != run ]; then
  mkdir -p "$folder"
  if ! is_built; then
    build
    cp go.mod go.sum "$folder/"
  fi
  if ! intact; then
    powers
    intact || { echo "eigenda: the powers of tau are not EigenDA's" >&2; exit 1; }
  fi
  exit
fi

is_built && intact || { echo "eigenda: not built; run make eigenda" >&2; exit 1; }
say "EigenDA's proxy in memory mode on 127.0.0.1:${EIGENDA_PORT:-3100}; it reads its powers of tau for half a minute"
cd "$folder"
# In memory mode nothing of EigenDA's network is called, but the proxy wants its addresses all the same.
nowhere=0x0000000000000000000000000000000000000001
exec "$binary" --addr 127.0.0.1 --port "${EIGENDA_PORT:-3100}" --memstore.enabled --memstore.expiration 0 \
  --storage.backends-to-enable V2 --storage.dispersal-backend V2 --eigenda.v2.max-blob-length 16MiB \
  --eigenda.v2.disperser-rpc 127.0.0.1:1 --eigenda.v2.service-manager-addr $nowhere \
  --eigenda.v2.bls-operator-state-retriever-addr $nowhere --eigenda.v2.cert-verifier-addr $nowhere
