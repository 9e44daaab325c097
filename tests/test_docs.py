"""The documentation says what the library has: its notes, its names, its calls."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

import scalefit as sf
from scalefit.notes import CODES

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
import notes_table  # noqa: E402  # A script of the documentation, which is no package.

PUBLIC_MODULES = [getattr(sf, name) for name in sf.__all__ if inspect.ismodule(getattr(sf, name))]


def keywords():
    """Names of all parameters of public functions and methods."""
    for module in (sf, *PUBLIC_MODULES):
        for name in module.__all__ if hasattr(module, "__all__") else dir(module):
            thing = getattr(module, name)
            for item in vars(thing).values() if inspect.isclass(thing) else [thing]:
                if inspect.isfunction(item):
                    yield from inspect.signature(item).parameters


def test_the_table_of_notes_is_current():
    page = notes_table.PAGE.read_text()
    assert page == notes_table.page(page), "write it by python docs/notes_table.py"


@pytest.mark.parametrize("code", CODES)
def test_the_remedy_of_a_code_names_what_exists(code):
    known = {*keywords(), "bounds", "cost"}
    for piece in re.findall(r"`([^`]+)`", CODES[code].remedy):
        if piece.startswith("scalefit."):
            assert importlib.import_module("scalefit") and resolved(piece), piece
        elif "=" in piece:
            assert piece.partition("=")[0] in {*known, "N", "D", "C"}, piece


def resolved(path):
    thing = sf
    for part in path.partition("(")[0].split(".")[1:]:
        thing = getattr(thing, part)
    return thing
