"""Whether a table can identify a law at all, asked before the fit.

These are the cases in which no optimiser can help: a column that never changes, two columns that
move together, fewer distinct runs than parameters. Each is an error that names the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scalefit.errors import DataError, listed
from scalefit.fitting.problem import Problem

__all__ = ["check_design"]

# Tokens per parameter count as one ratio when they agree to a percent: step counts and batch sizes
# round more than that, and a percent of spread identifies nothing.
SAME_RATIO = 1e-2


def check_design(
    problem: Problem, columns: Mapping[str, np.ndarray], weight: np.ndarray, rows: Sequence[object]
) -> None:
    """Refuse a design that cannot identify the free parameters.

    Args:
        problem: what is to be fitted.
        columns: the law's data columns, each (rows,).
        weight: row weights, (rows,); rows of weight zero count as absent.
        rows: row labels.

    Raises:
        DataError: a column is constant, two columns are proportional, or there are fewer distinct
            runs than free parameters.
    """
    used = weight > 0
    design = np.stack([values[used] for values in columns.values()], axis=1)
    labels = [row for row, keep in zip(rows, used, strict=True) if keep]
    distinct = len(np.unique(design, axis=0))
    if distinct < problem.size:
        what = "runs" if distinct == len(design) else f"distinct ({', '.join(columns)}) points"
        raise DataError(
            f"{distinct} {what} cannot identify the {problem.size} free parameters of "
            f"{problem.law.name!r} (rows {listed(labels)})",
            rows=labels,
            remedy="Add runs, fix or tie parameters (fix={'E': 1.7}, tie=[('alpha', 'beta')]), or "
            "choose a smaller law",
        )
    for name, values in zip(columns, design.T, strict=True):
        if np.ptp(values) == 0:
            raise DataError(
                f"every run has {name} = {values[0]:g} (rows {listed(labels)}), so its effect "
                "cannot be told from the constant",
                column=name,
                rows=labels,
                remedy=_other_law(name) + f"or add runs with other {name}",
            )
    if problem.nonlinear:
        _check_ratios(list(columns), design, labels)


def _other_law(name: str) -> str:
    other = {"N": "D", "D": "N"}.get(name)
    return (
        f"Fit the law of {other} alone (law='chinchilla_{other.lower()}') "
        if other
        else f"Choose a law without {name}, "
    )


def _check_ratios(names: list[str], design: np.ndarray, labels: Sequence[object]) -> None:
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            if not (design[:, [i, j]] > 0).all():
                continue
            ratio = design[:, j] / design[:, i]
            if ratio.max() <= ratio.min() * (1 + SAME_RATIO):
                raise DataError(
                    f"every run has {names[j]}/{first} = {np.median(ratio):.4g} within "
                    f"{100 * SAME_RATIO:g} % (rows {listed(labels)}), so the exponents of {first} "
                    f"and {names[j]} cannot be told apart",
                    column=names[j],
                    rows=labels,
                    remedy=f"Add runs at other {names[j]}/{first} (an IsoFLOP sweep does), or fit "
                    f"a law of {first} alone",
                )
