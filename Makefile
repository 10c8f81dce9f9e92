# Needs python3 (3.11 to 3.13) and make; what else is missing is fetched into .venv and .tools.
PYTHON ?= python3
VENV := .venv/bin
# What `make up` hands to `irisx up`: make up ARGS="--port 9000 --calls-per-minute 120"
ARGS ?=
# What `make test` hands to pytest: make test PYTEST="tests/model -k hold"; -n 0 runs one test at a time
PYTEST ?=
# Three at a time, a file each: half of the tests wait more than they compute.
WORKERS := -n 3 --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help up test check bench description lock clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## run IRISX on this machine, with simulated calls; Ctrl-C stops it
	@$(PYTHON) -m bootstrap up
	@exec $(VENV)/irisx up --state-dir var $(ARGS)

test: ## check the code, then run every test
	@$(PYTHON) -m bootstrap test
	@$(VENV)/python -m pytest $(WORKERS) $(PYTEST)

check: ## types, style, directions between rooms, lock, API description
	@$(PYTHON) -m bootstrap check

bench: ## measure against the references (minutes)
	@$(PYTHON) -m bootstrap check
	@$(VENV)/python -m bench $(ARGS)

description: ## write the API's description and the pages' types anew
	@$(VENV)/python -m bootstrap.description

lock: ## write requirements.lock anew (make lock ARGS=--upgrade for newer versions)
	@$(PYTHON) -m bootstrap lock $(ARGS)

clean: ## remove all that was fetched and built; data in var/ stays
	rm -rf .venv .tools dashboards/node_modules dashboards/build dashboards/.svelte-kit
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .schemathesis
