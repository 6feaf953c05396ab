#!/usr/bin/env bash
# OpenAI's stock Python and JavaScript clients against a node on a chain.
set -euo pipefail
cd "$(dirname "$0")/../../.."

node/tests/clients/setup.sh
cargo test --workspace --test it -- --ignored --nocapture clients::
