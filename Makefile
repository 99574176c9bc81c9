# Two commands matter: `make run` and `make test`. The rest is for CI and for those who change the project.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV    ?= .venv
PYTHON  ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(p) 2>/dev/null),$(p),)))
BIN     := $(VENV)/bin
LOCK    := requirements/lock.txt
STAMP   := $(VENV)/.installed-$(shell cksum < $(LOCK) 2>/dev/null | cut -d' ' -f1)
PYTEST  := $(BIN)/python -m pytest
# Tests wait for processes more than they compute, so there are more of them at a time than a small machine has cores.
JOBS    ?= 4

.PHONY: help run env test lint types imports unit test-terraform test-docker test-browser test-slow test-aws \
        images images-check lock serving-fixtures golden schema clean

help:  ## This list.
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: announce env  ## The whole factory on this machine: sample images to a served prediction.
	$(BIN)/cv-factory local up
	$(BIN)/cv-factory run --demo

.PHONY: announce
announce:
	@if [ ! -e $(STAMP) ]; then \
	  echo "First run on this machine:"; \
	  echo "  download  about 3.3 GB of Python packages (2.9 GB of it PyTorch with CUDA), once"; \
	  echo "  disk      about 7.5 GB, in $(VENV) and .cv-factory"; \
	  echo "  time      5 to 15 minutes to install, then 6 to 10 minutes on two cores; no AWS account, no Docker"; \
	fi
	@echo "The sample images (ELPV, solar cells) are CC BY-NC-SA 4.0: no commercial use. They are installed by this"
	@echo "command as the package elpv-dataset; a model trained on them falls under the same terms."

env: $(STAMP)  ## The environment in .venv, from the committed lock.

$(STAMP): $(LOCK) pyproject.toml
	@[ -n "$(PYTHON)" ] && $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "cv-factory needs Python 3.11, 3.12 or 3.13. On Debian or Ubuntu: apt install python3 python3-venv"; \
	  echo "Another interpreter: make $(or $(MAKECMDGOALS),env) PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module. On Debian or Ubuntu: apt install python3-venv"; exit 2; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "Installing $$(grep -c == $(LOCK)) packages from $(LOCK) into $(VENV) (every file's hash is checked) …"
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.installed-* && touch $@

test: lint types imports unit  ## Everything that needs no root, Docker, browser or Terraform; plus lint and types.

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env
	$(BIN)/mypy

imports: env
	$(BIN)/lint-imports

unit: env
	$(PYTEST) -n $(JOBS) --dist loadfile

# Tools with versions of their own.
POLICY_TOOLS := build/policy-tools
$(POLICY_TOOLS)/.installed: requirements/policy-tools.txt
	@echo "Installing checkov and parliament into $(POLICY_TOOLS) …"
	@$(PYTHON) -m venv --clear $(POLICY_TOOLS)
	@$(POLICY_TOOLS)/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/policy-tools.txt
	@touch $@

test-terraform: env $(POLICY_TOOLS)/.installed  ## Terraform with the real AWS provider against the local SageMaker.
	@command -v terraform >/dev/null || { echo "terraform is not on PATH. Install 1.11 or later: developer.hashicorp.com/terraform/install"; exit 2; }
	$(PYTEST) -m terraform -n 3 --dist loadgroup

test-docker: env  ## Tests that need root (network namespaces) and those that need Docker (the images, built and run).
	@[ "$$(id -u)" = 0 ] || unshare --user --map-root-user --net true 2>/dev/null || { \
	  echo "This needs root or unprivileged user namespaces. Run it as root, or: sysctl kernel.unprivileged_userns_clone=1"; exit 2; }
	$(PYTEST) -m docker

test-browser: env  ## Pages in a real headless Chromium.
	@command -v chromium chromium-browser google-chrome >/dev/null || { echo "No Chromium. On Debian: apt install chromium"; exit 2; }
	$(PYTEST) -m browser

test-slow: env  ## Tests that take minutes: the whole pipeline on the sample.
	$(PYTEST) -m slow -n 2 --dist loadfile

test-aws: env  ## docs/unproved.md's checks on a real account (ENV=… MAX_USD=…; ONLY=, OUT=, PLAN=1).
	@[ -n "$(ENV)" ] && [ -n "$(MAX_USD)" ] || { \
	  echo "Say which environment and what it may cost, in USD: make test-aws ENV=dev MAX_USD=2"; exit 2; }
	$(BIN)/python -m cv_factory.operations.unproved --env $(ENV) --max-usd $(MAX_USD) \
	  $(addprefix --only ,$(ONLY)) $(addprefix --out ,$(OUT)) $(if $(PLAN),--plan)

images: env  ## Build both images; ENV=…: push and sign them too. BASE=, WHEELS=folder, PIP_CONF=, IMAGE=, DOCKER=.
	$(BIN)/python -m cv_factory.operations.images build --env $(or $(ENV),local) $(addprefix --image ,$(IMAGE)) \
	  $(addprefix --base ,$(BASE)) $(addprefix --wheels ,$(WHEELS)) $(addprefix --pip-conf ,$(PIP_CONF))

images-check: env  ## Are both images of this source in the registry? (ENV=…)
	$(BIN)/python -m cv_factory.operations.images check --env $(or $(ENV),local)

lock: env  ## Resolve every extra again into requirements/*.txt (needs uv).
	uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes --all-extras \
	  -c requirements/constraints.txt pyproject.toml -o $(LOCK)
	$(BIN)/python requirements/images.py
	uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes \
	  requirements/policy-tools.in -o requirements/policy-tools.txt

serving-fixtures: env  ## Record what the stock inference toolkit answers (needs Java and root).
	$(BIN)/python tests/contract/serving/record.py $(or $(TOOLKIT),build/toolkit)

golden: env  ## Write the golden definitions again, after a change that was meant.
	$(BIN)/python tests/pipeline_definition/update_golden.py

schema: env  ## Write factory.schema.json again, after a change of the settings.
	$(BIN)/python tests/contract/update_schema.py

clean:  ## Stop the local SageMaker and remove what was made here (not the environment).
	-[ ! -x $(BIN)/cv-factory ] || $(BIN)/cv-factory local down
	rm -rf .cv-factory build .mypy_cache .ruff_cache .pytest_cache .hypothesis
