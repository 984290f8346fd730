# Two commands: `make verify` checks every claim and writes reports/, `make test` tests the harness itself.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
TORCH := 2.13.0
GPU_VENV := .venv-gpu

.PHONY: verify test mutants kernels trained bench gpu peers lint clean help

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

verify: $(STAMP)  ## set up, run every property, write reports/
	@$(BIN)/python -m pytest properties -q -n $(WORKERS) --dist worksteal
	@$(BIN)/python -m reports

test: $(STAMP) lint  ## set up, lint, type-check, test the harness, compare pages with evidence
	@$(BIN)/python -m pytest tests -q -n $(WORKERS) --dist worksteal
	@$(BIN)/python -m reports --check

lint: $(STAMP)  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

mutants: $(STAMP)  ## try every planted bug under every law and write reports/evidence/mutants.json (minutes)
	@$(BIN)/python -m tests.trials --jobs $(WORKERS)

kernels: $(STAMP)  ## compile every shipping configuration for four targets, without a GPU, and write reports/evidence/kernels.json (minutes)
	@$(BIN)/python -m properties.kernels --jobs $(WORKERS)
	@$(BIN)/python -m reports

trained: $(STAMP)  ## train a small transformer, measure its attention and write reports/trained.md with pictures (a minute)
	@$(BIN)/python -m properties.trained
	@$(BIN)/python -m reports

bench: $(STAMP)  ## time attention and every family's fast paths on the CPU (minutes, an idle machine) and write plots and reports/benchmarks.md
	@$(BIN)/python -m pytest tests/benchmarks/bench_attention.py tests/benchmarks/bench_families.py -q
	@$(BIN)/python -m reports

gpu: $(GPU_VENV)/.complete  ## on a machine with a GPU: the laws on the compiled kernel, then its times beside torch's (make gpu ARGS=--dry-run needs none)
	@$(GPU_VENV)/bin/python -m properties.gpu $(ARGS)

# torch with CUDA, beside the CPU build of everything else
$(GPU_VENV)/.complete: pyproject.toml constraints.txt
	@echo "setting up $(GPU_VENV) (once; gigabytes)"
	@$(PYTHON) -m venv $(GPU_VENV)
	@$(GPU_VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt "torch==$(TORCH)"
	@$(GPU_VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev,kernels]"
	@touch $@

peers: $(STAMP)  ## judge published attention packages, each in an environment of its own (gigabytes, most of an hour), and write reports/evidence/peers.json
	@$(BIN)/python -m properties.peers --jobs $(WORKERS)
	@$(BIN)/python -m reports

# torch from PyPI is a multi-gigabyte CUDA build on Linux, so the CPU build is asked for first: where pip finds it by itself, else on PyTorch's own index.
$(STAMP): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once; a few minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; say make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt "torch==$(TORCH)+cpu" 2>/dev/null \
	  || $(BIN)/pip install -q --disable-pip-version-check -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu "torch==$(TORCH)+cpu" 2>/dev/null \
	  || $(BIN)/pip install -q --disable-pip-version-check -c constraints.txt "torch==$(TORCH)"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev,kernels]"
	@touch $@

clean:  ## remove the environment and every cache
	rm -rf $(VENV) $(GPU_VENV) .peers .pytest_cache .mypy_cache .ruff_cache .hypothesis
