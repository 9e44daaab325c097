"""Which runs to make next: those that tell most about a target for what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.costs import CostLike
from scalefit.allocation.problem_options import Limits
from scalefit.arguments import flag, number, whole
from scalefit.data.grouping import level_keywords
from scalefit.data.table import LossTable
from scalefit.design.chosen_runs import NextRuns
from scalefit.design.criteria import Criterion, Separation, Variance
from scalefit.design.exchange import Purse, select, sorted_by_gain
from scalefit.design.prior_information import Information, noise_of, of_draws, of_runs
from scalefit.design.reweighting import reweighted_error
from scalefit.design.rivals import rivals_of
from scalefit.design.run_candidates import RunCandidates, given_candidates, grid_candidates
from scalefit.design.targets import TARGET, Target, target_of
from scalefit.errors import ArgumentError, DataError
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.fitted_data import FittedData, attach, require_clusters
from scalefit.notes import Note
from scalefit.results.dependence import dependence_notes
from scalefit.results.domain import reach
from scalefit.results.estimate import AS_DRAWN
from scalefit.results.fit import Fit
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import LEVEL
from scalefit.results.surface import Surface, checked_surface
from scalefit.runtime.progress import with_progress

__all__ = ["next_runs"]

# Runs that are chosen at most unless said otherwise: those of a few IsoFLOP sweeps.
COUNT = 20

# Draws weighted by simulated losses of the new runs and the linearisation may differ by this factor
# in the standard error after them. With 4,000 draws of the covariance of linear laws they differ
# by less than 1.1.
MOST_APART = 1.25

BUDGET = "Pass what the new runs together may cost, as budget=1e21"


@with_progress
def next_runs(
    fit: Surface,
    runs: LossTable | pd.DataFrame | None = None,
    *,
    target: Any,
    budget: float,
    cost: CostLike = "6ND",
    candidates: Any = None,
    count: int = COUNT,
    limits: Limits | None = None,
    fixed: Mapping[str, Any] | None = None,
    repeat: bool | None = None,
    noise: float | None = None,
    progress: bool = True,
    **columns: Any,
) -> NextRuns:
    """The runs that make an answer more certain than any others of the same cost.

    With M = J^T W J / noise^2 the information of the runs that are there, and z the derivative of a
    new run's prediction, on the scale of the residuals, in the free parameters over the noise, the
    variance of an answer with the gradient g is, to first order,

        g^T (M + sum z z^T)^-1 g,

    c-optimality; its mean over answers for several (V-optimality). Two laws are told apart by the
    sum of squares that each, refitted, leaves of the other (T-optimality). Candidates are added
    greedily by what they gain for their cost, and then exchanged until no exchange helps.

    Of a fit everything is taken at its parameters, and M from its table. Of an ensemble M is the
    inverse covariance of its draws, and the variance is averaged over draws.

    To go on run by run, pass ``count=1``, add the loss to the table, fit it and ask again.

    Args:
        fit: a fit, or an ensemble of one.
        runs: the table that was fitted; not needed for an ensemble, whose picture it completes.
        target: a budget, for the compute-optimal N there; the columns of a point, or a table of
            several, for the losses there; an :func:`allocation.optimum_function` for another
            optimum; or another fit of the same runs, to tell the two laws apart.
        budget: what the new runs may cost together, in the unit of the cost.
        cost: name of a cost, a :class:`Cost`, or a function of the columns; or the column of
            ``candidates`` that says it.
        candidates: a table of runs that could be made. By default a grid: columns that the cost
            reads go from their smallest values among the runs to what the budget pays for, other
            columns over their ranges among the runs; D/N keeps to its range, half a decade wider.
        count: most runs.
        limits: ranges that replace those of the grid, as for :func:`allocate`.
        fixed: columns that the grid holds, one number each.
        repeat: whether a candidate may be run more than once, as with another seed; yes for a grid,
            no for given candidates.
        noise: standard deviation of the residual of a run (ln L for most fits); by default that of
            the fit.
        progress: whether a line shows what is going on once it takes more than a second.
        **columns: options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The runs, and the standard errors before and after them.

    Raises:
        ArgumentError: an option makes no sense, or the budget pays for no run.
        DataError: the table is not the one that was fitted, or a parameter has no effect on it; or
            coefficients of the fit differ by a column.
        AllocationError: there is no optimum at the target's budget.

    Source:
        Atkinson, Donev and Tobias 2007, Optimum Experimental Designs, chapters 10, 17, 18 and 20.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design([1e18, 1e19, 1e20], points=7))
        >>> fit = sf.fit(runs)
        >>> chosen = sf.next_runs(fit, runs, target=1e23, budget=1e20, count=4)
        >>> chosen
        <NextRuns for N* at 1e+23 FLOP: 4 for ... FLOP, ... times narrower>
        >>> list(chosen.runs)
        ['N', 'D', 'cost', 'spent', 'se']
    """
    surface = checked_surface(fit)
    refuse_unknown(next_runs, surface.point.law, columns)
    surface = _one_surface(surface)
    budget = number(budget, "budget", above=0, remedy=BUDGET)
    count = whole(count, "count", least=1, remedy="Pass the most runs, as count=20")
    if noise is not None:
        remedy = "Pass a standard deviation of ln L, as noise=0.005"
        noise = number(noise, "noise", above=0, remedy=remedy)
    fitted = _fitted(surface, runs, isinstance(target, Fit), columns)
    found = _candidates(surface.point, candidates, cost, budget, limits, fixed)
    repeat = (
        not found.given
        if repeat is None
        else flag(repeat, "repeat", remedy="Pass repeat=True for runs with other seeds")
    )
    purse = Purse(found.costs, budget, count, repeat)
    if isinstance(target, Fit):
        return _apart(_required(fitted), target, found, purse, noise, runs, columns)
    known = _information(surface, fitted, noise)
    paid = found.cost
    answers = target_of(target, known, surface.drawn, paid)
    usable = np.isfinite(answers.slopes).all(axis=(1, 2))
    criterion = Variance(known.rows(found.columns)[usable], answers.slopes[usable] @ known.root)
    chosen = _chosen(criterion, purse)
    after = np.array([criterion.variances(chosen[: i + 1]) for i in range(len(chosen))]) ** 0.5
    table = _table(found, chosen).assign(se=np.sqrt((after**2).mean(axis=1)))
    notes = [*_notes(surface, fitted, found, chosen, noise), *answers.notes]
    notes += _undetermined(known)
    notes += _linearised(surface, found, chosen, known, answers, after[-1])
    return NextRuns(
        runs=table,
        target=answers.name,
        kind="loss" if np.isnan(answers.budget) else "optimum",
        value=answers.values,
        before=np.sqrt(criterion.variances([])),
        after=after,
        logarithmic=answers.logarithmic,
        law=surface.point.law.name,
        noise=known.noise,
        budget=budget,
        unit=found.unit,
        candidates=len(found.costs),
        df=np.inf if noise is not None else float(surface.point.df_resid),
        existing=_existing(fitted),
        points=answers.points,
        target_budget=answers.budget,
        cost=paid,
        notes=tuple(notes),
        _drawn=answers.drawn,
        _tails=surface.drawn.tails if surface.drawn else AS_DRAWN,
    )


def _one_surface(surface: Surface) -> Surface:
    """The fit or the draws themselves, of one surface.

    Raises:
        DataError: coefficients differ by a column.
    """
    fit = surface.point
    if fit.groups and isinstance(surface, Fit):
        level = level_keywords(fit.groups.values())
        raise _choose_draws(fit, level)
    return surface.one_surface()


def _choose_draws(fit: Fit, level: str) -> DataError:
    """The error for a fit of several surfaces, or one of them: draws of all know what it lacks."""
    return DataError(
        f"{fit.law.name!r} was fitted with coefficients that differ by a column, and runs are "
        "chosen for one surface by what the whole fit knows of it",
        column=level.partition("=")[0],
        remedy="Pass draws of one: next_runs(scalefit.covariance(fit, runs).draws()"
        f".at({level}), ...), with fit as it is before .at(...)",
    )


def _fitted(
    surface: Surface, runs: Any, apart: bool, columns: Mapping[str, Any]
) -> FittedData | None:
    """The fit on its table; None for draws without one, and for those of one level.

    Raises:
        ArgumentError: a fit comes without its table.
        DataError: the table is another one, or the fit is one level of a larger one.
    """
    if level := surface.point.provenance.get(LEVEL):
        if isinstance(surface, Fit):
            raise _choose_draws(surface, level)
        if not apart:
            return None
    if runs is None:
        if isinstance(surface, Fit) or apart:
            raise ArgumentError(
                "next_runs has no runs, and what a fit knows is in its table",
                argument="runs",
                value=None,
                remedy="Pass the table that was fitted, as next_runs(fit, runs, ...)",
            )
        return None
    if isinstance(surface, Fit):
        require_clusters(surface, "next_runs(scalefit.bootstrap(fit, runs, by={by}), ...)")
    return attach(surface.point, runs, **columns)


def _required(fitted: FittedData | None) -> FittedData:
    # A fit, and a choice of laws, come with their table: see _fitted.
    assert fitted is not None
    return fitted


def _candidates(
    fit: Fit,
    candidates: Any,
    cost: CostLike,
    budget: float,
    limits: Limits | None,
    fixed: Mapping[str, Any] | None,
) -> RunCandidates:
    if candidates is None:
        return grid_candidates(fit, cost, budget, limits, fixed)
    for name, value in (("limits", limits), ("fixed", fixed)):
        if value:
            raise ArgumentError(
                f"{name}= shapes the grid of candidates, and candidates= names them",
                argument=name,
                value=value,
                remedy=f"Leave {name} out, and leave out of candidates what is not to be run",
            )
    found = given_candidates(fit, candidates, cost)
    if found.costs.min() > budget:
        least = found.labels[int(np.argmin(found.costs))]
        raise ArgumentError(
            f"budget={budget:.4g} pays for none of {len(found.costs)} candidates: the cheapest, "
            f"row {least!r}, costs {found.costs.min():.4g} {found.unit}".rstrip(),
            argument="budget",
            value=budget,
            remedy=f"Pass at least that, as budget={1.001 * found.costs.min():.4g}",
        )
    return found


def _information(surface: Surface, fitted: FittedData | None, noise: float | None) -> Information:
    """What is known before the new runs."""
    if isinstance(surface, Ensemble):
        return of_draws(surface, noise or float(surface.noise.values.std()))
    found = _required(fitted)
    return of_runs(found, noise or noise_of(found))


def _chosen(criterion: Criterion, purse: Purse) -> list[int]:
    """Places of the candidates to run, in order.

    Raises:
        DataError: none says anything.
    """
    found = select(criterion, purse)
    if not found:
        raise DataError(
            "no candidate says anything about the target to first order",
            remedy="Pass other candidates, or leave them out for a grid",
        )
    order = sorted_by_gain(criterion, purse, found)
    # Runs that repeat each other stand together.
    first = list(dict.fromkeys(order))
    return sorted(order, key=first.index)


def _table(found: RunCandidates, chosen: Sequence[int]) -> pd.DataFrame:
    """The chosen runs with what they cost."""
    places = list(chosen)
    index = [found.labels[i] for i in places] if found.given else range(len(places))
    frame = pd.DataFrame({name: values[places] for name, values in found.columns.items()}, index)
    names = [name for name in ("N", "D") if name in frame]
    frame = frame[names + [name for name in frame if name not in names]]
    spent = found.costs[places]
    return frame.assign(cost=spent, spent=np.cumsum(spent))


def _existing(fitted: FittedData | None) -> pd.DataFrame | None:
    if fitted is None:
        return None
    return pd.DataFrame(dict(fitted.table.columns_of(fitted.fit.law)))[fitted.used]


def _notes(
    surface: Surface,
    fitted: FittedData | None,
    found: RunCandidates,
    chosen: Sequence[int],
    noise: float | None,
) -> list[Note]:
    """Soft problems of the fit, the draws, and the runs that were chosen."""
    fit = surface.point
    notes = [*fit.carried, *surface.draw_notes]
    if isinstance(surface, Fit):
        notes += [note for note in dependence_notes(fit.notes) if note not in notes]
        if fit.diagnostics.at_bound:
            names = ", ".join(fit.diagnostics.at_bound)
            notes.append(
                Note.of(
                    "conditional_on_bound",
                    f"{names} at a bound: runs are chosen as if it were known there. Pass draws, "
                    "as scalefit.bootstrap(fit, runs), which may leave the bound",
                    {"parameters": list(fit.diagnostics.at_bound)},
                )
            )
    if noise is None and fit.df_resid < FEWEST_FREEDOM:
        notes.append(
            Note.of(
                "noise_hardly_known",
                f"{fit.df_resid} residual degrees of freedom, fewer than {FEWEST_FREEDOM}, say how "
                "large the noise is: the choice does not depend much on it, the intervals do. Pass "
                "noise=, the standard deviation of ln L between seeds",
                {"df_resid": fit.df_resid},
            )
        )
    places = list(chosen)
    own = {name: found.columns[name][places] for name in fit.law.columns}
    far = reach(fit.domain, own) if fit.domain else np.zeros(1)
    if (far > 0).any():
        notes.append(
            Note.of(
                "runs_outside",
                f"{np.count_nonzero(far > 0)} of {len(places)} runs lie outside those of the fit, "
                f"the farthest by {far.max():.2g} decades: what they add rests on the form of the "
                "law there. Limit the grid by limits=, if that is too far",
                {"runs": int(np.count_nonzero(far > 0)), "decades": float(far.max())},
            )
        )
    return notes


def _undetermined(known: Information) -> list[Note]:
    if not known.undetermined:
        return []
    return [
        Note.of(
            "undetermined",
            f"{known.undetermined} of {len(known.coordinates.groups)} combinations of the "
            "parameters are not determined by the runs that are there: they count as known to "
            "within 100 factors of e, and the standard error before says little. Make the first "
            "runs, fit again and ask again",
            {"combinations": known.undetermined},
        )
    ]


def _linearised(
    surface: Surface,
    found: RunCandidates,
    chosen: Sequence[int],
    known: Information,
    answers: Target,
    after: np.ndarray,
) -> list[Note]:
    """A note where draws, weighted by simulated losses of the runs, spread otherwise."""
    if not isinstance(surface, Ensemble):
        return []
    places = list(chosen)
    own = {name: found.columns[name][places] for name in surface.fit.law.columns}
    drawn = np.log(answers.drawn) if answers.logarithmic else answers.drawn
    error = reweighted_error(surface, own, known.noise, drawn)
    predicted = float(np.sqrt((after**2).mean()))
    # NaN, where too few draws keep any weight to check anything, compares false.
    if not (error > MOST_APART * predicted or error < predicted / MOST_APART):
        return []
    return [
        Note.of(
            "linearised",
            f"draws weighted by simulated losses of these runs leave a standard error of "
            f"{error:.2g}, and the linearisation says {predicted:.2g}: the parameters are too "
            "uncertain for first order. Make the first runs, fit again and ask again",
            {"reweighted": error, "linearised": predicted},
        )
    ]


def _apart(
    fitted: FittedData,
    other: Fit,
    found: RunCandidates,
    purse: Purse,
    noise: float | None,
    runs: Any,
    columns: Mapping[str, Any],
) -> NextRuns:
    """Runs that tell two laws apart."""
    fit = fitted.fit
    second = attach(other.one_surface(), runs, **columns)
    if fit.objective.residual != other.objective.residual or fit.law == other.law:
        raise ArgumentError(
            f"target is a fit of {other.law.name!r} to {other.objective.residual} residuals, and "
            f"the fit one of {fit.law.name!r} to {fit.objective.residual} residuals",
            argument="target",
            value=other,
            remedy=f"Pass a fit of another law to the same residuals. Or: {TARGET}",
        )
    size = noise or min(noise_of(fitted), noise_of(second))
    criterion = Separation(rivals_of(fitted, second, found.columns, size))
    chosen = _chosen(criterion, purse)
    after = np.array([criterion.sums(chosen[: i + 1]) for i in range(len(chosen))]) ** 0.5
    table = _table(found, chosen)
    for law, values in zip((fit.law.name, other.law.name), after.T, strict=True):
        table[f"separation if {law}"] = values
    return NextRuns(
        runs=table,
        target=f"the choice between {fit.law.name} and {other.law.name}",
        kind="choice",
        value=np.empty(0),
        before=np.sqrt(criterion.sums([])),
        after=after,
        logarithmic=False,
        law=f"{fit.law.name} or {other.law.name}",
        noise=size,
        budget=purse.budget,
        unit=found.unit,
        candidates=len(found.costs),
        df=float(fit.df_resid),
        existing=_existing(fitted),
        points={},
        target_budget=float("nan"),
        cost=found.cost,
        notes=tuple(_notes(fit, fitted, found, chosen, noise)),
    )
