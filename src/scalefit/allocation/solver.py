"""Least loss within a budget, or least cost of a loss, of many problems under many draws.

Both directions mean *at most*: the least loss of at most a budget, the least cost of at most a
loss. The tokens are eliminated (:mod:`~scalefit.allocation.token_elimination`). The loss or cost
that is left is a function of the size (:mod:`~scalefit.allocation.reduced_objective`), which is
scanned and refined (:mod:`~scalefit.allocation.size_search`). Further free columns are searched
around that (:mod:`~scalefit.allocation.lattice_search`).

Law, cost and limits are traced once, with their derivatives. All problems go through numpy
together, so that nothing is compiled for a law that is a formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np

from scalefit.allocation.lattice_search import AT_ONCE, LATTICE, best_extras
from scalefit.allocation.problem_batch import (
    INFEASIBLE,
    INTERIOR,
    LARGEST,
    LIMITED,
    UNBOUNDED,
    Batch,
    BatchValues,
)
from scalefit.allocation.problem_form import ProblemForm, ProblemValues, programs_of
from scalefit.allocation.reduced_objective import expand
from scalefit.allocation.size_search import best_size
from scalefit.runtime.settings import quiet

__all__ = [
    "INFEASIBLE",
    "INTERIOR",
    "LIMITED",
    "UNBOUNDED",
    "Solution",
    "in_batches",
    "solve",
    "with_turns",
]

# Points along size and tokens, and along each further column, at which it is looked how often the
# loss turns along the tokens; and what is no turn, relative to the loss.
SIZES_LOOKED_AT, TOKENS_LOOKED_AT, EXTRAS_LOOKED_AT = 33, 65, 3
LEVEL_RISE = 1e-12


class Solution(NamedTuple):
    """Solutions, each field of shape (draws, problems).

    Attributes:
        columns: the free columns.
        loss: the law there.
        cost: the cost there.
        n_exponent: d ln size / d ln cost, where the optimum is smooth; else NaN.
        d_exponent: d ln tokens / d ln cost, likewise.
        turned: whether more tokens would raise the loss there, so that budget is left.
        waste: share of the budget that twice or half the size wastes, to second order; NaN where
            the cost is minimised.
        state: ``INTERIOR``, ``LIMITED``, ``UNBOUNDED``, ``INFEASIBLE`` or ``SLOPELESS``.
    """

    columns: Mapping[str, Any]
    loss: Any
    cost: Any
    n_exponent: Any
    d_exponent: Any
    turned: Any
    waste: Any
    state: Any


def solve(form: ProblemForm, params: Mapping[str, np.ndarray], values: ProblemValues) -> Solution:
    """Every problem under every draw.

    Args:
        form: of the problems.
        params: parameters of the law, each of shape (draws,).
        values: the numbers of the problems, each with a leading axis of problems; the level may
            have one of draws before it.

    Returns:
        Solutions of shape (draws, problems).
    """
    found: Solution = in_batches(_solved, with_turns(form, params, values), params, values)
    return found


def _solved(batch: Batch) -> Solution:
    form = batch.form
    if form.extras:
        batch, x, state = best_extras(batch)
    else:
        x, state = best_size(batch)
    there = expand(batch, x)
    smooth = (state == INTERIOR) & (not form.extras)
    # How the optimum moves with the level: the derivative stays zero.
    dx = -there.f_level_x / there.hessian[-1][-1]
    du = there.u_level + there.u_gradient[-1] * dx
    paid = there.cost_gradient[-1] * du + there.cost_gradient[-2] * dx
    bend, gain = there.hessian[-1][-1], -batch.level * there.f_level
    # What a relative change of the budget is worth, against that of a step of ln 2.
    waste = 0.5 * math.log(2) ** 2 * bend / gain
    size_column = {form.size_column: np.exp(x), form.token_column: np.exp(there.u)}
    free = zip(form.extras, form.logarithmic, batch.extras, strict=True)
    columns = size_column | {name: np.exp(p) if log else p for name, log, p in free}

    def flat(value: Any) -> np.ndarray:
        return np.array(np.broadcast_to(value, x.shape)[:, 0])

    return Solution(
        {name: flat(value) for name, value in columns.items()},
        flat(there.loss),
        flat(np.exp(there.ln_cost)),
        flat(np.where(smooth, dx / paid, np.nan)),
        flat(np.where(smooth, du / paid, np.nan)),
        flat(there.turned),
        flat(np.nan if form.minimises_cost else waste),
        flat(state),
    )


def with_turns(form: ProblemForm, params: Mapping[str, Any], values: ProblemValues) -> ProblemForm:
    """The form with the number of turns of the loss along the tokens, in the searched range.

    That depends on draws and fixed columns, not on levels.
    """
    count = len(values.box)
    fixed = [np.reshape(column, (count, 1)) for column in values.fixed.values()]
    rows = np.hstack([*fixed, values.box.reshape(count, -1), values.reach])
    _, few = np.unique(rows, axis=0, return_index=True)
    some = ProblemValues(
        np.ones(len(few)),
        {name: column[few] for name, column in values.fixed.items()},
        *(item[few] for item in values[2:]),
    )
    return form._replace(turns=int(in_batches(_turns, form, params, some).max()))


def _turns(batch: Batch) -> np.ndarray:
    """How often the loss turns along the tokens at any point: see :class:`ProblemForm`.

    For the least cost of a loss, a loss that rises with the size counts as one turn: the tokens
    that reach a loss then grow with the size again, and no single size divides those that can.
    """
    values = batch.values
    low, high = (end[:, None] for end in values.box[0])
    x = low + (high - low) * np.linspace(0.0, 1.0, 1 if (low == high).all() else SIZES_LOOKED_AT)
    near, far = (np.clip(x + end[:, None], 0.0, LARGEST) for end in values.reach)
    ends = values.box[1:]
    turns = np.zeros(len(batch), dtype=int)
    for places in product(np.linspace(0.0, 1.0, EXTRAS_LOOKED_AT), repeat=len(ends)):
        there = batch.at(ends[:, 0] + np.reshape(places, (-1, 1)) * (ends[:, 1] - ends[:, 0]))
        before, risen = np.full(x.shape, np.inf), np.zeros(x.shape, dtype=bool)
        for share in np.linspace(0.0, 1.0, TOKENS_LOOKED_AT):
            loss = there.loss(x, near + share * (far - near))
            slack = LEVEL_RISE * np.abs(before)
            again = risen & (loss < before - slack)
            risen |= loss > before + slack
            turns = np.maximum(turns, np.where(again.any(axis=1), 2, risen.any(axis=1)))
            before = loss
            if batch.form.minimises_cost:
                # The next size with as many tokens.
                larger = there.loss(x[:, 1:], (near + share * (far - near))[:, :-1])
                worse = larger > loss[:, :-1] + LEVEL_RISE * np.abs(loss[:, :-1])
                turns = np.maximum(turns, worse.any(axis=1))
    return turns


def in_batches(
    function: Callable[..., Any],
    form: ProblemForm,
    params: Mapping[str, Any],
    values: ProblemValues,
    *each: np.ndarray,
) -> Any:
    """A function of a batch at every pair of a draw and a problem, a block of pairs at a time."""
    draws, count = len(next(iter(params.values()))), len(values.box)
    level = np.broadcast_to(np.asarray(values.level, dtype=np.float64), (draws, count)).ravel()
    names = tuple(sorted(values.fixed))
    fixed = [np.asarray(values.fixed[name]) for name in names]
    drawn = [np.asarray(params[name]) for name in form.law.names]
    rest = [np.moveaxis(np.asarray(item), 0, -1) for item in values[2:]]
    extras = len(form.extras)
    size = AT_ONCE // LATTICE[extras][0] ** extras + 1 if extras else AT_ONCE
    blocks: list[Any] = []
    with quiet():
        for start in range(0, draws * count, size):
            pair = np.arange(start, min(start + size, draws * count))
            draw, problem = np.divmod(pair, count)
            given = np.array([*(item[problem] for item in fixed), *(item[draw] for item in drawn)])
            numbers = BatchValues(
                given, level[pair], np.empty((0, len(pair))), *(i[..., problem] for i in rest)
            )
            batch = Batch(programs_of(form, names), numbers)
            blocks.append(function(batch, *(item.ravel()[pair] for item in each)))

    def joined(*items: np.ndarray) -> np.ndarray:
        return np.concatenate(items).reshape(draws, count)

    return jax.tree.map(joined, *blocks)
