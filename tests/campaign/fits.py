"""Fits of hostile tables, against optimisers of scipy and against the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import catalogue
import numpy as np
import pandas as pd
from scipy.optimize import least_squares

import scalefit as sf
from campaign import tables
from campaign.judge import Outcome, tried, unmodified, written_and_read
from campaign.oracle import Sum

# A value lower by more than this share is another optimum.
LOWER = 1e-6
# Notes that say that the optimum found may not be the lowest.
DOUBTS = {"starts_disagree", "not_certified", "stalled", "iteration_limit"}


def fits(seed: int) -> Outcome:
    """A table that is hard to fit, against scipy; every eighth one in other units and order too."""
    case = tables.case(seed)
    before = case.runs.copy(deep=True)

    def call() -> sf.Fit:
        fit = sf.fit(case.runs, case.law, **case.options)
        written_and_read(fit)
        return fit

    outcome = tried("fits", seed, case.tags, call)
    unmodified(outcome, before, case.runs)
    fit = outcome.answer
    if fit is None:
        return outcome
    total = Sum(case.runs, case.law, case.options)
    reported = total.point(fit.params)
    here, noise = total.value(reported), total.noise()
    if not abs(fit.objective_value - here) <= 1e-7 * here + noise:
        outcome.faults.append(f"says {fit.objective_value:.9g}, its parameters give {here:.9g}")
    if here > noise:
        # By rounding alone, a value may be lower by so much.
        compared(outcome, fit, here, total.lowest(reported) + noise)
    if seed % 8 == 0:
        outcome.faults += in_other_units(case, fit, noise, seed)
    outcome.answer = None
    return outcome


def compared(outcome: Outcome, fit: sf.Fit, here: float, lowest: float) -> None:
    """A fault where something lower is known, and the fit does not say that there may be."""
    outcome.lower = max(0.0, 1 - lowest / here) if here > 0 else 0.0
    codes = {note.code for note in fit.notes}
    outcome.doubted = not fit.status.usable or bool(DOUBTS & codes)
    if outcome.lower > LOWER and (fit.certificate or not outcome.doubted):
        outcome.faults.append(f"{here:.9g}, and {lowest:.9g} is lower, in silence")


def in_other_units(case: tables.Case, fit: sf.Fit, noise: float, seed: int) -> list[str]:
    """What changes with the order of the rows and with units that are powers of two."""
    order = np.random.default_rng([seed, 12]).permutation(len(case.runs))
    runs = case.runs.iloc[order].reset_index(drop=True)
    runs = runs.assign(N=runs["N"] * 1024, D=runs["D"] / 4096)
    options, factor = dict(case.options), 1.0
    if "fixed" not in options:
        factor = 8.0
        runs["loss"] *= factor
        if "delta" in options and options.get("residual") == "raw":
            options["delta"] *= factor
    power = 0 if fit.objective.residual != "raw" else 1 if fit.objective.robust == "l1" else 2
    try:
        again = sf.fit(runs, case.law, **options)
    except sf.ScalefitError as error:
        return [f"refused in other units: {str(error)[:100]}"]
    value = again.objective_value / factor**power
    if not abs(value - fit.objective_value) <= 1e-7 * fit.objective_value + noise:
        return [f"{fit.objective_value:.9g}, in other units {value:.9g}"]
    return []


def laws(seed: int) -> Outcome:
    """A law of the catalogue on part of its table, roughened, against the truth and a descent."""
    rng = np.random.default_rng([seed, 13])
    row = ROUGH[seed % len(ROUGH)]
    law = sf.laws.find(row.law)
    runs = exact(row.law)
    rows = int(rng.uniform(0.5, 1.0) * len(runs))
    runs = runs.iloc[np.sort(rng.choice(len(runs), rows, replace=False))].reset_index(drop=True)
    spread = row.noise * np.exp(rng.uniform(-3, 3))
    errors = spread * rng.standard_t(3, rows)
    raw = row.options.get("residual") == "raw"
    values = runs[law.response] + (errors if raw else runs[law.response] * errors)
    off = rng.random(rows) < rng.choice([0.0, 0.05])
    runs[law.response] = np.where(off, values + spread * rng.uniform(-30, 30, rows), values)
    options = dict(row.options)
    if not options:
        options = [{}, {"robust": "none"}, {"residual": "raw", "robust": "none"}][rng.integers(3)]
    before = runs.copy(deep=True)
    outcome = tried("laws", seed, (row.law,), lambda: sf.fit(runs, row.law, seed=seed, **options))
    unmodified(outcome, before, runs)
    fit = outcome.answer
    if fit is None:
        return outcome

    def value(params: Mapping[str, float]) -> float:
        return objective(fit.objective, runs[law.response], law.evaluate(runs, params))

    here = value(fit.params)
    size = 1e-24 * rows * float(np.max(np.abs(runs[law.response]))) ** 2
    if not abs(fit.objective_value - here) <= 1e-7 * here + size:
        outcome.faults.append(f"says {fit.objective_value:.9g}, its parameters give {here:.9g}")
    lowest = min(
        value(row.truth), descended(fit, runs, row.truth), descended(fit, runs, fit.params)
    )
    compared(outcome, fit, here, lowest + size)
    outcome.answer = None
    return outcome


def descended(fit: sf.Fit, runs: pd.DataFrame, start: Mapping[str, float]) -> float:
    """The objective where ``least_squares`` ends, within bounds, fixed and tied as in the fit."""
    followers = {name: group[0] for group in fit.tied for name in group[1:]}
    start = dict(start) | {name: fit.params[name] for name in held_by_the_table(fit)}
    free = [
        name
        for name in fit.law.names
        if name not in {*fit.fixed, *followers, *held_by_the_table(fit)} and start[name] != 0
    ]
    low, high = bounds_of(fit, free)

    def params(z: np.ndarray) -> dict[str, float]:
        given = dict(start)
        given.update({name: start[name] * z[i] for i, name in enumerate(free)})
        return given | {name: given[leader] for name, leader in followers.items()}

    def rows(z: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            r = residual(fit.objective, runs[fit.law.response], fit.law.evaluate(runs, params(z)))
            g = np.sign(r) * np.sqrt(2 * penalty(fit.objective, r))
        return np.where(np.isfinite(g), g, 1e6)

    edges = np.array([[low[name], high[name]] for name in free]) / np.array(
        [[start[name]] for name in free]
    )
    edges.sort(axis=1)
    ones = np.clip(np.ones(len(free)), edges[:, 0], edges[:, 1])
    inside = np.clip(ones, edges[:, 0] + 1e-12, edges[:, 1] - 1e-12)
    try:
        z = least_squares(rows, inside, bounds=edges.T, x_scale="jac", max_nfev=60).x
    except ValueError:
        return math.inf
    return objective(fit.objective, runs[fit.law.response], fit.law.evaluate(runs, params(z)))


def held_by_the_table(fit: sf.Fit) -> list[str]:
    """Parameters that ended at a bound that follows the table, which is not computed again here."""
    follow = {param.name for param in fit.law.params if param.kind.column is not None}
    return [name for name in fit.diagnostics.at_bound if name in follow]


def bounds_of(fit: sf.Fit, names: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Bounds in which a descent may move: those of the kinds, where they do not follow a column."""
    low, high = {}, {}
    for param in fit.law.params:
        kind = param.kind
        inside = fit.bounds.get(param.name, (kind.lower, kind.upper))
        if kind.column is not None and param.name not in fit.bounds:
            # The bounds follow the table; around the start is enough to find a lower point.
            at = fit.params[param.name]
            inside = (at / 2, at * 2)
        low[param.name], high[param.name] = inside
    return {name: low[name] for name in names}, {name: high[name] for name in names}


