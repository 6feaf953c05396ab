#!/usr/bin/env bash
# Fuzzes every loader of `inference` for some seconds each: fuzz.sh [seconds] [target...]
# Inputs that break a loader are left in inference/fuzz/artifacts; the corpus is kept in the cache.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
targets=("${@:2}")
cache=${OPENLEDGER_CACHE:-$HOME/.cache/openledger}
export CARGO_TARGET_DIR=$cache/fuzz CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
export PATH=$CARGO_HOME/bin:$PATH
# Most memory that a loader may take, the fuzzer's own included, and in one piece.
limits=(-rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=60 -max_len=131072)

if ! rustup run nightly rustc --version >/dev/null 2>&1; then
    rustup toolchain install nightly --profile minimal
fi
if ! command -v cargo-fuzz >/dev/null; then
    CARGO_TARGET_DIR=$cache/cargo-fuzz cargo install --locked cargo-fuzz
fi
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(cd inference/fuzz/fuzz_targets && ls -- *.rs | sed 's/\.rs$//')
fi

# The golden files of a target, one per line.
seeds() {
    local golden=inference/tests/golden
    case $1 in
    adapter_config) ls "$golden"/*/*/adapter_config.json ;;
    adapter_weights) ls "$golden"/llama/*/adapter_model.safetensors ;;
    gguf) ls "$golden"/*/model.gguf ;;
    model_config) ls "$golden"/*/base/config.json ;;
    model_weights) ls "$golden"/qwen2/base/*.safetensors ;;
    tokenizer_config) ls "$golden"/tokenizers/*/tokenizer_config.json ;;
    tokenizer_json) ls "$golden"/tokenizers/*/tokenizer.json ;;
    tokenizer_model) ls "$golden"/tokenizers/*/tokenizer.model ;;
    esac
}

cd inference/fuzz
cargo +nightly fuzz build
for target in "${targets[@]}"; do
    corpus=$cache/fuzz-corpus/$target
    mkdir -p "$corpus"
    while read -r seed; do
        cp "../../$seed" "$corpus/$(sha1sum "../../$seed" | cut -c1-40)"
    done < <(cd ../.. && seeds "$target")
    cp -r "regressions/$target/." "$corpus/" 2>/dev/null || true
    echo "== $target, $seconds s"
    nice -n 10 cargo +nightly fuzz run "$target" "$corpus" -- \
        -max_total_time="$seconds" -print_final_stats=1 "${limits[@]}"
done
