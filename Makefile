# The commands of the house; `make help` lists them. They need Python and make, and install the rest into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More options for pytest: make test ARGS="-k checkpoint -x"
ARGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
# What to measure; all of it if nothing is said.
WORK ?=

.PHONY: help demo demo-latent test test-gpu test-wheel bench bench-gpu lint fix docs clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/installed-demo ## train on handwritten digits, draw some, and judge them: about 3 minutes
	$(BIN)/python docs/demo/digits.py

demo-latent: $(VENV)/installed-demo ## the same in the latents of an autoencoder trained first: about 5 minutes
	$(BIN)/python docs/demo/digits_latent.py

test: $(VENV)/installed-test ## run all the tests: under 20 minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-gpu: $(VENV)/installed-test ## run the tests that need an NVIDIA GPU
	$(BIN)/python -m pytest tests/gpu $(ARGS)

test-wheel: $(VENV)/installed-test ## run the quick tests against the built wheel, not the checkout
	sh .ci/test-wheel $(BIN)/python $(ARGS)

bench: $(VENV)/installed-dev ## speed and memory beside diffusers: about ten minutes; make bench WORK=sampling_step for one
	$(BIN)/python -m benchmarks.speed $(WORK)

bench-gpu: test-gpu ## the tests that need an NVIDIA GPU; then every work on it, compiled too, and its longest kernels
	$(BIN)/python -m benchmarks.speed --device cuda --kernels 5 $(WORK)

lint: $(VENV)/installed-dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --exclude '*.md' .
	$(BIN)/mypy

fix: $(VENV)/installed-dev ## mend what can be mended automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format --exclude '*.md' .

docs: $(VENV)/installed-demo ## write docs/reference.md and configs/schema.json anew from the code
	$(BIN)/python docs/generate.py

clean: ## remove the environment; runs/ stays
	rm -rf $(VENV)

# One stamp for each extra, so that dependencies are looked at again only when they change.
$(VENV)/installed-%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	touch $@
