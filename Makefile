# Every task of the project. `make` lists them. You need Python 3.11 or newer with pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
BENCH_ARGS ?= --save
BENCH_READ_ARGS ?=
# The tests of a file run in one process, because they share servers. tests/conftest.py says which files come first.
PYTEST := -m pytest -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo picture docs reference test test-full test-work work-table test-elk check fix lint types coverage matrix matrix-full matrix-next bench bench-read simulate-diff dist release-notes clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## Start the example shop, send traffic, read its log, write report.html
	@$(BIN)/python examples/quickstart/demo.py

picture: $(VENV)/.dev ## Draw the console and the report in README from real runs of the example shop; needs chromium
	@$(BIN)/python examples/quickstart/picture.py
	@$(BIN)/python examples/quickstart/report_picture.py

docs: $(VENV)/.docs ## Build the documentation site into build/site; a broken link or a page without a place is an error
	rm -rf build/site
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --doctree-dir build/doctrees -c docs/_site docs build/site
	$(BIN)/python docs/_site/site_check.py build/site

reference: $(VENV)/.dev ## Write the parts of docs/reference that follow from the code
	$(BIN)/python docs/_site/reference.py

test: $(VENV)/.dev ## Run the tests; PYTEST_ARGS="-k name" selects some
	PYTHONDEVMODE=1 $(BIN)/python $(PYTEST) $(PYTEST_ARGS)

# The tests that measure time run last and on their own.
test-full: $(VENV)/.dev ## Run the tests that have a size at full size, for example every night
	OBS_HOSTILE_EVENTS=100000 NO_HARM_SOAK=100000 $(BIN)/python -m pytest -n auto --dist load \
		tests/logs/schemas/test_hostile.py tests/logs/line/test_encode.py tests/logs/test_filters.py tests/no_harm/test_soak.py $(PYTEST_ARGS)
	OBS_TASKS=100000 $(BIN)/python -m pytest tests/work/celery/test_celery.py -k many_tasks $(PYTEST_ARGS)
	OBS_SINK=full $(BIN)/python -m pytest -s tests/sink $(PYTEST_ARGS)

test-work: $(VENV)/.dev ## Test tasks on real brokers and workers; needs redis-server
	$(BIN)/python $(PYTEST) -m work tests/work $(PYTEST_ARGS)

work-table: $(VENV)/.dev ## Write the tables of endings in docs/reference/work.md, as the tests of test-work measure them
	OBS_WORK_TABLE=write $(BIN)/python -m pytest -m work -k page_shows_the_table tests/work $(PYTEST_ARGS)

test-elk: $(VENV)/.dev ## Test shippers and stores end to end; without Java, Maven or Go with osmem-server or without VictoriaLogs
	$(BIN)/python tests/shipping/prepare.py build/elk
	OBS_ENGINE=best $(BIN)/python -m pytest -m "shipping or not shipping" tests/shipping tests/read/index $(PYTEST_ARGS)

check: lint types coverage ## Run every check: format, lint, types, tests with coverage

fix: $(VENV)/.dev ## Format the code and apply the fixes of the linter
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lint: $(VENV)/.dev ## Check format and style
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(VENV)/.dev ## Check the types: all code with mypy, the public API with pyright too
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

coverage: $(VENV)/.dev ## Run the tests and measure coverage
	$(BIN)/coverage erase
	PYTHONDEVMODE=1 $(BIN)/python -m coverage run $(PYTEST) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The other tests look at files, or drive programs that do not import Django: `make check` runs them once.
matrix: $(VENV)/.dev ## Run the tests that depend on Python and Django on every supported pair that is installed
	$(BIN)/tox run -- @tests/pairs.txt $(PYTEST_ARGS)

matrix-full: $(VENV)/.dev ## Run all tests on every supported pair that is installed
	$(BIN)/tox run -- $(PYTEST_ARGS)

matrix-next: ## Run the tests on the Python of Debian's next release; needs root and debootstrap
	.ci/next $(PYTEST_ARGS)

bench-read: $(VENV)/.dev ## Measure how fast logs are read, compared with DuckDB, jq and GoAccess
	$(BIN)/python -m benchmarks.reading.bench $(BENCH_READ_ARGS)

simulate-diff: $(VENV)/.dev ## Simulate how often diff calls a percentile different, with and without a change
	$(BIN)/python -m benchmarks.reading.simulate

bench: $(VENV)/.bench ## Measure the cost of a line, compared with other packages; BENCH_ARGS=--quick for a trial run
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

dist: $(VENV)/.pip ## Build the wheel and the source archive into dist/
	$(BIN)/python -m pip install --quiet build
	rm -rf dist
	$(BIN)/python -m build

release-notes: ## Print what the changelog says about a version: make release-notes VERSION=0.2.0
	@awk -v heading="## [$(VERSION)] - " \
		'/^## / { inside = index($$0, heading) == 1; found += inside; next } inside; END { exit !found }' CHANGELOG.md \
		|| { echo "CHANGELOG.md has no section of version '$(VERSION)'" >&2; exit 1; }

clean: ## Remove everything that these commands created
	rm -rf $(VENV) .tox build dist htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	find obs_middleware tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamp files: an environment is created once and updated when pyproject.toml changes.

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is required. Name one: make PYTHON=python3.13 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"  # the first version with dependency groups
	@touch $@

$(VENV)/.demo $(VENV)/.dev $(VENV)/.docs $(VENV)/.bench: $(VENV)/.%: $(VENV)/.pip pyproject.toml
	@echo "installing into $(VENV), a minute or two"
	$(BIN)/python -m pip install --quiet --editable . --group $*
	@touch $@
