"""What is said of an optimum: refusals where there is none, and notes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from scalefit.allocation.best import CLOSED_FORMS, solved
from scalefit.allocation.question import FAR_RATIO, Question
from scalefit.allocation.solver import INTERIOR, LIMITED, UNBOUNDED, Optimum
from scalefit.errors import AllocationError, Note

__all__ = ["draw_notes", "notes_of", "require_optimum"]

# A loss surface is fitted over two to five decades of budget. One decade beyond its largest run is
# the usual use; further out the answer rests on the form of the law.
FAR_DECADES = 1.0

# Of decades: a run at the edge of the table is in it.
ROUNDING = 1e-9

# Of the budget: where twice the model size wastes less than this, runs can hardly tell the optimum.
FLAT = 0.02

# How near a limit an answer lies that the limit holds, relative.
AT_LIMIT = 1e-6


def require_optimum(question: Question, found: Optimum) -> None:
    """Raise where the fit itself has no optimum at a level."""
    fit, params = question.fit, question.fit.params
    if fit.law in CLOSED_FORMS and not (params["A"] > 0 and params["B"] > 0):
        idle = "N" if params["A"] <= 0 else "D"
        raise AllocationError(
            f"the fitted loss does not depend on {idle} (A = {params['A']:g}, B = "
            f"{params['B']:g}), so no budget is best split. The fit ended at a bound: see its notes"
        )
    state = found.state[0]
    if (state <= LIMITED).all():
        return
    at = tuple(np.argwhere(state > LIMITED)[0])
    level = question.levels[at]
    unit = "" if question.line.reverse else f" {question.cost.unit}"
    if state[at] == UNBOUNDED:
        low, high = np.exp(np.clip(question.reach, *(math.log(FAR_RATIO) * 6 * np.array([-1, 1]))))
        where = f"{question.line.pivot}/{question.line.walk}"
        where = "tokens per parameter" if where == "D/N" else where
        what = (
            f"the cost of a loss of {level:g}"
            if question.line.reverse
            else (f"at {level:g}{unit} the loss")
        )
        raise AllocationError(
            f"{what} of {fit.law.name!r} has no minimum between {low:.1g} and {high:.1g} {where}: "
            f"with these values, more of one always beats more of the other. Limit one, as "
            f"limits={{{question.line.walk!r}: {_seen(question)}}}"
        )
    raise AllocationError(_impossible(question, level))


def _seen(question: Question) -> str:
    """What the runs have of the walked column, as a range."""
    low, high = question.fit.domain.get(question.line.walk, (1e6, 1e12))
    return f"({low:g}, {high:g})"


def _impossible(question: Question, level: float) -> str:
    """Why nothing meets a question, with the numbers."""
    fit, line = question.fit, question.line
    params = {name: np.array([value]) for name, value in fit.params.items()}
    loosened = []
    for i, limit in enumerate(line.limits):
        other = solved(question.without(i), params)
        meets = other.state[0] <= LIMITED
        if meets.any():
            at = tuple(np.argwhere(meets)[0])
            columns = _at(question, other, at)
            ends = _ends_text(question.low[i], question.high[i])
            loosened.append(
                f"without {limit.name} {ends} it would be {float(limit.value(columns)):.4g}"
            )
    if loosened:
        asked = f"a loss of {level:g}" if line.reverse else f"{level:g} {question.cost.unit}"
        return (
            f"no {line.walk} and {line.pivot} meet every limit at {asked}: {'; '.join(loosened)}. "
            "Loosen one"
        )
    if line.reverse:
        floor = fit.params.get("E")
        below = (
            f": its floor is E = {floor:g}"
            if floor is not None and floor >= level
            else (" within the limits and the tokens per parameter that are looked at")
        )
        return (
            f"no budget reaches a loss of {level:g} under this fit of {fit.law.name!r}{below}. Ask "
            "for a higher loss"
        )
    names = [
        f"{limit.name} {_ends_text(question.low[i], question.high[i])}"
        for i, limit in enumerate(line.limits)
    ]
    under = f" under {', '.join(names)}" if names else ""
    return (
        f"{level:g} {question.cost.unit} buy no {line.walk} and {line.pivot} under cost "
        f"{question.cost.name!r}{under}. Give a larger budget, or looser limits"
    )


def _ends_text(low: float, high: float) -> str:
    if not math.isfinite(low):
        return f"<= {high:g}"
    return f">= {low:g}" if not math.isfinite(high) else f"in {low:g} to {high:g}"


def _at(question: Question, found: Optimum, at: tuple[int, ...]) -> dict[str, float]:
    columns = {name: float(values[at]) for name, values in question.held.items()}
    return {**columns, **{name: float(values[0][at]) for name, values in found.columns.items()}}


def draw_notes(loss: np.ndarray) -> list[Note]:
    """A note on draws without an optimum: those whose loss, shape (draws, *levels), is NaN."""
    lost = int(np.isnan(loss).any(axis=tuple(range(1, loss.ndim))).sum())
    if not lost:
        return []
    return [
        Note(
            "draws_without_optimum",
            "warning",
            f"{lost} of {len(loss)} draws have no optimum at some budget, as when a term is zero: "
            "the intervals are of the others, and too narrow",
            {"draws": lost},
        )
    ]


def notes_of(question: Question, found: Optimum, answers: Mapping[str, np.ndarray]) -> list[Note]:
    """Soft problems of the optimum of a fit, whose answers have an axis of one draw."""
    notes = []
    fit = question.fit
    if not fit.status.usable or any(note.severity == "warning" for note in fit.notes):
        codes = [note.code for note in fit.notes if note.severity == "warning"]
        codes += [] if fit.status.usable else [fit.status.name.lower()]
        notes.append(
            Note(
                "fit_warnings",
                "warning",
                f"the fit behind this carries warnings ({', '.join(codes)}): see its summary",
                {"codes": codes},
            )
        )
    notes += _extrapolation(question, found)
    notes += _limit_notes(question, found)
    if question.line.turns:
        notes.append(
            Note(
                "more_data_hurts",
                "warning",
                f"with these values the loss rises with {question.line.pivot} before the budget is "
                f"spent: {question.line.pivot} stops there, and the rest is left",
                {"spent": float(np.min(answers["spent"] / answers["budget"]))},
            )
        )
    notes += _flat(question, found)
    return notes


def _limit_notes(question: Question, found: Optimum) -> list[Note]:
    columns = {name: np.asarray(values) for name, values in question.held.items()}
    columns |= {name: values[0] for name, values in found.columns.items()}
    holding = {}
    for i, limit in enumerate(question.line.limits):
        value = np.asarray(limit.value(columns), dtype=np.float64)
        for end in (question.low[i], question.high[i]):
            if math.isfinite(end) and (np.abs(value / end - 1) < AT_LIMIT).any():
                holding[limit.name] = end
    for name, (low, high) in zip(
        (question.line.walk, *question.line.extras), _natural(question), strict=True
    ):
        if name not in columns:
            continue
        ends = (
            (low, high)
            if name != question.line.walk
            else (
                low if question.edge[0] else math.nan,
                high if question.edge[1] else math.nan,
            )
        )
        for end in ends:
            if (np.abs(columns[name] - end) <= AT_LIMIT * max(abs(end), high - low)).any():
                holding[name] = end
    for name, values in question.choices.items():
        if len(values) > 1 and np.isin(columns[name], (min(values), max(values))).any():
            holding[name] = float(columns[name].flat[0])
    if not holding:
        return []
    said = ", ".join(f"{name} = {end:.4g}" for name, end in holding.items())
    return [
        Note(
            "at_limit",
            "info",
            f"a limit or an end of a range holds the answer: {said}",
            {"limits": holding},
        )
    ]


def _natural(question: Question) -> list[tuple[float, float]]:
    logs = (True, *question.line.logarithmic)
    return [
        (math.exp(low), math.exp(high)) if log else (float(low), float(high))
        for (low, high), log in zip(question.box, logs, strict=True)
    ]


def _flat(question: Question, found: Optimum) -> list[Note]:
    """A note where twice the size wastes hardly anything."""
    known = (found.state[0] == INTERIOR) & np.isfinite(found.waste[0])
    if not known.any():
        return []
    waste = float(np.min(found.waste[0][known]))
    if not 0 <= waste < FLAT:
        return []
    return [
        Note(
            "flat_optimum",
            "warning",
            f"twice or half the model size wastes {waste:.1%} of the budget at most: the "
            "optimum is flat, and N* is no sharp answer. See near_optimal()",
            {"waste_of_doubling": waste},
        )
    ]


def _extrapolation(question: Question, found: Optimum) -> list[Note]:
    domain = question.fit.domain
    columns = {name: values[0] for name, values in found.columns.items()}
    if not {"N", "D"} <= set(columns):
        measured = dict(columns)
    else:
        compute = 6 * columns["N"] * columns["D"]
        measured = {**columns, "D/N": columns["D"] / columns["N"], "6ND": compute}
    reach = {
        name: _decades(values, *domain[name])
        for name, values in measured.items()
        if name in domain and domain[name][0] > 0
    }
    outside = {name: value for name, value in reach.items() if value > 0}
    if not outside:
        return []
    said = ", ".join(
        f"{_named(name)} {value:.2g} decades outside the runs ({domain[name][0]:.2g} to "
        f"{domain[name][1]:.2g})"
        for name, value in outside.items()
    )
    details = {"flops" if name == "6ND" else name: value for name, value in reach.items()}
    return [
        Note(
            "extrapolation",
            "warning" if max(outside.values()) > FAR_DECADES else "info",
            f"{said}: the answer rests on the form of the law",
            details,
        )
    ]


def _named(name: str) -> str:
    return name if name in ("6ND", "D/N") else f"{name}*"


def _decades(values: np.ndarray, low: float, high: float) -> float:
    """How far the farthest value lies outside a range, in powers of ten; 0 inside."""
    above = float(np.log10(np.max(values) / high))
    below = float(np.log10(low / np.min(values)))
    outside = max(above, below, 0.0)
    return outside if outside > ROUNDING else 0.0
