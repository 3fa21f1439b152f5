# Each target does all its own set-up. `make help` lists them.
SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
# The newest Python that is not older than 3.11.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
PYTEST ?= -n 2 --dist worksteal --durations=20 --durations-min=1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-long sweep lint fix lock wheel sbom audit chaos fuzz soak mutations bench bench-check events clean
help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.demo  ## Run the whole system on this machine: cameras, daemon, broker, alerts
	$(VENV)/bin/maskwatch demo

test: $(VENV)/.dev  ## Run the tests in some minutes (installs the Debian packages they need, if it may)
	@tools/system-packages
	$(PY) -m pytest $(PYTEST) -m 'not long'

test-long: $(VENV)/.dev  ## Run the tests that take longer: real daemons, kills, full disks, training
	@tools/system-packages
	$(PY) -m pytest $(PYTEST) -n 3 -m 'long and not sweep'  # they wait more than they compute

sweep: $(VENV)/.dev  ## Try every case of what the long tests sample: power losses, flipped bits, kills (half an hour)
	@tools/system-packages
	$(PY) -m pytest $(PYTEST) -m sweep

lint: $(VENV)/.dev  ## Run the linters, the type checker and the import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

fix: $(VENV)/.dev  ## Fix what ruff can fix
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

LOCK = $(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' -c requirements/constraints.in
lock: $(VENV)/.dev  ## Compile requirements/*.txt from pyproject.toml, with the release dates for `make audit`
	$(PY) -m pip install --quiet 'uv>=0.5'
	$(LOCK) requirements/build.in -o requirements/build.txt
	$(LOCK) pyproject.toml -o requirements/run.txt
	$(LOCK) pyproject.toml --extra people --extra vault -o requirements/image.txt
	$(LOCK) pyproject.toml --extra demo requirements/build.in -o requirements/demo.txt
	$(LOCK) pyproject.toml --extra demo --extra train --extra people --extra vault --extra dev requirements/build.in \
		-o requirements/dev.txt
	$(PY) -m tools.supply_chain.release_dates

wheel:  ## Build the package with the locked build tools, into build/wheel
	@$(PYTHON) -m venv build/tools
	build/tools/bin/pip install --quiet --require-hashes -r requirements/build.txt
	rm -rf build/wheel
	build/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .

sbom: $(VENV)/.dev  ## Write the bills of materials (CycloneDX) of service and image, into build/sbom
	$(PY) -m tools.supply_chain.sbom

audit: $(VENV)/.dev  ## Report licence, age and known vulnerabilities of dependencies (OFFLINE=1 JSON=file)
	$(PY) -m tools.supply_chain.audit $(if $(OFFLINE),--offline) $(if $(JSON),--json $(JSON))

chaos: $(VENV)/.dev  ## Random faults on the real daemon, with an account that must balance (root; DURATION=600)
	@tools/system-packages
	$(PY) -m tests.chaos --duration $(or $(DURATION),600) $(if $(SEED),--seed $(SEED))

fuzz: $(VENV)/.dev $(VENV)/.fuzz  ## Fuzz what reads untrusted bytes (DURATION=60 seconds each; TARGET=)
	$(PY) -m tests.fuzz $(TARGET) --seconds $(or $(DURATION),60)

soak: $(VENV)/.dev  ## Run the daemon and check that neither memory nor descriptors grow (DURATION=3600)
	@tools/system-packages
	$(PY) -m tests.chaos.soak --duration $(or $(DURATION),3600)

mutations: $(VENV)/.dev  ## Break each guarantee in a scratch copy and check that its test fails (eight minutes)
	@tools/system-packages
	$(PY) -m tests.mutations

bench: $(VENV)/.dev  ## What watching a camera costs in processor time and memory
	$(PY) -m bench.cost
	$(PY) -m bench.memory

bench-check: $(VENV)/.dev  ## Fail if watching costs over a tenth more than bench/reference.json (some minutes)
	$(PY) -m bench.check

events: $(VENV)/.dev  ## Measure decisions on every scene and an hour of quiet footage (needs ../shared; JOBS=1)
	$(VENV)/bin/maskwatch evaluate --events --faces ../shared/data/paper \
		--portraits tests/replay/portraits.txt --quiet-clip ../shared/data/videos/intel_onebyone.mp4 \
		--cache .cache/events --report .cache/events/events.json \
		--plot docs/images/events.svg --page docs/events.md $(if $(JOBS),--jobs $(JOBS))

clean:  ## Remove what the targets made
	rm -rf $(VENV) build .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .fuzz

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "maskwatch needs Python 3.11 or newer; none was found on PATH" >&2; exit 1; fi
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: on Debian, apt-get install python3-venv" >&2; exit 1; }

# Hashes are checked for all that comes from a registry; our own tree is then added without resolving again.
$(VENV)/.%: requirements/%.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what '$*' needs (once) ..."
	$(PY) -m pip install --quiet --require-hashes -r requirements/$*.txt
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
