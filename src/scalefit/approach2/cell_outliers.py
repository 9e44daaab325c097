"""Runs that do not belong to their cell: left out by a rule, or named in a note."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scalefit.approach2.curve_vertices import Method, least_points
from scalefit.approach2.outlier_runs import (
    Curves,
    Outlier,
    parabola_outliers,
    surface_outliers,
    surface_residuals,
)
from scalefit.approach2.parabola import Parabolas
from scalefit.approach2.run_quality import THRESHOLDS, described_outliers
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError
from scalefit.notes import Note
from scalefit.results.surface import Surface, checked_surface

__all__ = ["cell_outlier_notes", "ruled_runs", "short", "surface_over"]

# Runs off their cell that a note names.
MOST_NAMED = 5


def surface_over(fit: Surface, table: LossTable, over: str) -> np.ndarray:
    """Residuals of a surface that knows the coordinate, shape (rows,).

    Raises:
        ArgumentError: it does not.
    """
    law = checked_surface(fit).point.law
    headers = {table.sources.get(name, name) for name in law.columns}
    if over not in {*law.columns, *headers}:
        raise ArgumentError(
            f"the fit of {law.name!r} does not depend on {over!r}: its residuals are the sweep",
            argument="fit",
            value=fit,
            remedy=f"Pass a fit of a law with {over} among its columns, or none",
        )
    return surface_residuals(fit, table)


def ruled_runs(
    table: LossTable,
    swept: Curves,
    residuals: np.ndarray | None,
    limits: Sequence[tuple[str, float]],
    over: str,
    by: Sequence[str],
) -> tuple[Curves, pd.DataFrame]:
    """The runs that rules leave, and a table of those that they take out."""
    rows = []
    for name, limit in limits:
        source = residuals if name == "surface_outlier" else None
        found = described_outliers(swept, source, limit, "cell")
        rows += [(place, name, reason) for place, reason in found]
        swept = swept.without([place for place, _ in found])
    # A cell that lost all its runs is none.
    swept = swept._replace(members=[item for item in swept.members if len(item)])
    places = [place for place, _, _ in rows]
    removed = pd.DataFrame(
        {
            **{name: table[name].iloc[places].to_numpy() for name in (*by, over, "loss")},
            "rule": [name for _, name, _ in rows],
            "reason": [reason for _, _, reason in rows],
        },
        index=pd.Index([table.rows[place] for place in places]),
    )
    return swept, removed


def cell_outlier_notes(
    table: LossTable,
    swept: Curves,
    residuals: np.ndarray | None,
    over: str,
    by: Sequence[str],
    curves: Parabolas,
    method: Method,
) -> list[Note]:
    """A note on runs that do not belong to their cell, with its vertex with and without them."""
    if residuals is None:
        rule, off = "parabola_outlier", "the parabola through the others"
        found = parabola_outliers(swept, THRESHOLDS[rule])
    else:
        rule, off = "surface_outlier", "the surface (residual)"
        found = surface_outliers(residuals, swept.members, THRESHOLDS[rule])
    if not found:
        return []
    without = swept.without([item.place for item in found])
    clean = least_points(without.members, swept.x, swept.y, swept.weight, method)
    of_run = {place: cell for cell, item in enumerate(swept.members) for place in item}
    with np.errstate(over="ignore", invalid="ignore"):
        best = np.exp([curves.vertex, clean.vertex])
    each = [
        f"run {table.rows[item.place]} ({_cell_text(table, by, item)}, {over} = "
        f"{short(table.column(over)[item.place])}) is {item.miss:+.3g} off {off}, "
        f"{item.score:.3g} times the usual scatter: the vertex of its cell is "
        f"{best[0, of_run[item.place]]:.4g} with it and {best[1, of_run[item.place]]:.4g} without"
        for item in found[:MOST_NAMED]
    ]
    if len(found) > MOST_NAMED:
        each.append(f"{len(found) - MOST_NAMED} more")
    return [
        Note.of(
            "vertices_bent",
            f"{'; '.join(each)}. Look at such runs; rules=[{rule!r}] leaves them out",
            {"rows": [str(table.rows[item.place]) for item in found], "by": rule, "over": over},
        )
    ]


def _cell_text(table: LossTable, by: Sequence[str], item: Outlier) -> str:
    """The cell of a run in words."""
    return " and ".join(f"{name} = {short(table[name].iloc[item.place])}" for name in by)


def short(value: object) -> str:
    """A value in few digits."""
    return f"{value:.4g}" if isinstance(value, int | float | np.number) else str(value)
