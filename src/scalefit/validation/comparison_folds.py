"""The folds of a comparison: the same for every law, with runs enough for the largest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit.data.row_filter import quoted
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, DataError
from scalefit.laws import Law
from scalefit.validation.folds import Blocks, Fold, Scheme, blocks_of, folds_of, ruled_fold

__all__ = ["common_folds"]

# Blocks of a learning curve, which has no design: factors of so much, from its end downwards. The
# half octave was chosen on training rows alone (docs/adr/0025-laws-are-weighed.md).
HALF_OCTAVE = np.log(2.0) / 2

# Residual degrees of freedom that the largest law keeps on the training runs of a fold: with none
# it passes through them, and says nothing of runs beyond.
FREEDOM = 2


def common_folds(
    table: LossTable,
    laws: Sequence[Law],
    most_free: int,
    *,
    by: str | None,
    scheme: Scheme,
    hold: int,
    test: str | None,
) -> tuple[tuple[Fold, ...], Blocks | None, int]:
    """Folds for all laws, the blocks that they hold out, and how many folds have too few runs.

    There are no blocks under a rule.

    Args:
        table: the runs.
        laws: the laws; blocks are by default of the columns of the one that has most.
        most_free: free parameters of the largest.
        by: column of the blocks.
        scheme: which blocks are held out.
        hold: number of blocks.
        test: rule of the runs that are held out, in place of a scheme.

    Raises:
        ArgumentError: a rule and blocks, or too few blocks.
        DataError: no column or no runs for it, or no fold with runs enough for every law.
    """
    least = most_free + FREEDOM
    if test is not None:
        if by is not None:
            raise ArgumentError(
                f"by={by!r} and test={test!r} each say what is held out",
                argument="by",
                value=by,
                remedy="Leave one of them out",
            )
        return _large_enough((ruled_fold(table, test),), least), None, 0
    widest = max(laws, key=lambda law: len(law.columns))
    curve = by is None and len(widest.columns) == 1
    blocks = _octaves(table, widest.columns[0]) if curve else blocks_of(table, widest, by)
    folds = folds_of(blocks, scheme, hold)
    if curve and scheme == "largest":
        folds = (_last(table, widest.columns[0], folds[0], least),)
    kept = _large_enough(folds, least)
    return kept, blocks, len(folds) - len(kept)


def _octaves(table: LossTable, name: str) -> Blocks:
    """Half octaves of a column, downwards from its largest value."""
    used, values = table.weight > 0, table.column(name)
    codes = np.full(len(table), -1, dtype=np.intp)
    # Values a hair below a boundary are on it: the largest value over a power of two.
    below = np.floor(np.log(values[used].max() / values[used]) / HALF_OCTAVE + 1e-9)
    steps, inverse = np.unique(-below, return_inverse=True)
    codes[used] = inverse
    if len(steps) < 2:
        raise DataError(
            f"every run has {name} within a factor of {np.exp(HALF_OCTAVE):.3g}: nothing can be "
            "held out by it",
            column=name,
            remedy="Name the runs to predict, as "
            f"test={f'{quoted(name)} > {np.quantile(values[used], 0.8):.6g}'!r}",
        )
    names = [f"{values[codes == k].max():.3g}" for k in range(len(steps))]
    return Blocks(name, tuple(names), codes, ordered=True)


def _last(table: LossTable, name: str, fold: Fold, least: int) -> Fold:
    """The last part of a curve, cut short until enough runs are left to fit."""
    values = table.column(name)
    used = fold.train | fold.test
    steps = np.unique(values[fold.test])
    for start in steps:
        test = used & (values >= start)
        train = used & ~test
        if train.sum() >= least or start == steps[-1]:
            return Fold(f"{name} >= {start:.3g}", train, test)
    return fold


def _large_enough(folds: Sequence[Fold], least: int) -> tuple[Fold, ...]:
    """The folds that leave so many runs to fit.

    Raises:
        DataError: none does.
    """
    found = tuple(fold for fold in folds if fold.train.sum() >= least)
    if found:
        return found
    most = max(int(fold.train.sum()) for fold in folds)
    raise DataError(
        f"no fold leaves {least} runs to fit, {FREEDOM} more than the largest law has free "
        f"parameters: the most is {most}",
        remedy="Hold out fewer runs, leave the largest law out, or fix some of its parameters",
    )
