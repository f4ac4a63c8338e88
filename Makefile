# One command for everything; `make` lists them. Only Python 3.11 or newer, with pip, is needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
BENCH_ARGS ?= --save
BENCH_READ_ARGS ?=
# A file's tests stay together: they share servers.
PYTEST := -m pytest -n auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-full test-elk check fix lint types coverage matrix bench bench-read dist clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## Start the example shop, send it traffic, read its log, write report.html
	@$(BIN)/python examples/quickstart/demo.py

test: $(VENV)/.dev ## Run the tests; PYTEST_ARGS="-k name" runs some
	PYTHONDEVMODE=1 $(BIN)/python $(PYTEST) $(PYTEST_ARGS)

# What measures time comes alone, and last.
test-full: $(VENV)/.dev ## Run the tests that have a size at their full size: a nightly's work
	OBS_HOSTILE_EVENTS=100000 NO_HARM_SOAK=100000 $(BIN)/python -m pytest -n auto --dist load \
		tests/logs/test_schemas.py tests/logs/test_serialize.py tests/logs/test_filters.py tests/no_harm/test_soak.py $(PYTEST_ARGS)
	OBS_SINK=full $(BIN)/python -m pytest -s tests/sink $(PYTEST_ARGS)

test-elk: $(VENV)/.dev ## Run the tests of shipping, and of asking the store: rsyslog into OpenSearch, or into osmem-server without Java and Maven
	$(BIN)/python tests/shipping/prepare.py build/elk
	OBS_ENGINE=best $(BIN)/python -m pytest -m "shipping or not shipping" tests/shipping tests/read/index/test_requests.py $(PYTEST_ARGS)

check: lint types coverage ## Everything a change must pass: format, lint, types, tests with coverage

fix: $(VENV)/.dev ## Format, and mend what the linter can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lint: $(VENV)/.dev ## Look at format and style
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(VENV)/.dev ## Check the types: everything with mypy, the public API with pyright too
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	PYTHONDEVMODE=1 $(BIN)/python -m coverage run $(PYTEST) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

matrix: $(VENV)/.dev ## Run the tests on every supported pair of Python and Django that is here
	$(BIN)/tox run

bench-read: $(VENV)/.dev ## Measure how fast a log is read, beside DuckDB, jq and GoAccess
	$(BIN)/python -m benchmarks.reading.bench $(BENCH_READ_ARGS)

bench: $(VENV)/.bench ## Measure what a line costs, beside others; BENCH_ARGS=--quick to see it run
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

dist: $(VENV)/.pip ## Build wheel and source archive into dist/
	$(BIN)/python -m pip install --quiet build
	rm -rf dist
	$(BIN)/python -m build

clean: ## Remove all that these commands have made
	rm -rf $(VENV) .tox build dist htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	find obs_middleware tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps, so that an environment is made once, and brought up to date when pyproject.toml has changed.

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.13 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"  # the first that knows dependency groups
	@touch $@

$(VENV)/.demo $(VENV)/.dev $(VENV)/.bench: $(VENV)/.%: $(VENV)/.pip pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group $*
	@touch $@
