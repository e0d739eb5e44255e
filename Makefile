# One command for people and CI alike. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
PROFILE ?= cluster/local.yaml
INDEX ?= var/index
# Only torch is named here: its CPU build carries a local version that PyPI cannot hold.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' Makefile)
help: ## List the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

# Nothing is compiled ahead: a start needs a sixth of 34,000 modules, and keeps what it has compiled.
install: $(READY) ## Create .venv and install the locked set
$(READY): requirements/cpu.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing the locked set into $(VENV) (about 2 GB, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import torch' 2>/dev/null || \
	  $(BIN)/pip install -q --no-deps --no-compile --timeout 15 --retries 0 torch==2.13.0+cpu --index-url $(TORCH_INDEX) 2>/dev/null || \
	  echo "PyTorch's CPU index cannot be reached; torch comes from the default index"
	$(BIN)/pip install -q --no-deps --no-compile --progress-bar on -r requirements/cpu.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@grep -q raglan-env $(BIN)/activate || \
	  echo 'set -a; . "$$VIRTUAL_ENV/../cluster/local.env"; set +a  # raglan-env' >> $(BIN)/activate
	@$(RUN) -m rag.embed_export
	@touch $@

RUN := set -a; . cluster/local.env; set +a; PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python

index: $(READY) ## Build the index from docs/ (nothing is done twice): [ARGS=...]
	@$(RUN) -m rag.ingest docs --index $(INDEX) $(ARGS) || [ $$? = 1 ]

COLLECTION ?= raglan
VERSIONS = $(RUN) -m rag.versions
WHERE = --index $(INDEX) --collection $(COLLECTION)
ingest: $(READY) ## Index folders or files: SRC="..." [COLLECTION=...] [ARGS="--tag x"]
	@$(RUN) -m rag.ingest $(SRC) $(WHERE) $(ARGS)

index-list: $(READY) ## List the index versions; a star marks the serving one: [ARGS="--qdrant-url URL"]
	@$(VERSIONS) list $(WHERE) $(ARGS)

index-promote: $(READY) ## Let an index version serve: VERSION=...
	@$(VERSIONS) promote $(VERSION) $(WHERE) $(ARGS)

index-rollback: $(READY) ## Let the index version serve again that served before: [ARGS=--wait]
	@$(VERSIONS) rollback $(WHERE) $(ARGS)

LISTEN = $(if $(PORT),--port $(PORT))
run: index ## Run everything on this machine; Ctrl-C stops it: [PORT=8080]
	@$(RUN) -m deployments.run run $(PROFILE) $(LISTEN)

up: index ## The same in the background
	@$(RUN) -m deployments.run up $(PROFILE) $(LISTEN)

down: $(READY) ## Stop what `make up` started
	@$(RUN) -m deployments.run down

check: $(READY) ## Lint, types, formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# libnuma1: vLLM's CPU build; iproute2, nftables: the tests' network namespaces; chromium: the chat page's tests.
PACKAGES := libnuma1 iproute2 nftables chromium fonts-inter
system: ## Install the Debian packages that the tests need (needs root)
	@dpkg -s $(PACKAGES) >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends $(PACKAGES); \
	  else echo "Debian packages are missing: sudo apt-get install $(PACKAGES)"; exit 1; fi; }

PYTEST = set -a; . cluster/local.env; set +a; PATH="$(CURDIR)/$(BIN):$$PATH" tests/isolate.sh $(BIN)/python -m pytest
# This wants both cores alone; the other clusters and engines share them with all that is light.
ALONE := tests/cluster/test_chaos_short.py
SHARED = $(PYTEST) --ignore=$(ALONE)
HEAVY := ray or vllm
HEAVY_FILES = $(sort $(shell grep -rlE "mark\.(ray|vllm)" tests --include="test_*.py"))
SIDE_BY_SIDE = $(MAKE) -s -k -j2
LATER = > var/$@.log 2>&1; status=$$?; cat var/$@.log; exit $$status
test: $(READY) system ## Run every test, real Ray Serve, vLLM and Chromium included; with ARGS="..." those alone
ifdef ARGS
	@$(PYTEST) $(ARGS)
else
	@$(SIDE_BY_SIDE) test-heavy test-light; shared=$$?; $(PYTEST) $(ALONE) && exit $$shared
endif

