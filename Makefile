# Everything a user runs. Each target sets up what it needs, on a fresh machine too.

CACHE := $(or $(OPENLEDGER_CACHE),$(HOME)/.cache/openledger)
export OPENLEDGER_CACHE := $(CACHE)
export CARGO_TARGET_DIR ?= $(CACHE)/target
# Sums run in our own kernels, on all cores; a second pool of threads that spins would only get in their way.
export CANDLE_NUM_THREADS ?= 1
BIN := $(CARGO_TARGET_DIR)/debug
FORGE := tools/forge

.PHONY: help setup build demo test test-solidity test-rust test-e2e eigenda eigenda-run lint fmt abi openapi gas bench-prover
.PHONY: golden pretrain bench-inference bench-spans bench-retrieval bench-attribution bench-attribution-quick fuzz

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: ## install packages, make the genesis
	@tools/setup.sh

# The whole workspace, as the tests build it: fewer packages would mean other features and a second build.
build: setup ## build the node
	cargo build --workspace --bins --examples

demo: build ## run a paid, attributed, settled job end to end
	@$(BIN)/examples/demo

test: setup test-solidity test-rust test-e2e ## run every test

test-solidity: setup
	tools/forge-test.sh --check
	tools/abi.sh --check

test-rust: setup eigenda
	cargo test --workspace --all-targets
	cargo test --workspace --doc

test-e2e: build
	node/tests/e2e.sh
	node/tests/clients/run.sh

eigenda: ## build EigenDA's proxy
	@tools/eigenda.sh

eigenda-run: eigenda ## start EigenDA's proxy, keeping blobs in memory
	@tools/eigenda.sh run

lint: setup ## formats and lints, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(FORGE) fmt --check contracts script test

fmt: setup ## format everything
	cargo fmt --all
	$(FORGE) fmt contracts script test

abi: setup ## regenerate abi/ from the contracts
	tools/abi.sh

openapi: setup ## regenerate docs/openapi.json from the API's types
	OPENLEDGER_WRITE_OPENAPI=1 cargo test --workspace --lib -- api::openapi

gas: setup ## regenerate snapshots/
	tools/forge-test.sh

bench-prover: setup ## measure the payout proof: times, memory, gas (bench/results/)
	bench/prover/run.sh

bench-inference: ## measure serving with adapters beside transformers, PEFT and llama.cpp (bench/results/)
	bench/inference/run.sh $(if $(QUICK),--quick)

bench-spans: ## measure the span index beside infini-gram (bench/results/)
	bench/spans/run.sh

bench-attribution: setup ## measure attribution against retraining, beside dattri (hours; bench/results/)
	bench/attribution/run.sh

bench-attribution-quick: setup ## the same with few retrainings, in minutes
	bench/attribution/run.sh --quick
bench-retrieval: setup ## measure retrieval: recall on planted questions, times (bench/results/)
	bench/retrieval/run.sh

golden: ## remake the golden logits (installs torch, transformers and peft in a virtual environment)
	inference/tests/golden/make.sh

pretrain: setup ## retrain the base model from the sources that it was trained on
	models/pretrain/run.sh

SECONDS_PER_TARGET ?= 60
fuzz: ## fuzz every loader for SECONDS_PER_TARGET=60 (installs a nightly toolchain and cargo-fuzz)
	@tools/fuzz.sh $(SECONDS_PER_TARGET)
