"""From a table to a problem that is ready to search: columns, structure, checks, packed rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scalefit.data.grouping import Grouping
from scalefit.data.table import LossTable
from scalefit.errors import DataError
from scalefit.fitting.design_checks import check_delta, check_design, check_losses, check_weights
from scalefit.fitting.known_errors import weights
from scalefit.frozen import Frozen
from scalefit.laws import Law
from scalefit.objective import Objective, binary_size, measure, require_positive
from scalefit.problem.prepare import prepare
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.problem.separability import structure
from scalefit.results.fit import Fit
from scalefit.results.prediction import by_row
from scalefit.runtime.settings import quiet

__all__ = [
    "PreparedFit",
    "data_digest",
    "fitted_losses",
    "pack",
    "prepare_again",
    "prepare_fit",
]

# Places that rows in slots of one length may take, of one each, before levels have several slots.
MOST_FILLED = 2

# Directions in which parameters are moved to see how a law rounds, and steps, relative. The sixth
# difference of a smooth law is below 1e-14 of it; of rounding alone, with a spread s in each value,
# it has the spread sqrt(924) s.
DIRECTIONS, STEP = 3, 2.0**-16
SIXTH = np.array([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0])


class PreparedFit(NamedTuple):
    """A law, an objective and a table, ready to search.

    Attributes:
        table: the table.
        objective: what is minimised.
        fixed: values of the fixed parameters.
        problem: what is free.
        settings: its bounds.
        data: the table, packed.
        columns: the law's columns, each (rows,), raw units.
        observed: observed losses, (rows,).
        groups: the division each grouped parameter differs by.
        codes: level of each row in each division, (rows,).
        weight: of each row in the sum: the table's own, over the square of a known error, (rows,).
    """

    table: LossTable
    objective: Objective
    fixed: Mapping[str, float]
    problem: Problem
    settings: Settings
    data: Data
    columns: dict[str, np.ndarray]
    observed: np.ndarray
    groups: dict[str, Grouping]
    codes: dict[Grouping, np.ndarray]
    weight: np.ndarray

    def predict(self, params: Mapping[str, float]) -> np.ndarray:
        """The law as it is written, at parameters by name, shape (rows,)."""
        law = self.problem.law
        return law.evaluate(self.columns, by_row(law, params, self.groups, self.codes))

    def rounding(self, params: Mapping[str, float]) -> np.ndarray:
        """The rounding of the law, by its differences along lines of parameters, shape (rows,).

        Source:
            Moré and Wild 2011, Estimating computational noise, SIAM J. Sci. Comput. 33(3).
        """
        rng, found = np.random.default_rng(0), np.zeros(len(self.observed))
        for _ in range(DIRECTIONS):
            way = dict(zip(params, rng.uniform(-1.0, 1.0, len(params)), strict=True))
            line = [
                self.predict({name: it * (1 + k * STEP * way[name]) for name, it in params.items()})
                for k in range(-3, 4)
            ]
            found = np.maximum(found, np.abs(SIXTH @ np.array(line)))
        return found / math.sqrt(np.sum(SIXTH**2))


def prepare_fit(
    table: LossTable,
    law: Law,
    objective: Objective,
    *,
    fixed: Mapping[str, float] = Frozen({}),
    bounds: Mapping[str, tuple[float, float]] = Frozen({}),
    tied: Sequence[Sequence[str]] = (),
    groups: Mapping[str, Sequence[str]] = Frozen({}),
) -> PreparedFit:
    """The problem that a law and an objective pose on a table.

    Raises:
        DataError: the table lacks a column, or cannot identify the law.
        ArgumentError: ``fixed``, ``bounds``, ``tied`` or ``groups`` make no sense for the law, or
            the delta of raw residuals for losses of this size.
    """
    table.require([*law.columns, law.response], law, fitted=True)
    columns, observed = table.columns_of(law), fitted_losses(table, law, objective)
    grouped = {name: Grouping.of(table, names, table.weight > 0) for name, names in groups.items()}
    codes = {grouping: grouping.codes(table) for grouping in grouped.values()}
    found = structure(law, columns, bounds)
    problem, settings = prepare(
        law, found, columns, fixed=fixed, bounds=bounds, tied=tied, groups=grouped
    )
    check_design(problem, columns, table.weight, table.rows, codes)
    weight = weights(objective, table, observed)
    check_weights(weight, table.rows)
    data = pack(problem, objective, columns, observed, weight, fixed, list(codes.values()))
    check_delta(objective, data.measure, float(data.unit))
    return PreparedFit(
        table, objective, fixed, problem, settings, data, columns, observed, grouped, codes, weight
    )


def fitted_losses(table: LossTable, law: Law, objective: Objective) -> np.ndarray:
    """Observed losses, (rows,), where the objective can sum their residuals.

    Raises:
        DataError: it cannot, or the column is absent.
    """
    observed, name = table.column(law.response), law.response
    require_positive(objective, observed, table.rows)
    law.check({name: observed}, table.rows, table.sources)
    if not observed[table.weight > 0].any():
        raise DataError(
            f"every {name} that counts is zero, so that there is nothing to fit",
            column=name,
            remedy="Give it with more digits, if it was rounded",
        )
    header = table.sources.get(name, name)
    check_losses(objective, header, observed, table.weight, table.rows)
    return observed


def prepare_again(fit: Fit, table: LossTable) -> PreparedFit:
    """The problem that a fit solved, on its table or on another one.

    Raises:
        DataError: the table lacks a column, or cannot identify the law.
    """
    table.require([*fit.law.columns, fit.law.response], fit.law)
    return prepare_fit(
        table,
        fit.law,
        fit.objective,
        fixed=fit.fixed,
        bounds=fit.bounds,
        tied=fit.tied,
        groups={name: item.columns for name, item in fit.groups.items()},
    )


def data_digest(table: LossTable, law: Law, objective: Objective, grouped: Sequence[str]) -> str:
    """SHA-256 of what a fit takes from its table.

    Args:
        table: the table.
        law: the law.
        objective: what is summed: may name a column of known errors.
        grouped: columns that coefficients differ by.
    """
    errors = [objective.sigma] if isinstance(objective.sigma, str) else []
    return table.digest([*law.columns, law.response, *errors], grouped)


def pack(
    problem: Problem,
    objective: Objective,
    columns: Mapping[str, np.ndarray],
    observed: np.ndarray,
    weight: np.ndarray,
    fixed: Mapping[str, float],
    codes: Sequence[np.ndarray] = (),
) -> Data:
    """Rows as the search and the polish take them, in units of the loss.

    The metric weights log and relative residuals by 1/L^2: to first order ln L - ln f = (L - f)/L,
    so that the projected squared error ranks cells as the objective would without its penalty.
    """
    # Squares are of losses over a power of two, which changes no digit and keeps them floats.
    scale = binary_size(np.median(np.abs(observed[(weight > 0) & (observed != 0)])))
    scaled = observed / scale
    with quiet():
        metric = weight / scaled**2 if objective.needs_positive_loss else weight
        metric = metric / metric.sum()
        unit = float(np.sqrt(np.sum(metric * scaled**2))) * scale
    placed = [_by_level(item, metric > 0) for item in codes]
    return Data(
        columns=tuple(columns.values()),
        response=observed / unit,
        weight=np.asarray(weight, dtype=np.float64),
        metric=metric,
        unit=np.float64(unit),
        fixed=np.array([fixed[name] for name in problem.fixed], dtype=np.float64),
        measure=measure(objective, unit),
        codes=tuple(codes),
        places=tuple(item[0] for item in placed),
        present=tuple(item[1] for item in placed),
        slots=tuple(item[2] for item in placed),
    )


def _by_level(codes: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of each level that count in slots, filled up with row 0; where they are rows; levels."""
    (rows,) = np.nonzero(used & (codes >= 0))
    rows = rows[np.argsort(codes[rows], kind="stable")]
    counts = np.bincount(codes[rows], minlength=codes.max() + 1)
    length = counts.max()
    if len(counts) * length > MOST_FILLED * len(rows):
        # A few levels of very many rows would fill up all the others.
        length = -(-len(rows) // len(counts))
    slots = np.repeat(np.arange(len(counts)), np.maximum(1, -(-counts // length)))
    number = np.arange(len(slots)) - np.searchsorted(slots, slots)
    first = (np.cumsum(counts) - counts)[slots] + number * length
    place = first[:, None] + np.arange(length)
    present = place < np.cumsum(counts)[slots][:, None]
    return np.where(present, rows[np.where(present, place, 0)], 0), present * 1.0, slots
