"""Evidence for an optimum, and the soft problems worth a note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit.data.cells import label
from scalefit.data.grouping import level_name
from scalefit.data.row_filter import quoted
from scalefit.data.table import LossTable
from scalefit.data.trajectories import find_trajectories
from scalefit.errors import Status, listed
from scalefit.fitting.curvature import curvature_of
from scalefit.fitting.design_checks import tells_apart
from scalefit.fitting.end_points import Polished
from scalefit.fitting.grid import Searched
from scalefit.fitting.newton import MOST_ITERATIONS
from scalefit.laws import BUILTIN
from scalefit.notes import Note
from scalefit.objective import Objective, binary_size
from scalefit.problem.problem import Data, Problem, Settings
from scalefit.problem.separability import idle_error
from scalefit.results.fit import Diagnostics, Fit, Minimum, by_row
from scalefit.runtime.settings import quiet

__all__ = ["arrived", "assess", "exact", "fit_notes", "refuse_unidentified", "settled"]

# Starts in one minimum agree to about 1e-8 in the coordinates; a tenth of a percent is elsewhere.
# The objective cannot decide: minima that swap two like terms have equal values.
SAME_PLACE = 1e-3

# Values this close are one value for choosing between a start that arrived and one that did not.
SAME_VALUE = 1e-7

# A step that promises less than this share of the objective is noise in any use of the parameters.
CONVERGED_PROMISE = 1e-9

# Largest cosine between influence and a Jacobian column at a point that is called stationary:
# optima have 1e-14.
CONVERGED_GRADIENT = 1e-6

# Root mean square residual, relative to the loss, at which a law passes through all rows.
EXACT_SPREAD = 1e-11

# Rounding of a residual, relative to the loss: of two logarithms and of terms of the loss's size.
ROW_ROUNDING = 2**-45

# Condition number of the curvature in all parameters: 1e2 to 3e3 for IsoFLOP and grid designs, real
# ones included, and above 5e4 where D is within 10 % of a multiple of N or where 17 runs of five
# sizes have to do.
WEAK_CONDITION = 5e4

# Fewer residual degrees of freedom than this and the spread says nothing about the noise.
FEW_FREEDOM = 5

# Rows that carry more than half of the squared residual decide a squared fit between them.
OUTLIER_SHARE = 0.5
OUTLIER_ROWS = 0.025

# What moving N and D apart can change, in standard errors of such a change. At 5 the exponents of a
# ladder of 12 runs scatter by a third, at 0.6 they end anywhere; published sweeps have 20 to 190.
LEAST_APART = 5.0
# Runs that leave the path by more than this, in ln(D/N), are at several ratios: what they do not
# tell is hidden by noise, as standard errors say.
NARROW = 0.5

# Correlation of neighbouring residuals of a training curve, in standard errors of none.
CORRELATED = 3.0
# Rank correlation of a response with its column above which it is said to rise.
MOST_RISING = 0.5

# Residuals beyond this many times delta are far outside: their Huber loss is their size to 5 %.
FAR_OUTSIDE = 10.0
# More levels of a coefficient than this at one bound share a note.
MOST_NOTED = 10

# 6ND is taken for the FLOPs of a run when allocating; real tables differ from it by this and more.
FLOPS_TOLERANCE = 0.05


def settled(
    problem: Problem, objective: Objective, data: Data, settings: Settings, polished: Polished
) -> bool:
    """Whether every start of a batch ended in one and the same interior minimum.

    Where one did not, the problem is one of those that hide others: a flat valley, a term that
    nearly vanishes, an outlier with a basin of its own.
    """
    there = arrived(objective, data, polished)
    order = np.argsort(polished.value)
    alone = len(_distinct(problem, data, settings, polished, order, there)) == 1
    return bool(there.all() and alone and not polished.active.any())


def refuse_unidentified(problem: Problem, data: Data, polished: Polished) -> None:
    """Raise where a parameter changed no prediction at the end of any start.

    The structure of a law is detected once, on the first table it meets: a later table may have no
    row in which some parameter is at work.

    Raises:
        LawError: a nonlinear parameter has no effect on this table.
    """
    count = len(problem.owners)
    ended = np.isfinite(polished.value)
    ends = polished.gauss_newton[ended]
    effect = [curvature_of(problem, item).diagonal[count:] > 0 for item in ends]
    at_work = np.array([~_idle(problem, item) for item in polished.coefficients[ended]])
    for group, nothing in zip(
        problem.nonlinear, np.asarray(~np.any(effect, axis=0) & at_work.any(axis=0)), strict=True
    ):
        if nothing and _changes_nothing(problem, data, polished, group):
            raise idle_error(problem.law, group[0])


def _changes_nothing(
    problem: Problem, data: Data, polished: Polished, group: Sequence[str]
) -> bool:
    """Whether parameters moved from where the best start ended change no prediction.

    A curvature of zero may be one that is no float.
    """
    best = int(np.nanargmin(polished.value))
    found = problem.parameters(polished.coefficients[best], polished.coordinates[best], data.fixed)
    # Of one level: what a coordinate does it does in every one.
    params = {name.partition("[")[0]: value for name, value in found.items()}
    columns = dict(zip(problem.law.columns, data.columns, strict=True))
    here = problem.law.evaluate(columns, params)
    moved = {name: 1.1 * params[name] + 1e-3 for name in group}
    return bool(np.array_equal(here, problem.law.evaluate(columns, params | moved)))


@quiet()
def assess(
    problem: Problem,
    objective: Objective,
    data: Data,
    settings: Settings,
    searched: Searched,
    polished: Polished,
) -> tuple[Status, Diagnostics]:
    """Status of the best start, and what all starts say together."""
    order = np.argsort(np.where(np.isfinite(polished.value), polished.value, np.inf))
    there = arrived(objective, data, polished)
    best = _best(polished, order, there, _value_of(objective, data, ROW_ROUNDING))
    order = np.array([best, *order[order != best]])
    minima = _distinct(problem, data, settings, polished, order, there)
    condition, projected = _conditions(problem, polished, best)
    bound = polished.active[best] & _at_work(problem, polished.coefficients[best])
    held = [name for group, at in zip(problem.names, bound, strict=True) if at for name in group]
    trust = Diagnostics(
        search="scattered" if problem.scattered else "grid",
        cells=searched.cells,
        cells_by_squares=searched.by_squares,
        basins=searched.basins,
        starts=len(polished.value),
        minima=minima,
        gradient_cosine=float(polished.gradient_cosine[best]),
        newton_decrement=float(polished.newton_decrement[best]),
        duality_gap=float(polished.duality_gap[best]),
        iterations=int(polished.iterations[best]),
        at_bound=tuple(name for name in problem.ordered if name in held),
        condition=condition,
        condition_projected=projected,
    )
    return _status(objective, data, polished, best), trust


def arrived(objective: Objective, data: Data, polished: Any) -> np.ndarray:
    """Starts that reached a minimum, or points of tables of the same design that did."""
    # Where nothing is left to explain, a relative promise is noise over noise.
    return _stationary(objective, data, polished) | exact(objective, data, polished)


def _stationary(objective: Objective, data: Data, polished: Any) -> np.ndarray:
    """Starts whose steps promise nothing and whose gradient is zero, as far as rounding shows."""
    noise = ROW_ROUNDING / np.maximum(_spread_of(objective, data, polished.value), ROW_ROUNDING)
    still = polished.gradient_cosine <= CONVERGED_GRADIENT + noise
    # The decrease that a step promises is quadratic in the gradient.
    return (polished.newton_decrement <= CONVERGED_PROMISE + noise**2) & still


def _best(polished: Polished, order: np.ndarray, arrived: np.ndarray, known: float) -> int:
    """The lowest start; one that arrived, where the lowest did not and is hardly lower."""
    lowest = int(order[0])
    for i in order:
        if arrived[i] and polished.value[i] <= polished.value[lowest] * (1 + SAME_VALUE) + known:
            return int(i)
    return lowest


def exact(objective: Objective, data: Data, polished: Any) -> np.ndarray:
    """Starts that ended where the law passes through every row, to rounding."""
    return polished.value <= _value_of(objective, data, EXACT_SPREAD)


def _spread_of(objective: Objective, data: Data, value: Any) -> Any:
    """Residual relative to the loss at which every row would give the objective this value."""
    mean = np.abs(value) / data.weight.sum() / _unit_of(objective, data)
    if objective.robust == "l1":
        return mean
    # Twice a Huber loss is the square of the residual within delta, and less beyond.
    root, delta = np.sqrt(mean), data.measure.delta
    return np.where(root > delta, 0.5 * (mean / delta + delta), root)


def _value_of(objective: Objective, data: Data, spread: float) -> float:
    """Objective where every residual is ``spread`` times the loss."""
    size, delta = spread, data.measure.delta
    if objective.robust != "l1":
        size = spread**2 if spread <= delta else delta * (2 * spread - delta)
    return float(data.weight.sum()) * _unit_of(objective, data) * size


def _unit_of(objective: Objective, data: Data) -> float:
    """Objective of a residual that is the loss, with one row of weight one."""
    if objective.needs_positive_loss:
        return 1.0
    return float(data.unit) if objective.robust == "l1" else float(data.unit) ** 2


def _status(objective: Objective, data: Data, polished: Polished, best: int) -> Status:
    if exact(objective, data, polished)[best]:
        return Status.EXACT
    if _stationary(objective, data, polished)[best]:
        return Status.CONVERGED
    if polished.iterations[best] >= MOST_ITERATIONS:
        return Status.ITERATION_LIMIT
    return Status.STALLED


def _distinct(
    problem: Problem,
    data: Data,
    settings: Settings,
    polished: Polished,
    order: np.ndarray,
    arrived: np.ndarray,
) -> tuple[Minimum, ...]:
    """Starts grouped by where they ended, best first; starts that did not arrive are left out."""
    found: list[list[Any]] = []
    for i in order:
        value = float(polished.value[i])
        place = np.where(_idle(problem, polished.coefficients[i]), 0.0, polished.coordinates[i])
        if not (np.isfinite(value) and (arrived[i] or i == order[0])):
            continue
        for group in found:
            if np.all(np.abs(place - group[1]) <= SAME_PLACE * (1 + np.abs(group[1]))):
                group[2] += 1
                break
        else:
            found.append([value, place, 1, i])
    return tuple(
        Minimum(
            value,
            count,
            problem.parameters(
                polished.coefficients[i],
                polished.coordinates[i],
                data.fixed,
                _held(settings, polished, i),
            ),
        )
        for value, _, count, i in found
    )


def _held(settings: Settings, polished: Polished, start: int) -> list[float]:
    """The bound that holds each free parameter where a start ended, nan where none does."""
    point = np.r_[polished.coefficients[start], polished.coordinates[start]]
    nearer_upper = settings.upper - point < point - settings.lower
    bound = np.where(nearer_upper, settings.ends[:, 1], settings.ends[:, 0])
    return np.where(polished.active[start], bound, np.nan).tolist()


def _idle(problem: Problem, coefficients: np.ndarray) -> np.ndarray:
    """Coordinates that only terms of coefficient zero depend on: they could be anything."""
    at_work = set(problem.axes_known or ())
    for owner, coefficient in zip(problem.owners, coefficients, strict=True):
        at_work |= set(problem.axes_seen[owner]) if coefficient != 0 else set()
    # A law without linear parameters is all known part.
    return np.array([axis not in at_work for axis in range(len(problem.nonlinear))], dtype=bool)


def _at_work(problem: Problem, coefficients: np.ndarray) -> np.ndarray:
    """Free parameters, coefficients first, that are not idle coordinates; shape (p,)."""
    return np.r_[np.ones(len(problem.owners), dtype=bool), ~_idle(problem, coefficients)]


def _conditions(problem: Problem, polished: Polished, best: int) -> tuple[float, float]:
    """Condition of the curvature in all free parameters, and with the linear ones projected out.

    Of those that a bound holds as well: what the table cannot tell apart often ends at one, and the
    others alone look well determined. A term that is zero is left out.
    """
    k = len(problem.owners)
    coefficients = polished.coefficients[best]
    free = _at_work(problem, coefficients)
    free[:k] &= ~polished.active[best, :k] | (coefficients != 0) | _constant(problem)
    return curvature_of(problem, polished.gauss_newton[best]).conditions(free)


def _constant(problem: Problem) -> np.ndarray:
    """Coefficients of the constant term, which is there where it is zero; shape (k,)."""
    return np.array([owner == problem.constant for owner in problem.owners], dtype=bool)


@quiet()
def fit_notes(fit: Fit, problem: Problem, table: LossTable, residuals: np.ndarray) -> list[Note]:
    """Notes on a finished fit."""
    notes = [
        *_envelope_notes(fit),
        *_delta_notes(fit, table, residuals),
        *_bound_notes(fit, problem, table),
        *_rising_notes(fit, table),
        *_search_notes(fit, problem, table),
        *_proof_notes(fit),
        *_design_notes(fit),
    ]
    if fit.status is not Status.EXACT:
        notes += _outlier_notes(fit, table, residuals)
        notes += _one_ratio_notes(fit, problem, table, residuals)
    notes += _trajectory_notes(fit, table, residuals)
    return [*notes, *_convention_notes(fit, table)]


def _envelope_notes(fit: Fit) -> list[Note]:
    if fit.objective.robust != "asymmetric":
        return []
    return [
        Note.of(
            "lower_envelope",
            f"runs below the surface count {fit.objective.asymmetry:g} times those above: this is "
            "a lower envelope, for runs that were not tuned, and neither the mean nor the median "
            "loss. It moves the compute-optimal D/N (at 1e24 FLOP on the Chinchilla points from "
            "18 to 5 or 6): report it beside the fit with robust='huber'",
            {"asymmetry": fit.objective.asymmetry},
        )
    ]


def _delta_notes(fit: Fit, table: LossTable, residuals: np.ndarray) -> list[Note]:
    """A note where a Huber loss is a square, or a size, in every row."""
    delta = fit.objective.delta
    if delta is None or fit.status is Status.EXACT:
        return []
    sizes = np.abs(residuals[table.weight > 0])
    summed = "sum of" if fit.objective.robust == "huber" else "asymmetric sum of"
    typical = float(np.median(sizes))
    # 95 % efficient where the noise is normal, whose median size is 0.6745 standard deviations.
    proposed = 1.345 / 0.6745 * typical
    details = {"delta": delta, "median": typical, "largest": float(sizes.max())}
    if sizes.max() <= delta:
        return [
            Note.of(
                "delta_unused",
                f"every residual lies within delta = {delta:g} (the largest is {sizes.max():.2g}): "
                f"this is half the {summed} squares, in which a run far off counts most. To have "
                f"it count less, pass delta={proposed:.2g}",
                details,
            )
        ]
    beyond = FAR_OUTSIDE * delta
    if typical > beyond and np.count_nonzero(sizes <= beyond) <= fit.n_free:
        return [
            Note.of(
                "delta_tiny",
                f"nearly every residual lies far beyond delta = {delta:g} (their median size is "
                f"{typical:.2g}), so that this is delta times the {summed} absolute residuals. For "
                f"squares in the middle, pass delta={proposed:.2g}",
                details,
            )
        ]
    return []


def _bound_notes(fit: Fit, problem: Problem, table: LossTable) -> list[Note]:
    exact = fit.status is Status.EXACT
    why = "every row is met with it there" if exact else "the table would have it beyond"
    many, held = _at_same_bound(fit)
    notes = [
        Note.of(
            "at_bound",
            f"{name} of {len(levels)} of {len(fit.groups[name].levels)} levels "
            f"({listed(levels)}) ended at its bound {value:g}: {why}. The "
            "other parameters are conditional on that bound; widen it, as "
            f"bounds={_widened(fit, problem, table, level_name(name, levels[0]))}, if it is not "
            "physical",
            {"parameter": name, "value": value, "levels": levels},
        )
        for (name, value), levels in many.items()
    ]
    return notes + [
        Note.of(
            "at_bound",
            f"{name} ended at its bound {fit.params[name]:g}: {why}. The "
            "other parameters are conditional on that bound; widen it, as "
            f"bounds={_widened(fit, problem, table, name)}, if it is not physical",
            {"parameter": name, "value": fit.params[name]},
        )
        for name in fit.diagnostics.at_bound
        if name not in held
    ]


def _at_same_bound(fit: Fit) -> tuple[dict[tuple[str, float], list[str]], set[str]]:
    """Levels of a coefficient that ended at one bound, where they are many; and their names."""
    found: dict[tuple[str, float], list[str]] = {}
    at_bound, held = set(fit.diagnostics.at_bound), set()
    for name, grouping in fit.groups.items():
        for level in grouping.levels:
            if (spelt := level_name(name, level)) in at_bound:
                found.setdefault((name, fit.params[spelt]), []).append(level)
    many = {key: levels for key, levels in found.items() if len(levels) > MOST_NOTED}
    for (name, _), levels in many.items():
        held |= {level_name(name, level) for level in levels}
    return many, held


def _widened(fit: Fit, problem: Problem, table: LossTable, name: str) -> str:
    """Bounds that fit accepts, in which a parameter may go beyond the one it ended at."""
    group = next(names for names in problem.names if name in names)
    own = {param.name: param for param in fit.law.params}
    columns = {column: table.column(column) for column in fit.law.columns}
    names = [item.partition("[")[0] for item in group]
    # Tied parameters have the bounds that they have in common.
    every = [fit.bounds.get(item, own[item].bounds(columns)) for item in names]
    low, high = max(ends[0] for ends in every), min(ends[1] for ends in every)
    value = fit.params[name]
    lower = abs(value - low) <= abs(high - value)
    widest = own[names[0]].bounds(columns)
    if (lower and low > widest[0]) or (not lower and high < widest[1]):
        # First to where its kind has it.
        low, high = (widest[0], high) if lower else (low, widest[1])
    elif names[0] in problem.structure.linear:
        low, high = (-np.inf, high) if lower else (low, np.inf)
    elif own[names[0]].kind.spacing == "log":
        low, high = (low / 10, high) if lower else (low, 2 * high)
    else:
        low, high = (2 * low - high, high) if lower else (low, 2 * high - low)
    said = ", ".join(f"{item!r}: ({_number(low)}, {_number(high)})" for item in names)
    return f"{{{said}}}"


def _number(value: float) -> str:
    """A number as it is typed."""
    return f"{value:.6g}" if np.isfinite(value) else f"{'-' * (value < 0)}np.inf"


def _rising_notes(fit: Fit, table: LossTable) -> list[Note]:
    """A note where the response rises along the one column of a law that can only fall."""
    law = fit.law
    if len(law.columns) > 1 or not fit.diagnostics.at_bound or fit.groups:
        return []
    x, observed = table.column(law.columns[0]), table.column(law.response)
    used = table.weight > 0
    first, second = (np.unique(item[used], return_inverse=True)[1] for item in (x, observed))
    # Ranks begin at zero: of one value there is no correlation.
    rank = float(np.corrcoef(first, second)[0, 1]) if first.any() and second.any() else 0.0
    ends = {law.columns[0]: np.array([x[used].min(), x[used].max()])}
    params = {param.name: param.kind.example for param in law.params}
    start, end = law.evaluate(ends, params)
    if not (rank > MOST_RISING and end < start and x[used].min() > 0):
        return []
    header = table.sources.get(law.columns[0], law.columns[0])
    named = repr(law.name) if law.name in BUILTIN else law.name
    said = (
        f"fit(runs.assign(inverse=1 / runs[{header!r}]), {named}, {law.columns[0]}='inverse') "
        "has a power that grows"
    )
    if law.response == "loss":
        said += (
            f"; fit(runs, 'power_offset', x={header!r}, bounds={{'A': (-np.inf, 0)}}) has one that "
            "levels off"
        )
    return [
        Note.of(
            "response_rises",
            f"{law.response} rises with {law.columns[0]} (rank correlation {rank:.2f}), and "
            f"{law.name!r} can only fall: what it found is no description of these runs. {said}",
            {"column": law.columns[0], "rank_correlation": rank},
        )
    ]


def _search_notes(fit: Fit, problem: Problem, table: LossTable) -> list[Note]:
    trust, notes = fit.diagnostics, []
    if trust.gap is not None:
        notes.append(
            Note.of(
                "starts_disagree",
                _disagreement(fit, table),
                {"minima": len(trust.minima), "gap": trust.gap},
                severity="warning"
                if trust.gap < 0.01 or _passes(fit, table, trust.minima[1])
                else "info",
            )
        )
    arrived = sum(item.starts for item in trust.minima) - (not fit.status.usable)
    if arrived < trust.starts:
        others = len(trust.minima) - (not fit.status.usable)
        missed = f"{trust.starts - arrived} of {trust.starts} starts did not reach a minimum"
        told = f"the other {arrived} ended in {others} of them"
        if not others:
            told = "the point is the lowest that they came to"
        elif others == 1 and fit.status.usable:
            told = "the others agree on the best one"
        notes.append(
            Note.of(
                "starts_stalled",
                f"{missed}; {told}",
                {"stalled": trust.starts - arrived, "starts": trust.starts},
            )
        )
    if not problem.structure.linear:
        notes.append(
            Note.of(
                "not_separable",
                f"{fit.law.name!r} has no linear parameter, so nothing could be projected out and "
                "the grid covers every parameter. If it has the form E + A * g(...), write E and "
                "A as parameters of their own: the search becomes faster and surer",
            )
        )
    return notes


def _disagreement(fit: Fit, table: LossTable) -> str:
    """What is said of several minima."""
    minima, gap = fit.diagnostics.minima, fit.diagnostics.gap or 0.0
    second = minima[1]
    shared = [name for name in fit.law.names if name not in fit.groups]
    where = ", ".join(f"{name} {second.params[name]:.4g}" for name in shared)
    if _passes(fit, table, second):
        return (
            f"the starts ended in {len(minima)} distinct points, of which the second passes "
            f"through every row to rounding as well, at {where}: these losses do not tell them "
            "apart"
        )
    if not np.isfinite(gap):
        worse = f"has the objective {second.value:.3g}, where the best has zero"
    else:
        worse = f"is {100 * gap:.3g} % worse" if gap < 10 else f"is {1 + gap:.3g} times the best"
    return (
        f"the starts ended in {len(minima)} distinct minima; the second {worse}, at {where}. Below "
        "about 1 % the data hardly prefer one over the other: report both"
    )


def _passes(fit: Fit, table: LossTable, minimum: Minimum) -> bool:
    """Whether the law passes through every row at a minimum, as it does at the best one."""
    if fit.status is not Status.EXACT:
        return False
    params = by_row(
        fit.law,
        minimum.params,
        fit.groups,
        {grouping: grouping.codes(table) for grouping in fit.groups.values()},
    )
    columns = {name: table.column(name) for name in fit.law.columns}
    observed, used = table.column(fit.law.response), table.weight > 0
    off = np.abs(fit.law.evaluate(columns, params) - observed)[used]
    return bool((off <= 10 * EXACT_SPREAD * np.abs(observed[used]).max()).all())


def _proof_notes(fit: Fit) -> list[Note]:
    proof = fit.certificate
    if proof.closed or proof.boxes == 0:
        return []
    return [
        Note.of(
            "not_certified",
            proof.known,
            {
                "gap": proof.gap,
                "boxes": proof.boxes,
                "region": {name: list(ends) for name, ends in proof.region.items()},
            },
            severity="warning" if proof.lower else "info",
        )
    ]


def _design_notes(fit: Fit) -> list[Note]:
    notes = []
    condition = fit.diagnostics.condition
    if condition > WEAK_CONDITION:
        notes.append(
            Note.of(
                "weakly_identified",
                f"the condition number is {condition:.2g} (an IsoFLOP sweep gives 1e2 to 3e3; the "
                f"limit is {WEAK_CONDITION:g}): some combination of the parameters is hardly "
                "constrained. Vary D/N more, or fix or tie a parameter",
                {"condition": condition, "limit": WEAK_CONDITION},
            )
        )
    freedom = fit.nobs - fit.n_free
    if freedom < FEW_FREEDOM:
        notes.append(
            Note.of(
                "few_rows",
                f"{fit.nobs} runs leave {freedom} degrees of freedom for {fit.n_free} parameters: "
                "the residuals say nothing about the noise. Add runs before trusting exponents",
                {"rows": fit.nobs, "free": fit.n_free},
                severity="warning",
            )
        )
    return notes


def _outlier_notes(fit: Fit, table: LossTable, residuals: np.ndarray) -> list[Note]:
    squares = table.weight * (residuals / binary_size(np.abs(residuals).max())) ** 2
    few = max(1, int(np.ceil(OUTLIER_ROWS * len(squares))))
    worst = np.argsort(squares)[::-1][:few]
    share = squares[worst].sum() / squares.sum()
    if len(squares) < 4 * few or share <= OUTLIER_SHARE:
        return []
    rows = [table.rows[i] for i in worst]
    return [
        Note.of(
            "outliers_dominate",
            f"{few} of {len(squares)} rows carry {100 * share:.0f} % of the squared residual (rows "
            f"{listed(rows)}). Look at them: unfinished or diverged runs move a squared fit far, "
            "and a Huber fit less",
            {"rows": [str(row) for row in rows], "share": float(share)},
            severity="warning" if fit.objective.robust == "none" else "info",
        )
    ]


def _one_ratio_notes(
    fit: Fit, problem: Problem, table: LossTable, residuals: np.ndarray
) -> list[Note]:
    """A note where N and D never move apart by more than the noise hides.

    In these runs D is nearly a power of N. At one compute, moving off that path by u in ln(D/N)
    changes the loss by no more than u / 2 times the slopes of the loss in ln N and ln D together,
    which the path itself determines well, however the fit divides them between N and D.
    """
    if not tells_apart(problem, "N", "D"):
        return []
    used = table.weight > 0
    columns = {name: table.column(name) for name in fit.law.columns}
    x, y = np.log(columns["N"][used]), np.log(columns["D"][used])
    x, y = x - x.mean(), y - y.mean()
    if not x.any():
        return []
    power = float(x @ y / (x @ x))
    off = float(np.sqrt(np.mean((y - power * x) ** 2)))
    freedom = max(fit.nobs - fit.n_free, 1)
    # From the mean size of residuals: a single bad run is not the noise.
    noise = float(np.abs(residuals[used]).mean() * np.sqrt(np.pi / 2 * fit.nobs / freedom))
    moves = 0.5 * off * np.sqrt(fit.nobs) / noise
    seen = float(moves * np.median(_steepness(fit, table, columns)[used]))
    if not (seen < LEAST_APART and off < NARROW):
        return []
    kept = f"D follows N as N^{power:.2g}"
    if abs(power - 1) < 0.05:
        kept = "D/N hardly changes"
    elif abs(power) < 0.05:
        kept = "D hardly changes"
    return [
        Note.of(
            "one_ratio",
            f"in these runs {kept} (to within {100 * np.expm1(off):.2g} %): what moving N and D "
            f"apart does to the loss is {seen:.2g} standard errors at most, below {LEAST_APART:g}, "
            "so that their effects are not told apart and no D/N is the best one by these runs. "
            "They determine the loss along their path: fit 'chinchilla_n', or 'power_offset' over "
            "the compute. Add runs at other D/N (an IsoFLOP sweep does), or fix both exponents",
            {"apart": seen, "limit": LEAST_APART, "power": power, "off": off},
        )
    ]


def _steepness(fit: Fit, table: LossTable, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Slopes of the prediction in ln N and in ln D, in size and together, as residuals have them.

    Shape (rows,).
    """
    codes = {grouping: grouping.codes(table) for grouping in fit.groups.values()}
    params = by_row(fit.law, fit.params, fit.groups, codes)

    def predicted(name: str, factor: float) -> np.ndarray:
        moved = {**columns, name: columns[name] * factor}
        return fit.law.evaluate(moved, params)

    step = 1e-3
    total = sum(
        np.abs(predicted(name, 1 + step) - predicted(name, 1 - step)) / (2 * step)
        for name in ("N", "D")
    )
    if fit.objective.residual == "raw":
        return np.asarray(total)
    return np.asarray(total / np.abs(predicted("N", 1.0)))


