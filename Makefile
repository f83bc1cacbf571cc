# The verbs of the project. Everything installed or built once lies in .venv and in $VISAVIS_CACHE
# (default ~/.cache/visavis), never elsewhere.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON ?= python3.11
BUF_VERSION := 1.75.0
BIN := .venv/bin
# Tools use the environment's own programs.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
SOURCES = $(wildcard services/*/visavis_* deploy/local deploy/nats proto/generate.py tests)

.PHONY: help env setup demo check test conversations beside test-containers eval-turns bench bench-peers unit format lock proto proto-check clean

help: ## these lines
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

env:
	@$(PYTHON) deploy/local/setup.py env

setup: env ## install everything the demo and the tests need, once
	@$(BIN)/python -m visavis_local.setup

demo: setup ## one spoken conversation on this machine, then keep serving until Ctrl-C
	@$(BIN)/python -m visavis_local.demo

check: env ## format, lint, types, fences, size budget, unit tests: under a minute
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/python tests/support/structure.py
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/python proto/generate.py --check
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/pytest -q tests/unit

test: setup check ## everything that a laptop can run, real servers included: under 25 minutes
	@echo "real time is mostly waiting: conversations, and beside them everything else"
	@$(MAKE) -k -j2 conversations beside

conversations:
	@$(BIN)/pytest --durations=10 $(wildcard tests/e2e tests/chaos)

# Told at its end, so that the two do not mix.
beside:
	@log=$$(mktemp); trap 'cat $$log; rm -f $$log' EXIT; \
	$(BIN)/pytest --durations=10 -p no:cacheprovider \
		$(wildcard tests/contract tests/integration tests/browser) >$$log 2>&1

test-containers: env ## images, a conversation through the compose file; needs an engine
	@$(BIN)/python -m tests.containers

eval-turns: env ## false cut-offs against waiting time, on synthetic speech; needs npm for its voices
	@nice -n 19 $(BIN)/python -m tests.eval.turns

bench-peers: setup ## the same conversation with LiveKit Agents and Pipecat, side by side; writes the README's table
	@$(BIN)/python -m tests.bench.peers $(ARGS)

bench: setup ## how fast, how many, at what cost: about 20 minutes (ARGS=--short: a look)
	@$(BIN)/python -m tests.bench $(ARGS)

unit: env ## the unit tests alone
	@$(BIN)/pytest -q tests/unit

format: env ## format, and mend what the linter can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

lock: ## bring requirements/*.txt to requirements/*.in (UPGRADE=--upgrade: newest versions)
	@deploy/local/lock.sh "$$($(PYTHON) deploy/local/setup.py uv | tail -n 1)" $(UPGRADE)

proto: env ## generate the bindings in proto/python; buf lints them where npm is present
	@$(BIN)/python proto/generate.py
	@if command -v npx >/dev/null; then cd proto && npx --yes @bufbuild/buf@$(BUF_VERSION) lint; else echo "buf lint left out: no npm"; fi

proto-check: env ## are the committed bindings current?
	@$(BIN)/python proto/generate.py --check

clean: ## remove .venv and the tools' caches; what lies in the cache folder stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
