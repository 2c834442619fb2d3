# Each target makes .venv from constraints.txt if it is missing or out of date.
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check --quiet
# Of the quickstart's report: a folder that git ignores, as the one in reports/ comes along.
OUT ?= quickstart
PROJECT = pyproject.toml constraints.txt

.PHONY: quickstart test lint bench profile faults load clean

quickstart: .venv/.installed
	.venv/bin/harness run gin/quickstart.gin --out $(OUT)

# Two processes, each with whole files of tests: TEST_PROCESSES=0 for one.
TEST_PROCESSES ?= 2
test: lint
	.venv/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

lint: .venv/.installed-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: .venv/.installed
	.venv/bin/python tests/benchmarks/bench_speed.py --out reports/speed

profile: .venv/.installed
	.venv/bin/python tests/benchmarks/bench_product.py --out reports/speed

faults: .venv/.installed-test
	.venv/bin/python tests/faults/measure.py --out reports/faults.md

load: .venv/.installed
	.venv/bin/python tests/load/measure.py --out reports/load.md

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "harness needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv

.venv/.installed: $(PROJECT) | .venv/bin/python
	$(PIP) install -c constraints.txt -e .
	touch $@

.venv/.installed-test: $(PROJECT) | .venv/bin/python
	$(PIP) install -c constraints.txt -e '.[test]'
	touch .venv/.installed $@
