# make serve   a durable server on port 2181, data in ./data
# make test    all tests that this machine can run
# make bench   figures beside Apache ZooKeeper's
#
# The rest is for who changes the code; `make help` lists it.

# The system's interpreter first, if it will do: distributions build theirs with
# optimisation, which makes the server a fifth faster than one built without.
PYTHON ?= $(shell for each in /usr/bin/python3 python3; do \
	$$each -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
		2>/dev/null && echo $$each && break; done || echo python3)
VENV := .venv
PORT := 2181
DATA_DIR := data
PYTEST_ARGS ?=
ZKSERVER_DIFFERENTIAL_SEEDS ?= 200
SEEDS ?= 100
FIRST ?=
MINUTES ?=
WORLD ?=
SEED ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEST_INSTALLED := $(VENV)/.installed-test

.PHONY: help venv serve test lint types house check bench peers differential mixed simulate \
	simulate-ci torture docs clean
.DEFAULT_GOAL := help

help:
	@echo "make serve         run a durable standalone server: port $(PORT), data in ./$(DATA_DIR)"
	@echo "make test          run the tests; those with Apache's server need 'make peers' before"
	@echo "make bench         compare with Apache ZooKeeper (needs 'make peers' before)"
	@echo "make venv          make $(VENV) with zkserver in it"
	@echo "make check         lint, types and the rules of the house"
	@echo "make peers         install Apache ZooKeeper, its C library and Chromium from Debian"
	@echo "make differential  a long comparison with Apache's server, reply by reply"
	@echo "make mixed         every mix of five servers, Apache's and zkserver's"
	@echo "make simulate      ensembles under faults in virtual time: SEEDS=1000 FIRST=0, or MINUTES=60;"
	@echo "                   WORLD=--standalone for the standalone server"
	@echo "make simulate-ci   fixed seeds and fresh ones of both, in less than four minutes"
	@echo "make torture       random faults on ensembles of processes: MINUTES=10 SEED=…"
	@echo "make docs          write docs/configuration.md"
	@echo "make clean         remove $(VENV) and caches; data stay"

venv: $(INSTALLED)

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "$(PYTHON) is not here: install Python 3.11 or newer, or say make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "zkserver needs Python 3.11 or newer; this is $$($(PYTHON) --version)." \
		"Say make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
		{ echo "$(PYTHON) has no venv module: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(TEST_INSTALLED): pyproject.toml $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

serve: $(INSTALLED)
	@exec $(BIN)/zkserver start-foreground --port $(PORT) --data-dir $(DATA_DIR)

test: $(TEST_INSTALLED)
	$(BIN)/python -m pytest -q -rfEs $(PYTEST_ARGS)

lint: $(TEST_INSTALLED)
	$(BIN)/ruff check .

types: $(TEST_INSTALLED)
	$(BIN)/mypy

house: $(TEST_INSTALLED)
	$(BIN)/python -m pytest -q tests/unit/test_house.py

check: lint types house

bench: $(INSTALLED)
	@$(BIN)/python -m compileall -q src
	$(BIN)/python bench/compare.py

PEER_PACKAGES := zookeeper zookeeper-bin libzookeeper-mt-dev default-jre-headless gcc libc6-dev \
	chromium systemd netcat-openbsd

peers:
	@command -v apt-get >/dev/null || \
		{ echo "make peers installs Debian packages, and this is not Debian:" \
		"install Apache ZooKeeper, its C library, a Java runtime and a C compiler by hand." >&2; \
		exit 1; }
	@if dpkg-query -W -f '$${db:Status-Abbrev}\n' $(PEER_PACKAGES) 2>/dev/null | \
		awk '$$1 == "ii" { found++ } END { exit found != $(words $(PEER_PACKAGES)) }'; then \
		echo "make peers: all there: $(PEER_PACKAGES)"; \
	else \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -q && \
		$$sudo env DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y --no-install-recommends $(PEER_PACKAGES); \
	fi

differential: $(TEST_INSTALLED)
	ZKSERVER_DIFFERENTIAL_SEEDS=$(ZKSERVER_DIFFERENTIAL_SEEDS) $(BIN)/python -m pytest \
		-q -rfEs --timeout 0 tests/peers/test_differential.py $(PYTEST_ARGS)

# With ZKSERVER_PEER_CLASSPATH='/path/jars/*' against another version than Debian's.
mixed: $(TEST_INSTALLED)
	ZKSERVER_ALL_MIXES=1 $(BIN)/python -m pytest -q -rfEs --timeout 300 \
		tests/peers/test_mixed_*.py tests/peers/test_migration.py tests/peers/test_bad_peers.py \
		$(PYTEST_ARGS)

# As long as told: MINUTES=60 takes fresh seeds, or those from FIRST on.
simulate: $(INSTALLED)
	$(BIN)/zkserver simulate $(WORLD) $(if $(MINUTES),--minutes $(MINUTES) \
		$(if $(FIRST),--first $(FIRST)),--first $(or $(FIRST),0) --seeds $(SEEDS))

# Half as long on two cores that nobody else uses; --minutes is the bound where they are used.
simulate-ci: $(INSTALLED)
	$(BIN)/zkserver simulate --seeds 150 --fresh 20 --minutes 2.8
	$(BIN)/zkserver simulate --standalone --seeds 40 --fresh 10 --minutes 1

torture: $(TEST_INSTALLED)
	$(BIN)/python -m tests.torture --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

docs: $(INSTALLED)
	$(BIN)/python -m zkserver.base.settings > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist bench/build
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf src/*.egg-info
