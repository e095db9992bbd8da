# The same commands serve a desk and CI. Only Python 3.11+, make and git are needed to begin.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# CI runs two of these at a time. All that waits for the machine's one lock for measuring is in the first.
TESTS := test-measuring test-faults test-unit

.PHONY: install demo test $(TESTS) check lint format bench-fidelity bench-store bench-models bench-events bench-tui soak soak-long faults lock clean

install: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "benchfleet needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.11 install")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: install
	$(BIN)/benchfleet demo

test: $(TESTS)

check: test-measuring test-faults lint test-unit

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each folder in a process of its own: what one leaves in memory slows the measurements of the next.
test-measuring: install
	$(BIN)/python -m pytest tests/integration
	$(BIN)/python -m pytest tests/e2e --ignore-glob='*/test_faults_*'

test-faults: install
	$(BIN)/python -m pytest tests/e2e/test_faults_*.py

test-unit: install
	$(BIN)/python -m pytest tests/unit tests/tui tests/soak daemons/worker/engines/conformance

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# How far the figures are from the truth, and how fast the store is. They want a quiet machine and take minutes.
bench-fidelity: install
	$(BIN)/python -m tests.benchmarks.same_session
	$(BIN)/python -m tests.benchmarks.fidelity

bench-store: install
	$(BIN)/python -m tests.benchmarks.store

# How fast a model of 1 GiB is taken in and given out, and that neither takes memory for it.
bench-models: install
	$(BIN)/python -m tests.benchmarks.models

# What the log of events costs the store, and what 200 listeners cost.
bench-events: install
	$(BIN)/python -m tests.benchmarks.events

# How soon the dashboard paints, and answers a key under 2,000 events a second.
bench-tui: install
	$(BIN)/python -m tests.benchmarks.tui

# Whether anything is lost or comes twice when processes are killed and stopped: real ones, for some minutes.
soak: install
	$(BIN)/python -m tests.soak

# Whether anything grows: ten jobs a second for 20 minutes, without a fault.
soak-long: install
	$(BIN)/python -m tests.soak.long

# The fault tests at the size that docs/reliability.md tells of, with what they measured; some need root.
faults: install
	FAULTS=full $(BIN)/python -m pytest -s tests/e2e/test_faults_*.py

# Needs uv (pip install uv). Writes names, versions and hashes only: what runs, what also checks and tests it, and what
# deploy/install.sh --with adds.
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock:
	$(UV_COMPILE) pyproject.toml --group build --output-file requirements.lock
	$(UV_COMPILE) pyproject.toml --group dev --output-file requirements-dev.lock
	$(UV_COMPILE) --group openvino --constraint requirements.lock --output-file requirements-openvino.lock
	$(UV_COMPILE) --group cuda --constraint requirements.lock --output-file requirements-cuda.lock

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
