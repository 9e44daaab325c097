"""Vertices of sweeps over any coordinate: learning rate, batch size, width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from scalefit.approach2.cell_outliers import cell_outlier_notes, ruled_runs, short, surface_over
from scalefit.approach2.curve_vertices import (
    DISTINCT,
    Method,
    interval_ends,
    least_points,
    status_words,
    within_reach,
)
from scalefit.approach2.outlier_runs import Curves
from scalefit.approach2.parabola import Parabolas
from scalefit.approach2.run_quality import OUTLIER_RULES, RuleChoice, checked_rules, no_surface
from scalefit.approach2.sweeps import require_one_response
from scalefit.arguments import choice, flag, names, text, whole
from scalefit.arguments import level as checked_level
from scalefit.data.repeated_cells import cell_values, find_repeated_cells
from scalefit.data.row_filter import quoted
from scalefit.data.table import LossTable, as_table
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.results.prediction import refuse_unknown
from scalefit.results.surface import Surface

__all__ = ["Vertices", "vertices"]

Repeats = Literal["all", "least"]
"""What runs of one value in a cell count: all of them, or the one of least loss."""

# Level of the intervals in ``Vertices.cells``.
LEVEL = 0.95

# Statuses of cells that have no optimum.
LEFT_OUT = ("too_few", "negative_curvature", "impossible")


@dataclass(frozen=True, eq=False)
class Vertices(Described):
    """The best value of one coordinate in each cell of a table.

    Attributes:
        over: the coordinate.
        by: columns that tell cells apart.
        cells: a row for each cell, in the order of ``by``.

            - the columns of ``by``.
            - ``n``, ``distinct``: runs, and distinct values of the coordinate.
            - the coordinate of least loss, under its own header, as ``lr``; and with ``_low`` and
              ``_high`` its 95 % interval (Fieller's), ``_se`` the standard error of its logarithm,
              ``_min`` and ``_max`` the range of its runs.
            - ``loss``: at the vertex.
            - ``curvature``, ``curvature_se``: coefficient of the squared logarithm.
            - ``status``: ``ok``, ``too_few`` (fewer than three distinct values), ``edge_minimum``
              (outside the runs), ``negative_curvature``, ``weak_curvature`` (below two standard
              errors) or ``impossible`` (outside the runs by more than twice their width, or of a
              loss below zero where all are above).
            - ``used``: whether :meth:`to_frame` has it.
        method: how vertices were found.
        removed: runs left out by a rule, with their label in the index: the columns of ``by``, the
            coordinate, ``loss``, ``rule``, ``reason``.
        notes: soft problems.
    """

    over: str
    by: tuple[str, ...]
    cells: pd.DataFrame
    method: Method
    removed: pd.DataFrame
    notes: tuple[Note, ...]
    _curves: Parabolas

    def to_frame(self, level: float = LEVEL) -> pd.DataFrame:
        """A row for each cell with a usable vertex, as a table that ``scalefit.fit`` takes.

        Args:
            level: of the intervals.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame = self.cells.assign(**interval_ends(self._curves, self.over, checked_level(level)))
        return frame[frame["used"]].drop(columns="used").reset_index(drop=True)

    def __repr__(self) -> str:
        return (
            f"<Vertices over {self.over} by {self.method}: {int(self.cells['used'].sum())} of "
            f"{len(self.cells)} cells of {', '.join(self.by)}>"
        )

    def describe(self, level: float = LEVEL) -> Description:
        """The best value in each cell.

        Args:
            level: of the intervals, Fieller's.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        frame = self.cells.assign(**interval_ends(self._curves, self.over, checked_level(level)))
        low, high = frame[f"{self.over}_low"], frame[f"{self.over}_high"]
        # Without a bound the runs say nothing of the vertex.
        bounded = low.gt(0) & np.isfinite(high)
        ends = [item.where(bounded) for item in (low, high)] if bounded.any() else [(), ()]
        numeric = [frame[name].dtype.kind in "iuf" for name in self.by]
        return Description(
            f"Vertices over {self.over} by {self.method}",
            f"the least loss over {self.over}, in {int(frame['used'].sum())} of {len(frame)} cells "
            f"of {', '.join(self.by)}. Next: scalefit.fit(found.to_frame(), law)",
            tables=[
                Table(
                    [
                        *(
                            Column(name, frame[name], "count" if number else "text")
                            for name, number in zip(self.by, numeric, strict=True)
                        ),
                        Column("runs", frame["n"], "integer"),
                        Column(f"best {self.over}", frame[self.over], "number", *ends),
                        Column("loss", frame["loss"]),
                        Column("status", frame["status"], "text"),
                        Column("used", ["yes" if used else "no" for used in frame["used"]], "text"),
                    ],
                    "optimum of each cell",
                    f"{100 * level:g} % interval",
                    "cells has all",
                )
            ],
            notes=self.notes,
        )


def vertices(
    runs: LossTable | pd.DataFrame,
    *,
    over: str,
    by: str | Sequence[str],
    method: Method = "parabola",
    repeats: Repeats = "all",
    nearest: int | None = None,
    keep_edges: bool = True,
    rules: Sequence[RuleChoice] = (),
    fit: Surface | None = None,
    **columns: str,
) -> Vertices:
    """The best learning rate, batch size, width, or other coordinate, in each cell of a table.

    In each cell, such as a size and a number of tokens, the vertex of a parabola of the loss in the
    logarithm of the coordinate, by least squares, as :func:`isoflop` has it over sizes at each
    budget. A parabola describes the bottom of a bowl: where a sweep reaches far up its sides, leave
    diverged runs out by ``keep``, and take the ``nearest`` values or a spline.

    Args:
        runs: a table with the coordinate, the columns of the cells, and the loss.
        over: the coordinate, positive.
        by: column that tells cells apart, or several.
        method: ``parabola``; or ``akima`` or ``cubic``, the least point on a spline through the
            runs, which follows their noise and has no interval.
        repeats: which runs count where a cell has several of one value: ``all``, or the one of
            ``least`` loss, as where another coordinate was swept beside it.
        nearest: how many distinct values count in each cell, those nearest to the best one in the
            logarithm; by default all.
        keep_edges: whether a parabola's vertex outside its runs counts. A spline's never does.
        rules: rules to leave runs out by, before a cell is judged: ``parabola_outlier``, runs
            without which the others of their cell lie on a parabola, or ``surface_outlier``, those
            far from ``fit``; as for :func:`flag_runs`. None by default: a note names such runs.
        fit: a fit to the runs of a law that has the coordinate among its columns, whose residuals
            then say which runs are off, in place of the parabolas.
        **columns: headers and rules, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The vertices; their ``to_frame()`` is a table to fit.

    Raises:
        ArgumentError: an option is unknown, or the coordinate is among the columns of ``by``.
        DataError: a column is missing, a value of the coordinate is not positive, or no cell has a
            minimum.

    Example:
        >>> import pandas as pd, scalefit as sf
        >>> cells = pd.DataFrame({"N": [1e8, 1e9], "best": [2e-3, 5e-4]})
        >>> runs = cells.merge(pd.DataFrame({"factor": [0.25, 0.5, 1.0, 2.0]}), how="cross")
        >>> runs["lr"] = runs["best"] * runs["factor"]
        >>> runs["loss"] = 3.0 + 0.02 * (runs["factor"].map({0.25: 4, 0.5: 1, 1.0: 0, 2.0: 1}))
        >>> found = sf.approach2.vertices(runs, over="lr", by="N")
        >>> found.to_frame()[["lr", "loss"]].round(6)
               lr  loss
        0  0.0020   3.0
        1  0.0005   3.0
    """
    choice(method, "method", get_args(Method))
    choice(repeats, "repeats", get_args(Repeats))
    keep_edges = flag(keep_edges, "keep_edges")
    if nearest is not None:
        few = "Pass how many values of a cell count, as nearest=7, or nearest=None for all"
        nearest = whole(nearest, "nearest", least=DISTINCT, remedy=few)
    text(over, "over", remedy="Pass the column that was swept, as over='lr'")
    cells = names(by, "by", remedy="Pass the columns of a cell, as by=['N', 'D']", wanted="column")
    if not cells or over in cells or len({*cells}) < len(cells):
        raise ArgumentError(
            f"by={list(cells)} does not tell cells apart in which {over!r} was swept",
            argument="by",
            value=by,
            remedy="Pass the other columns, each once, as by=['N', 'D']",
        )
    limits = checked_rules(rules, OUTLIER_RULES)
    if fit is None and any(name == "surface_outlier" for name, _ in limits):
        raise no_surface()
    refuse_unknown(vertices, None, columns)
    table = as_table(runs, **columns)
    x, loss = np.log(_coordinate(table, over)), table.column("loss")
    require_one_response(table)
    residuals = None if fit is None else surface_over(fit, table, over)
    members = _members(table, x, cells, repeats)
    if nearest is not None:
        members = [_nearest(item, x, loss, nearest) for item in members]
    swept = Curves(members, x, loss, table.weight)
    left, removed = ruled_runs(table, swept, residuals, limits, over, cells)
    curves = least_points(left.members, x, loss, table.weight, method)
    frame = _cell_table(table, over, cells, left.members, curves)
    frame = _judged(frame, left, curves, edges=keep_edges and method == "parabola")
    _require_some(frame)
    mixed = _mixed_notes(table, over, cells) if repeats == "all" else []
    # Rows that share N, D and the loss differ in the coordinate.
    read = [note for note in table.notes if note.code != "duplicate_rows"]
    bent = cell_outlier_notes(table, left, residuals, over, cells, curves, method)
    notes = (*read, *mixed, *bent, *_status_notes(frame, over, cells))
    return Vertices(over, cells, frame, method, removed, notes, curves)


def _judged(frame: pd.DataFrame, swept: Curves, curves: Parabolas, *, edges: bool) -> pd.DataFrame:
    """The cells with their status, and whether each is used; edges, whether those outside are."""
    possible = within_reach(curves, swept.members, swept.x, swept.y, counts=False)
    none = np.zeros(len(frame), dtype=bool)
    status = status_words([curves], ~(curves.curvature > 0), ~possible, none)
    # The least point of a spline at the end of its runs is no vertex.
    refused = LEFT_OUT if edges else (*LEFT_OUT, "edge_minimum")
    return frame.assign(status=status, used=~np.isin(status, refused))


def _coordinate(table: LossTable, over: str) -> np.ndarray:
    """The coordinate of each row, shape (rows,).

    Raises:
        DataError: the column is missing, or a value that counts is not positive.
    """
    values = table.column(over)
    bad = np.flatnonzero(~(values > 0) & (table.weight > 0))
    if len(bad):
        rows = [table.rows[i] for i in bad]
        raise DataError(
            f"{over} is {values[bad[0]]:g} in row {rows[0]}, and has no logarithm",
            column=over,
            rows=rows,
            remedy=f"Leave such rows out: keep={f'{quoted(over)} > 0'!r}",
        )
    return np.where(values > 0, values, 1.0)


def _members(
    table: LossTable, coordinate: np.ndarray, by: Sequence[str], repeats: Repeats
) -> list[np.ndarray]:
    """Rows of each cell that count, in the order of the cells and by the coordinate.

    Raises:
        DataError: a column is missing, or a row has no label.
    """
    for name in by:
        table.labels(name)
    used = np.flatnonzero(table.weight > 0)
    frame = pd.DataFrame({place: cell_values(table, name) for place, name in enumerate(by)})
    frame = frame.iloc[used].assign(x=coordinate[used], y=table.column("loss")[used])
    frame.index = pd.Index(used)
    columns = list(range(len(by)))
    if repeats == "least":
        frame = frame.sort_values("y", kind="stable").drop_duplicates([*columns, "x"])
    frame = frame.sort_values("x", kind="stable")
    return [group.index.to_numpy() for _, group in frame.groupby(columns)]


def _nearest(members: np.ndarray, x: np.ndarray, loss: np.ndarray, count: int) -> np.ndarray:
    """Rows of a cell at the values of the coordinate that are nearest to the best one."""
    values = np.unique(x[members])
    away = np.abs(values - x[members][np.argmin(loss[members])])
    kept = values[np.argsort(away, kind="stable")[:count]]
    return members[np.isin(x[members], kept)]


def _cell_table(
    table: LossTable,
    over: str,
    by: Sequence[str],
    members: Sequence[np.ndarray],
    curves: Parabolas,
) -> pd.DataFrame:
    """The columns of ``Vertices.cells`` up to ``curvature_se``."""
    first = [item[0] for item in members]
    swept = [table.column(over)[item] for item in members]
    frame = pd.DataFrame({name: table[name].iloc[first].to_numpy() for name in by})
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # To first order, slope and curvature being uncorrelated.
        ratio = curves.slope / curves.curvature
        error = np.hypot(curves.slope_se, ratio * curves.curvature_se) / (2 * curves.curvature)
        best = np.exp(curves.vertex)
    return frame.assign(
        n=[len(item) for item in members],
        distinct=[len(np.unique(item)) for item in swept],
        **{over: best},
        **interval_ends(curves, over, LEVEL),
        **{
            f"{over}_se": np.abs(error),
            f"{over}_min": [item.min() for item in swept],
            f"{over}_max": [item.max() for item in swept],
        },
        loss=curves.minimum,
        curvature=curves.curvature,
        curvature_se=curves.curvature_se,
    )


def _require_some(frame: pd.DataFrame) -> None:
    """Raise where no cell has a usable vertex."""
    if not frame["used"].any():
        counts = frame["status"].value_counts()
        states = listed([f"{count} {status}" for status, count in counts.items()])
        raise DataError(
            f"none of {len(frame)} cells has a usable vertex ({states})",
            remedy="A cell needs three distinct values around its least loss. Check by=, which "
            "tells cells apart, or take the best row of each, "
            "runs.loc[runs.groupby(by)['loss'].idxmin()]",
        )


def _mixed_notes(table: LossTable, over: str, by: Sequence[str]) -> list[Note]:
    """A note where rows of one value in a cell differ by another column."""
    found = find_repeated_cells(table, [*by, over], "loss")
    if found is None or not found.swept:
        return []
    return [
        Note.of(
            "vertices_mixed",
            f"{found.rows} of {len(table)} rows share {over} in a cell and differ with "
            f"{listed(found.swept)}: a vertex through all of them is that of their mean. Pass "
            f"repeats='least' for the best at each {over}, or tell cells apart, "
            f"by={[*by, found.swept[0]]!r}",
            {"rows": found.rows, "swept": list(found.swept)},
        )
    ]


MESSAGES: Mapping[str, tuple[tuple[str, ...], str]] = Frozen(
    {
        "vertices_at_edge": (
            ("edge_minimum",),
            "the vertex lies outside the runs: it is extrapolated. Add values there, or leave it "
            "out with keep_edges=False",
        ),
        "vertices_weak": (
            ("weak_curvature",),
            "the curvature is below two standard errors, so that the vertex may be anywhere. Add "
            "values, farther from the best",
        ),
        "vertices_left_out": (
            LEFT_OUT,
            "there is no usable vertex (see the status in cells): left out. A cell needs three "
            "distinct values around its least loss",
        ),
    }
)


def _status_notes(frame: pd.DataFrame, over: str, by: Sequence[str]) -> list[Note]:
    notes = []
    for code, (statuses, message) in MESSAGES.items():
        found = frame[frame["status"].isin(statuses)]
        if len(found):
            cells = found[list(by)].to_dict("records")
            named = [
                " and ".join(f"{name} = {short(value)}" for name, value in cell.items())
                for cell in cells
            ]
            notes.append(
                Note.of(
                    code,
                    f"in {len(found)} of {len(frame)} cells ({listed(named)}) {message}",
                    {"cells": named, "over": over},
                )
            )
    return notes
