# Every target uses the environment that PYTHON names; `make install` makes one.
PYTHON ?= .venv/bin/python

.PHONY: install check lint types test test-fast docs bench clean

install:
	python3 -m venv .venv
	.venv/bin/pip install -e ".[test,docs,bench]"

# What CI runs: format, lint, types, tests and doctests.
check: lint types test

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest

# The tier to run on every commit.
test-fast:
	$(PYTHON) -m pytest -m "not slow"

docs:
	$(PYTHON) -m mkdocs build --strict

bench:
	$(PYTHON) benchmarks/run.py

clean:
	rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
