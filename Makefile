# The commands of this repository; `make` lists them. There is one cargo profile, release, so nothing is built twice.

CARGO_DENY := 0.20.2
CARGO_FUZZ := 0.13.2
RUSTDOC := RUSTDOCFLAGS='-D warnings'
DATA ?= data
LISTEN ?= 127.0.0.1:8080
FUZZ_SECONDS ?= 60
PART ?=
SOAK_SECONDS ?= 600
NETWORK_SECONDS ?= 120
CAMERA ?=
CAMERA_SUB ?=

.DEFAULT_GOAL := help
.PHONY: help setup build demo test check bench capacity soak scenarios loads e2e network media deny fuzz rust-test web-test web-build pure

help: ## Lists the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-9s %s\n", $$1, $$2 }'

setup: ## Installs what is missing: Debian packages, npm packages
	@tools/setup.sh

build: setup web-build ## Builds the services and the page
	cargo build --release --workspace

demo: build ## Runs all of it here; CAMERA=rtsp://user:password@host/main [CAMERA_SUB=...] for a camera of yours
	target/release/standalone demo --listen $(LISTEN) --data $(DATA) --web web/dist \
	  $(if $(CAMERA),--camera '$(CAMERA)') $(if $(CAMERA_SUB),--camera-sub '$(CAMERA_SUB)')

test: setup rust-test web-test e2e ## Runs all tests, the end-to-end ones in a real browser

check: setup pure ## What CI asks first: format, lints, docs, the pure core, types
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	$(RUSTDOC) cargo doc --release --workspace --no-deps
	cd web && npm run --silent check

bench: loads ## Measures the media node's fan-out path next to the bare ceiling
	cargo bench --workspace --bench fanout

capacity: loads ## Measures what one core carries, and what it costs; PART=viewers for a part of it
	cargo bench --workspace --bench capacity -- $(PART)

soak: loads ## Switches cameras for SOAK_SECONDS and looks what is left
	SOAK_SECONDS=$(SOAK_SECONDS) cargo bench --workspace --bench soak

scenarios: loads ## Plays the load scenarios; reports go to target/reports
	loadtest/scenarios/run.sh

# Server and harness, as the tests build them.
loads: setup
	cargo test --release --workspace --no-run

# Built as the tests build it: with other features chosen, cargo would compile half of the tree once more.
e2e: setup media ## Joins and latency as a viewer sees them, measured in Chromium
	cargo test --release --workspace --no-run
	cd web && npm run --silent e2e

network: setup media ## Watches through poor networks and firewalls in Chromium, NETWORK_SECONDS each; long GOPs
	@tools/camera/media.sh long
	cargo test --release --workspace --no-run
	cd web && NETWORK_SECONDS=$(NETWORK_SECONDS) npm run --silent e2e -- 8-networks 9-bandwidth 10-uplink 11-firewall
	cd web && GOP_SECONDS=10 JOINS=40 SWITCHES=100 npm run --silent e2e -- 1-latency 5-show

media: setup ## Makes the test cameras' films
	@tools/camera/media.sh

deny: ## Checks dependencies: bans, licences, sources
	@cargo deny --version > /dev/null 2>&1 || cargo install --locked cargo-deny@$(CARGO_DENY)
	cargo deny check --hide-inclusion-graph bans licenses sources

fuzz: ## Fuzzes what reads bytes from outside, FUZZ_SECONDS each; ends at the first finding
	@cargo fuzz --version 2> /dev/null | grep -qx 'cargo-fuzz $(CARGO_FUZZ)' || cargo install --locked cargo-fuzz@$(CARGO_FUZZ)
	@fuzz/run.sh $(FUZZ_SECONDS)

rust-test: setup media
	cargo test --release --workspace

web-test: setup
	cd web && npm run --silent test

web-build: setup
	cd web && npm run --silent build

# sfu/core/clippy.toml forbids clocks, threads and sockets by name; this keeps out the crates that would bring them along,
# and anything of ours: the core stands on the ground floor.
pure:
	@found=$$(cargo tree -p sfu-core -e normal --prefix none); \
	for crate in tokio async-std mio quinn-udp protocol cluster signaling edge-agent; do \
	  if echo "$$found" | grep -q "^$$crate v"; then echo "sfu-core must stay pure, but depends on $$crate" >&2; exit 1; fi; \
	done
