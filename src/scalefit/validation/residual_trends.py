"""Trends that a law leaves in its residuals along each column, with errors by cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.inference.leverage import left_out
from scalefit.objective import Objective, robust_size
from scalefit.results.dependence import FEWEST_CLUSTERS
from scalefit.validation.linearised import Linearised, pulls

__all__ = ["ALPHA", "centred_columns", "holm", "residual_trends"]

# Probability that any trend, or any block, of a right law is flagged: each kind by itself, so that
# both and the objectives together flag nothing in 95 of 100 right laws.
ALPHA = 0.01

# A trend matters where it changes the residuals over the runs by more than this share of their
# usual size: below it the noise of a single run hides it.
LEAST_CHANGE = 0.5

# Share of a column, or its square, that no combination of the parameters imitates. Below it the
# fit takes up any trend, and rounding is what is left.
LEAST_FREE = 1e-6


class _Line(NamedTuple):
    """A coefficient of the residuals, with its standard error and degrees of freedom."""

    value: float
    se: float
    df: int


def centred_columns(
    columns: Mapping[str, np.ndarray], weight: np.ndarray
) -> dict[str, tuple[np.ndarray, str]]:
    """Columns as trends run along them: decades, or widths of the range of one with zeros.

    Args:
        columns: values of the runs that count, by name.
        weight: of these runs.

    Returns:
        Values less their mean, and the unit, of each column that has three values or more.
    """
    found = {}
    for name, values in columns.items():
        if len(np.unique(values)) < 3:
            continue
        if values.min() > 0:
            z, unit = np.log10(values), "decade"
        else:
            z, unit = (values - values.min()) / np.ptp(values), "range"
        found[name] = z - np.average(z, weights=weight), unit
    return found


def residual_trends(
    near: Linearised,
    objective: Objective,
    columns: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    freedom: int,
) -> pd.DataFrame:
    """Slope and curvature of the residuals along each column.

    With z the logarithm of a column, W the weights, and d = z less its mean, or z^2 less its
    straight line in z, or for N and D z_N z_D less a quadratic of each (their interaction), the
    coefficient is

        b = d^T W r / d^T W d

    the least-squares line through the residuals r. For an objective other than squares psi(r) /
    mean psi' takes the place of r: one Newton step of the line that the objective itself would put
    through them. A fit has already removed what its parameters can imitate, so that only the rest,
    d' = d - J (J^T W J)^-1 J^T W d, varies with the noise. The error of b is that of a term b' d
    added to the law, b' = d'^T W r / d'^T W d', times d'^T W d' / d^T W d: for squares the
    jackknife over clusters (CV3), with t of one degree of freedom less than clusters.

    Args:
        near: the fit near its optimum.
        objective: what it minimises.
        columns: values of the runs that count, by name.
        clusters: cluster of each such run, shape (rows,).
        freedom: residual degrees of freedom of the fit.

    Returns:
        A row for each column and term: ``column``, ``term``, ``unit``, ``value`` (in units of the
        residual per decade, or per decade squared), ``se``, ``df``, ``p``, ``p_adjusted`` (Holm),
        ``change`` (over the range of the runs) and ``flagged``.

    Source:
        Frisch and Waugh 1933, Econometrica 1(4) (added variables). MacKinnon, Nielsen and Webb
        2023, J. Applied Econometrics 38(5), arXiv 2205.03288 (CV3). Holm 1979, Scand. J. Statist.
        6(2).
    """
    rows = []
    for name, term, unit, direction, reach in _directions(columns, near.weight):
        found = _along(near, objective, direction, clusters, freedom)
        rows.append([name, term, unit, *found, found.value * reach])
    frame = pd.DataFrame(
        rows, columns=["column", "term", "unit", "value", "se", "df", "change"]
    ).astype({"df": int})
    return _judged(frame, robust_size(near.residuals, len(near.residuals) - freedom))


def _directions(
    columns: Mapping[str, np.ndarray], weight: np.ndarray
) -> Iterator[tuple[str, str, str, np.ndarray, float]]:
    """Column, term, unit, direction and reach over the runs of every trend."""
    centred = centred_columns(columns, weight)
    for name, (z, unit) in centred.items():
        width = float(np.ptp(z))
        yield name, "slope", unit, z, width
        yield name, "curvature", unit, _less(z**2, [z], weight), (width / 2) ** 2
    if {"N", "D"} <= set(centred):
        N, D = centred["N"][0], centred["D"][0]
        twist = _less(N * D, [N, D, N**2, D**2], weight)
        reach = float(np.ptp(N) * np.ptp(D)) / 4
        yield "N x D", "interaction", "decade", twist, reach


def _less(values: np.ndarray, others: Sequence[np.ndarray], weight: np.ndarray) -> np.ndarray:
    """Values less a constant and multiples of others, by weighted least squares."""
    root = np.sqrt(weight)
    design = np.column_stack([np.ones(len(values)), *others])
    found = np.linalg.lstsq(root[:, None] * design, root * values, rcond=None)[0]
    return np.asarray(values - design @ found)


def _judged(frame: pd.DataFrame, usual: float) -> pd.DataFrame:
    """The table of trends with probabilities, and which of them count."""
    from scipy.stats import t

    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.asarray(2 * t.sf(np.abs(frame["value"] / frame["se"]), frame["df"]))
    adjusted = holm(p)
    flagged = (adjusted < ALPHA) & (frame["change"].abs() > LEAST_CHANGE * usual)
    frame = frame.assign(p=p, p_adjusted=adjusted, flagged=flagged)
    order = ["column", "term", "unit", "value", "se", "df", "p", "p_adjusted", "change"]
    return frame[[*order, "flagged"]]


def _along(
    near: Linearised,
    objective: Objective,
    direction: np.ndarray,
    clusters: np.ndarray,
    freedom: int,
) -> _Line:
    """The coefficient of the residuals along one direction."""
    weight, root = near.weight, np.sqrt(near.weight)
    whole = float(np.sum(weight * direction**2))
    scaled = near.jacobian / np.sqrt(np.sum(weight[:, None] * near.jacobian**2, axis=0))
    imitated = np.linalg.lstsq(root[:, None] * scaled, root * direction, rcond=None)[0]
    free = direction - scaled @ imitated
    rest = float(np.sum(weight * free**2))
    count = len(np.unique(clusters))
    codes = clusters if count >= FEWEST_CLUSTERS else np.arange(len(clusters))
    groups = len(np.unique(codes))
    df = min(freedom - 1, groups - 1)
    value = float(np.sum(weight * direction * near.pulls)) / whole
    if rest < LEAST_FREE * whole or df < 1:
        return _Line(value, np.nan, max(df, 0))
    added = float(np.sum(weight * free * near.pulls)) / rest
    left = near.residuals - added * free
    without = left_out(
        np.column_stack([scaled, free / np.sqrt(rest)]),
        weight,
        pulls(objective, left, weight, near.residuals),
        codes,
    )
    scores = np.bincount(codes, weights=weight * free * without.values, minlength=groups)
    variance = (groups - 1) / groups * np.sum(scores**2) / rest**2
    return _Line(value, float(np.sqrt(variance)) * rest / whole, df)


def holm(p: np.ndarray) -> np.ndarray:
    """Probabilities adjusted for their number, by Holm's step-down method; NaN stays NaN."""
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
