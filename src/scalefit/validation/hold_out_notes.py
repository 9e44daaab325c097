"""Notes of held-out runs: folds without a fit, runs on both sides of a fold, coverage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from scalefit.data.cells import label
from scalefit.data.table import LossTable
from scalefit.errors import listed
from scalefit.notes import Note
from scalefit.results.dependence import dependence_notes
from scalefit.validation.folds import Fold, blocks_of
from scalefit.validation.hold_out_result import HoldOut, without_warned

__all__ = ["hold_out_notes"]

# In simulations of rolling origins 95 % intervals of Chinchilla's law held 88 to 90 % with 13
# degrees of freedom, and 96 % with 20 or more; of a power with a limit 51 to 57 % with 5 to 9.
FEW_FREEDOM = 20

# Blocks that are proposed, at most: as many runs, if each is one, say something of 95 %.
MORE_BLOCKS = 20

# Residuals of rows that share their noise: the factor by which errors by rows are too narrow.
NARROWED = 1.2

# What rows on both sides of a fold are, by the note that says that they share their noise.
WHAT = {
    "trajectories": "checkpoints of a run",
    "repeated_cells": "repeats of a cell",
    "shared_runs": "responses of a run",
}


def hold_out_notes(result: HoldOut, table: LossTable, folds: Sequence[Fold]) -> tuple[Note, ...]:
    """Notes of a result: those of the fit that answers carry, and its own."""
    own = (
        *_without_fit(result),
        *_without_intervals(result),
        *_unseen(result, table),
        *_leaks(result, table, folds),
        *_coverage(result, table, folds),
        *_freedom(result),
    )
    return (*result.fit.carried, *dependence_notes(result.fit.notes), *own)


def _without_fit(result: HoldOut) -> Iterable[Note]:
    """A note of folds whose runs cannot identify the law."""
    frame = result.folds
    lost = frame[[one is None for one in result.fits]]
    if lost.empty:
        return
    early = result.scheme == "rolling" and len(lost) < len(frame)
    yield Note.of(
        "folds_without_fit",
        f"{len(lost)} of {len(frame)} folds cannot be fitted ({listed(list(lost.index))}): "
        f"{lost['reason'].iloc[0]}",
        {"folds": list(lost.index), "reasons": list(lost["reason"])},
        severity="info" if early else "warning",
    )


def _without_intervals(result: HoldOut) -> Iterable[Note]:
    """A note of folds that predict without intervals."""
    frame = result.folds
    fitted = np.array([one is not None for one in result.fits])
    lost = frame[fitted & (frame["reason"] != "") & (frame["method"] == "")]
    if len(lost):
        yield Note.of(
            "folds_without_intervals",
            f"{len(lost)} of {len(frame)} folds have no intervals ({listed(list(lost.index))}): "
            f"{lost['reason'].iloc[0]}",
            {"folds": list(lost.index), "reasons": list(lost["reason"])},
        )


def _unseen(result: HoldOut, table: LossTable) -> Iterable[Note]:
    """A note of runs whose levels were not fitted."""
    runs = result.to_frame()
    usable = {name for name, one in zip(result.folds.index, result.fits, strict=True) if one}
    lost = runs[runs["predicted"].isna() & runs["fold"].isin(usable)]
    if len(lost):
        columns = list(dict.fromkeys(c for g in result.fit.groups.values() for c in g.columns))
        named = listed(list(dict.fromkeys(lost["fold"])))
        yield Note.of(
            "unseen_levels",
            f"{len(lost)} held-out runs have a level of {', '.join(columns)} that none of the "
            f"fitted runs has ({named}), so that no coefficient predicts them. Hold out by "
            f"another column, with all levels on both sides, as by={_first(result, table)!r}",
            {"rows": list(lost["row"]), "folds": list(dict.fromkeys(lost["fold"]))},
        )


def _first(result: HoldOut, table: LossTable) -> str:
    """Header of the law's first column."""
    name = result.fit.law.columns[0]
    return str(table.sources.get(name, name))


