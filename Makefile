# Every word a developer needs. Bare `make` prints them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := menu
MAKEFLAGS += --no-print-directory

# The first Python that is new enough; `make PYTHON=...` chooses another.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
PACKAGES := orchestrator adapters schedules api
ARGS ?=
# Most tests wait for something most of the time: more of them than cores run side by side.
WORKERS ?= 3

.PHONY: menu
menu:
	@echo "make WORD [ARGS=...]"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: demo
demo: $(INSTALLED) ## the main job before your eyes: 41 virtual sites and the province (ARGS="--once --json")
	@$(BIN)/diemcau demo $(ARGS)

.PHONY: serve
serve: $(INSTALLED) ## the service with REST, board and bell (ARGS="--port 8080")
	@$(BIN)/diemcau serve $(ARGS)

.PHONY: test
test: $(INSTALLED) system-test ## all tests but peers and bench (ARGS="-k lease")
	@$(BIN)/pytest --ignore=tests/peers --ignore=tests/bench -n $(WORKERS) --dist loadfile $(ARGS)

.PHONY: fast
fast: $(INSTALLED) ## the tests that need no database server, browser or process of their own
	@$(BIN)/pytest tests/unit tests/conformance -n $(WORKERS) --dist loadfile $(ARGS)

.PHONY: check
check: $(INSTALLED) ## format, lint, types, walls, and whether generated pages are fresh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.pages --check

.PHONY: peers
peers: $(INSTALLED) system-peers ## the same job with real Asterisks and 41 baresip endpoints (root)
	@$(BIN)/pytest tests/peers
	@$(BIN)/python -m tests.peers.province $(ARGS)

.PHONY: bench
bench: $(INSTALLED) system-bench ## how fast and how big, as JSON lines
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: fuzz
fuzz: $(INSTALLED) ## hostile input for the SIP readers, a minute and a bit (ARGS="600" seconds)
	@$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: fmt
fmt: $(INSTALLED) ## format, and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: $(INSTALLED) ## write the generated pages of docs/ again
	@$(BIN)/python -m scripts.pages

COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --quiet

.PHONY: lock
lock: $(LOCKED) ## resolve the locks again: all, and what a server needs (ARGS="--upgrade")
	$(COMPILE) --group dev -o requirements.lock $(ARGS)
	$(COMPILE) --constraint requirements.lock -o requirements.run.lock

.PHONY: venv
venv: $(INSTALLED) ## the virtual environment, from requirements.lock alone

.PHONY: system
system: system-venv system-test system-peers system-bench ## the Debian packages of all words

SYSTEM := system-venv system-test system-peers system-bench
.PHONY: $(SYSTEM)
$(SYSTEM): system-%:
	@PYTHON="$(PYTHON)" scripts/system-packages $*

.PHONY: clean
clean: ## forget the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

# The lock has hashes: nothing else can be installed. The package itself is built without
# isolation, by the build backend of the lock, so no second, unlocked download happens.
$(LOCKED): requirements.lock
	@PYTHON="$(PYTHON)" scripts/system-packages venv
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11 or newer found; install one or say make PYTHON=..." >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "Installing requirements.lock into $(VENV) (about a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(INSTALLED): $(LOCKED) pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
