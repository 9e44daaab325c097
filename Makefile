# Every target uses the environment that PYTHON names; `make install` makes one.
PYTHON ?= .venv/bin/python

.PHONY: install check lint types types-in-editors test test-slow test-lowest test-newest packages docs \
	notebooks bench clean

install:
	python3 -m venv .venv
	.venv/bin/pip install -e ".[test,docs,bench,release]"

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

# The default tier with the lowest versions that pyproject.toml allows, and with the newest there are,
# each in an environment of its own. TESTS are arguments of pytest; TESTED_PYTHON is 3.11 or newer.
test-lowest:
	PYTHON=$(PYTHON) .ci/versions lowest $(TESTS)

test-newest:
	PYTHON=$(PYTHON) .ci/versions newest $(TESTS)

# Sdist and wheel in dist/, checked, and the wheel tried in a clean environment.
packages:
	PYTHON=$(PYTHON) .ci/packages

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
