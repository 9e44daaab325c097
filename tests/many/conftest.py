"""Tables of tests are few, and fitted by the program all the same."""

import pytest

from scalefit.many import api


@pytest.fixture(scope="module", autouse=True)
def few_tables_too():
    """A program even for a few tables."""
    before = api.FEWEST_COMPILED
    api.FEWEST_COMPILED = 1
    yield
    api.FEWEST_COMPILED = before
