"""One row for each built-in law: what a fit of it must find on a table it generated itself.

``test_catalogue.py`` does the same with every row. To add a law, add its row to ``ROWS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf


@dataclass(frozen=True)
class Row:
    """A law, and a table that its paper could have had.

    Attributes:
        law: name of the law.
        design: the data columns, without losses.
        truth: parameters the losses are made with, as a fit names them.
        linear: the parameters that enter linearly.
        exact: largest relative error of each parameter on losses without noise; those left out are
            not identified by the design, and only the surface is compared.
        near: largest relative error of each parameter on noisy losses: about three times the spread
            that the noise causes.
        noise: standard deviation of ln L of the noisy losses (of L, where ``residual`` is raw).
        surface: largest relative error of the surface without noise.
        weak: whether the noisy fit carries the note that parameters are weakly identified.
        at_bound: parameters that the noisy fit finds at a bound.
        allocates: whether a budget can be split between N and D.
        options: of the fit.
        seeds: whether the search depends on the seed (scattered cells).
    """

    law: str
    design: Callable[[], pd.DataFrame]
    truth: Mapping[str, float]
    linear: tuple[str, ...]
    exact: Mapping[str, float]
    near: Mapping[str, float]
    noise: float = 0.003
    surface: float = 1e-9
    weak: bool = False
    at_bound: tuple[str, ...] = ()
    allocates: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: bool = False


def same(names: str, tolerance: float) -> dict[str, float]:
    """One tolerance for several parameters."""
    return dict.fromkeys(names.split(), tolerance)


def crossed(**levels: Any) -> pd.DataFrame:
    """Every combination of the levels."""
    return pd.DataFrame(list(product(*levels.values())), columns=list(levels))


def grid() -> pd.DataFrame:
    """Sizes by tokens, over two and a half decades each."""
    return crossed(N=np.geomspace(2e7, 7e9, 8), D=np.geomspace(5e8, 2e11, 8))


def drifting() -> pd.DataFrame:
    """Many sizes, each with a ladder of tokens."""
    return crossed(N=np.geomspace(2e8, 4e9, 20), D=np.geomspace(2e9, 1e11, 20))


ROWS = [
    Row(
        "chinchilla",
        sf.isoflop_design,
        sf.SURFACES["chinchilla"],
        linear=("E", "A", "B"),
        exact=same("E A B alpha beta", 1e-9),
        near=same("E", 0.05) | same("A B", 0.6) | same("alpha beta", 0.1),
        allocates=True,
    ),
    Row(
        "chinchilla_tied",
        grid,
        {"E": 1.8691, "A": 520.83, "B": 1487.72, "alpha": 0.35266},
        linear=("E", "A", "B"),
        exact=same("E A B alpha", 1e-9),
        near=same("E alpha", 0.02) | same("A B", 0.2),
        allocates=True,
    ),
    Row(
        "chinchilla_n",
        grid,
        {"E": 2.4, "A": 300.0, "alpha": 0.3},
        linear=("E", "A"),
        exact=same("E A alpha", 1e-9),
        near=same("E alpha", 0.02) | same("A", 0.15),
    ),
    Row(
        "chinchilla_d",
        grid,
        {"E": 2.1, "B": 800.0, "beta": 0.29},
        linear=("E", "B"),
        exact=same("E B beta", 1e-9),
        near=same("E beta", 0.02) | same("B", 0.15),
    ),
    Row(
        "farseer",
        drifting,
        {
            "E": 0.4316,
            "B": 1197.4,
            "beta": 0.4115,
            "e": -0.1196,
            "b": -0.4563,
            "c": -0.05147,
            "p": 0.1041,
            "q": 0.01,
            "r": 0.05,
        },
        linear=("E", "B"),
        exact={},
        near=same("E beta", 0.05) | same("B", 0.5),
        surface=1e-6,
        weak=True,
        # Its drifts, followed down to one parameter, end below every surface of sensible sizes.
        allocates=False,
        seeds=True,
    ),
]
