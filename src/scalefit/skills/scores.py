"""Benchmark scores of models as a matrix, with their families: what the laws of skills take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.data.cells import label
from scalefit.data.several_responses import RESPONSE, ROW, read_responses
from scalefit.data.table import LossTable, as_table
from scalefit.errors import DataError, listed

__all__ = ["SCORE", "Scores", "as_labels", "checked_floors", "read_scores"]

# What the numbers of the benchmarks are called in the long table.
SCORE = "score"


class Scores(NamedTuple):
    """Models by benchmarks.

    Attributes:
        table: the long table.
        rows: labels of the models, in the order of the wide table.
        responses: headers of the benchmarks.
        values: scores, NaN where there is none, shape (models, benchmarks).
        places: the first row of each model in the long table, shape (models,).
    """

    table: LossTable
    rows: tuple[str, ...]
    responses: tuple[str, ...]
    values: np.ndarray
    places: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """A column of numbers, one for each model."""
        return self.table.column(name)[self.places]

    def labels(self, name: str) -> np.ndarray:
        """A column of labels as text, one for each model."""
        return as_labels(self.table.labels(name).iloc[self.places])


def as_labels(cells: Iterable[Any]) -> np.ndarray:
    """Cells of a column of families as text: 4 and 4.0 are one."""
    return np.array([label(cell) for cell in cells], dtype=object)


def read_scores(runs: Any, responses: Any, columns: Mapping[str, Any]) -> Scores:
    """The scores of a wide table, or of a long one that :func:`scalefit.read` made.

    Raises:
        ArgumentError: ``responses`` or a column makes no sense.
        DataError: the table is malformed, or a score is none of 0 to 1.
    """
    several = None if responses is None else read_responses(responses, SCORE)
    table = as_table(runs, responses=several, **columns)
    found = table.responses
    if found is None:
        raise DataError(
            "the table is of one response, and skills are of several benchmarks",
            remedy="Name them, as responses=['mmlu', 'arc']",
        )
    scores = table.column(found.value)
    outside = np.flatnonzero((scores < 0) | (scores > 1))
    if len(outside):
        wrong = [table.rows[place] for place in outside]
        raise DataError(
            f"the score {scores[outside[0]]:g} of row {wrong[0]} is no share of one",
            column=found.value,
            rows=wrong,
            remedy="Divide percentages by 100: runs[responses] / 100"
            if scores[outside[0]] > 1
            else "Leave it empty, or move it inside: runs[responses].clip(0, 1)",
        )
    rows: Any
    rows, code = np.unique(table[ROW].to_numpy(dtype=str), return_index=True)
    order = np.argsort(code)
    rows, places = rows[order], code[order]
    model = pd.Index(rows).get_indexer(pd.Index(table[ROW].to_numpy(dtype=str)))
    benchmark = pd.Index(found.headers).get_indexer(pd.Index(table[RESPONSE].astype(str)))
    values = np.full((len(rows), len(found.headers)), np.nan)
    values[model, benchmark] = scores
    empty = [
        name for name, gaps in zip(found.headers, np.isnan(values).T, strict=True) if gaps.all()
    ]
    if empty:
        raise DataError(
            f"no model has a score of {listed(empty)}",
            column=empty[0],
            remedy="Leave it out of responses",
        )
    return Scores(table, tuple(rows), found.headers, values, places)


def checked_floors(floors: Any, responses: Sequence[str]) -> np.ndarray:
    """Scores of guessing, one for each benchmark; zero where none is given.

    Raises:
        ArgumentError: one is no share, or is of no benchmark.
    """
    remedy = "Pass the score of guessing by benchmark, as floors={'mmlu': 0.25}"
    given = {} if floors is None else arguments.mapping(floors, "floors", remedy=remedy)
    for name in given:
        arguments.choice(name, "key of floors", tuple(responses), remedy=remedy)
    return np.array(
        [
            arguments.number(
                given.get(name, 0.0), f"floors[{name!r}]", least=0, below=1, remedy=remedy
            )
            for name in responses
        ]
    )
