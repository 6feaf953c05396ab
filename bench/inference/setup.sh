#!/usr/bin/env bash
# The peers' Python environment, outside the repository; made once. Prints the interpreter's path.
#
# It takes over torch, transformers and PEFT from the environment of the golden files where that exists. llama.cpp is
# built from PyPI's source; where that fails, a message says so and its rows are left out.
set -euo pipefail

cache="${OPENLEDGER_CACHE:-$HOME/.cache/openledger}"
venv="$cache/venv-bench"
golden="${GOLDEN_VENV:-$cache/venv-golden}"
wheels="$cache/wheels"
python="$venv/bin/python"

if [ ! -e "$venv/ready" ]; then
    {
        python3 -m venv "$venv"
        if [ -e "$golden/ready" ]; then
            packages="$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
            "$golden/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$packages/golden.pth"
        fi
        "$venv/bin/pip" install --quiet torch==2.15.0 transformers==5.23.0 peft==0.21.2 numpy gguf diskcache jinja2
        touch "$venv/ready"
    } >&2
fi

if ! "$python" -c 'import llama_cpp' 2> /dev/null && [ ! -e "$venv/no-llama-cpp" ]; then
    echo "building llama.cpp: some minutes, once" >&2
    mkdir -p "$wheels"
    {
        compgen -G "$wheels/llama_cpp_python-0.3.36*.whl" > /dev/null \
            || "$venv/bin/pip" wheel --no-deps --wheel-dir "$wheels" llama-cpp-python==0.3.36
        "$venv/bin/pip" install --quiet --no-deps "$wheels"/llama_cpp_python-0.3.36*.whl
        "$python" -c 'import llama_cpp'
    } >&2 || {
        touch "$venv/no-llama-cpp"
        echo "llama.cpp cannot be built here: its rows are left out (delete $venv/no-llama-cpp to try again)" >&2
    }
fi
echo "$python"
