"""Simulated tables: a design with losses of a known law, and noise on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import instance, number, numbers, shown
from scalefit.arguments import seed as checked_seed
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.laws import Law, find
from scalefit.simulation.designs import parameters_of, surface_of
from scalefit.simulation.noise import Noise

__all__ = ["simulate"]


def simulate(
    design: pd.DataFrame,
    law: str | Law = "chinchilla",
    params: str | Mapping[str, float] = "chinchilla",
    *,
    noise: float | Noise = 0.005,
    seed: int = 0,
) -> pd.DataFrame:
    """The design with losses of a law, or whatever else it predicts, and noise on them.

    Args:
        design: columns of the law, raw units.
        law: name of a built-in law, or a law.
        params: a name in ``SURFACES``, or the law's parameters.
        noise: standard deviation of ln L, normal and independent; or a :class:`Noise`, which can be
            additive, heavy-tailed or shared by clusters of runs. Noise on an accuracy may take it
            beyond 1.
        seed: of the noise.

    Returns:
        A copy of the design with a column ``loss``; of a law that predicts something else, with
            one of that name, as ``accuracy``.

    Raises:
        ArgumentError: the design is no DataFrame, a parameter is missing or no number, or the noise
            or the seed makes no sense.
        DataError: the design lacks a column or has values that the law does not describe.

    Example:
        >>> import scalefit as sf
        >>> noise = sf.simulation.Noise(0.05, additive=True)
        >>> runs = sf.simulate(sf.simulation.isoflop_design(), noise=noise)
    """
    law = find(law)
    instance(
        design,
        "design",
        pd.DataFrame,
        wanted="a DataFrame",
        remedy="Pass one run per row, as design=scalefit.simulation.isoflop_design()",
    )
    kind = noise if isinstance(noise, Noise) else None
    if kind is None:
        remedy = "Pass a standard deviation of ln L, as noise=0.005, or a scalefit.simulation.Noise"
        kind = Noise(number(noise, "noise", least=0, remedy=remedy))
    values = parameters_of(law, surface_of(params, "params"), "params")
    rng = np.random.default_rng(checked_seed(seed))
    used = {}
    for name in law.columns:
        if name not in design:
            raise DataError(
                f"the design has no column {name!r}, which {law.name!r} takes",
                column=name,
                remedy=f"Columns: {listed(list(design.columns))}",
            )
        remedy = "Give plain numbers in raw counts"
        used[name] = numbers(design[name], f"design[{name!r}]", remedy=remedy)
    law.check(used, list(design.index))
    exact = law.evaluate(used, values)
    _refuse_endless(exact, "params", params, "Check them, and the columns of the design")
    with np.errstate(over="ignore"):
        loss = kind.applied(exact, kind.draw(design, rng))
    _refuse_endless(loss, "noise", noise, "Pass less, as noise=0.005")
    return design.assign(**{law.response: loss})


def _refuse_endless(loss: np.ndarray, argument: str, value: Any, remedy: str) -> None:
    """Raise where a loss is no finite number."""
    bad = np.flatnonzero(~np.isfinite(loss))
    if len(bad):
        raise ArgumentError(
            f"{argument}={shown(value)} makes the loss {loss[bad[0]]} in row {bad[0]} of the "
            "design, counted from 0",
            argument=argument,
            value=value,
            remedy=remedy,
        )
