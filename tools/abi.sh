#!/usr/bin/env bash
# Writes abi/<Contract>.json from the contracts: pure ABI arrays, in an order that does not depend on the source's.
# With --check it writes nothing and fails where a file differs.
set -euo pipefail
cd "$(dirname "$0")/.."

contracts=(EarnerRegistry FeeSchedule DatanetRegistry ModelRegistry InfluenceIndexes IndexDisputes Staking
  PaymentChannels Settlement Disputes EarningsArchive DevCertVerifier RelayedCertVerifier DaCertRelay PayoutVerifier
  RowFaults AmountFaults RecordFaults ReceiptFaults CarryFaults CreditFaults UseFaults FactorFaults ModelMixes SpanIndexes BondedFigures
  SpanVerifier ValidatorRoll SketchVotes RecordSamples)
export FOUNDRY_OUT="${FOUNDRY_OUT:-out}"

# The package behind .bin/forge: the wrapper in .bin exits with 0 whatever happens.
node_modules/@foundry-rs/forge-*/bin/forge build contracts
mkdir -p abi
node - "${1:-}" "${contracts[@]}" <<'JS'
const fs = require("fs");

const [mode, ...names] = process.argv.slice(2);
const signature = ({ type, name = "", inputs = [] }) => `${type} ${name}(${inputs.map((i) => i.type)})`;
const compare = (a, b) => (signature(a) < signature(b) ? -1 : 1);

for (const name of names) {
  const artifact = JSON.parse(fs.readFileSync(`${process.env.FOUNDRY_OUT}/${name}.sol/${name}.json`, "utf8"));
  const text = JSON.stringify(artifact.abi.sort(compare), null, 2) + "\n";
  const file = `abi/${name}.json`;
  if (mode !== "--check") {
    fs.writeFileSync(file, text);
  } else if (!fs.existsSync(file) || fs.readFileSync(file, "utf8") !== text) {
    console.error(`${file} is not what the contracts give: run make abi`);
    process.exitCode = 1;
  }
}
JS
