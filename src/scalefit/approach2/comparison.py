"""Approach 2 compared with a fitted surface: :func:`bias`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.allocation.costs import Cost, CostLike, find_cost
from scalefit.allocation.deadweight_compute import deadweight
from scalefit.allocation.hardware import Hardware, find_hardware, share_of_peak
from scalefit.allocation.optimum import allocate
from scalefit.approach2.attribution import attribute_bias, require_parabolas, single_budget
from scalefit.approach2.bias_notes import bias_notes
from scalefit.approach2.bias_report import BiasReport, budget_size
from scalefit.approach2.bias_variants import Comparison
from scalefit.approach2.design_error import sweeps_bias
from scalefit.approach2.isoflop_fit import IsoFlop
from scalefit.approach2.resamples import resample_approach2, resampling_notes
from scalefit.approach2.run_quality import ALL_RULES, RuleChoice, checked_rules
from scalefit.arguments import flag, whole
from scalefit.data.table import LossTable
from scalefit.errors import AllocationError, DataError
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import table_again
from scalefit.results.surface import Surface, checked_surface
from scalefit.runtime.progress import with_progress

__all__ = ["bias"]

# Largest number of resamples: all are held in memory at once.
MOST_RESAMPLES = 100_000


@with_progress
def bias(
    fit: Surface,
    isoflop: IsoFlop,
    runs: LossTable | pd.DataFrame,
    flops: float,
    *,
    cost: CostLike | None = None,
    hardware: Hardware | str = "H100 SXM bf16",
    utilisation: float = 0.5,
    rules: Sequence[RuleChoice] = ALL_RULES,
    objectives: bool = True,
    n_draws: int = 400,
    seed: int = 0,
    progress: bool = True,
    **columns: str,
) -> BiasReport:
    """What Approach 2 does to the answer at a budget, why, and what it costs.

    The cost is deadweight compute. Take the tokens that Approach 2 advises and the size that the
    budget buys for them, read the loss of that run off the surface, and find the least compute
    that reaches it on the surface: the rest of the budget is wasted.

    Args:
        fit: a fit of a law of N and D to the runs, or an ensemble of one, which adds intervals.
        isoflop: the sweeps by :func:`scalefit.isoflop` on the same runs, by parabolas.
        runs: the table.
        flops: the budget, FLOP.
        cost: what the surface's budgets are counted in, k N D; by default that of
            ``isoflop``, or 6ND where it read a column.
        hardware: an accelerator, or its name in ``scalefit.allocation.HARDWARE``.
        utilisation: share of its dense peak that training reaches.
        rules: as for :func:`flag_runs`: the answer is repeated without the runs that they flag, in
            the fit and in Approach 2; ``rules=()`` for no such variant.
        objectives: whether to fit the law again to raw and to log residuals, by squares and by a
            Huber loss with delta 0.001.
        n_draws: how often Approach 2 is repeated on runs resampled within their budgets; not at
            all where the parabolas leave fewer than five residual degrees of freedom.
        seed: of the resampling.
        progress: whether a line shows what is going on once it takes more than a second.
        **columns: headers, as for ``fit``, where ``runs`` is a DataFrame.

    Returns:
        The report. Its ``variants`` have a row for ``as given``, ``without flagged runs`` and each
        objective: ``nobs`` and ``budgets`` behind it, ``n_exponent`` and ``D`` of the surface,
        ``n_exponent_approach2`` and ``D_approach2``, ``error`` and ``deadweight``;
        ``residual_rms`` is the root mean square residual in its own unit, ``beyond_delta`` the
        share of residuals beyond the delta of a Huber loss: near one, the fit is one of absolute
        residuals.

    Raises:
        ArgumentError: an argument is of the wrong kind or out of its range.
        DataError: ``isoflop`` is not by parabolas, or the table lacks runs that it has.
        AllocationError: the law is not one of N and D, has no optimum, or the cost is not k N D.

    Source:
        Czech et al. 2026, arXiv 2603.22339.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design(width=2.0, drift=3.0), noise=0.0)
        >>> report = sf.bias(sf.fit(runs), sf.isoflop(runs), runs, 1e24, rules=())
        >>> f"{report.error():.1%} too many tokens waste {report.deadweight:.2%} of the budget"
        '11.6% too many tokens waste 0.37% of the budget'
    """
    fit = checked_surface(fit).one_surface()
    require_parabolas(isoflop)
    hardware, utilisation = find_hardware(hardware), share_of_peak(utilisation)
    remedy = "Pass how many, as n_draws=400, or n_draws=0 for none"
    n_draws = whole(n_draws, "n_draws", least=0, most=MOST_RESAMPLES, remedy=remedy)
    seed, objectives = arguments.seed(seed), flag(objectives, "objectives")
    rules = checked_rules(rules)
    surface_cost = _product(isoflop.sweeps.cost if cost is None else cost)
    target = single_budget(flops)
    refuse_unknown(bias, None, columns)
    table = table_again(fit.point.provenance, runs, columns)
    _require_runs(isoflop, table)
    optimum = allocate(fit, target, cost=surface_cost)
    tokens = isoflop.at(target).D
    size = budget_size(surface_cost, target, tokens)
    comparison = Comparison(fit.point, isoflop, table, target, surface_cost)
    few = resampling_notes(isoflop) if n_draws else []
    variants, failed = comparison.variants(rules, objectives)
    report = BiasReport(
        fit=fit.point,
        isoflop=isoflop,
        optimum=optimum,
        waste=deadweight(fit, size, tokens, cost=surface_cost),
        cost=surface_cost,
        design=sweeps_bias(fit, isoflop.sweeps, np.array([target]), surface_cost),
        attribution=attribute_bias(fit, isoflop, target, cost=surface_cost),
        resamples=_resampled(comparison, 0 if few else n_draws, seed),
        variants=variants,
        hardware=hardware,
        utilisation=utilisation,
    )
    own = (*failed, *few, *bias_notes(report, table))
    notes = (*optimum.notes, *isoflop.notes, *report.attribution.own_notes, *own)
    # The surface and the sweeps are of one table, and both carry its notes.
    return replace(report, notes=tuple(n for i, n in enumerate(notes) if n not in notes[:i]))


def _product(cost: CostLike) -> Cost:
    """A cost k N D + m N in FLOP.

    Raises:
        AllocationError: it is another.
    """
    found = find_cost(cost)
    if found.per_product is None or found.unit != "FLOP":
        raise AllocationError(
            f"cost {found.name!r} is not k N D in FLOP, so that tokens do not say which size a "
            "budget buys. Use 6ND, or scalefit.allocation.product(k, source='mine')"
        )
    return found


def _require_runs(isoflop: IsoFlop, table: LossTable) -> None:
    """Raise where the table lacks runs of the sweeps."""
    absent = isoflop.runs.index.difference(pd.Index(table.rows))
    if len(absent):
        raise DataError(
            f"the table lacks runs of the sweeps: rows {list(absent[:5])}",
            remedy="Give the table that isoflop was given",
        )


def _resampled(comparison: Comparison, n_draws: int, seed: int) -> pd.DataFrame:
    """Approach 2 on resampled runs, with the deadweight of each."""
    frame = resample_approach2(comparison.isoflop, comparison.flops, n_draws, seed)
    D = frame["D"].to_numpy()
    known = np.isfinite(D) & (D > 0)
    share = np.full(n_draws, np.nan)
    if known.any():
        share[known] = comparison.wasted(D[known])
    frame.insert(5, "deadweight", share)
    return frame
