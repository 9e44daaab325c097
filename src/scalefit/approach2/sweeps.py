"""Which runs share a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalefit.allocation.costs import Cost, find_cost, price
from scalefit.approach2.curve_vertices import padded
from scalefit.approach2.outlier_runs import Curves, surface_residuals
from scalefit.arguments import number, text
from scalefit.data.budgets import budget_codes
from scalefit.data.several_responses import RESPONSE
from scalefit.data.table import LossTable
from scalefit.errors import DataError, listed
from scalefit.results.surface import Surface

__all__ = ["Sweeps", "sweeps"]


@dataclass(frozen=True, eq=False)
class Sweeps:
    """Runs of positive weight, by budget.

    Attributes:
        rows: labels of the runs in their table.
        N: parameters.
        D: tokens.
        loss: losses.
        weight: weights.
        C: training FLOP, from the table or as the cost counts them.
        code: number of each run's budget, in rising order; -1 where it was taken out.
        cost: what budgets are counted in where the table has no column C.
        counted: whether C was computed by the cost, not read from the table.
        named: whether a column names the budgets; otherwise runs of close C share one.
        residual: of each run from a fitted surface, where one was given.
    """

    rows: tuple[object, ...]
    N: np.ndarray
    D: np.ndarray
    loss: np.ndarray
    weight: np.ndarray
    C: np.ndarray
    code: np.ndarray
    cost: Cost
    counted: bool
    named: bool = False
    residual: np.ndarray | None = None

    @property
    def members(self) -> list[np.ndarray]:
        """Positions of the runs of each budget, by size; budgets without runs are left out."""
        order = np.argsort(self.N, kind="stable")
        numbers = np.unique(self.code[self.code >= 0])
        return [order[self.code[order] == number] for number in numbers]

    def budget(self, members: np.ndarray) -> float:
        """Geometric mean of their FLOP."""
        C = self.C[members]
        # Relative to the first, so that the mean of equal budgets is exact.
        return float(C[0] * np.exp(np.log(C / C[0]).mean()))

    @property
    def over_size(self) -> Curves:
        """The losses of each budget over ln N."""
        return Curves(self.members, np.log(self.N), self.loss, self.weight)

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and weights of the runs, shape (budgets, points).

        Budgets of fewer runs are padded with weight 0, at position 0.
        """
        return padded(self.members, self.weight)


def sweeps(
    table: LossTable,
    by: str | None,
    tolerance: float,
    cost: str | Cost | None,
    *,
    losses: bool = True,
    fit: Surface | None = None,
) -> Sweeps:
    """The runs of a table by budget; without ``losses``, as of a design, these are NaN.

    Raises:
        ArgumentError: the tolerance is negative, or the cost or the column is of the wrong kind.
        DataError: a column is missing.
    """
    remedy = "Pass a distance of ln C, as tolerance=0.05 for 5 %"
    tolerance = number(tolerance, "tolerance", least=0, remedy=remedy)
    if by is not None:
        text(by, "by", remedy="Pass the column that names the budget of a run, or by=None")
    table.require(["N", "D", "loss"] if losses else ["N", "D"])
    if losses:
        require_one_response(table)
    used = table.weight > 0
    N, D = (table.column(name)[used] for name in ("N", "D"))
    loss = table.column("loss")[used] if losses else np.full(len(N), np.nan)
    counted = cost is not None or "C" not in table.sources
    count = find_cost("6ND" if cost is None else cost)
    C = price(count, {"N": N, "D": D}) if counted else table.column("C")[used]
    if by is None:
        code = budget_codes(np.log(C), tolerance)
    else:
        labels = table.labels(by)[used]
        code = _rising_codes(labels.factorize()[0], np.log(C))
    rows = tuple(row for row, kept in zip(table.rows, used, strict=True) if kept)
    residual = None if fit is None else surface_residuals(fit, table)[used]
    weight = table.weight[used]
    return Sweeps(rows, N, D, loss, weight, C, code, count, counted, by is not None, residual)


def require_one_response(table: LossTable) -> None:
    """Refuse a table whose rows are of several responses: a parabola is of one.

    Raises:
        DataError: they are.
    """
    if RESPONSE not in table or table.responses is None:
        return
    found = list(dict.fromkeys(table.frame[RESPONSE][table.weight > 0].astype(str)))
    if len(found) > 1:
        raise DataError(
            f"the rows are of {len(found)} responses, {listed(found)}, and parabolas are of one",
            column=RESPONSE,
            remedy=f"Pass the table of runs with one, as {table.responses.value}={found[0]!r} "
            f'instead of responses, or keep="response == {found[0]!r}" with it',
        )


def _rising_codes(label: np.ndarray, log_c: np.ndarray) -> np.ndarray:
    """Labels numbered by the mean of ln C."""
    means = np.bincount(label, log_c) / np.bincount(label)
    return np.argsort(np.argsort(means))[label]
