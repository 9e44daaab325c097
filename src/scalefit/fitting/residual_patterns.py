"""Whether residuals have a pattern along the columns of a law: neighbours and runs of signs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from scalefit.fitting.fitted_rows import FittedRows
from scalefit.results.verdict import Pattern

__all__ = ["cells_of", "residual_patterns"]

# Values of a column below which there is no order along it.
FEWEST_VALUES = 5

# Cells up to which the number of runs has its exact distribution; the normal one is good to two
# digits from there on.
MOST_EXACT = 60

# Signs of residuals that are rounding beside the largest mean nothing.
ROUNDING = 1e-9


def residual_patterns(
    rows: FittedRows,
    columns: Mapping[str, np.ndarray],
    level: np.ndarray,
    derived: Mapping[str, np.ndarray] | None = None,
) -> tuple[Pattern, ...]:
    """The pattern of the residuals along each column, the clearest first.

    Args:
        rows: the fit.
        columns: the columns of the law, each of shape (n,), which tell rows apart.
        level: number of the level of each row in all groups together, shape (n,); only rows of one
            level are neighbours.
        derived: more to look along, made of the columns, each of shape (n,).
    """
    code, first = cells_of([*columns.values(), level])
    if len(first) < FEWEST_VALUES:
        return ()
    # Weighted means of the rows of a cell, and the same of the basis: in one cell its rows are
    # equal but for the weight, so that it stays orthonormal.
    root = np.sqrt(rows.weight)
    weight = np.bincount(code, rows.weight)
    mean = np.bincount(code, root * rows.clipped) / np.sqrt(weight)
    basis = rows.basis[first] * np.sqrt(weight / rows.weight[first])[:, None]
    looked = {
        name: values[first]
        for name, values in {**columns, **(derived or {})}.items()
        if np.count_nonzero(np.diff(np.sort(values[first]))) >= FEWEST_VALUES - 1
    }
    found, level = [], level[first]
    for name, values in looked.items():
        others = [item[first] for other, item in columns.items() if other != name]
        order = np.lexsort((*others[::-1], values, level))
        together = np.diff(level[order]) == 0
        found.append(_pattern(name, mean[order], basis[order], together, 2 * len(looked)))
    return tuple(sorted(found, key=lambda item: item.p_value))


def cells_of(keys: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Which rows share all keys: number of the cell of each row, and the first row of each."""
    order = np.lexsort(keys)
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for key in keys:
        new[1:] |= np.diff(key[order]) != 0
    code = np.empty(len(order), dtype=np.int64)
    code[order] = np.cumsum(new) - 1
    return code, order[new]


def _pattern(
    name: str, rest: np.ndarray, basis: np.ndarray, together: np.ndarray, tests: int
) -> Pattern:
    """The pattern of residuals in an order.

    Args:
        name: of the column.
        rest: residuals, shape (m,).
        basis: of what the law takes out of noise, shape (m, q).
        together: which residuals and the next are neighbours, shape (m - 1,).
        tests: number of tests, for the p value.
    """
    lag1, z, share = _neighbours(rest, basis, together)
    runs_z, runs_p = _sign_runs(rest)
    chance = min(0.5 * math.erfc(z / math.sqrt(2)), runs_p)
    return Pattern(name, lag1, z, runs_z, min(1.0, tests * chance), share)


def _neighbours(
    rest: np.ndarray, basis: np.ndarray, together: np.ndarray
) -> tuple[float, float, float]:
    """Correlation of neighbours, its z, and the share of the variance they have in common.

    Residuals of independent noise e are M e, where M takes the columns of the basis out: they
    correlate a little, and the moments of a ratio of quadratic forms in them are known. Where the
    noise differs from row to row its products are their own measure; the larger variance counts.

    Source:
        Durbin and Watson 1950, Biometrika 37(3), for the moments.
    """
    squares = float(rest @ rest)
    freedom = len(rest) - basis.shape[1]
    if freedom < 1 or not squares > 0:
        return 0.0, 0.0, 0.0
    products = np.where(together, rest[1:] * rest[:-1], 0.0)
    lag1 = float(products.sum()) / squares
    # A x, with A the symmetric matrix of the products.
    half = np.where(together, 0.5, 0.0)[:, None]
    moved = np.zeros_like(basis)
    moved[:-1] += half * basis[1:]
    moved[1:] += half * basis[:-1]
    inner = basis.T @ moved
    trace = -float(np.trace(inner))
    of_square = 0.5 * together.sum() - 2 * float((moved**2).sum()) + float((inner**2).sum())
    mean = trace / freedom
    variance = 2 * (freedom * of_square - trace**2) / (freedom**2 * (freedom + 2))
    variance = max(variance, float((products**2).sum()) / squares**2)
    if not variance > 0:
        return lag1, 0.0, 0.0
    share = min(max(lag1 - mean, 0.0), 1.0)
    return lag1, (lag1 - mean) / math.sqrt(variance), share


def _sign_runs(rest: np.ndarray) -> tuple[float, float]:
    """How few runs of one sign there are: z, and the chance of so few or fewer.

    Source:
        Wald and Wolfowitz 1940, Annals of Mathematical Statistics 11(2).
    """
    signs = rest[np.abs(rest) > ROUNDING * np.abs(rest).max(initial=0.0)] > 0
    first = int(signs.sum())
    second, runs = len(signs) - first, 1 + int((signs[1:] != signs[:-1]).sum())
    if not first or not second:
        return 0.0, 1.0
    total, pairs = first + second, 2.0 * first * second
    mean = pairs / total + 1
    variance = pairs * (pairs - total) / (total**2 * max(total - 1.0, 1.0))
    z = (mean - runs) / math.sqrt(variance) if variance > 0 else 0.0
    if total > MOST_EXACT:
        return z, 0.5 * math.erfc(z / math.sqrt(2))
    ways = sum(_arrangements(count, first, second) for count in range(2, runs + 1))
    return z, ways / math.comb(total, first)


def _arrangements(runs: int, first: int, second: int) -> int:
    """In how many orders two kinds of signs have a number of runs."""
    half, odd = divmod(runs, 2)
    if not odd:
        return 2 * math.comb(first - 1, half - 1) * math.comb(second - 1, half - 1)
    return math.comb(first - 1, half) * math.comb(second - 1, half - 1) + math.comb(
        first - 1, half - 1
    ) * math.comb(second - 1, half)