test-heavy: # What starts clusters and engines, one after the other
	@$(PYTEST) -m "$(HEAVY)" $(filter-out $(ALONE),$(HEAVY_FILES))

test-light: # The rest beside it; shown when it is through
	@mkdir -p var; $(SHARED) -m "not ($(HEAVY))" $(LATER)

# Two clusters at a time, each alone in its namespaces: they wait more than they work. The chaos run comes after them.
PLACED := $(addprefix tests/cluster/test_,placement_ray.py scaling_ray.py drained.py)
test-cluster: $(READY) system ## Run the tests of clusters alone
ifdef ARGS
	@$(PYTEST) tests/cluster $(ARGS)
else
	@$(SIDE_BY_SIDE) test-cluster-rest test-cluster-placed; shared=$$?; $(PYTEST) $(ALONE) && exit $$shared
endif

test-cluster-rest:
	@$(SHARED) tests/cluster $(PLACED:%=--ignore=%)

test-cluster-placed:
	@mkdir -p var; $(SHARED) $(PLACED) $(LATER)

demo-model: $(READY) ## Train the bundled demo model again (under two hours on two cores)
	@$(RUN) -m models.train_quote

bench-demo-model: $(READY) ## How exactly the demo model quotes
	@VLLM_CPU_KVCACHE_SPACE=1 $(RUN) -m benchmarks.demo_model $(ARGS)

bench: $(READY) ## The bare engine, ray.serve.llm and Raglan, side by side
	@$(RUN) -m benchmarks.serving

bench-overload: $(READY) ## Goodput, refusals and time to first token at three times the capacity: URL=, ARGS="--seconds 30"
	@$(RUN) -m benchmarks.overload $(if $(URL),--url "$(URL)") $(if $(OUT),--out "$(OUT)") $(ARGS)

bench-batch: $(READY) ## What a batch job does to the people who chat: OUT=figures.json, ARGS="--callers 64"
	@$(RUN) -m benchmarks.batch_job $(if $(OUT),--out "$(OUT)") $(ARGS)

chaos: $(READY) system ## Kill replicas, nodes and the head under traffic, one fault a minute: OUT=, ARGS="--seconds-per-fault 30"
	@set -a; . cluster/local.env; set +a; PATH="$(CURDIR)/$(BIN):$$PATH" tests/isolate.sh $(BIN)/python -m benchmarks.chaos \
	  $(if $(OUT),--out "$(OUT)") $(ARGS)

PASSAGES ?= 100000
bench-search: $(READY) ## Search at size: PASSAGES=1000000, OUT=figures.json, ARGS=...
	@$(RUN) -m benchmarks.search_scale --passages $(PASSAGES) $(if $(OUT),--out "$(OUT)") $(ARGS)

eval: $(READY) ## Measure retrieval: DATA=<BEIR folder> or SUITE=handbook, OUT=figures.json, ARGS="--dense-weight 0.4"
	@test -n "$(DATA)$(SUITE)" || { echo "Say what to measure: make eval DATA=<BEIR folder>, or SUITE=handbook"; exit 2; }
	@$(RUN) -m benchmarks.retrieval --profile $(PROFILE) $(if $(SUITE),--suite $(SUITE),--data "$(DATA)") \
	  $(if $(OUT),--out "$(OUT)") $(ARGS)

DATA_ROOT ?= ../shared/data/retrieval
bench-retrieval: $(READY) ## Measure retrieval on every BEIR folder in DATA_ROOT
	@$(RUN) -m benchmarks.retrieval --profile $(PROFILE) --data-root "$(DATA_ROOT)" $(if $(OUT),--out "$(OUT)") $(ARGS)

bench-indexing: $(READY) ## Passages per second of the ingest job, whole: OUT=figures.json, ARGS="--ray never"
	@$(RUN) -m benchmarks.indexing $(if $(OUT),--out "$(OUT)") $(ARGS)

bench-embedding: $(READY) ## Speed, memory and parity of the embedding model's backends
	@$(RUN) -m benchmarks.embedding $(if $(OUT),--out $(OUT))

# garak has an environment of its own: what it asks for is in nobody else's way.
REDTEAM := var/redteam-venv
$(REDTEAM)/.installed: requirements/redteam.txt
	@echo "Installing garak into $(REDTEAM) (about 160 MB, once)"
	$(PYTHON) -m venv $(REDTEAM)
	$(REDTEAM)/bin/pip install -q --no-deps --progress-bar on -r requirements/redteam.txt
	@touch $@

