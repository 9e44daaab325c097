"""Notes on a finished fit: soft problems, each with what to do about it."""

from __future__ import annotations

import numpy as np

from scalefit.data.grouping import level_name
from scalefit.data.several_responses import RESPONSE
from scalefit.data.table import LossTable
from scalefit.errors import listed
from scalefit.fitting.diagnostics import EXACT_SPREAD
from scalefit.fitting.prepared_fit import PreparedFit
from scalefit.fitting.run_notes import run_notes
from scalefit.laws import BUILTIN
from scalefit.notes import Note
from scalefit.objective import measure, penalty
from scalefit.problem.problem import Problem
from scalefit.reporting.numbers import percent
from scalefit.results.chi_squared import chi_squared
from scalefit.results.diagnostics import Minimum
from scalefit.results.fit import Fit
from scalefit.results.prediction import by_row
from scalefit.results.status import Status
from scalefit.runtime.settings import quiet

__all__ = ["fit_notes"]

# Chi-squared beyond these shares of its distribution: of right errors one table in fifty is.
CONSISTENT = 0.01

# Residuals beyond this many times delta are far outside: their Huber loss is their size to 5 %.
FAR_OUTSIDE = 10.0
# A response with this share of the objective decides what all of them share.
DOMINATES = 0.8
# More levels of a coefficient than this at one bound share a note.
MOST_NOTED = 10

LINEAR_FORM = (
    ". If it has the form E + A * g(...), write E and A as parameters of their own: the search "
    "becomes faster and surer"
)


@quiet()
def fit_notes(fit: Fit, prepared: PreparedFit, residuals: np.ndarray) -> list[Note]:
    """Notes on a finished fit."""
    problem, table = prepared.problem, prepared.table
    return [
        *_envelope_notes(fit),
        *_error_notes(fit),
        *_delta_notes(fit, table, residuals),
        *_dominance_notes(fit, prepared, residuals),
        *_bound_notes(fit, problem, table),
        *_search_notes(fit, problem, table),
        *_proof_notes(fit),
        *run_notes(fit, prepared, residuals),
    ]


def _envelope_notes(fit: Fit) -> list[Note]:
    if fit.objective.asymmetry is None:
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


def _error_notes(fit: Fit) -> list[Note]:
    """A note where residuals are not as large as the known errors say."""
    found = chi_squared(fit)
    if found is None or CONSISTENT <= found.p <= 1 - CONSISTENT:
        return []
    times = float(np.sqrt(found.value / found.df))
    large = found.p < CONSISTENT
    said = (
        "larger than the errors that sigma states: the law is wrong here, or sigma too small, and "
        "intervals are too narrow"
        if large
        else "smaller than the errors that sigma states: these are too large, or not of single "
        "runs, and intervals are too wide"
    )
    return [
        Note.of(
            "sigma_inconsistent",
            f"chi-squared is {found}: the residuals are {said}. They are {times:.2g} times as "
            "large as stated. Correct sigma, or leave it out, so that errors follow from the "
            "residuals",
            {"chi_squared": found.value, "df": found.df, "p": found.p, "ratio": times},
        )
    ]


def _delta_notes(fit: Fit, table: LossTable, residuals: np.ndarray) -> list[Note]:
    """A note where a Huber loss is a square, or a size, in every row."""
    delta = fit.objective.delta
    if delta is None or fit.status is Status.EXACT:
        return []
    sizes = np.abs(residuals[table.weight > 0])
    summed = "sum of" if fit.objective.asymmetry is None else "asymmetric sum of"
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


def _dominance_notes(fit: Fit, prepared: PreparedFit, residuals: np.ndarray) -> list[Note]:
    """A note where raw residuals of one of several responses make up most of the sum."""
    table = prepared.table
    if fit.objective.residual != "raw" or table.responses is None or fit.status is Status.EXACT:
        return []
    how = measure(fit.objective)
    sizes = np.abs(residuals) if how.absolute else penalty(how, residuals)
    part = np.where(table.weight > 0, prepared.weight * sizes, 0.0)
    sums = {
        name: float(part[(table[RESPONSE] == name).to_numpy()].sum())
        for name in table.responses.headers
    }
    most = max(sums, key=lambda name: sums[name])
    share = sums[most] / sum(sums.values())
    if len(sums) < 2 or share < DOMINATES:
        return []
    return [
        Note.of(
            "dominating_response",
            f"{percent(share)} of the objective are of {most}: what the responses share follows it "
            "alone. Weigh errors relative to each response, residual='log' or "
            "residual='relative'",
            {"response": most, "share": share},
        )
    ]


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
    converged = sum(item.starts for item in trust.minima) - (not fit.status.usable)
    if converged < trust.starts:
        others = len(trust.minima) - (not fit.status.usable)
        missed = f"{trust.starts - converged} of {trust.starts} starts did not reach a minimum"
        rest = f"the other {converged} ended in {others} of them"
        if not others:
            rest = "the point is the lowest that they came to"
        elif others == 1 and fit.status.usable:
            rest = "the others agree on the best one"
        notes.append(
            Note.of(
                "starts_stalled",
                f"{missed}; {rest}",
                {"stalled": trust.starts - converged, "starts": trust.starts},
            )
        )
    if not problem.structure.linear:
        # A law of the catalogue is written as it is.
        advice = "" if fit.law.name in BUILTIN else LINEAR_FORM
        notes.append(
            Note.of(
                "not_separable",
                f"{fit.law.name!r} has no linear parameter, so nothing could be projected out and "
                f"the grid covers every parameter{advice}",
            )
        )
    return notes


def _disagreement(fit: Fit, table: LossTable) -> str:
    """The message for several minima."""
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
