"""Rows of calls that make no sense: each is refused by argument, value and remedy, and mended.

A file of tests lists its rows and runs them all by one test:

    ROWS = [Row("no seed", options, {"seed": -1}, "seed"), ...]

    @pytest.mark.parametrize("row", ROWS, ids=str)
    def test_nonsense_is_refused_and_mended_by_what_is_said(row):
        check(row)
"""

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest

import scalefit as sf

# Characters of a message: it must be read at a glance.
LONGEST = 500

# A keyword with a value, as messages propose it.
KEYWORD = re.compile(r"\b(\w+)=(?!=)")


@dataclass(frozen=True)
class Row:
    """A call that makes no sense.

    Attributes:
        label: what is wrong, in a word or two.
        call: takes what is given by keyword.
        given: what is given, the nonsense among it.
        argument: what the error calls the argument.
        mended: what is given once the remedy is followed. By default what the remedy itself
            prints, as ``seed=0``, in place of what was given under that name. What is ``...`` is
            left out.
    """

    label: str
    call: Callable[..., Any]
    given: Mapping[str, Any]
    argument: str
    mended: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        # Without addresses: every process of a parallel run names a test alike.
        return re.sub(r" at 0x[0-9a-f]+", "", self.label)


def check(row: Row) -> sf.errors.ArgumentError:
    """Refused by an ArgumentError that names argument, value and remedy, silently otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(sf.errors.ArgumentError) as caught:
            row.call(**_left(row.given))
        error = caught.value
        message = str(error)
        assert error.argument == row.argument, message
        assert error.remedy and message.endswith(f". {error.remedy}"), message
        assert row.argument in message, message
        assert "\n" not in message and len(message) < LONGEST, message
        mended = row.mended
        if mended is None:
            proposed = keywords(error.remedy)
            own = {name: value for name, value in proposed.items() if name in row.given}
            mended = own or proposed
            assert mended, f"the remedy prints no keyword, and the row says nothing: {message}"
        row.call(**_left({**row.given, **mended}))
    return error


def _left(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not ...}


def keywords(remedy: str) -> dict[str, Any]:
    """Values of the keywords that a remedy prints, as Python; the first of each."""
    found: dict[str, Any] = {}
    for match in KEYWORD.finditer(remedy):
        code = literal(remedy[match.end() :])
        if code is not None and match[1] not in found:
            found[match[1]] = eval(code, _space())
    return found


def _space() -> dict[str, Any]:
    """What code in a message is written in terms of."""
    modules = {"scalefit": sf, "numpy": np, "matplotlib": matplotlib}
    return {**modules, "np": np, "sf": sf, "runs": runs(), "fit": fit(), "draws": draws()}


def literal(text: str) -> str | None:
    """The Python that a text begins with; a function is taken to the end of the text."""
    ends = [item.start() for item in re.finditer(r"[,;:.]?(?=\s|$)|[)](?=[\s,;.]|$)", text)]
    pieces = [text[:end].rstrip(",;:. ") for end in ends]
    if text.startswith("lambda"):
        pieces.reverse()
    for piece in pieces:
        try:
            ast.parse(piece.strip(), mode="eval")
        except SyntaxError:
            continue
        if piece.strip():
            return piece.strip()
    return None


@cache
def runs() -> pd.DataFrame:
    """Runs of five budgets, with a few columns to group by; never to be changed in place."""
    frame = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.003, seed=1)
    return frame.assign(corpus=frame.index % 9, format=np.where(frame.index % 2, "fp8", "bf16"))


@cache
def fit() -> sf.Fit:
    """The default fit of them."""
    return sf.fit(runs())


@cache
def draws() -> sf.Ensemble:
    """A bootstrap of it."""
    return sf.bootstrap(fit(), runs(), n_draws=40, progress=False)
