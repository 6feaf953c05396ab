#!/usr/bin/env bash
# Makes the Python environment with the stock client, outside of the repository.
set -euo pipefail

venv="${OPENLEDGER_CACHE:-$HOME/.cache/openledger}/venv-clients"
wanted="openai==3.52.0"
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/pip" freeze 2>/dev/null | grep -qx "$wanted"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$wanted"
fi
echo "$venv/bin/python"
