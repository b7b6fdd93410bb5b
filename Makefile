# `make repro` and `make test` set up everything they need in .venv.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro paper test lint

repro: .venv/installed
	dvc repro
	@echo "The report is in reports/index.html (open it in a browser) and reports/report.md."

paper: .venv/installed
	dvc exp run -n paper -S scale=paper -S 'binary_datasets=[mnist_static,mnist_dynamic,omniglot,caltech101]' \
	  -S 'color_datasets=[cifar10]'

test: .venv/installed-dev
	python -m pytest

lint: .venv/installed-dev
	ruff check .
	mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	pip install -q -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	pip install -q -c constraints.txt -e .[dev]
	@touch $@
