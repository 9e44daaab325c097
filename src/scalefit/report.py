"""Reports as text and HTML. They print what results hold and compute nothing."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from scalefit.errors import Note, Status

if TYPE_CHECKING:
    from scalefit.allocation import Allocation
    from scalefit.result import Fit

WIDTH = 78


def fit_text(fit: Fit) -> str:
    """Full report of a fit."""
    lines = [f"{fit.law.name}: {fit.law.formula}", f"source: {fit.law.source}", ""]
    lines += [_indented(_table(fit.to_frame())), ""]
    for label, value in _facts(fit):
        lines += _wrapped(value, f"{label:<12}", " " * 12)
    return "\n".join([*lines, *_notes(fit.notes)])


def fit_html(fit: Fit) -> str:
    """The same report for a notebook."""
    facts = "".join(
        f"<tr><th style='text-align:left'>{escape(label)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for label, value in _facts(fit)
    )
    return (
        f"<b>{escape(fit.law.name)}</b>: <code>{escape(fit.law.formula)}</code>"
        f"{fit.to_frame().to_html(float_format=_number, border=0)}"
        f"<table>{facts}</table>{_notes_html(fit.notes)}"
    )


def allocation_text(allocation: Allocation) -> str:
    """Full report of an allocation."""
    lines = [
        f"compute-optimal allocation, {allocation.law}, budgets counted as {allocation.cost}",
        "",
        _indented(_table(allocation.to_frame(), index=False)),
    ]
    return "\n".join([*lines, *_notes(allocation.notes)])


def allocation_html(allocation: Allocation) -> str:
    """The same report for a notebook."""
    table = allocation.to_frame().to_html(float_format=_number, border=0, index=False)
    return (
        f"<b>compute-optimal allocation</b>, {escape(allocation.law)}, budgets counted as "
        f"{escape(allocation.cost)}{table}{_notes_html(allocation.notes)}"
    )


def _notes(notes: Sequence[Note]) -> list[str]:
    lines = ["", "notes"] if notes else []
    for note in notes:
        mark = "!" if note.severity == "warning" else "-"
        lines += _wrapped(f"{mark} {note}", "  ", "    ")
    return lines


def _notes_html(notes: Sequence[Note]) -> str:
    items = "".join(
        f"<li><b>{escape(note.code)}</b>: {escape(note.message)}</li>" for note in notes
    )
    return f"<ul>{items}</ul>" if items else ""


def _facts(fit: Fit) -> list[tuple[str, str]]:
    if fit.status is Status.PUBLISHED:
        return [("status", fit.status.value)]
    trust = fit.trust
    second = (
        "no second one seen"
        if trust.gap is None
        else f"the second of {len(trust.minima)} is {100 * trust.gap:.3g} % worse"
    )
    searched = (
        f"{trust.basins} basin{'s' * (trust.basins != 1)} on the grid"
        if trust.search == "grid"
        else "combinations of scattered points"
    )
    proof = (
        f"global to {fit.certified.gap:.0e} of the objective, by {fit.certified.boxes} boxes"
        if fit.certified
        else fit.certified.reason
    )
    gradient = (
        "rounding only: no residual is left to follow"
        if fit.status is Status.EXACT
        else f"{trust.gradient:.1e} (cosine), a further step promises {trust.promise:.1e}"
    )
    if fit.objective.robust == "l1" and fit.status is not Status.EXACT:
        gradient += f", duality gap {trust.duality:.1e}"
    facts = [
        ("objective", f"{fit.value:.10g} = {fit.objective}"),
        ("spread", f"{fit.spread:.4g} root mean square residual"),
        ("runs", f"{fit.rows}, {fit.free} free parameters"),
        ("status", fit.status.value),
        (
            "search",
            f"{trust.cells:,} cells, {searched}; {trust.agreeing} of {trust.starts} starts in the "
            f"best minimum, {second}",
        ),
        ("proof", proof),
        ("gradient", gradient),
        (
            "condition",
            f"{trust.condition:.2g} in all parameters, {trust.condition_projected:.2g} projected",
        ),
    ]
    if fit.groups:
        by = [
            f"{name} by {' and '.join(item.columns)} ({len(item.levels)} levels)"
            for name, item in fit.groups.items()
        ]
        facts.insert(3, ("groups", "; ".join(by)))
    if fit.dropped:
        counts = Counter(item.rule for item in fit.dropped)
        kept_out = "; ".join(f"{count} by {rule!r}" for rule, count in counts.items())
        facts.append(("dropped", f"{len(fit.dropped)} rows: {kept_out}"))
    return facts


def _table(frame: pd.DataFrame, index: bool = True) -> str:
    return frame.to_string(float_format=_number, index=index)


def _number(value: float) -> str:
    return f"{value:.6g}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)
