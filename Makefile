# `make demo` and `make test` need Python 3.11 or newer, make and a C compiler; everything else they fetch themselves.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint bench pictures clean

demo: $(VENV)/installed  ## Trains on handwritten digits, measures, draws: minutes on two cores.
	$(BIN)/pixelbayes demo

test: $(VENV)/installed-dev  ## Runs every test, a process for each core.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

lint: $(VENV)/installed-dev  ## Style, types, and the order of the rooms.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed  ## Times plain against fast, in pairs; writes docs/performance.md and what stands beside it.
	$(BIN)/python -m benchmarks

pictures: $(VENV)/installed  ## Draws the pictures of docs/ again.
	$(BIN)/python docs/make_pictures.py

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@
