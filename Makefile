# Everything a developer types. Needs make and Python 3.11 or newer, nothing else; `make` alone lists the targets.
PYTHON ?= python3
WORKERS ?= 2
ROUNDS ?= 7

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-quick check format bench docs package clean

BIN := .venv/bin
DEV := .venv/.installed-dev
DOCS := .venv/.installed-docs
BENCH := .venv-bench/.installed-bench
REQUIREMENTS := pyproject.toml constraints.txt

# One thread a process: pytest's workers and the runs of a comparison share the cores among themselves.
export OMP_NUM_THREADS ?= 1
# Bytecode is kept: compiling the package anew takes every process of the tests a second or two.
unexport PYTHONDONTWRITEBYTECODE

# $(call install,FOLDER,EXTRA): makes the environment if there is none that works, and installs the project into it.
define install
	@python=; for candidate in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "No Python 3.11 or newer found; name one: make PYTHON=/path/to/python3" >&2; exit 1; fi; \
	if ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
	  echo "Making $(1) with $$("$$python" --version) ..."; \
	  "$$python" -m venv --clear $(1) || { echo "Python's venv module is not whole; on Debian: apt install python3-venv" >&2; exit 1; }; \
	fi
	@echo "Installing lambda-vae[$(2)] into $(1); the first time takes some minutes ..."
	@$(1)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[$(2)]'
	@touch $@
endef

$(DEV): $(REQUIREMENTS)
	$(call install,.venv,dev)

$(DOCS): $(REQUIREMENTS) $(DEV)
	$(call install,.venv,docs)

# Apart from .venv, so that the packages of the other contenders decide nothing about ours.
$(BENCH): $(REQUIREMENTS)
	$(call install,.venv-bench,bench)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(DEV) ## train a VAE and its remedies on the embedded digits, and write the report (minutes)
	@rm -rf runs/demo
	$(BIN)/lambda-vae compare --data digits --methods vae warm-up lambda-vae --delta 1.19 --release_epochs 0 150 --epochs 300 --out runs/demo
	@echo
	@echo "Open $(CURDIR)/runs/demo/report.html in a browser."

test: $(DEV) ## run all tests, the examples in the docstrings among them
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --doctest-modules --jaxtyping-packages=lambda_vae,typechecker.check src tests

test-quick: $(DEV) ## run the tests nearest to what differs from main, for under a minute
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --within 40 -m 'not slow' -rs --doctest-modules \
	  --jaxtyping-packages=lambda_vae,typechecker.check $$($(BIN)/python tests/telling.py)

check: $(DEV) ## lint, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict

format: $(DEV) ## put the code into the one format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(BENCH) ## time training side by side with other trainers, and its memory; writes results/benchmarks.md
	.venv-bench/bin/python benchmarks/training.py --rounds $(ROUNDS)
	.venv-bench/bin/python benchmarks/step_profile.py
	.venv-bench/bin/python benchmarks/start.py
	.venv-bench/bin/python benchmarks/diagnose.py
	.venv-bench/bin/python benchmarks/memory.py
	.venv-bench/bin/python benchmarks/precision.py
	.venv-bench/bin/python benchmarks/methods.py
	.venv-bench/bin/python benchmarks/pixelcnn_sampling.py
	.venv-bench/bin/python benchmarks/logistic_mixture.py
	.venv-bench/bin/python benchmarks/information.py
	.venv-bench/bin/python benchmarks/estimators.py
	.venv-bench/bin/python benchmarks/planted_cases.py --examples 50 200 1000 --seeds 3
	.venv-bench/bin/python benchmarks/monitor.py
	.venv-bench/bin/python benchmarks/distributed.py
	.venv-bench/bin/python benchmarks/scaling.py

docs: $(DOCS) ## build the documentation; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "Open $(CURDIR)/docs/_build/html/index.html in a browser."

package: $(DEV) ## build wheel and source, and try the wheel in an environment of its own
	rm -rf dist .venv-wheel
	$(BIN)/hatchling build -d dist
	$(BIN)/python -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt dist/*.whl
	cd .venv-wheel && bin/lambda-vae train --data digits --epochs 2 --iw_samples 4 --out run && bin/lambda-vae diagnose run

clean: ## remove what was built; environments for work and runs stay
	rm -rf build dist .venv-wheel docs/_build docs/jupyter_execute .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
