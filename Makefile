PYTHON ?= python3
# Relative, since the folder may have a blank in its name.
BIN := .venv/bin
# dvc.yaml starts the stages as `python -m stages.…`
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Bare `make` prints this file's targets with what stands behind their ##.
.PHONY: help demo repro paper context verify bench test lint

# The rows of the paper's tables, and the curve over contexts.
VAES := vae,af_vae,af_vae_annealed,iaf_vae
ROWS := vlae,vlae_untied,vlae_annealed,vlae_gaussian_prior,vlae_gaussian_prior_untied,vlae_iaf_posterior
COLOR_ROWS := resnet_vlae,densenet_vlae,densenet_vlae_4x2,densenet_vlae_5x3,densenet_vlae_grayscale
CONTEXTS := context_1x1,context_4x2,context_7x4,context_stack,context_full

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "What a target needs is set up in .venv first."

demo: .venv/installed ## real digits through published weights, into demo.png; no training
	$(BIN)/python -m stages.demo

# What `dvc repro` does, with stages that do not need each other side by side; make repro JOBS=8 runs 8 of them at once.
repro: .venv/installed ## train, evaluate and write reports/; JOBS=8 runs 8 stages at once
	$(BIN)/python -m stages.repro
	@echo "The report is in reports/index.html (open it in a browser) and reports/report.md."

# omniglot is Burda's file; make paper OMNIGLOT=omniglot_rebuilt takes Lake's drawings.
OMNIGLOT ?= omniglot
paper: .venv/installed ## the models of the paper's tables on its data: work for a GPU
	$(BIN)/python -m stages.repro -n paper -S scale=paper -S training.images=train+valid \
	  -S 'binary_datasets=[mnist_static,mnist_dynamic,$(OMNIGLOT),caltech101]' \
	  -S 'color_datasets=[cifar10]' -S 'vae_models=[$(VAES)]' -S 'vlae_models=[$(ROWS)]' \
	  -S 'color_vae_models=[resnet_af_vae,resnet_iaf_vae]' -S 'color_pixelcnn_models=[pixelcnnpp]' \
	  -S 'color_vlae_models=[$(COLOR_ROWS)]'

context: .venv/installed ## what the decoder sees, from nothing to every earlier pixel
	$(BIN)/python -m stages.repro -n context -S 'vae_models=[vae,context_0]' \
	  -S 'vlae_models=[vlae,vlae_downsampled,$(CONTEXTS)]'

verify: .venv/installed ## evaluate the published models again and compare
	$(BIN)/python -m stages.download --published
	$(BIN)/python -m stages.preprocess --published
	$(BIN)/python -m stages.verify

bench: .venv/installed ## measure speed, into reports/benchmark.md
	$(BIN)/python -m stages.bench

test: .venv/installed-dev ## all tests
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: .venv/installed-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e .[dev]
	@touch $@
