"""Published coefficients, as facts with their sources, and fits made of them.

The facts are the rows of ``data/published_fits.csv``. Nothing is fitted here: a published fit
predicts and allocates like any other, and a note names its source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import pandas as pd

from scalefit.arguments import choice
from scalefit.data.grouping import Grouping
from scalefit.data.separated_text import read_csv
from scalefit.errors import LawError
from scalefit.laws import Law, find
from scalefit.notes import Note
from scalefit.objective import Objective
from scalefit.results.diagnostics import NO_DIAGNOSTICS
from scalefit.results.fit import Fit
from scalefit.results.status import Status

__all__ = ["published", "published_fits", "stated"]

# How a number of the table was read, in order of trust.
CONFIDENCE = {
    "paper": "read in the paper",
    "code": "read in the authors' code or data",
    "second-hand": "read in another work that quotes it",
}


def published_fits() -> pd.DataFrame:
    """Every published number, one row each.

    Returns:
        DataFrame with the columns law, configuration (which fit), parameter (of the law as it is
        here; ``min N`` and ``max N`` are the range of the runs), value, uncertainty (standard
        error, where published), units, source, where (table, equation or file), confidence
        (``paper``, ``code`` or ``second-hand``: where we read it), printed (what is printed there,
        where it is another number than the value, or several).

    Example:
        >>> from scalefit.results.literature import published_fits
        >>> facts = published_fits().query("law == 'chinchilla' and configuration == 'besiroglu'")
        >>> facts.set_index("parameter")[["value", "uncertainty"]].loc["A"].to_list()
        [482.01, 124.58]
    """
    return _facts().copy()


def published(law: str | Law, configuration: str | None = None) -> Fit:
    """A fit with published coefficients, to predict from, to allocate with, to compare with.

    Args:
        law: name of a built-in law, or the law.
        configuration: which of its published fits, as ``"besiroglu"``; may be left out where there
            is only one.

    Returns:
        A fit of status ``Status.PUBLISHED``: its value and spread are NaN, its trust report is
        empty, its note ``published`` names the source. ``domain`` is the range of the paper's runs,
        where that is known, so that allocations say how far they extrapolate. Its residuals are
        ln L - ln f, whatever the authors minimised.

    Raises:
        ArgumentError: the configuration is unknown, or there are several and none is named; the law
            is no law.
        LawError: no law has that name, or no fit of it is published.

    Example:
        >>> import scalefit as sf
        >>> fit = sf.published("chinchilla", "besiroglu")
        >>> round(float(sf.allocate(fit, 5.76e23).tokens_per_param), 1)
        18.4
    """
    law = find(law)
    facts = _facts()
    facts = facts[facts["law"] == law.name]
    facts = facts[facts["configuration"] == _chosen(law, facts, configuration)]
    numbers = dict(zip(facts["parameter"], facts["value"], strict=True))
    params = {name: numbers[name] for name in numbers if name.split("[")[0] in law.names}
    return stated(
        law,
        params,
        (_note(facts),),
        domain=_domain(law, numbers),
        provenance={
            "source": facts["source"].iloc[0],
            "where": facts["where"].iloc[0],
            "configuration": facts["configuration"].iloc[0],
        },
    )


def stated(
    law: Law,
    params: Mapping[str, float],
    notes: tuple[Note, ...] = (),
    domain: Mapping[str, tuple[float, float]] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Fit:
    """A fit of given coefficients, to which nothing was fitted.

    Args:
        law: the law.
        params: every parameter by name; a grouped one once for each level.
        notes: what is to be said of them.
        domain: ranges of the runs that they are from, where these are known.
        provenance: where they are from.
    """
    return Fit(
        law=law,
        params=params,
        objective=Objective("log", "none"),
        objective_value=math.nan,
        status=Status.PUBLISHED,
        notes=notes,
        diagnostics=NO_DIAGNOSTICS,
        nobs=0,
        residual_rms=math.nan,
        domain=domain or {},
        groups=_groups(law, params),
        provenance=provenance or {},
    )


@cache
def _facts() -> pd.DataFrame:
    with files("scalefit").joinpath("data", "published_fits.csv").open(encoding="utf-8") as file:
        text = ["configuration", "parameter", "units", "printed"]
        return read_csv(file, keep_default_na=False, na_values={"uncertainty": [""]}).astype(
            dict.fromkeys(text, str) | {"value": float, "uncertainty": float}
        )


def _chosen(law: Law, facts: pd.DataFrame, configuration: str | None) -> str:
    known = list(facts["configuration"].unique())
    if not known:
        raise LawError(
            f"there is no published fit of {law.name!r}: scalefit.results.published_fits() lists "
            "them all"
        )
    if configuration is None and len(known) == 1:
        return str(known[0])
    return choice(configuration, "configuration", known)


def _note(facts: pd.DataFrame) -> Note:
    first = facts.iloc[0]
    errors = facts.dropna(subset="uncertainty").set_index("parameter")["uncertainty"].to_dict()
    known = ", ".join(f"{name} {error:g}" for name, error in errors.items())
    return Note.of(
        "published",
        f"values of {first['source']}, {first['where']}, {CONFIDENCE[first['confidence']]}; "
        + (f"standard errors {known}" if known else "no uncertainties are published"),
        {"source": first["source"], "confidence": first["confidence"], "uncertainty": errors},
        severity="warning" if first["confidence"] == "second-hand" else "info",
    )


def _groups(law: Law, params: Mapping[str, float]) -> dict[str, Grouping]:
    return {
        param.name: Grouping(
            param.by,
            tuple(name[len(param.name) + 1 : -1] for name in params if _level_of(param.name, name)),
        )
        for param in law.params
        if any(_level_of(param.name, name) for name in params)
    }


def _level_of(param: str, name: str) -> bool:
    return name.startswith(f"{param}[")


def _domain(law: Law, numbers: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Range of each column, as far as it is known.

    Laws of N and D have all of N, D and 6ND, NaN where one is not known: what extrapolates is then
    not known either.
    """
    found: dict[str, tuple[float, float]] = {
        name: (numbers[f"min {name}"], numbers[f"max {name}"])
        for name in (*law.columns, "6ND")
        if f"min {name}" in numbers
    }
    if {"N", "D"} <= set(law.columns):
        unknown = (math.nan, math.nan)
        N, D = found.get("N", unknown), found.get("D", unknown)
        found.setdefault("6ND", (6 * N[0] * D[0], 6 * N[1] * D[1]))
        if math.isnan(found["6ND"][0]):
            found.update(N=unknown, D=unknown)
    return found
