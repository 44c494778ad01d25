# Everything a contributor types. Each target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv

.PHONY: help setup up down test lint check format docs bench coverage conformance fuzz faults clis demo clean

help:            ## say what there is
	@sed -n 's/^\([a-z]*\): .*## /\1\t/p' $(MAKEFILE_LIST) | sort | column -t -s "$$(printf '\t')"

setup: $(BIN)/.ready  ## make .venv with all that development needs

$(BIN)/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "repomesh needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "the venv module is missing: on Debian 'apt install python3-venv'" >&2; exit 1; }
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	@$(UV) sync --quiet --locked --all-extras --inexact --compile-bytecode
	@touch $@

up: setup        ## start the server for this repository; PORT=8888 names another port
	@$(BIN)/repomesh up $(if $(PORT),--port $(PORT))

down: setup      ## stop it
	@$(BIN)/repomesh down

# Where no bytecode may be written, each of the many processes of the tests compiles all that it imports.
# Nearly half of a test's time is waiting: three processes keep two cores busy.
test: setup      ## run the tests
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist worksteal

lint: setup      ## check format, style, types and the direction of imports
	@$(BIN)/ruff format --check src tests bench scripts
	@$(BIN)/ruff check src tests bench scripts
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

check: lint      ## check within a minute what a commit needs: what lint does, and the tests of what changed, on SQLite
	@tests=$$($(BIN)/python scripts/changed_tests.py); test -z "$$tests" || \
		PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 -k "not postgresql" $$tests

format: setup    ## format the code
	@$(BIN)/ruff check --fix --quiet src tests bench scripts
	@$(BIN)/ruff format src tests bench scripts

docs: setup      ## write what is derived from the code anew: parts of docs/, the catalogue, the typed client
	@$(BIN)/python -m repomesh.surfaces.catalogue src/repomesh/client/catalogue.json
	@$(BIN)/python scripts/typed_client.py
	@$(BIN)/python scripts/reference.py

coverage: setup  ## run the tests and say which lines none of them reached
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n 3 --dist worksteal
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=85

bench: setup     ## measure beside the floors; writes bench/results.json
	@$(BIN)/python -m bench

fuzz: setup      ## send a real server what its OpenAPI document allows and forbids, for SECONDS (600)
	@$(BIN)/python tests/tools/fuzz.py $(or $(SECONDS),600) $(DATABASE_URL)

faults: setup    ## kill real servers, at every step of a meeting and of a landing; play random histories
	@REPOMESH_TEST_FAULTS=all $(BIN)/python -m pytest -v -s -m fault
	@REPOMESH_TEST_HISTORIES=50000 $(BIN)/python -m pytest -v tests/domains/meetings/test_rules.py
	@REPOMESH_TEST_QUEUE_HISTORIES=300 $(BIN)/python -m pytest -v tests/domains/changes/test_histories.py
	@REPOMESH_TEST_REQUEST_HISTORIES=200 $(BIN)/python -m pytest -v tests/domains/requests/lifecycle/test_request_histories.py

clis:            ## install the agent CLIs that the tests run into ~/.cache/repomesh/clis, or REPOMESH_CLIS
	@$(PYTHON) scripts/clis.py

demo: setup      ## play the main job with three agents
	@$(BIN)/repomesh demo

conformance: setup  ## run the MCP conformance suite, both revisions, against the real server
	@$(BIN)/python tests/conformance/run.py --cache .cache/conformance

clean:           ## remove what setup and tests made
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
