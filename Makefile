# `make repro` and `make test` set up everything they need in .venv.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
# dvc.yaml starts the stages as `python -m stages.…`
export PATH := $(BIN):$(PATH)

.PHONY: repro paper test lint

repro: .venv/installed
	$(BIN)/dvc repro
	@echo "The report is in reports/index.html (open it in a browser) and reports/report.md."

paper: .venv/installed
	$(BIN)/dvc exp run -n paper -S scale=paper -S 'binary_datasets=[mnist_static,mnist_dynamic,omniglot,caltech101]' \
	  -S 'color_datasets=[cifar10]'

test: .venv/installed-dev
	$(BIN)/python -m pytest

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e .[dev]
	@touch $@
