# Parley's commands. `make run` needs Python 3.11 or newer with venv; all else is fetched by pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help run config check test browser bench clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(STAMP) ## all of Parley on this machine (PORT=8001 for another port, DASHBOARD=1 for Ray's)
	@$(if $(PORT),PARLEY__HTTP__PORT=$(PORT)) $(BIN)/python serve_app.py $(if $(DASHBOARD),--dashboard)

config: $(STAMP) ## the effective configuration, secrets masked
	@$(BIN)/python -m config

check: $(STAMP) ## format, lint, types, import rules, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit

bench: $(STAMP) ## Parley beside a plain server: latency, throughput, cost (five minutes)
	@$(BIN)/python -m bench

# Every process is measured, Ray's workers too; tests/coverage/sitecustomize.py tells how.
test: export COVERAGE_FILE := $(CURDIR)/.coverage
test: export PYTHONPATH := $(CURDIR)/tests/coverage
test: $(STAMP) browser ## everything, with coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| command -v google-chrome >/dev/null \
	|| if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; \
	else \
		echo "The console's tests need Chromium: install it (Debian: apt install chromium)." >&2; exit 1; \
	fi

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "Parley needs Python 3.11 or newer: make PYTHON=python3.12 run" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	|| { echo "Python lacks venv: install it (Debian: apt install python3-venv)." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@touch $@

clean: ## forgets the environment and the embedded data
	rm -rf $(VENV) .parley
