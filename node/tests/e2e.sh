#!/usr/bin/env bash
# Runs the demo as a user would and checks what it says at the end: its exit code, its last line,
# and that the money adds up when added by somebody else.
set -euo pipefail
cd "$(dirname "$0")/../.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
"${CARGO_TARGET_DIR:-$HOME/.cache/openledger/target}/debug/examples/demo" | tee "$log"
tail -n 1 "$log" | node -e '
const assert = require("node:assert");
const report = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
assert(report.calls >= 60, `only ${report.calls} calls`);
assert(report.batches >= 2 && report.claims >= 12 && report.earners >= report.claims);
const [fees, paid, unclaimed, treasury, dust] =
  ["fees", "paid", "unclaimed", "treasury", "dust"].map((name) => BigInt(report[`${name}_wei`]));
assert.strictEqual(fees, paid + unclaimed + treasury);
assert(dust >= 0n && dust < treasury, `dust ${dust} of treasury ${treasury}`);
assert.strictEqual(report.conserved, true);
assert.strictEqual(report.restart_survived, true);
assert(report.perplexity.trained < report.perplexity.unigram / 2);
for (const [action, used] of Object.entries(report.gas)) assert(used > 21000, `${action}: ${used}`);
console.log("end to end: 1 passed, 0 failed");
'
