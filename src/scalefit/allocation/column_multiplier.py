"""Compute multiplier of two laws of one column: how much more the baseline needs of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalefit.allocation.inverse import called, falls, reached
from scalefit.allocation.law_roots import Line, line_of
from scalefit.allocation.paired_draws import paired_draws
from scalefit.arguments import affordable, numbers
from scalefit.data.column_names import known_as
from scalefit.errors import AllocationError
from scalefit.notes import Note
from scalefit.results.estimate import Estimate
from scalefit.results.fit import Fit
from scalefit.results.remembered_columns import spoken
from scalefit.results.surface import Surface

__all__ = ["column_multiplier", "same_column"]


def column_multiplier(
    first: Surface, second: Surface, values: Any, paired: bool, optioned: bool
) -> Estimate:
    """How many times the column the baseline needs; see :func:`scalefit.compute_multiplier`.

    Args:
        first: the recipe.
        second: the baseline.
        values: of the column.
        paired: whether their draws are.
        optioned: whether options of an allocation are given.

    Raises:
        AllocationError: the baseline is of another column, or there is nothing to allocate.
        ArgumentError: a value is no positive number.
    """
    recipe, baseline = first.one_surface().point, second.one_surface().point
    column, other = same_column(recipe, baseline)
    if optioned:
        raise AllocationError(
            f"{recipe.law.name!r} is a law of {column} alone: nothing is allocated, and cost, "
            "fixed and fixed_baseline have no meaning. Leave them out"
        )
    at = np.asarray(numbers(values, "flops", above=0, remedy="Pass a budget, as flops=1e22"))
    flat = at.ravel()
    ours, theirs = line_of(recipe, column, {}), line_of(baseline, other, {})
    # The law as predict has it, which refuses what it does not describe.
    loss = recipe.evaluate(None, **{column: flat})
    need = np.exp(reached(theirs, loss[None]).first[0])
    notes = [*recipe.extrapolation({column: flat}), *recipe.carried]
    notes += _baseline_notes(theirs, need, loss)
    notes += (*first.draw_notes, *second.draw_notes)
    value = (need / flat).reshape(at.shape)
    if not first.drawn:
        return Estimate(value[()], np.empty((0, *at.shape)), notes=tuple(notes))
    drawn, compared = paired_draws(first.drawn, second.drawn, paired)
    count = len(next(iter(drawn.values())))
    remedy = f"These are budgets, each under {count} draws: pass fewer of them at once"
    affordable(len(flat), "flops", 24 * count, remedy=remedy)
    losses = line_of(recipe, column, {}, drawn).at(np.log(flat)[None])
    under = line_of(baseline, other, {}, compared)
    # Each draw of the baseline at the loss of the recipe's draw.
    needed = np.exp(reached(under, losses, falls(ours)).first) / flat
    tails = drawn.tails.wider(compared.tails)
    return Estimate(value[()], needed.reshape(count, *at.shape), tails, tuple(notes))


def same_column(first: Fit, second: Fit) -> tuple[str, str]:
    """The column of each of two laws of one column, which is the same quantity.

    Raises:
        AllocationError: one has several, or they are of different quantities.
    """
    said = []
    for fit in (first, second):
        law = fit.law
        if len(law.columns) != 1:
            raise AllocationError(
                f"{law.name!r} is a law of {', '.join(law.columns)}, and laws of one and the same "
                "column are compared here. Fit both to it, as 'power_offset' with x='C'; of two "
                "laws of N and D compute_multiplier(fit, baseline, flops) passes 1 where their "
                "optimal losses cross"
            )
        (column,) = law.columns
        header = spoken(law, fit.provenance).get(column, column)
        said.append((column, known_as(header) or header, header))
    if said[0][1] != said[1][1]:
        raise AllocationError(
            f"one law is of {said[0][2]} and the other of {said[1][2]}: there is nothing to "
            "compare. Fit both to the same column, as x='C'"
        )
    return said[0][0], said[1][0]


def _baseline_notes(line: Line, need: np.ndarray, loss: np.ndarray) -> list[Note]:
    """Notes of the baseline where it comes to the losses."""
    fine = np.isfinite(need) & (need > 0)
    notes = [*line.fit.extrapolation({line.column: need[fine]})] if fine.any() else []
    found = [
        replace(note, message=f"of the baseline: {note.message}")
        for note in (*notes, *line.fit.carried)
    ]
    if np.isinf(need).any():
        lowest = float(np.min(loss[np.isinf(need)]))
        found.append(
            Note.of(
                "loss_not_reached",
                f"no {called(line)} brings the baseline to {np.isinf(need).sum()} of the "
                f"{need.size} losses, the lowest {lowest:.4g}: there the multiplier is inf. Pass "
                "smaller values",
                {"losses": int(np.isinf(need).sum()), "lowest": lowest},
            )
        )
    return found
