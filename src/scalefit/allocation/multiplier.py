"""Compute multiplier: how much more budget one recipe needs for the loss of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalefit.allocation.column_multiplier import column_multiplier
from scalefit.allocation.costs import CostLike
from scalefit.allocation.optimum import MEANT, allocate
from scalefit.allocation.paired_draws import paired_draws, require_alike
from scalefit.allocation.problem import build_problem
from scalefit.allocation.refusals import require_design, require_optimum
from scalefit.allocation.solve import solve_all
from scalefit.allocation.solver import LIMITED
from scalefit.arguments import flag
from scalefit.calls import checked_call
from scalefit.notes import Note
from scalefit.results.estimate import Estimate
from scalefit.results.fit import Fit
from scalefit.results.surface import Surface, checked_surface

__all__ = ["compute_multiplier"]


@checked_call(**MEANT)
def compute_multiplier(
    fit: Surface,
    baseline: Surface,
    flops: Any,
    *,
    cost: CostLike = "6ND",
    fixed: Mapping[str, Any] | None = None,
    fixed_baseline: Mapping[str, Any] | None = None,
    paired: bool = False,
) -> Estimate:
    """How many times the budget the baseline needs to match a recipe at its own optimum.

    The recipe reaches its least loss at each budget C; the baseline needs C' for that loss; the
    multiplier is C'/C. Above 1 the recipe is the better one there. Losses of both must be of the
    same held-out data in the same unit.

    Args:
        fit: fit, or ensemble, of the recipe.
        baseline: of the recipe it is compared with; an ensemble exactly where ``fit`` is one.
        flops: budget or budgets of the recipe, FLOP.
        cost: as for :func:`allocate`, for both.
        fixed: columns of the recipe's law with a given value, as for :func:`allocate`.
        fixed_baseline: the same of the baseline; ``fixed`` by default.
        paired: whether draw i of both is of the same resample: runs of both tables in the same
            order, resampled by the same method with the same seed. What the pairs have in common
            (data, seeds, sizes) then cancels. Draws that failed in either are left out.

    Returns:
        The multiplier, of the shape of ``flops`` and ``fixed``; of ensembles with draws. inf,
            with a note, where no budget brings the baseline to that loss. Its notes are those of
            both allocations.

    Raises:
        ArgumentError: as for :func:`allocate`.
        DataError: coefficients of a fit differ by a column.
        AllocationError: as for :func:`allocate`; or one is an ensemble and the other is not, or
            ``paired`` is passed for ensembles that are not.

    Example:
        >>> import scalefit as sf
        >>> design = sf.simulation.isoflop_design()
        >>> better = sf.simulation.SURFACES["chinchilla"] | {"A": 380.0, "B": 380.0}
        >>> fit = sf.fit(sf.simulate(design, params=better, noise=0.0))
        >>> baseline = sf.fit(sf.simulate(design, noise=0.0))
        >>> round(float(sf.compute_multiplier(fit, baseline, 1e21).value), 3)
        1.608
    """
    first, second = checked_surface(fit), checked_surface(baseline, "baseline")
    recipe, compared = first.point, second.point
    flag(paired, "paired")
    require_alike(first, second)
    if len(recipe.law.columns) == 1:
        given = not (isinstance(cost, str) and cost == "6ND")
        optioned = given or fixed is not None or fixed_baseline is not None
        return column_multiplier(first, second, flops, paired, optioned)
    other = fixed if fixed_baseline is None else fixed_baseline
    own = allocate(recipe, flops, cost=cost, fixed=fixed)
    value = _needed(compared, None, own.loss, cost, other)
    notes = (*own.notes, *_baseline_notes(compared, value, own.loss, cost, other))
    budgets = np.asarray(flops, dtype=np.float64)
    ratio = value / budgets
    if not first.drawn:
        return Estimate(ratio, np.empty((0, *ratio.shape)), notes=notes)
    ours, theirs = paired_draws(first.drawn, second.drawn, paired)
    problem = build_problem(recipe, flops, "FLOP", cost=cost, fixed=fixed)
    best = solve_all(problem, ours)
    loss = np.where(best.state <= LIMITED, best.loss, np.nan)
    drawn = _needed(compared, theirs, loss, cost, other) / budgets
    notes += (*first.draw_notes, *second.draw_notes)
    return Estimate(ratio, drawn, ours.tails.wider(theirs.tails), notes)


def _baseline_notes(
    baseline: Fit,
    needed: np.ndarray,
    loss: np.ndarray,
    cost: CostLike,
    fixed: Mapping[str, Any] | None,
) -> list[Note]:
    """Notes of the baseline at the budgets that it needs."""
    fine = np.isfinite(needed)
    if not fine.any():
        return []
    columns = {
        name: np.broadcast_to(values, needed.shape)[fine] for name, values in (fixed or {}).items()
    }
    notes = allocate(baseline, needed[fine], cost=cost, fixed=columns).notes
    found = [replace(note, message=f"of the baseline: {note.message}") for note in notes]
    if not fine.all():
        lowest = float(np.min(loss[~fine]))
        found.append(
            Note.of(
                "loss_not_reached",
                f"no budget brings the baseline to {np.sum(~fine)} of the {needed.size} losses, "
                f"the lowest {lowest:.4g}: there the multiplier is inf. Pass smaller budgets",
                {"losses": int(np.sum(~fine)), "lowest": lowest},
            )
        )
    return found


def _needed(
    fit: Fit,
    params: Mapping[str, np.ndarray] | None,
    loss: np.ndarray,
    cost: CostLike,
    fixed: Mapping[str, Any] | None,
) -> np.ndarray:
    """The least budget of a loss; inf where there is none. Shape of the loss."""
    one = params is None
    values = params or {name: np.array([value]) for name, value in fit.one_surface().params.items()}
    level = np.asarray(loss)[None] if one else loss
    problem = build_problem(
        fit,
        np.nan_to_num(level[0], nan=1.0),
        "loss",
        cost=cost,
        fixed=fixed,
        option="fixed_baseline",
    )
    found = solve_all(problem, values, level)
    if one:
        require_design(problem, found)
    if one and (found.state > LIMITED).all():
        require_optimum(problem, found)
    needed = np.where(np.isnan(level), np.nan, np.where(found.state <= LIMITED, found.cost, np.inf))
    return np.asarray(needed[0] if one else needed)
