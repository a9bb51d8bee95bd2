# Everything runs from a virtual environment in .venv, made by `make setup` from pyproject.toml.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
JOBS ?= 2

.PHONY: setup demo test test-cross check bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,dev]'
	touch $@

demo: setup
	$(BIN)/lilliput demo

check: setup ## format, lint, types and the fast tests: under a minute
	$(BIN)/ruff format --check src tests scripts
	$(BIN)/ruff check src tests scripts
	$(BIN)/mypy
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m 'not slow and not cross'

test: setup ## everything that needs nothing but pip
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m 'not cross' --cov --cov-report=term:skip-covered --cov-fail-under=90

test-cross: setup ## cross-checks with Debian's gcc-arm-none-eabi, gcc-riscv64-unknown-elf and QEMU; a missing tool is an error
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m cross

bench: .venv/.benchable ## every figure of docs/bench.md, and the table of docs/results.md
	$(BIN)/python scripts/bench.py

.venv/.benchable: $(STAMP) ## the peers that classical models are compared with
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

clean:
	rm -rf build dist runs report.html .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