def residual(how: sf.objective.Objective, observed: Any, predicted: Any) -> np.ndarray:
    """Residuals, written again."""
    observed, predicted = np.asarray(observed), np.asarray(predicted)
    if how.residual == "raw":
        return observed - predicted
    if how.residual == "relative":
        return (observed - predicted) / observed
    with np.errstate(all="ignore"):
        return np.log(observed / predicted)


def penalty(how: sf.objective.Objective, r: np.ndarray) -> np.ndarray:
    """Penalties, written again, as halves of squares."""
    if how.robust == "none":
        return 0.5 * r**2
    if how.robust == "l1":
        return np.abs(r)
    size, delta = np.abs(r), float(how.delta or 0)
    huber = np.where(size <= delta, 0.5 * r**2, delta * (size - 0.5 * delta))
    return huber * np.where(r < 0, how.asymmetry or 1.0, 1.0)


def objective(how: sf.objective.Objective, observed: Any, predicted: Any) -> float:
    """The sum over rows, written again; infinite where it does not exist."""
    total = float(np.sum(penalty(how, residual(how, observed, predicted))))
    return (2.0 if how.robust == "none" else 1.0) * total if math.isfinite(total) else math.inf


# Laws whose parameters are one each; the others are fitted with groups, in their own tests.
ROUGH = [row for row in catalogue.ROWS if not any("[" in name for name in row.truth)]


@cache
def exact(name: str) -> pd.DataFrame:
    """The table of a law without noise."""
    (row,) = (row for row in ROUGH if row.law == name)
    law, design = sf.laws.find(name), row.design()
    return design.assign(**{law.response: law.evaluate(design, row.truth)})
