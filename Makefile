# `make demo` sets everything up and runs the main job; `make test` sets everything up and passes the tests.
# Needed: Python 3.11 or newer with pip. uv is fetched into .tools/ when it is missing; the system's Python is left alone.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; assert sys.version_info >= (3, 11); print(sys.executable)' 2>/dev/null && break; done)
UV := $(shell command -v uv || echo .tools/bin/uv)
export UV_PYTHON ?= $(PYTHON)
RUN := $(UV) run --locked

STATIC := .venv-static

.PHONY: help setup demo test check lint types layers lock compile clean distributions static contract-alone \
	test-static test-structural test-path-proof test-smoke-llama test-smoke-gemma test-long-context test-mlx \
	certify verify-certificate

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.tools/bin/uv:
	@scripts/fetch_uv.sh "$(PYTHON)"

setup: $(UV) ## install everything into .venv
	@[ -z "$(PYTHON)" ] || "$(PYTHON)" scripts/check_platform.py
	@$(UV) sync --locked || { echo "Nothing is set up. Needed: a network, 1 GB of disk, Python 3.11 or newer" >&2; exit 2; }

demo: setup ## generate from compressed caches of two real models, dense beside them
	@$(RUN) scripts/demo.py

test: setup ## run all tests
	@$(RUN) pytest $(PYTEST)

test-path-proof: setup ## prove that codes are read on every layer, and that the proof fails without the hooks
	@$(RUN) pytest tests/mlx/test_path_proof.py tests/mlx/test_path_proof_without_hooks.py

certify: $(UV) ## run every stage of certification on this checkout's wheels (a rehearsal away from Apple hardware)
	@PATH="$(abspath .tools/bin):$$PATH" scripts/certify_apple_runtime.sh $(CERTIFY)

CERTIFIED := $(wildcard artifacts/certify/wheels/*.whl)

verify-certificate: $(UV) ## check that the bundle is intact and passed, and that it is about the wheels beside it
	@[ -n "$(CERTIFIED)" ] || { echo "No wheels in artifacts/certify/wheels: run make certify first" >&2; exit 2; }
	@$(UV) run --quiet --locked --isolated --no-default-groups --package tq-cert --extra sign \
		tq-cert verify artifacts/runtime-cert/bundle.zip --require passed $(CERTIFIED:%=--wheel %)

check: lint types layers lock ## lint, types, layers, lock

lint: setup
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .

types: setup
	@$(RUN) pyright

layers: setup
	@$(RUN) lint-imports

lock: $(UV)
	@$(UV) lock --check

static: $(UV)
	@UV_PROJECT_ENVIRONMENT=$(STATIC) $(UV) sync --quiet --locked --only-group static || { echo "Nothing is set up." \
		"The contract by itself: pip install packages/tq-contract, then tq-contract check" >&2; exit 2; }

test-static: static ## what needs no MLX: the contract's tests, the contract, the checks of this checkout
	@$(STATIC)/bin/python -c 'from importlib.util import find_spec; assert not find_spec("mlx"), "MLX is installed"'
	@$(STATIC)/bin/python -m pytest -q tests/contract
	@$(STATIC)/bin/tq-contract validate
	@$(STATIC)/bin/tq-contract docs --check
	@$(STATIC)/bin/tq-contract check

test-structural: setup ## cache, segments, streaming attention, upgrade and hooks on tiny models
	@$(RUN) pytest -q -m 'not model' tests/mlx

test-smoke-llama: setup ## a Llama end to end: a tiny one, or $TQ_TEST_LLAMA_MODEL
	@$(RUN) pytest -q tests/mlx/test_smoke.py -k llama

test-smoke-gemma: setup ## a Gemma end to end: a tiny one, or $TQ_TEST_GEMMA_MODEL
	@$(RUN) pytest -q tests/mlx/test_smoke.py -k gemma

test-long-context: setup ## more than 4096 tokens: tiny models, or those of the two variables
	@$(RUN) pytest -q tests/mlx/test_long_context.py

test-mlx: setup ## everything that runs on MLX
	@$(RUN) pytest -q tests/core tests/mlx tests/cert

distributions: setup ## build wheels and source distributions into dist/ and check what they hold
	@rm -rf dist
	@$(UV) build --quiet --all-packages --out-dir dist
	@$(RUN) tq-contract check --only distributions --dist dist

contract-alone: setup ## install tq-contract alone: its size, its import time, its commands without MLX
	@$(RUN) python scripts/contract_alone.py

compile: setup ## compile every module to bytecode
	@$(RUN) python -m compileall -q packages tests scripts

clean: ## remove everything that was installed or built here
	rm -rf .venv $(STATIC) .tools dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
