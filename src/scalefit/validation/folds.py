"""Which runs are held out together: blocks of runs, and folds made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from scalefit.data.budgets import budget_codes
from scalefit.data.cells import label
from scalefit.data.dropped_rows import apply_rules
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, DataError
from scalefit.laws import Law

__all__ = ["Blocks", "Fold", "Scheme", "blocks_of", "folds_of", "ruled_fold"]

Scheme = Literal["largest", "rolling", "groups"]
"""Train below the largest blocks; below each block in turn; without each block in turn."""

# Runs off any grid lie closer all along than budgets do, and would be one block: so a block is no
# wider than a tenth of a decade, half the step of the finest public grids.
WIDEST_BLOCK = 0.1 * np.log(10)

# Digits of a block's name, and the most that tell two numbers apart.
DIGITS, MOST_DIGITS = 3, 17


class Fold(NamedTuple):
    """One division of the runs.

    Attributes:
        name: what is held out, as ``C = 1e21``.
        train: runs that are fitted, booleans of shape (rows,).
        test: runs that are predicted, booleans of shape (rows,); none of the others.
    """

    name: str
    train: np.ndarray
    test: np.ndarray


class Blocks(NamedTuple):
    """Runs that are held out together.

    Attributes:
        by: the column, or ``6ND``.
        names: of each block, in rising order where they are numbers.
        codes: block of each run, -1 of runs of weight zero, shape (rows,).
        ordered: whether they are numbers, so that some are larger.
    """

    by: str
    names: tuple[str, ...]
    codes: np.ndarray
    ordered: bool


def blocks_of(table: LossTable, law: Law, by: str | None = None) -> Blocks:
    """Blocks of runs by a column.

    Args:
        table: the runs.
        law: the law that is fitted.
        by: the column; by default the compute, ``C`` or 6ND, where the law has N and D, and else
            its first column.

    Raises:
        DataError: there is no such column, or all runs are one block.
    """
    used = table.weight > 0
    values, name = _values(table, law, by)
    codes = np.full(len(table), -1, dtype=np.intp)
    if values.dtype.kind == "f":
        codes[used] = _close(values[used])
        shown = _numbered(values, codes)
    else:
        distinct, codes[used] = np.unique(values[used].astype(str), return_inverse=True)
        shown = list(map(str, distinct))
    if len(shown) < 2:
        raise DataError(
            f"every run has {name} = {shown[0]}: nothing can be held out by it",
            column=name,
            remedy="Name a column that differs between runs, as by='N'",
        )
    return Blocks(name, tuple(shown), codes, values.dtype.kind == "f")


def _close(values: np.ndarray) -> np.ndarray:
    """Number of each value's block, in rising order, shape (rows,)."""
    if not (values > 0).all():
        return np.unique(values, return_inverse=True)[1]
    logs = np.log(values)
    codes = budget_codes(logs)
    low = np.full(codes.max() + 1, np.inf)
    high = -low
    np.minimum.at(low, codes, logs)
    np.maximum.at(high, codes, logs)
    parts = np.maximum(1.0, np.ceil((high - low) / WIDEST_BLOCK))
    # Equal parts of a wide block. None is empty: its gaps are smaller than the parts.
    share = (logs - low[codes]) / np.where(high > low, high - low, 1.0)[codes]
    place = np.minimum(np.floor(share * parts[codes]), parts[codes] - 1)
    return np.unique(np.stack([codes, place]), axis=1, return_inverse=True)[1].ravel()


def _numbered(values: np.ndarray, codes: np.ndarray) -> list[str]:
    """Names of blocks of numbers: the middle of each, in digits that tell them apart."""
    middle = [float(np.median(values[codes == code])) for code in range(codes.max() + 1)]
    for digits in range(DIGITS, MOST_DIGITS):
        shown = [f"{value:.{digits}g}" for value in middle]
        if len(set(shown)) == len(shown):
            return shown
    return [f"{value:.{MOST_DIGITS}g}" for value in middle]


