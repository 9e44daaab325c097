"""Tables of one problem, stacked: rows filled up to one length, a table in each place of the first
axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scalefit.errors import DataError
from scalefit.fitting.design_checks import check_delta, check_design, check_losses, check_weights
from scalefit.laws import Law
from scalefit.many.reading import Part
from scalefit.objective import Objective, measure
from scalefit.problem.prepare import prepare
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.problem.separability import Structure
from scalefit.runtime.settings import quiet

__all__ = ["FEWEST_ROWS", "Posed", "Stack", "length_of", "pose", "stacked"]

# Rows are filled up to powers of two, and no fewer than this: every length is a program to compile.
FEWEST_ROWS = 64


class Posed(NamedTuple):
    """A table with the problem that it poses.

    Attributes:
        number: of the table.
        part: its rows.
        problem: what is free.
        settings: its bounds.
    """

    number: int
    part: Part
    problem: Problem
    settings: Settings


class Stack(NamedTuple):
    """Tables of one problem.

    Attributes:
        numbers: of the tables, (tables,).
        data: their rows, every array with an axis of tables before that of rows; weights are over
            ``weight_unit``, and the delta and factor of its measure are not used.
        settings: bounds, (tables, p).
        delta: where the penalty turns linear, (tables,).
        factor: value of the objective over the sum of penalties, (tables,).
        weight_unit: power of two of the largest weight of each, (tables,).
        rows: how many of the rows are the table's own, (tables,).
    """

    numbers: np.ndarray
    data: Data
    settings: Settings
    delta: np.ndarray
    factor: np.ndarray
    weight_unit: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def one(self, index: int) -> Data:
        """A table with rows of its own, as the search of a single fit takes it."""
        own, data = slice(0, int(self.rows[index])), self.data
        return data._replace(
            columns=tuple(item[index, own] for item in data.columns),
            response=data.response[index, own],
            weight=data.weight[index, own] * self.weight_unit[index],
            metric=data.metric[index, own],
            unit=data.unit[index],
            measure=data.measure._replace(
                delta=float(self.delta[index]), factor=float(self.factor[index])
            ),
        )

    def many(self, index: np.ndarray) -> Data:
        """Some tables, as the judgement of their ends takes them."""
        data, delta, factor = self.data, self.delta[index], self.factor[index]
        measure: Any = data.measure._replace
        return data._replace(
            columns=tuple(item[index] for item in data.columns),
            response=data.response[index],
            weight=data.weight[index] * self.weight_unit[index, None],
            metric=data.metric[index],
            unit=data.unit[index],
            measure=measure(delta=delta, factor=factor),
        )

    def for_program(self, index: np.ndarray) -> tuple[Data, Settings]:
        """Rows and bounds of some tables, arrays only."""
        nothing: Any = None
        rows = self.many(index)._replace(
            weight=self.data.weight[index], fixed=nothing, measure=nothing
        )
        return rows, Settings(*(item[index] for item in self.settings))


def pose(
    number: int,
    part: Part,
    law: Law,
    structure: Structure,
    objective: Objective,
    options: Mapping[str, Any],
) -> Posed:
    """The problem that one table poses.

    Args:
        number: of the table.
        part: its rows.
        law: the law.
        structure: its separable form.
        objective: what is minimised.
        options: ``fixed``, ``bounds`` and ``tied``, checked.

    Raises:
        DataError: the table cannot identify the law.
        ArgumentError: an option makes no sense for the law, or delta for losses of this size.
    """
    if not (part.own > 0).any():
        raise DataError(
            "every row of the table has weight zero",
            column="weight",
            remedy="Give at least one run a positive weight",
        )
    if not part.observed[part.own > 0].any():
        raise DataError(
            f"every {law.response} that counts is zero, so that there is nothing to fit",
            column=law.response,
            remedy="Give it with more digits, if it was rounded",
        )
    labels: Sequence[object] = part.rows.tolist()
    check_losses(objective, law.response, part.observed, part.own, labels)
    problem, settings = prepare(law, structure, part.columns, **options)
    check_design(problem, part.columns, part.own, labels)
    check_weights(part.weight, labels)
    return Posed(number, part, problem, settings)


def length_of(posed: Posed) -> int:
    """Rows that a table is filled up to."""
    return 1 << (max(FEWEST_ROWS, len(posed.part.observed)) - 1).bit_length()


def stacked(posed: Sequence[Posed], objective: Objective, fixed: Mapping[str, float]) -> Stack:
    """Tables of one problem in one stack.

    The last row is repeated at weight zero, so that nothing not finite enters.

    Raises:
        ArgumentError: delta is nothing but rounding for the losses of a table.
    """
    problem = posed[0].problem
    length = max(map(length_of, posed))

    def filled(items: Sequence[np.ndarray], weightless: bool = False) -> np.ndarray:
        found = np.empty((len(items), length))
        for row, item in zip(found, items, strict=True):
            row[: len(item)], row[len(item) :] = item, 0.0 if weightless else item[-1]
        return found

    parts = [item.part for item in posed]
    losses = filled([part.observed for part in parts])
    weight = filled([part.weight for part in parts], weightless=True)
    weight_unit = _binary(weight.max(axis=1))
    weight = weight / weight_unit[:, None]
    # Squares are of losses over a power of two, which changes no digit and keeps them floats.
    scale = _binary(np.where(weight > 0, np.abs(losses), 0.0).max(axis=1))[:, None]
    with quiet():
        relative = (losses / scale) ** 2
        metric = weight / relative if objective.needs_positive_loss else weight
        metric = np.where(weight > 0, metric, 0.0)
        metric = metric / metric.sum(axis=1, keepdims=True)
        unit = np.sqrt(np.sum(metric * relative, axis=1)) * scale[:, 0]
    how = [measure(objective, one) for one in unit]
    for one, size in zip(how, unit, strict=True):
        check_delta(objective, one, float(size))
    data = Data(
        columns=tuple(
            filled([part.columns[name] for part in parts]) for name in problem.law.columns
        ),
        response=losses / unit[:, None],
        weight=weight,
        metric=metric,
        unit=unit,
        fixed=np.array([fixed[name] for name in problem.fixed], dtype=np.float64),
        measure=how[0]._replace(delta=0.0, factor=0.0),
    )
    delta, factor = np.array([(one.delta, one.factor) for one in how]).T
    settings = Settings(*map(np.stack, zip(*(item.settings for item in posed), strict=True)))
    rows = np.array([len(part.observed) for part in parts])
    numbers = np.array([item.number for item in posed])
    return Stack(numbers, data, settings, delta, factor, weight_unit, rows)


def _binary(values: np.ndarray) -> np.ndarray:
    """Powers of two of the size of numbers, one where these are zero."""
    return np.where(values > 0, np.exp2(np.floor(np.log2(np.where(values > 0, values, 1.0)))), 1.0)
