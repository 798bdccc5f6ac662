# make help lists the targets. The environment is .venv; any target makes it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
ARGS ?=

.PHONY: help demo test check check-generated format generate bench recovery detection attribution kafka soak fuzz clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1\t/' | expand -t 20

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo "funnelwatch needs Python 3.11 or newer on PATH; or call make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "cannot make .venv; on Debian: apt-get install python3-venv" >&2; exit 1; }

.venv/.run: pyproject.toml | .venv/bin/pip
	@echo "installing funnelwatch into .venv (once; a minute or two)" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo,dashboards]' && touch $@

.venv/.dev: pyproject.toml | .venv/bin/pip
	@echo "installing funnelwatch and its development tools into .venv (once; a minute or two)" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' && touch $@ .venv/.run

demo: .venv/.run ## the whole chain on an embedded broker; ARGS="--for 90s --json" for a script
	@$(BIN)/funnelwatch demo $(ARGS)

test: .venv/.dev ## all tests; ARGS="-k replay" passes on to pytest
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: .venv/.dev ## lint, types, import contracts, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory check-generated

check-generated: .venv/.dev ## say whether generated files are current
	$(BIN)/python -m dashboards.build --check
	$(BIN)/python -m streams.config_example --check

format: .venv/.dev ## sort imports, format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: .venv/.dev ## boards, rules and config/shop.example.toml from their sources
	$(BIN)/python -m dashboards.build
	$(BIN)/python -m streams.config_example

bench: .venv/.dev ## the live path beside a bare consumer loop; last line ratio=…
	$(BIN)/python -m benchmarks.throughput $(ARGS)

recovery: .venv/.dev ## pauses of checkpoints and time to recover with 100 000 and a million live sessions
	$(BIN)/python -m benchmarks.recovery $(ARGS)

detection: .venv/.dev ## recall, delay and false pages of the detectors on simulated shops
	$(BIN)/python -m benchmarks.detection $(ARGS)

attribution: .venv/.dev ## how well causes of a loss are named on generated cubes, beside Adtributor
	$(BIN)/python -m benchmarks.attribution $(ARGS)

kafka: .venv/.dev ## a native Apache Kafka (Java 17, jars by Maven) on 127.0.0.1 until Ctrl-C
	$(BIN)/python -m tests.support.kafka.native $(ARGS)

soak: .venv/.dev ## workers killed, frozen and cut off by a seed, every row compared; ARGS="--long --seed 21"
	$(BIN)/python -m tests.faults.soak $(ARGS)

.venv/.fuzz: pyproject.toml | .venv/.dev
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[fuzz]' && touch $@

fuzz: .venv/.fuzz ## inputs that grow by what they reach, for every reader of bytes; ARGS="--minutes 5"
	$(BIN)/python -m tests.faults.fuzz $(ARGS)

clean: ## remove the environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .funnelwatch build *.egg-info