def _leaks(result: HoldOut, table: LossTable, folds: Sequence[Fold]) -> Iterable[Note]:
    """Notes of runs that are on both sides of a fold."""
    for note in result.fit.notes:
        if note.code not in WHAT:
            continue
        named = note.details["by"]
        columns = [named] if isinstance(named, str) else list(named)
        code = _clusters(table, columns)
        crossing = [fold.test & np.isin(code, code[fold.train]) for fold in folds]
        leaking = [fold.name for fold, rows in zip(folds, crossing, strict=True) if rows.any()]
        if not leaking:
            continue
        rows = int(np.logical_or.reduce(crossing).sum())
        narrowing = float(note.details["narrowing"])
        yield Note.of(
            "leaky_folds",
            f"{rows} held-out rows are {WHAT[note.code]} with others among the fitted rows, of "
            f"{len(leaking)} folds ({listed(leaking)}): what they share is known there, and "
            "errors are too small. Hold out what belongs together: "
            f"{_remedy(table, columns[0])}",
            {"rows": rows, "folds": leaking, "by": columns, "narrowing": narrowing},
            severity="warning" if narrowing > NARROWED else "info",
        )


def _clusters(table: LossTable, columns: Sequence[str]) -> np.ndarray:
    """Number of each row's cluster, shape (rows,)."""
    code = np.zeros(len(table), dtype=np.int64)
    for name in columns:
        labels = pd.factorize(np.array([str(label(x)) for x in table[name]], dtype=object))[0]
        code = np.unique(code * (labels.max() + 1) + labels, return_inverse=True)[1]
    return code


def _remedy(table: LossTable, column: str) -> str:
    """The options that keep the rows of one value of a column together."""
    ordered = table[column].dtype.kind in "iuf"
    return f"by={column!r}" + ", scheme='groups'" * (not ordered)


def _coverage(result: HoldOut, table: LossTable, folds: Sequence[Fold]) -> Iterable[Note]:
    """A note where 95 % intervals hold too few runs, or too few runs say so."""
    found = result.covered(0.95)
    if not found.runs:
        return
    chance = f"{100 * found.share_low:.0f} to {100 * found.share_high:.0f} %"
    details = {"runs": found.runs, "inside": found.inside, "width": found.width}
    wanted = f"{found.width:.2g} times as wide they would have held 95 %"
    if np.isinf(found.width):
        wanted = "they lie beside the predictions, and no width would do"
    if found.too_narrow:
        yield Note.of(
            "intervals_do_not_hold",
            f"95 % intervals hold {found.inside} of {found.runs} held-out runs, {chance} by the "
            "binomial distribution, as if these were independent"
            f"{without_warned(result.to_frame(), result.folds)}: {wanted}",
            details,
        )
    elif found.too_few:
        yield Note.of(
            "few_held_out",
            f"95 % intervals hold {found.inside} of {found.runs} held-out runs, too few to judge: "
            f"the coverage may be {chance}. {_more(result, table, folds)}",
            details,
        )


def _more(result: HoldOut, table: LossTable, folds: Sequence[Fold]) -> str:
    """How to hold more runs out."""
    if result.scheme == "test":
        return "Hold more out, by a rule that more runs satisfy"
    if result.scheme == "largest":
        named = None if result.by == "6ND" and "6ND" not in table else result.by
        codes = blocks_of(table, result.fit.law, named).codes
        held = len(np.unique(codes[folds[0].test]))
        hold = min(MORE_BLOCKS, (int(codes.max()) + 1) // 2)
        more = f"hold={hold}, or " * (hold > held)
        return f"Hold more out: {more}each block above all before it, scheme='rolling'"
    return "Hold more out"


def _freedom(result: HoldOut) -> Iterable[Note]:
    """A note of folds with few degrees of freedom."""
    frame = result.folds
    few = frame[frame["df"] < FEW_FREEDOM]
    if len(few):
        yield Note.of(
            "few_freedom",
            f"{len(few)} folds have fewer than {FEW_FREEDOM} degrees of freedom "
            f"({listed(list(few.index))}; {few['df'].min():.0f} at least): where the law is "
            "not linear, their 95 % intervals may hold no more than half of the runs, and log "
            "scores rest on the same spread",
            {"folds": list(few.index), "df": few["df"].astype(int).to_list()},
        )
