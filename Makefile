# slabkit: `make help` lists what can be done. `make demo` and `make test` work from nothing.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help environments demo test test-clients test-review test-workflow docs links package soak lint format typecheck examples bench lock clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "slabkit needs Python 3.11 or newer; set PYTHON=python3.11, say." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## Simulate, run the whole chain, score it, write demo/report.html
	$(BIN)/slabkit demo -o demo --overwrite

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile --ignore tests/clients \
		--ignore tests/review --ignore tests/workflow

CLIENTS := $(patsubst tests/clients/requirements-%.txt,.venv-clients/%/.ready,\
	$(wildcard tests/clients/requirements-*.txt))

test-clients: $(READY) $(CLIENTS) ## Run the tests with the real programs, each in its own environment
	$(BIN)/python -m pytest tests/clients

# A program that cannot be installed is named, and its tests skip.
.venv-clients/%/.ready: tests/clients/requirements-%.txt
	@echo "installing $* for the tests"
	@$(PYTHON) -m venv .venv-clients/$*
	@if .venv-clients/$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<; \
		then touch $@; else echo "$* cannot be installed here; its tests will skip"; fi

test-review: $(READY) .venv-review/.ready ## Run the tests of the review page in a real Chromium
	$(BIN)/python -m pytest tests/review

# What drives the browser, and what checks accessibility; without a network the tests skip.
.venv-review/.ready: tests/review/requirements.txt tests/review/axe.py
	@rm -rf .venv-review && mkdir -p .venv-review
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --target .venv-review -r $< \
		&& $(BIN)/python tests/review/axe.py .venv-review; \
		then touch $@; else echo "playwright or axe-core cannot be installed here"; fi

WORKFLOW := .venv-workflow

test-workflow: $(WORKFLOW)/.ready ## Run the workflow on Snakemake, in an environment of its own
	$(WORKFLOW)/bin/python -m pytest tests/workflow

$(WORKFLOW)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(WORKFLOW)
	$(WORKFLOW)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock \
		"snakemake>=9" snakemake-executor-plugin-slurm
	$(WORKFLOW)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch $@

docs: $(READY) .venv-docs/.ready ## Run the tutorials and build the documentation as a site: site/index.html
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python docs/tutorials.py
	.venv-docs/bin/sphinx-build --fail-on-warning --keep-going --quiet -b html docs site
	@! grep -rnE '(src|srcset)="(https?:)?//|<link[^>]*href="(https?:)?//|url\(.?(https?:)?//' site \
		--include='*.html' --include='*.css' || { echo "pages may load nothing from elsewhere" >&2; exit 1; }

links: $(READY) .venv-docs/.ready ## Ask whether the links of the documentation to other sites hold
	.venv-docs/bin/sphinx-build --quiet -b linkcheck docs .venv-docs/links

.venv-docs/.ready: docs/requirements.txt requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r $<
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

package: .venv-package/.ready ## Build wheel and sdist into dist/; install and test them on each Python at hand
	packaging/check.sh

.venv-package/.ready: packaging/requirements.txt
	$(PYTHON) -m venv .venv-package
	.venv-package/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

environments: $(READY) $(CLIENTS) .venv-review/.ready $(WORKFLOW)/.ready .venv-docs/.ready .venv-package/.ready ## Install what the other targets use

SECONDS ?= 600

soak: $(READY) $(WORKFLOW)/.ready ## Kill, damage, fill up and race slabkit on one core; SECONDS=600 (docs/reliability.md)
	OPENBLAS_NUM_THREADS=1 SOAK_SECONDS=$(SECONDS) nice $(BIN)/python -m pytest -s -m soak --ignore tests/clients \
		--ignore tests/workflow
	OPENBLAS_NUM_THREADS=1 nice $(WORKFLOW)/bin/python -m pytest -s -m soak tests/workflow

lint: $(READY) ## Check style and formatting, change nothing
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(READY) ## Format the code and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

typecheck: $(READY) ## Check types, strictly
	$(BIN)/mypy

examples: $(READY) ## Run every example, as a user would
	@set -e; for script in examples/*.sh; do \
		echo "== $$script"; PATH="$(abspath $(BIN)):$$PATH" bash $$script; done
	@set -e; for script in examples/*.py; do \
		echo "== $$script"; $(BIN)/python $$script; done

bench: $(READY) ## Measure against other programs (long; see benchmarks/README.md)
	$(BIN)/python benchmarks/run.py

lock: ## Renew requirements.lock from pyproject.toml
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --upgrade pip
	.venv-lock/bin/python -m pip install --quiet hatchling editables '.[zarr]' --group dev
	{ sed -n '/^#/p' requirements.lock; .venv-lock/bin/python -m pip freeze \
		--exclude slabkit-cryoet; } > requirements.new && mv requirements.new requirements.lock
	rm -rf .venv-lock

clean: ## Remove what make made
	rm -rf $(VENV) .venv-clients .venv-review .venv-workflow .venv-package .venv-docs .venv-peers demo site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
