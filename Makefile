# Two commands: `make verify` checks every claim and writes reports/, `make test` tests the harness itself.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
TORCH := 2.13.0

.PHONY: verify test mutants peers lint clean help

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
	@$(BIN)/python -m tests.planting --jobs $(WORKERS)

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
	rm -rf $(VENV) .peers .pytest_cache .mypy_cache .ruff_cache .hypothesis
