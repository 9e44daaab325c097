"""Whether runs move two columns of a law apart by more than their noise hides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scalefit.data.column_names import ALIASES, normalised
from scalefit.data.table import LossTable
from scalefit.notes import Note
from scalefit.results.fit import Fit
from scalefit.results.prediction import by_row

__all__ = ["ColumnPath", "noise_of_residuals", "one_ratio_note", "own_law_calls", "path_of"]

# What moving N and D apart can change, in standard errors of such a change. At 5 the exponents of a
# ladder of 12 runs scatter by a third, at 0.6 they end anywhere; published sweeps have 20 to 190.
LEAST_APART = 5.0
# Runs that leave the path by more than this, in ln(D/N), are at several ratios: what they do not
# tell is hidden by noise, as standard errors say.
NARROW = 0.5

# Powers this close to 0, 1 or -1 are called by what they mean.
SAME_POWER = 0.05


class ColumnPath(NamedTuple):
    """The path that runs follow in two columns: the second nearly a power of the first.

    Attributes:
        columns: both.
        power: of the second in the first.
        off: root mean square distance of the second from the path, in its logarithm.
        apart: what moving the columns apart by as much does to the prediction at most, in standard
            errors of such a change.
        shared: share of the variance of the second's logarithm that the path has.
    """

    columns: tuple[str, str]
    power: float
    off: float
    apart: float
    shared: float

    @property
    def hidden(self) -> bool:
        """Whether the noise hides what tells the two apart."""
        return self.apart < LEAST_APART and self.off < NARROW


def noise_of_residuals(fit: Fit, residuals: np.ndarray) -> float:
    """Standard deviation of Gaussian noise that leaves such residuals.

    It is from their mean size: a single bad run is not the noise.

    Args:
        fit: the fit.
        residuals: of its runs.
    """
    freedom = max(fit.nobs - fit.n_free, 1)
    return float(np.abs(residuals).mean() * np.sqrt(np.pi / 2 * fit.nobs / freedom))


def path_of(fit: Fit, table: LossTable, pair: tuple[str, str], noise: float) -> ColumnPath | None:
    """The path of the runs in two columns; None where one is not positive or the first is constant.

    Moving off the path by u in the logarithm of the second, half of it by each, changes the
    prediction by no more than u / 2 times its slopes in both logarithms together, which the path
    itself determines well, however the fit divides them between the two.

    Args:
        fit: a fit to the table.
        table: its runs.
        pair: two columns of the law.
        noise: standard deviation of a residual.
    """
    used = table.weight > 0
    columns = {name: table.column(name) for name in fit.law.columns}
    first, second = (columns[name][used] for name in pair)
    if not ((first > 0).all() and (second > 0).all()):
        return None
    x, y = np.log(first), np.log(second)
    x, y = x - x.mean(), y - y.mean()
    if not x.any():
        return None
    power = float(x @ y / (x @ x))
    off = float(np.sqrt(np.mean((y - power * x) ** 2)))
    spread = float(np.mean(y**2))
    moves = 0.5 * off * np.sqrt(fit.nobs) / noise if noise > 0 else np.inf
    seen = float(np.median(_steepness(fit, table, columns, pair)[used]))
    shared = 1 - off**2 / spread if spread > 0 else 1.0
    return ColumnPath(pair, power, off, moves * seen if moves and seen else 0.0, shared)


def _steepness(
    fit: Fit, table: LossTable, columns: Mapping[str, np.ndarray], pair: tuple[str, str]
) -> np.ndarray:
    """Slopes of the prediction in both logarithms, in size and together, as residuals have them.

    Shape (rows,).
    """
    codes = {grouping: grouping.codes(table) for grouping in fit.groups.values()}
    params = by_row(fit.law, fit.params, fit.groups, codes)

    def predicted(name: str, factor: float) -> np.ndarray:
        moved = {**columns, name: columns[name] * factor}
        return fit.law.evaluate(moved, params)

    step = 1e-3
    total = sum(
        np.abs(predicted(name, 1 + step) - predicted(name, 1 - step)) / (2 * step) for name in pair
    )
    if fit.objective.residual == "raw":
        return np.asarray(total)
    return np.asarray(total / np.abs(predicted(pair[0], 1.0)))


def one_ratio_note(path: ColumnPath, table: LossTable) -> Note:
    """The note on runs whose D is nearly a power of N."""
    kept, along = f"D follows N as N^{path.power:.2g}", "fix both exponents"
    add = f"Add runs at other D/N (an IsoFLOP sweep does), or {along}"
    if abs(path.power - 1) < SAME_POWER:
        kept = "D/N hardly changes"
    elif abs(path.power) < SAME_POWER:
        kept = "D hardly changes"
    elif abs(path.power + 1) < SAME_POWER:
        kept, add = "6ND hardly changes", f"Add runs at other budgets, or {along}"
    return Note.of(
        "one_ratio",
        f"in these runs {kept} (to within {100 * np.expm1(path.off):.2g} %): what moving N and D "
        f"apart does to the loss is {path.apart:.2g} standard errors at most, below "
        f"{LEAST_APART:g}, so that their effects are not told apart and no D/N is the best one by "
        f"these runs. They determine the loss along their path: {own_law_calls(table)}. {add}",
        {"apart": path.apart, "limit": LEAST_APART, "power": path.power, "off": path.off},
    )


def own_law_calls(table: LossTable) -> str:
    """Calls that fit what runs along one path of N and D determine: laws of N and of C alone."""
    N, D = (table.sources[name] for name in ("N", "D"))
    loss = _option(table, "loss")
    of_size = f"scalefit.fit(runs, 'chinchilla_n'{_option(table, 'N')}{loss})"
    if "C" in table.sources:
        return f"{of_size}, or scalefit.fit(runs, 'power_offset', x={table.sources['C']!r}{loss})"
    counted = f"runs.assign(FLOP=6 * runs[{N!r}] * runs[{D!r}])"
    return f"{of_size}, or scalefit.fit({counted}, 'power_offset', x='FLOP'{loss})"


def _option(table: LossTable, quantity: str) -> str:
    """The option that names a header which is not found by itself."""
    header = table.sources[quantity]
    known = header in ALIASES[quantity] or normalised(str(header)) in ALIASES[quantity]
    return "" if known else f", {quantity}={header!r}"
