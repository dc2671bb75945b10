# The index of verbs: each makes sure that .venv is there and calls invoke, which does the work (`.venv/bin/invoke --list`).
# `make up ENV=dev` is `invoke up` with WINBATCH_ENV=dev.
PYTHON ?= python3
INVOKE := .venv/bin/invoke
# Whose Python is used is ours to say.
unexport PYTHONHOME PYTHONPATH
# A word for the shell, whatever it holds.
quoted = '$(subst ','\'',$(1))'
ifdef ENV
export WINBATCH_ENV := $(ENV)
endif

.DEFAULT_GOAL := help
.PHONY: help bootstrap setup demo test check bench up plan deploy images.push dags.release dags.rollback smoke drift comment status run \
	cancel resume results doctor down verify-aws simulate chaos lint format clean ci images rollback

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bootstrap:
	@$(PYTHON) scripts/bootstrap.py

setup: bootstrap ## Fetch what is missing: Python packages, Terraform, its provider, Airflow
	@$(INVOKE) setup

demo: bootstrap ## Set up, build the local environment, run the main job, show its curve
	@$(INVOKE) demo

test: bootstrap ## Everything that must hold: lint, types, Terraform, policies, all tests
	@$(INVOKE) setup --tests test

check: bootstrap ## A part of make test (ONLY=lint,fast; ONLY=engine: a room; CHANGED=yes: what git says)
	@$(INVOKE) setup --tests check $(if $(ONLY),--only $(call quoted,$(ONLY))) $(if $(CHANGED),--changed)

bench: bootstrap ## Measure what is promised in numbers (ONLY=engine: a part); writes build/bench.json
	@$(INVOKE) setup bench $(if $(ONLY),--only $(call quoted,$(ONLY)))

up: bootstrap ## Bring an environment up (ENV=local, dev, prod); call it again to continue
	@$(INVOKE) setup up

plan: bootstrap ## Show what `make up` would change (OUT=file: save it; SEAL=yes: encrypted; MARKDOWN=file: for people)
	@mkdir -p build
	@$(INVOKE) setup plan $(if $(OUT),--out $(call quoted,$(OUT))) $(if $(SEAL),--seal) $(if $(MARKDOWN),--markdown >> $(call quoted,$(MARKDOWN)))

deploy: bootstrap ## The pipeline's `make up` (ENV=prod PLAN=file: that plan and no other; SMOKE=no: without a job)
	@$(INVOKE) setup deploy $(if $(PLAN),--plan $(call quoted,$(PLAN))) $(if $(SMOKE),--no-smoke)

images.push: bootstrap ## Build the workloads' images and push them
	@$(INVOKE) setup images.push

smoke: bootstrap ## A small job that must succeed
	@$(INVOKE) smoke

dags.release: bootstrap ## Check the DAGs, release them, wait until Airflow serves them
	@$(INVOKE) setup dags.release

dags.rollback: bootstrap ## Back to the DAG release before (RELEASE=its id: to that one)
	@$(INVOKE) setup dags.rollback $(if $(RELEASE),--release $(call quoted,$(RELEASE)))

drift: bootstrap ## What was changed behind Terraform's back (ISSUE=yes: keep a GitHub issue of it)
	@$(INVOKE) setup drift $(if $(ISSUE),--issue)

comment: bootstrap ## Say FILE's text on pull request NUMBER, once for what it is ABOUT
	@$(INVOKE) comment --file $(call quoted,$(FILE)) --about $(call quoted,$(ABOUT)) --number $(call quoted,$(NUMBER))

status: bootstrap ## Show addresses, logins, the cluster, the last jobs
	@$(INVOKE) status

run: bootstrap ## Start the main job and follow it (parameters: invoke run --params)
	@$(INVOKE) run

cancel: bootstrap ## Stop a job (RUN=its run id): scales in, keeps its results
	@$(INVOKE) cancel $(call quoted,$(or $(RUN),$(error RUN=<run id> is missing; make status lists the last ones)))

resume: bootstrap ## Run what is missing of a job that has ended (RUN=its run id)
	@$(INVOKE) resume $(call quoted,$(or $(RUN),$(error RUN=<run id> is missing; make status lists the last ones)))

results: bootstrap ## Fetch the last job's results into build/results/<run id>
	@$(INVOKE) results

doctor: bootstrap ## Look at everything that an environment needs: what is doubtful or wrong, and what to do
	@$(INVOKE) doctor

down: bootstrap ## Take an environment down
	@$(INVOKE) down

verify-aws: bootstrap ## Ask AWS whether it does what the local AWS does (ENV=dev: 3 h, about $5; TAKE_DOWN=yes: end it)
	@$(INVOKE) setup verify-aws $(if $(TAKE_DOWN),--take-down)

simulate: bootstrap ## Whole jobs in simulated worlds with every fault (SEEDS=, MINUTES=; SEED=17: one again, with its story)
	@$(INVOKE) simulate $(if $(SEEDS),--seeds $(call quoted,$(SEEDS))) $(if $(MINUTES),--minutes $(call quoted,$(MINUTES))) $(if $(SEED),--seed $(call quoted,$(SEED)))

chaos: bootstrap ## Real faults under real jobs, in an environment of its own (MINUTES=10; SEED=17: that round first)
	@$(INVOKE) setup chaos $(if $(MINUTES),--minutes $(call quoted,$(MINUTES))) $(if $(SEED),--seed $(call quoted,$(SEED)))

lint: bootstrap ## Lint, types and import directions only
	@$(INVOKE) setup lint

format: bootstrap ## Format Python and Terraform
	@$(INVOKE) format

clean: bootstrap ## Remove build/ and .cache/
	@$(INVOKE) clean

# What they were called before 0.2.0; these go with the next release.
ci: new = test
images: new = images.push
rollback: new = dags.rollback
ci images rollback:
	@echo "make $@ is called make $(new) now" >&2
	@$(MAKE) --no-print-directory $(new)
