"""Notes that rows are not independent: checkpoints of few runs, and sweeps in every cell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.data.cells import label
from scalefit.data.column_names import normalised
from scalefit.data.repeated_cells import (
    HYPERPARAMETERS,
    RepeatedCells,
    cell_headers,
    cell_remedies,
    find_repeated_cells,
)
from scalefit.data.row_filter import quoted
from scalefit.data.several_responses import ROW
from scalefit.data.table import LossTable
from scalefit.data.trajectories import Trajectories, find_trajectories, header_of
from scalefit.errors import listed
from scalefit.notes import Note
from scalefit.objective import robust_size
from scalefit.results.dependence import FEWEST_CLUSTERS
from scalefit.results.fit import Fit
from scalefit.results.status import Status

__all__ = ["dependent_rows"]

# Correlation of neighbouring residuals of a training curve, in standard errors of none.
CORRELATED = 3.0

# Standard deviation of log losses within cells above which rows are no replicates of one run:
# seeds differ by 0.1 to 1 %.
REPLICATES = 0.02

# Errors by rows that are so many times too narrow are told of.
NARROWED = 1.2

# Residuals beyond this many robust standard deviations count as if they were there.
CLIPPED = 3.0


def dependent_rows(fit: Fit, table: LossTable, residuals: np.ndarray) -> list[Note]:
    """Notes that rows of a finished fit share their noise, with what names it."""
    if fit.status is Status.EXACT:
        return []
    return [
        *_trajectory_notes(fit, table, residuals),
        *_repeated_notes(fit, table, residuals),
        *_response_notes(fit, table, residuals),
    ]


def _trajectory_notes(fit: Fit, table: LossTable, residuals: np.ndarray) -> list[Note]:
    """A note where rows are checkpoints of few runs."""
    found = find_trajectories(table)
    if found is None:
        return []
    tokens = str(header_of(table, "D"))
    D = table.column(tokens)
    share, errors = found.autocorrelation(D, residuals)
    correlated = errors > CORRELATED
    narrowing = float(np.sqrt((1 + share) / (1 - min(share, 0.99)))) if correlated else 1.0
    said = (
        f"neighbouring residuals correlate by {share:.2f}, so that errors that take rows as "
        f"independent are about {narrowing:.1f} times too narrow"
        if correlated
        else f"neighbouring residuals do not correlate ({share:.2f}), but what runs have in common "
        "is no noise of rows"
    )
    clusters = found.curves
    if isinstance(found.by, str):
        clusters = table[found.by][(found.code >= 0) & (table.weight > 0)].map(label).nunique()
    return [
        Note.of(
            "trajectories",
            f"{found.rows} of {len(table)} rows look like checkpoints of {found.curves} runs: "
            f"{said}. Losses in the middle of a learning-rate schedule are not those of runs that "
            f"end there, either. Ways out: {_ways_out(fit, table, found, clusters)}",
            {
                "rows": found.rows,
                "runs": found.curves,
                "by": found.by,
                "clusters": clusters,
                "autocorrelation": share,
                "narrowing": narrowing,
            },
            severity="warning" if correlated else "info",
        )
    ]


def _ways_out(fit: Fit, table: LossTable, found: Trajectories, clusters: int) -> str:
    """What can be done about checkpoints as rows, as calls."""
    tokens = str(header_of(table, "D"))
    D, header = table.column(tokens), table.sources[tokens]
    ways = []
    if clusters >= FEWEST_CLUSTERS:
        ways.append(f"cluster them, covariance(fit, runs, by={found.by!r})")
    last = found.last(D)
    # A fit needs runs of several D, and a label that is one for each run picks their last rows.
    several, one = len(set(D[last])) > 2, True
    if isinstance(found.by, str):
        one = len({label(cell) for cell in table[found.by].iloc[last]}) == found.curves
    if found.curves > fit.n_free and several and one:
        ways.append(
            f"fit the last row of each, runs.loc[runs.groupby({found.by!r})[{header!r}].idxmax()]"
        )
    rule = f"{quoted(header)} > {D.max() / 10:.1e}"
    ways.append(f"leave their beginnings out, keep={rule!r}")
    return "; ".join(ways)


def _repeated_notes(fit: Fit, table: LossTable, residuals: np.ndarray) -> list[Note]:
    """A note where most rows repeat the inputs of the law."""
    law = fit.law
    levels = [name for grouping in fit.groups.values() for name in grouping.columns]
    response = table.sources.get(law.response, law.response)
    # Of a law of the best learning rate the response itself is swept, and the loss says how good.
    of_best = normalised(str(response)) in HYPERPARAMETERS and "loss" in table.sources
    measured = "loss" if of_best and "loss" not in law.columns else law.response
    found = find_repeated_cells(table, list(dict.fromkeys([*law.columns, *levels])), measured)
    if found is None:
        return []
    by = cell_headers(table, found)
    positive = (table.column(measured)[found.code >= 0] > 0).all()
    spread = f"{100 * found.spread:.2g} %" if positive else f"{found.spread:.2g}"
    repeated = f"{found.rows} of {len(table)} rows repeat {found.cells} cells of {listed(by)}"
    # How far losses of one model differ by its seed is known; of other responses it is not.
    apart = measured == "loss" and positive and found.spread > REPLICATES
    narrowing = _narrowing(found.code, residuals, fit.n_free)
    ways = [f"clusters, covariance(fit, runs, by={by!r})"]
    if found.swept:
        swept = listed([table.sources.get(name, name) for name in found.swept])
        what = "losses" if measured == "loss" else f"{response}s"
        said = (
            f"{repeated}, and their {what} differ there by {spread} (standard deviation) with "
            f"{swept}: these are no replicates, and the fit is to the mean of what was tried, not "
            "to the best"
        )
        ways = [*_of_levels(fit, table, found), *cell_remedies(table, found, fit.n_free), *ways]
    elif apart:
        said = (
            f"{repeated}, and differ there by {spread} (standard deviation), more than seeds do, "
            "with no column that says why"
        )
    else:
        said = f"{repeated}, and differ there by {spread} (standard deviation), as replicates do"
    if narrowing > NARROWED:
        said += (
            f". Errors that take rows as independent are about {narrowing:.1f} times too narrow, "
            "by the correlation within cells"
        )
    warned = bool(found.swept or apart)
    return [
        Note.of(
            "repeated_cells",
            f"{said}. Ways out: {'; '.join(ways)}",
            {
                "rows": found.rows,
                "cells": found.cells,
                "spread": found.spread,
                "swept": [str(table.sources.get(name, name)) for name in found.swept],
                "by": by,
                "clusters": int(found.code.max()) + 1,
                "narrowing": narrowing,
            },
            severity="warning" if warned else "info",
        )
    ]


def _response_notes(fit: Fit, table: LossTable, residuals: np.ndarray) -> list[Note]:
    """A note where the responses of a run share its noise."""
    if table.responses is None:
        return []
    runs = pd.factorize(table[ROW])[0]
    code = np.where(table.weight > 0, runs, -1)
    code[code >= 0] = np.unique(code[code >= 0], return_inverse=True)[1]
    narrowing = _narrowing(code, residuals, fit.n_free)
    if not narrowing > NARROWED:
        return []
    return [
        Note.of(
            "shared_runs",
            f"the responses of a run share its noise: errors that take rows as independent are "
            f"about {narrowing:.1f} times too narrow, by the correlation within runs. bootstrap "
            "and covariance take runs with all of their responses, by='row', unless told "
            "otherwise; profile and posterior do not",
            {"by": ROW, "clusters": int(code.max()) + 1, "narrowing": narrowing},
        )
    ]


def _of_levels(fit: Fit, table: LossTable, found: RepeatedCells) -> list[str]:
    """What can be done about rows of several kinds, named by a label, as calls."""
    swept = found.swept[0]
    if table.frame[swept].dtype.kind in "iuf":
        return []
    header = table.sources.get(swept, swept)
    names = [param.name for param in fit.law.params]
    first = "E" if "E" in names else names[0]
    common = table.frame[swept].mode().iloc[0]
    return [
        f"a coefficient for each, groups={{{first!r}: {header!r}}}",
        f"one of them, keep={f'{quoted(header)} == {common!r}'!r}",
    ]


def _narrowing(code: np.ndarray, residuals: np.ndarray, free: int) -> float:
    """How many times too narrow errors by rows are, where the rows of a cell share their noise.

    Source:
        Moulton 1986, J. Econometrics 32(3): sqrt(1 + (m - 1) rho), of m rows in a cell and the
        intraclass correlation rho, by analysis of variance.
    """
    there = code >= 0
    of, rest = code[there], residuals[there]
    size = robust_size(rest)
    rest = np.clip(rest, -CLIPPED * size, CLIPPED * size)
    sizes = np.bincount(of)
    count, cells = len(of), len(sizes)
    if cells <= free or count <= cells or not size > 0:
        return 1.0
    means = np.bincount(of, rest) / sizes
    # The fit follows the cells by as much as it has parameters.
    between = float((sizes * means**2).sum()) / (cells - free)
    within = float(((rest - means[of]) ** 2).sum()) / (count - cells)
    usual = (count - (sizes**2).sum() / count) / (cells - 1)
    shared = (between - within) / (between + (usual - 1) * within)
    return float(np.sqrt(1 + ((sizes**2).sum() / count - 1) * np.clip(shared, 0.0, 1.0)))