redteam: $(READY) $(REDTEAM)/.installed ## Attack Raglan with garak, guardrails off and on: URL=, URL_OFF=, OUT=, ARGS="--prompts 5"
	@$(RUN) -m benchmarks.redteam --garak "$(CURDIR)/$(REDTEAM)/bin/python" --profile $(PROFILE) \
	  $(if $(URL),--url "$(URL)") $(if $(URL_OFF),--url-off "$(URL_OFF)") \
	  $(if $(OUT),--out "$(OUT)") $(ARGS)

CLEAN ?= docs
bench-pii: $(READY) ## How exactly personal data is found: DATA=<folder>, CLEAN=<texts without any>, OUT=figures.json
	@test -n "$(DATA)" || { echo "Say what to measure: make bench-pii DATA=<folder>"; exit 2; }
	@$(RUN) -m benchmarks.pii --data "$(DATA)" --clean "$(CLEAN)" $(if $(OUT),--out "$(OUT)") $(ARGS)

bench-groundedness: $(READY) ## How well unsupported answers are told: DATA=<folder>, OUT=figures.json
	@test -n "$(DATA)" || { echo "Say what to measure: make bench-groundedness DATA=<folder>"; exit 2; }
	@$(RUN) -m benchmarks.groundedness --data "$(DATA)" --quotes docs $(if $(OUT),--out "$(OUT)") $(ARGS)

bench-guard-live: $(READY) ## What the guardrails add to the time of a real answer: OUT=figures.json, ARGS="--rounds 40"
	@$(RUN) -m benchmarks.guard_live $(if $(OUT),--out "$(OUT)") $(ARGS)

bench-guard: $(READY) ## What the guard catches and refuses: DATA=<folder of .jsonl files>, OUT=figures.json
	@test -n "$(DATA)" || { echo "Say what to measure: make bench-guard DATA=<folder of .jsonl files>"; exit 2; }
	@$(RUN) -m benchmarks.guard --data "$(DATA)" $(if $(OUT),--out "$(OUT)")

STATUS ?= ~/.raglan/hybrid/status.json
cluster-status: $(READY) ## What each pool of the hybrid cluster holds and what is set aside: STATUS=status.json
	@$(RUN) -m cluster.hybrid status --file $(STATUS)

CLUSTER ?= cluster/hybrid.yaml
cluster-dry-run: $(READY) ## What a demand would launch: CLUSTER=hybrid.yaml, DEMAND="6xGPU=1,CPU=2@site=cloud", ARGS=...
	@$(RUN) -m cluster.hybrid dry-run $(CLUSTER) $(if $(DEMAND),--demand $(DEMAND)) $(ARGS)

bench-fleet: $(READY) ## Simulate 1,000 GPUs over three sites: hybrid, all-cloud, all-on-prem; ARGS="--seed 7 --out var/bench"
	@$(RUN) -m benchmarks.fleet $(ARGS)

config-reference: $(READY) ## Write docs/configuration.md from the settings
	@mkdir -p var; $(RUN) -m deployments.reference > var/configuration.md && mv var/configuration.md docs/configuration.md

cluster-files: $(READY) ## Write what follows from cluster/gpu.yaml: KubeRay's RayService and cluster/cloud.yaml
	@$(RUN) -m cluster.derived

cluster-check: PROFILE = cluster/gpu.yaml
cluster-check: $(READY) ## Whether a cluster can hold an application: CLUSTER=cluster/hybrid.yaml PROFILE=cluster/gpu.yaml
	@$(RUN) -m deployments.cluster_check $(CLUSTER) $(PROFILE)

lock: $(READY) ## Resolve requirements/ again
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile pyproject.toml --extra cpu --extra dev --python-version 3.11 --no-header --no-annotate \
	  --python-platform x86_64-manylinux_2_28 --overrides requirements/cpu.overrides.txt \
	  --excludes requirements/cpu.excludes.txt -o requirements/cpu.txt
	$(BIN)/uv pip compile pyproject.toml --extra gpu --python-version 3.11 --no-header --no-annotate \
	  --python-platform x86_64-manylinux_2_28 -o requirements/gpu.txt
