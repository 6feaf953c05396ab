#!/usr/bin/env bash
# Writes abi/<Contract>.json from the contracts: pure ABI arrays, in an order that does not depend on the source's.
set -euo pipefail
cd "$(dirname "$0")/.."

contracts=(EarnerRegistry FeeSchedule DatanetRegistry ModelRegistry Staking PaymentChannels Settlement DevCertVerifier)
export FOUNDRY_OUT="${FOUNDRY_OUT:-out}"

node_modules/.bin/forge build contracts
mkdir -p abi
node - "${contracts[@]}" <<'JS'
const fs = require("fs");

const signature = ({ type, name = "", inputs = [] }) => `${type} ${name}(${inputs.map((i) => i.type)})`;
const compare = (a, b) => (signature(a) < signature(b) ? -1 : 1);

for (const name of process.argv.slice(2)) {
  const artifact = JSON.parse(fs.readFileSync(`${process.env.FOUNDRY_OUT}/${name}.sol/${name}.json`));
  fs.writeFileSync(`abi/${name}.json`, JSON.stringify(artifact.abi.sort(compare), null, 2) + "\n");
}
JS
