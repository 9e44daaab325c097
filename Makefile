# Every target uses the environment that PYTHON names; `make install` makes one.
PYTHON ?= .venv/bin/python

.PHONY: install check lint types types-in-editors test test-slow docs notebooks bench clean

install:
	python3 -m venv .venv
	.venv/bin/pip install -e ".[test,docs,bench]"

# What CI runs: format, lint, types, tests and doctests of both tiers.
check: lint types test test-slow

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy

# What editors with Pylance see, in strict mode; pyright fetches its own program on first use.
types-in-editors:
	$(PYTHON) -m pip install --quiet pyright
	$(PYTHON) -m pyright --pythonpath $(PYTHON) --project tests/pyrightconfig.json

# The default tier, to run on every commit, and which tests take longest.
test:
	$(PYTHON) -m pytest -n auto --durations=25

test-slow:
	$(PYTHON) -m pytest -n auto -m slow --durations=25

# `NOTEBOOKS=false make docs` shows the notebooks without results, in a fraction of the time.
docs:
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

# The notebooks of examples, executed, beside their scripts.
notebooks:
	$(PYTHON) docs/hooks/notebooks.py

bench:
	$(PYTHON) benchmarks/run.py

clean:
	rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
