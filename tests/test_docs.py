"""The documentation says what the library has: its notes, its names, its calls."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest
from test_house import FLOW

import scalefit as sf
from scalefit.note_codes import CODES

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
import tables  # noqa: E402  # A script of the documentation, which is no package.

PUBLIC_MODULES = [getattr(sf, name) for name in sf.__all__ if inspect.ismodule(getattr(sf, name))]


def keywords():
    """Names of all parameters of public functions and methods."""
    for module in (sf, *PUBLIC_MODULES):
        for name in module.__all__ if hasattr(module, "__all__") else dir(module):
            thing = getattr(module, name)
            for item in vars(thing).values() if inspect.isclass(thing) else [thing]:
                if inspect.isfunction(item):
                    yield from inspect.signature(item).parameters


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_tables_of_the_pages_are_current(name):
    path, text = tables.page(name)
    assert path.read_text() == text, "write them by python docs/tables.py"


def test_every_law_answers_a_question_and_every_question_is_answered():
    found = tables.answers()
    listed = {law.name for members in found.values() for law in members}
    assert listed == set(sf.laws.BUILTIN)
    assert all(found.values())
    page = (DOCS / "which_law.md").read_text()
    assert [name for name in sf.laws.BUILTIN if f"| `{name}` |" not in page] == []


def test_a_paper_leads_to_the_laws_of_its_formula():
    found = {number: {name for _, name in entries} for number, entries in tables.papers().items()}
    assert found["2109.07740"] == {"power_product"}
    assert {"chinchilla", "accuracy_of_loss"} <= found["2412.04403"]
    assert [number for number, names in found.items() if not names <= set(sf.laws.BUILTIN)] == []


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


def test_the_picture_of_the_flow_is_that_of_the_test():
    rooms = [name.partition(".")[0] for name in FLOW]
    picture = tables.flow((DOCS / "architecture.md").read_text())
    assert picture == [room for room in dict.fromkeys(rooms) if room not in ("", "__main__")]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("holdout", "Predicts 27 runs (C = 1e+21 to 1e+22)"),
        ("compare", "better than chinchilla_n by"),
        ("published_coefficients", "The fit has the lower objective"),
        ("one_column", "6.58e+19"),
    ],
)
def test_the_first_code_of_a_page_runs_and_says_what_the_page_says(page, said):
    code = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), flags=re.DOTALL)[0]
    names = {}
    exec(code, names)
    if page == "one_column":
        found = sf.inverse_predict(names["draws"], 2.9)
        text = f"{float(found.value):.3g}"
    else:
        text = names["found"].verdict()
    assert said in text
