# Two commands: `make demo` shows the main job, `make test` installs what the tests need and runs them all.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet
CAPTURE ?= tests/captures/scans.pcap
PYTEST_FLAGS ?=
# Tests beside each other: the live ones mostly wait. TEST_WORKERS=0 runs one after the other.
TEST_WORKERS ?= 3
BENCH_FLAGS ?=
FUZZ_FLAGS ?=

.PHONY: demo test test-slow test-cluster fuzz lint format bench wheel deb dev clean help

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What each target needs is installed once, and again when pyproject.toml changes.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "installing portkin with the offline extra into $(VENV)"
	$(PIP) -e '.[offline]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## Predict and "block" along a capture, and compare with real Zeek where there is one
	@$(BIN)/portkin replay $(CAPTURE) --detector zeek --decisions
	@$(BIN)/portkin compare $(CAPTURE)

dev: $(VENV)/.dev  ## Install everything, editable

wheel: $(VENV)/.dev  ## Build the wheel into dist/
	@rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist . > /dev/null

# A copy of the tree, since dpkg-buildpackage writes beside it. Debian: apt install build-essential debhelper help2man python3-venv
deb:  ## Build the Debian package into dist/
	@rm -rf build/deb && mkdir -p build/deb/portkin dist
	@git ls-files -z | xargs -0 cp --parents -t build/deb/portkin
	cd build/deb/portkin && dpkg-buildpackage --build=binary --no-sign
	@cp build/deb/portkin_*.deb dist/ && ls -l dist/portkin_*.deb

lint: $(VENV)/.dev  ## Style, import arrows, types, Zeek scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	@for script in zeek-scripts/*.zeek; do \
	    $(BIN)/zeek-script parse $$script > /dev/null && $(BIN)/zeek-format $$script | diff -u $$script - || \
	    { echo "$$script: run make format"; exit 1; }; \
	done

format: $(VENV)/.dev  ## Format Python and Zeek
	$(BIN)/ruff format .
	$(BIN)/zeek-format --inplace zeek-scripts/*.zeek

# The tests run against the installed wheel, not the tree.
test: wheel  ## Install what the tests need and run them all
	@sh tests/debian-packages.sh
	$(PIP) --force-reinstall --no-deps dist/portkin-*.whl
	@status=0; $(BIN)/python -m pytest -m 'not slow and not cluster' -n $(TEST_WORKERS) --dist worksteal --durations 15 $(PYTEST_FLAGS) || status=$$?; $(PIP) --no-deps -e .; exit $$status

test-slow: $(VENV)/.dev  ## The tests that take minutes each
	$(BIN)/python -m pytest -m slow $(PYTEST_FLAGS)

test-cluster: $(VENV)/.dev  ## A Spark cluster on loopback: a master and three workers, killed and all
	@sh tests/debian-packages.sh
	$(BIN)/python -m pytest -m cluster $(PYTEST_FLAGS)

fuzz: $(VENV)/.dev  ## Try every reader with odd bytes, a minute each; FUZZ_FLAGS='--seconds 3600 captures' for more
	$(PIP) -e '.[fuzz]'
	@$(BIN)/python tests/fuzz/run.py $(FUZZ_FLAGS)

bench: $(VENV)/.dev  ## Run all benchmarks into build/bench; BENCH_FLAGS='--size full' for more
	@$(BIN)/python tests/bench/run.py $(BENCH_FLAGS)

clean:  ## Remove what was built
	rm -rf $(VENV) build dist
