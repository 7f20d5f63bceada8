# `make demo` and `make test` need Python 3.11 or newer, make and a C compiler. They install everything else into VENV.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo setup test lint docs bench pictures clean

help:  ## List the targets.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 12

demo: $(VENV)/installed  ## Train on handwritten digits, evaluate and plot: minutes on two cores.
	$(BIN)/pixelbayes demo

setup: $(VENV)/installed-dev  ## Install the package and everything that development needs into .venv.

test: $(VENV)/installed-dev  ## Run all tests, one process per core.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

lint: $(VENV)/installed-dev  ## Check style, types and the import order of the rooms.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/installed-dev  ## Build the documentation into docs/_build/html; warnings are errors.
	rm -rf docs/_build
	$(BIN)/python -m sphinx --fail-on-warning --keep-going docs docs/_build/html

bench: $(VENV)/installed  ## Time the reference code against the fast code; writes docs/performance.md.
	$(BIN)/python -m benchmarks

pictures: $(VENV)/installed  ## Draw the pictures of docs/ again.
	$(BIN)/python docs/make_pictures.py

clean:  ## Remove the environment and everything that was built.
	rm -rf $(VENV) build docs/_build *.egg-info

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@