def _trajectory_notes(fit: Fit, table: LossTable, residuals: np.ndarray) -> list[Note]:
    """A note where rows are checkpoints of few runs."""
    if "D" not in fit.law.columns:
        return []
    found = find_trajectories(table)
    if found is None:
        return []
    D = table.column("D")
    share, errors = found.autocorrelation(D, residuals)
    correlated = errors > CORRELATED
    ratio = np.sqrt((1 + share) / (1 - min(share, 0.99)))
    said = (
        f"neighbouring residuals correlate by {share:.2f}, so that errors that take rows as "
        f"independent are about {ratio:.1f} times too narrow"
        if correlated
        else f"neighbouring residuals do not correlate ({share:.2f}), but what runs have in common "
        "is no noise of rows"
    )
    header = table.sources["D"]
    ways = [f"cluster them, covariance(fit, runs, by={found.by!r})"]
    last = found.last(D)
    column = table.frame[found.by if found.by in table else "N"]
    # A fit needs runs of several D, and a label that is one for each run picks their last rows.
    if (
        found.curves > fit.n_free
        and len(set(D[last])) > 2
        and len({label(cell) for cell in column.iloc[last]}) == found.curves
    ):
        ways.append(
            f"fit the last row of each, runs.loc[runs.groupby({found.by!r})[{header!r}].idxmax()]"
        )
    rule = f"{quoted(header)} > {D.max() / 10:.1e}"
    ways.append(f"leave their beginnings out, keep={rule!r}")
    return [
        Note.of(
            "trajectories",
            f"{found.rows} of {len(table)} rows look like checkpoints of {found.curves} runs: "
            f"{said}. Losses in the middle of a learning-rate schedule are not those of runs that "
            f"end there, either. Ways out: {'; '.join(ways)}",
            {"rows": found.rows, "runs": found.curves, "by": found.by, "autocorrelation": share},
            severity="warning" if correlated else "info",
        )
    ]


def _convention_notes(fit: Fit, table: LossTable) -> list[Note]:
    if "C" not in table.sources or "6ND" not in fit.domain:
        return []
    # C is optional: where it has gaps or is no number it is simply not compared.
    ratio = table.numbers("C") / (6 * table.column("N") * table.column("D"))
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not len(ratio) or np.abs(ratio - 1).max() <= FLOPS_TOLERANCE:
        return []
    return [
        Note.of(
            "flops_convention",
            f"C / 6ND runs from {ratio.min():.3g} to {ratio.max():.3g} in this table (median "
            f"{np.median(ratio):.3g}): budgets counted as 6ND are not its budgets",
            {"low": float(ratio.min()), "high": float(ratio.max())},
        )
    ]
