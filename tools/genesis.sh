#!/usr/bin/env bash
# Takes the L2 genesis of a real OP Stack (Isthmus level, all predeploys) out of npm's supersim and gives it our chain id.
# supersim writes one geth-format genesis per chain into its temporary folder and deletes them when it stops.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/genesis-l2.json}
[ -s "$out" ] && exit 0
mkdir -p "$(dirname "$out")"
work=$(mktemp -d)
# In a process group of its own, because the chains that it starts outlive it.
PATH="$PWD/node_modules/.bin:$PATH" TMPDIR="$work" setsid node_modules/supersim/bin/supersim \
  --l1.port 0 --l2.starting.port 0 >"$work/log" 2>&1 &
supersim=$!
trap 'kill -- -$supersim 2>/dev/null || true; wait $supersim 2>/dev/null || true; rm -rf "$work"' EXIT

for _ in $(seq 60); do
  grep -q "supersim is ready" "$work/log" && break
  kill -0 $supersim 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.5
done
node - "$work" "$out" <<'JS'
const fs = require("fs"), path = require("path");
const [work, out] = process.argv.slice(2);
const files = fs.readdirSync(work).filter((name) => name.startsWith("genesis-"));
const genesis = files.map((name) => JSON.parse(fs.readFileSync(path.join(work, name)))).find((g) => g.config?.chainId === 901);
if (!genesis) throw new Error(`no L2 genesis (chain 901) among ${files.length} files of supersim`);
genesis.config.chainId = 161201;
fs.writeFileSync(`${out}.part`, JSON.stringify(genesis));
fs.renameSync(`${out}.part`, out);
JS
