# Every target does its own set-up: a virtual environment from constraints.txt and, as root,
# the Debian packages that are missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOT ?= data
PRESET ?= tiny
SEED ?= 0
PORT ?= 3000
# HumanEval-X C++ as JSONL (README.md, Tests); without it the subjects that need it say "not run".
HUMANEVAL ?= $(wildcard ../shared/data/humaneval_cpp.jsonl)
# Folder filled by scripts/bench-corpora; without it the data subjects say "not run".
BENCH_DATA ?=
# Checkout of karpathy/nanochat, a peer that is in no registry; without it its row says "not run".
PEER_NANOCHAT ?=
# Where the browser tests leave pictures of what they saw.
UI_SCREENSHOTS ?= build/screenshots
# One more than cores: what tests of services and pods do is half waiting.
TEST_PROCESSES ?= $(shell echo $$(($$(nproc) + 1)))
# A run starts some 25 Python processes and the tests some 900: each would compile all our modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test fast-tests test-slow bench e2e lint ui setup packages clean

run: setup  ## the whole chain, from dumps to the evaluated GSPO checkpoint
	$(BIN)/cpp-pipeline run --root $(ROOT) --preset $(PRESET) --seed $(SEED)

ui: setup  ## the Dagster UI on the same runs and data; Ctrl-C stops everything
	$(BIN)/cpp-pipeline ui --root $(ROOT) --preset $(PRESET) --seed $(SEED) --port $(PORT)

test: setup  ## everything that has to hold at each commit
	@$(MAKE) --no-print-directory -j2 lint fast-tests

fast-tests: setup
	UI_SCREENSHOTS=$(UI_SCREENSHOTS) $(BIN)/python -m pytest -m "not slow" -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder; code=$$?; \
		if [ -d $(UI_SCREENSHOTS) ]; then echo "screenshots of the browser tests: $(UI_SCREENSHOTS)"; fi; exit $$code

test-slow: setup  ## tests that take minutes each
	$(BIN)/python -m pytest -m slow -s

bench: setup  ## measured claims, alone on the machine; NAMES="sandbox_speed ..." runs some, OUT=docs keeps them
	$(BIN)/python -m benchmarks --seed $(SEED) $(if $(HUMANEVAL),--humaneval $(HUMANEVAL)) $(if $(BENCH_DATA),\
		--corpora $(BENCH_DATA)/trees --histories $(BENCH_DATA)/histories --peers $(BENCH_DATA)/peers) \
		$(if $(PEER_NANOCHAT),--nanochat $(PEER_NANOCHAT)) $(if $(OUT),--out $(OUT)) $(NAMES)

lint: setup
	$(BIN)/ruff check cpp_pipeline cpp_pipeline_tests benchmarks
	$(BIN)/ruff format --check cpp_pipeline cpp_pipeline_tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dg check defs

setup: packages $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	./scripts/kustomize $(BIN)
	touch $@

packages:
	@./scripts/debian-packages g++ cmake ninja-build bubblewrap mold valgrind chromium

clean:
	rm -rf $(VENV) build .dagster .mypy_cache .ruff_cache .pytest_cache
