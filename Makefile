# Origo: every command that a person or a machine runs on this repository. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export PATH := $(HOME)/.cargo/bin:$(PATH)
export CARGO_TERM_PROGRESS_WHEN := never

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
VENV := $(TARGET)/venv
PYTHON := $(VENV)/bin/python
# What the tests from outside start and drive.
export ORIGO_BIN ?= $(TARGET)/debug/origo
export CHROMIUM ?= /usr/bin/chromium
export FIREFOX ?= /usr/bin/firefox-esr
export SCREENSHOTS ?= $(TARGET)/screenshots

# Handed to `origo demo`, such as DEMO_ARGS="--nodes 5 --port-base 9000".
DEMO_ARGS ?=

# Handed to the soak and to the comparison with Janus, such as SOAK_ARGS="--minutes 60".
SOAK_ARGS ?=
VERSUS_ARGS ?=

TEST_STAGES := check-fmt check-typescript test-typescript check-clippy test-rust test-sdk test-browser

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- what has to be there --------------------------------------------------------------------------------------------

.PHONY: deps
deps: deps-test node_modules/.package-lock.json $(VENV)/.installed ## install what is missing (Debian packages, npm, Python)

.PHONY: deps-system
deps-system:
	@scripts/deps

.PHONY: deps-test
deps-test:
	@scripts/deps test

node_modules/.package-lock.json: package-lock.json package.json client-sdk/js/package.json web/package.json tests/browser/package.json | deps-system
	npm ci --no-audit --no-fund
	@touch $@

$(VENV)/.installed: tests/requirements.txt | deps-test
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

# ---- building --------------------------------------------------------------------------------------------------------

WEB_SOURCES := $(shell find web client-sdk/js -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)

.PHONY: web
web: web/dist/index.html ## build the web client, which every node serves

# Cargo watches the files that the node embeds; where there were none, it has to be told.
web/dist/index.html: $(WEB_SOURCES) node_modules/.package-lock.json
	@[ -e $@ ] || touch node/src/http/page.rs
	npm run build
	@touch $@

.PHONY: build
build: web ## build everything (dev profile, dependencies optimised)
	cargo build --workspace --locked

.PHONY: demo
demo: deps-system web ## a mesh of three nodes in three regions on this machine; ends with the address to open
	cargo build --locked -p origo-node
	@exec $(ORIGO_BIN) demo $(DEMO_ARGS)

.PHONY: dist
dist: deps-system web ## release binaries, packed into target/dist
	cargo build --profile release-lto --locked -p origo-node
	cargo build --release --locked -p origo-client
	@scripts/pack $(TARGET)

# ---- checking --------------------------------------------------------------------------------------------------------

.PHONY: test
test: deps web ## everything below, stage by stage, with a summary; stops at the first stage that fails
	@scripts/stages $(TARGET)/test-logs $(TEST_STAGES)

.PHONY: test-unit
test-unit: node_modules/.package-lock.json ## the fast tests: no browser, no SDK
	cargo test --workspace --locked
	npm test

.PHONY: lint
lint: check-fmt check-clippy check-typescript ## formatting, clippy, eslint and tsc

.PHONY: fmt
fmt: ## format the Rust code
	cargo fmt --all

.PHONY: check-fmt
check-fmt:
	cargo fmt --all -- --check

.PHONY: check-clippy
check-clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: check-typescript
check-typescript: node_modules/.package-lock.json
	npm run lint

.PHONY: test-typescript
test-typescript: node_modules/.package-lock.json ## vitest: client-sdk/js and web
	npm test

.PHONY: test-rust
test-rust: web ## cargo test over the workspace
	cargo build --locked --workspace --bins
	cargo test --workspace --locked

