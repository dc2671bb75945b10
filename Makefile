# The index of verbs: each makes sure that .venv is there and calls invoke, which does the work (`.venv/bin/invoke --list`).
# `make up ENV=dev` is `invoke up` with WINBATCH_ENV=dev.
PYTHON ?= python3
INVOKE := .venv/bin/invoke
ifdef ENV
export WINBATCH_ENV := $(ENV)
endif

.DEFAULT_GOAL := help
.PHONY: help bootstrap setup demo test bench up plan status run cancel resume results down lint format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bootstrap:
	@$(PYTHON) scripts/bootstrap.py

setup: bootstrap ## Fetch what is missing: Python packages, Terraform, its provider, Airflow
	@$(INVOKE) setup

demo: bootstrap ## Set up, build the local environment, run the main job, show its curve
	@$(INVOKE) demo

test: bootstrap ## Everything that must hold: lint, types, Terraform, policies, all tests
	@$(INVOKE) setup --tests check

bench: bootstrap ## Measure what is promised in numbers (ONLY=engine: a part); writes build/bench.json
	@$(INVOKE) setup bench $(if $(ONLY),--only $(ONLY))

up: bootstrap ## Bring an environment up (ENV=local, dev, prod); call it again to continue
	@$(INVOKE) setup up

plan: bootstrap ## Show what `make up` would change
	@$(INVOKE) plan

status: bootstrap ## Show addresses, logins, the cluster, the last jobs
	@$(INVOKE) status

run: bootstrap ## Start the main job and follow it (parameters: invoke run --params)
	@$(INVOKE) run

cancel: bootstrap ## Stop a job (RUN=its run id): scales in, keeps its results
	@$(INVOKE) cancel $(or $(RUN),$(error RUN=<run id> is missing; make status lists the last ones))

resume: bootstrap ## Run what is missing of a job that has ended (RUN=its run id)
	@$(INVOKE) run --resume $(or $(RUN),$(error RUN=<run id> is missing; make status lists the last ones))

results: bootstrap ## Fetch the last job's results into build/results
	@$(INVOKE) results

down: bootstrap ## Take an environment down
	@$(INVOKE) down

lint: bootstrap ## Lint, types and import directions only
	@$(INVOKE) setup check --only lint check --only types check --only imports

format: bootstrap ## Format Python and Terraform
	@$(INVOKE) format

clean: bootstrap ## Remove build/ and .cache/
	@$(INVOKE) clean