def _values(table: LossTable, law: Law, by: str | None) -> tuple[np.ndarray, str]:
    """Values that divide the runs, and what they are called."""
    if by is None:
        if not {"N", "D"} <= set(law.columns):
            return table.column(law.columns[0]), law.columns[0]
        # C is optional, and may lack values.
        whole = "C" in table.sources and np.isfinite(table.numbers("C")[table.weight > 0]).all()
        by = "C" if whole else "6ND"
    if by == "6ND" and by not in table:
        return 6 * table.column("N") * table.column("D"), by
    found = table.labels(by)
    if found.dtype.kind in "iuf":
        return table.column(by), by
    return np.array([label(cell) for cell in found], dtype=object), by


def folds_of(blocks: Blocks, scheme: Scheme = "largest", hold: int = 1) -> tuple[Fold, ...]:
    """Folds by a scheme.

    Args:
        blocks: the blocks.
        scheme: ``largest``: one fold, which holds out the ``hold`` largest blocks; ``rolling``: the
            ``hold`` blocks above each origin are predicted from all below it; ``groups``: each
            block in turn from all others.
        hold: number of blocks, at least 1.

    Raises:
        ArgumentError: blocks of labels have no largest one, or too few blocks are left.
    """
    count = len(blocks.names)
    if scheme == "groups":
        return tuple(
            Fold(
                f"{blocks.by} = {name}",
                (blocks.codes >= 0) & (blocks.codes != k),
                blocks.codes == k,
            )
            for k, name in enumerate(blocks.names)
        )
    if not blocks.ordered:
        raise ArgumentError(
            f"scheme={scheme!r} needs a column of numbers, and {blocks.by!r} has labels",
            argument="scheme",
            value=scheme,
            remedy="Hold out each label in turn: scheme='groups'",
        )
    if hold >= count:
        raise ArgumentError(
            f"hold={hold} of {count} blocks of {blocks.by} leaves nothing to fit",
            argument="hold",
            value=hold,
            remedy="Hold out fewer, as hold=1",
        )
    origins = [count - hold] if scheme == "largest" else range(1, count - hold + 1)
    return tuple(_above(blocks, first, hold) for first in origins)


def _above(blocks: Blocks, first: int, hold: int) -> Fold:
    """The fold that predicts so many blocks from all those below."""
    names: Sequence[str] = blocks.names[first : first + hold]
    named = names[0] if hold == 1 else f"{names[0]} to {names[-1]}"
    inside = (blocks.codes >= first) & (blocks.codes < first + hold)
    return Fold(f"{blocks.by} = {named}", (blocks.codes >= 0) & (blocks.codes < first), inside)


def ruled_fold(table: LossTable, rule: str) -> Fold:
    """The fold that predicts the runs which satisfy a rule, as ``C > 1e21``, from all others.

    Raises:
        DataError: the rule makes no sense on this table, or all or no runs satisfy it.
    """
    test = _satisfies(table, rule)
    used = table.weight > 0
    if not (test & used).any() or not (~test & used).any():
        raise DataError(
            f"{'no' if not (test & used).any() else 'every'} run satisfies {rule!r}",
            remedy="Choose a rule that some runs satisfy and others do not",
        )
    return Fold(rule, used & ~test, used & test)


def _satisfies(table: LossTable, rule: str) -> np.ndarray:
    """Whether each run satisfies a rule in headers or canonical names, shape (rows,)."""
    numbered = table.frame.reset_index(drop=True)
    # Under their headers numbers are in the unit that they have there.
    units = {name: table.frame[name] / scale for name, scale in table.scales.items()}
    original = table.frame.assign(**units).rename(columns=dict(table.sources))
    kept = apply_rules(original, numbered, (rule,))[0].index
    return np.isin(np.arange(len(table)), kept)
