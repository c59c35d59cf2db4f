# What people run: make demo, make test, make check. Each does its own set-up, in .venv and build/.

PYTHON ?= python3
PORT ?= 8080
MODES ?= unpatched patched threads
ARGS ?=

VENV := .venv
PIP := -m pip --disable-pip-version-check -q

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.PHONY: help demo test check spec compliance bench bench-guard wheel pythons clean system

help:
	@sed -n 's/^## //p' Makefile

## make demo        the chat sample on http://127.0.0.1:8080/ (PORT=8080)
demo: $(VENV)/.has-flask
	@echo "The chat is at http://127.0.0.1:$(PORT)/ - open it in two windows. Ctrl-C ends it."
	exec $(VENV)/bin/python -m wellhead.server samples.chat.app:app --host 127.0.0.1 --port $(PORT)

## make test        the suite in each of MODES="unpatched patched threads" (ARGS="-k name" goes to pytest)
test: $(VENV)/.has-test system tests/clients/node_modules/.package-lock.json
	@failed=
	for mode in $(MODES); do
	    echo "== mode $$mode"
	    WELLHEAD_TEST_MODE=$$mode $(VENV)/bin/python tests/run.py $(ARGS) || failed+=" $$mode"
	done
	if [ -n "$$failed" ]; then echo "failed in the mode:$$failed"; exit 1; fi

## make check       ruff, its formatter, mypy
check: $(VENV)/.has-check $(VENV)/.has-test build/ns/wellhead
	@$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	MYPYPATH=build/ns $(VENV)/bin/mypy -p wellhead.messaging -p wellhead.server -p samples -p benchmarks -p compliance

## make spec        the behaviour ids of docs/specification.md that no test proves yet
spec:
	@$(PYTHON) tests/house/spec.py

## make compliance  the WebSocket compliance cases against the server (compliance/)
compliance: $(VENV)/.has-test
	@$(VENV)/bin/python -m compliance $(ARGS)

## make bench       the benchmarks (benchmarks/)
bench: $(VENV)/.has-test
	@tests/system.sh gcc libc6-dev
	$(VENV)/bin/python -m benchmarks $(ARGS)

## make bench-guard counts calls and instructions of a delivery, a SEND and others; fails when they became many more
bench-guard: $(VENV)/.has-test
	@tests/system.sh gcc libc6-dev
	$(VENV)/bin/python -m benchmarks --guard $(ARGS)

## make wheel       builds the wheel into build/dist and runs the suite against it in a clean environment
wheel: $(VENV)/.has-check system tests/clients/node_modules/.package-lock.json
	@mkdir -p build
	rm -rf build/dist build/wheel
	$(VENV)/bin/python -m build --outdir build/dist . > build/wheel.log 2>&1 || { cat build/wheel.log; exit 1; }
	$(VENV)/bin/python -m venv build/wheel
	build/wheel/bin/python $(PIP) install "$$(echo build/dist/*.whl)[test]"
	build/wheel/bin/python -c "import wellhead.server as server; assert 'site-packages' in server.__file__, server.__file__"
	echo "== $$(echo build/dist/*.whl)"
	build/wheel/bin/python tests/run.py $(ARGS)

## make pythons     the suite on every Python from 3.11 to 3.14 that is found here
pythons: system tests/clients/node_modules/.package-lock.json
	@failed=
	for version in 3.11 3.12 3.13 3.14; do
	    python=
	    for candidate in python$$version $$(ls -d ~/.pyenv/versions/$$version.*/bin/python 2> /dev/null | sort -rV); do
	        if $$candidate -c "" 2> /dev/null; then python=$$candidate; break; fi
	    done
	    if [ -z "$$python" ]; then echo "== Python $$version: not found here"; continue; fi
	    echo "== Python $$version"
	    [ -x build/python$$version/bin/python ] || $$python -m venv build/python$$version
	    build/python$$version/bin/python $(PIP) install -e ".[test]"
	    build/python$$version/bin/python tests/run.py $(ARGS) || failed+=" $$version"
	done
	if [ -n "$$failed" ]; then echo "failed on Python:$$failed"; exit 1; fi

## make clean       removes everything that the others made
clean:
	@rm -rf $(VENV) build dist *.egg-info tests/clients/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find messaging server tests samples benchmarks compliance -name __pycache__ -prune -exec rm -rf {} +

# The environment and what is installed into it.

$(VENV)/bin/python:
	@if ! $(PYTHON) -c "" 2> /dev/null; then
	    echo "$(PYTHON) does not start. Install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1
	fi
	if ! $(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))"; then
	    echo "wellhead needs Python 3.11 or newer and this is $$($(PYTHON) -V); name another one: make PYTHON=/path/to/python3.11" >&2; exit 1
	fi
	if ! $(PYTHON) -c "import ensurepip, venv" 2> /dev/null; then
	    package=$$($(PYTHON) -c "import sys; print('python%d.%d-venv' % sys.version_info[:2])")
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
	        echo "$(PYTHON) cannot make virtual environments yet. Run: sudo apt-get install $$package" >&2; exit 1
	    fi
	    tests/system.sh $$package
	fi
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)

# One rule for each extra of setup.cfg that is used here: .has-flask, .has-test, .has-check.
$(VENV)/.has-%: $(VENV)/bin/python setup.cfg pyproject.toml
	@echo "installing wellhead[$*] into $(VENV)"
	$(VENV)/bin/python $(PIP) install -e ".[$*]"
	touch $@

# mypy does not follow an editable install with mapped folders: it gets links under the import names.
build/ns/wellhead:
	@mkdir -p $@
	ln -sfn ../../../messaging $@/messaging
	ln -sfn ../../../server $@/server

system:
	@tests/system.sh chromium nodejs npm nginx haproxy gcc libc6-dev

tests/clients/node_modules/.package-lock.json: tests/clients/package-lock.json | system
	@if ! command -v npm > /dev/null; then
	    echo "npm is not here: tests with JavaScript clients are skipped"
	elif (cd tests/clients && npm ci --omit=optional --no-audit --no-fund --fetch-retries=5 --loglevel=error); then
	    touch $@
	elif [ -n "$${CI:-}" ]; then
	    exit 1
	else
	    echo "npm ci failed: tests with JavaScript clients are skipped"
	fi
