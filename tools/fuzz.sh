#!/usr/bin/env bash
# Fuzzes every loader of `inference` and what callers send to `node`, for some seconds each:
# fuzz.sh [seconds] [target...]
# Inputs that break a target are left in its package's fuzz/artifacts; the corpus is kept in the cache.
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
    mapfile -t targets < <(ls {inference,node}/fuzz/fuzz_targets/*.rs | sed 's|.*/||; s|\.rs$||')
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
    api_*) ls node/fuzz/seeds/"$1"/* ;;
    esac
}

# The loaders have no unsafe code but the two calls of mmap, so there is nothing for a sanitizer.
build=(--sanitizer none --release)
for target in "${targets[@]}"; do
    package=inference
    [ -e "inference/fuzz/fuzz_targets/$target.rs" ] || package=node
    fuzz=$package/fuzz
    corpus=$cache/fuzz-corpus/$target
    mkdir -p "$corpus"
    while read -r seed; do
        cp "$seed" "$corpus/$(sha1sum "$seed" | cut -c1-40)"
    done < <(seeds "$target")
    cp -r "$fuzz/regressions/$target/." "$corpus/" 2>/dev/null || true
    echo "== $target, $seconds s"
    (
        cd "$fuzz"
        cargo +nightly fuzz build "${build[@]}" "$target"
        nice -n 10 cargo +nightly fuzz run "${build[@]}" "$target" "$corpus" -- \
            -max_total_time="$seconds" -print_final_stats=1 "${limits[@]}"
    )
done
