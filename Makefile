# One command checks everything (`make check`), one runs the tests (`make test`), one shows the thing (`make demo`).
# Each does its own set-up: Python 3.11 or later, pip and make are all that a machine needs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
WORKERS ?= 2

# compiled files halve the start of every process
unexport PYTHONDONTWRITEBYTECODE
export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false

.PHONY: help setup check format lock test bench demo clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## the environment in .venv, from the lock

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(f"cleanplate needs Python 3.11, 3.12 or 3.13; {sys.executable} is {v[0]}.{v[1]}. Try: make PYTHON=python3.12 ...") if not (3, 11) <= v <= (3, 13) else None'
	@echo "Setting up $(VENV) from the lock ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@sed -n '/^uv==/,/# via/p' requirements-dev.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

check: $(READY)  ## format, lint, types, import contracts, lock
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.check_lock

format: $(READY)  ## put the code in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links
EXTRAS  := --extra dask --extra demo --extra lama

lock: $(READY)  ## resolve the dependencies anew, within the bounds of pyproject.toml
	$(COMPILE) $(EXTRAS) -o requirements.lock pyproject.toml
	$(COMPILE) $(EXTRAS) --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	$(COMPILE) $(EXTRAS) --extra ray -c requirements.lock -o requirements-ray.lock pyproject.toml

test: $(READY)  ## the test suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

demo: $(READY)  ## real photographs through the local engine, no key, no server
	$(BIN)/cleanplate demo

bench: $(READY)  ## the measured comparisons, into bench-results/; QUICK=1 for the short setting, NAME=peers for some
	$(BIN)/python -m tests.benchmarks $(if $(QUICK),--quick) $(NAME)

clean:  ## everything that the above made
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache demo-output bench-results