.PHONY: test-sdk
test-sdk: web $(VENV)/.installed ## the unmodified PyPI `livekit` and npm `@livekit/rtc-node` against a demo mesh
	cargo build --locked --workspace --bins
	$(PYTHON) -m pytest -c tests/sdk/pytest.ini tests/sdk
	node --test --test-concurrency=1 --test-reporter=spec tests/sdk-node/*.test.mjs

.PHONY: test-browser
test-browser: web ## real pages of Chromium and Firefox against a demo mesh; screenshots in target/screenshots
	cargo build --locked --workspace --bins
	node --test --test-concurrency=1 --test-reporter=spec tests/browser/*.test.mjs

# Cases of tests/shaping/cases.mjs, such as CASES="step-down loss-up"; all of them by default.
CASES ?=

.PHONY: shaping
shaping: web ## calls over lines that lose, narrow and widen (root; 6 min); writes figures and plots to docs/performance
	cargo build --locked --workspace --bins
	node tests/shaping/run.mjs $(CASES)

.PHONY: test-shaping
test-shaping: web ## one line that narrows and widens, in a minute and with bounds (root)
	cargo build --locked --workspace --bins
	node --test --test-reporter=spec tests/shaping/short.test.mjs

# Handed to the call, such as CALL_ARGS="--minutes 1 --out /tmp/call".
CALL_ARGS ?=

.PHONY: call
call: web $(VENV)/.installed ## browsers and native SDKs in one call of 10 minutes over bad lines (root); writes docs/performance/call.json
	cargo build --locked --workspace --bins
	PYTHON=$(PYTHON) node tests/call/run.mjs $(CALL_ARGS)

# Scenarios or folders of them.
SCENARIOS ?= simulations/scenarios

.PHONY: sim
sim: ## every scenario of the simulator, with a report of each in target/sim
	cargo run --release --locked -p origo-sim -- gallery $(SCENARIOS) --out $(TARGET)/sim

.PHONY: sim-swarm
sim-swarm: ## 1,000 random scenarios with all invariants checked
	cargo run --release --locked -p origo-sim -- swarm --seeds 1000 --out $(TARGET)/swarm

# Scenarios that are run on real nodes.
EMULATED ?= simulations/scenarios/emulated/*.toml

.PHONY: emulate
emulate: web ## scenarios on real nodes in network namespaces beside the simulator (root; 9 min); a table in target/emulated
	cargo build --release --locked --workspace --bins
	$(TARGET)/release/origo-sim emulate $(EMULATED) --out $(TARGET)/emulated

# The mesh of one scenario.
LAB ?= simulations/scenarios/emulated/quiet.toml

.PHONY: lab
lab: web ## a mesh of real nodes in network namespaces to call through and to break (root)
	cargo build --locked --workspace --bins
	@exec $(TARGET)/debug/origo-sim lab $(LAB)

# Handed to the benchmark, such as BENCH_ARGS="--rounds 1 --seconds 0.5".
BENCH_ARGS ?=
# The node as it is shipped.
SHIPPED = $(TARGET)/release-lto/origo
BUILD_BENCH = cargo build --profile release-lto --locked -p origo-node && cargo build --release --locked -p origo-tests

.PHONY: bench
bench: web ## every figure of speed beside its goal and what it is set against (5 min); writes target/bench.json
	$(BUILD_BENCH)
	$(TARGET)/release/origo-bench --origo $(SHIPPED) $(BENCH_ARGS)

.PHONY: flame
flame: web ## a flame graph of a loaded worker, by perf; writes docs/performance/worker.svg
	$(BUILD_BENCH)
	$(TARGET)/release/origo-bench --origo $(SHIPPED) --seconds 6 --fps 480 --flame docs/performance/worker.svg

.PHONY: bench-janus
bench-janus: web ## a node and Janus's VideoRoom (Debian's package) under the same load; writes target/bench-janus.json
	@scripts/deps janus
	$(BUILD_BENCH)
	$(TARGET)/release/origo-versus --origo $(SHIPPED) --json $(TARGET)/bench-janus.json $(VERSUS_ARGS)

.PHONY: soak
soak: deps-system web ## 200 participants come and go over three nodes for ten minutes; memory, metrics and logs are checked
	cargo build --locked -p origo-node -p origo-tests
	$(TARGET)/debug/origo-soak --json $(TARGET)/soak.json $(SOAK_ARGS)
