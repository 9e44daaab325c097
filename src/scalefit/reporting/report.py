"""Reports as text and HTML. They print what results hold and compute nothing."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.data.grouping import level_name
from scalefit.errors import Status
from scalefit.notes import Note

if TYPE_CHECKING:
    from scalefit.allocation.deadweight_compute import Deadweight
    from scalefit.allocation.near_optimality import NearOptimal
    from scalefit.allocation.result import Allocation
    from scalefit.inference.covariance import Covariance
    from scalefit.inference.ensemble import Ensemble
    from scalefit.inference.profile_likelihood import Profile
    from scalefit.results.estimate import Estimate
    from scalefit.results.fit import Fit

WIDTH = 78

# Levels of a coefficient up to which a report shows all; of more, this many.
MOST_LEVELS = 40
FIRST_LEVELS = 20

NOISE_SOURCES = {
    "seeds": "spread of runs that differ by seed only",
    "residuals": "residuals of the fit, which hold its misfit inside the runs too",
}


def fit_text(fit: Fit) -> str:
    """Full report of a fit."""
    lines = [f"{fit.law.name}: {fit.law.formula}", f"source: {fit.law.source}", ""]
    lines += _by_parameter(fit, fit.to_frame())
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
        f"{_by_parameter_html(fit, fit.to_frame())}"
        f"<table>{facts}</table>{_notes_html(fit.notes)}"
    )


def allocation_text(allocation: Allocation, level: float = 0.95) -> str:
    """Full report of an allocation."""
    lines = [
        f"compute-optimal allocation, {allocation.law}, budgets counted as {allocation.cost}",
        "",
        _indented(_table(_budgets(allocation, level), index=False)),
    ]
    return "\n".join([*lines, *_notes(allocation.notes)])


def allocation_html(allocation: Allocation) -> str:
    """The same report for a notebook."""
    table = _budgets(allocation, 0.95).to_html(float_format=_number, border=0, index=False)
    return (
        f"<b>compute-optimal allocation</b>, {escape(allocation.law)}, budgets counted as "
        f"{escape(allocation.cost)}{table}{_notes_html(allocation.notes)}"
    )


def region_text(region: NearOptimal) -> str:
    """Full report of a near-optimal region."""
    lines = [
        f"near-optimal region, {region.best.law}, {region.criterion} (cost {region.best.cost})",
        "",
        _indented(_table(region.to_frame(), index=False)),
    ]
    return "\n".join([*lines, *_notes(region.notes)])


def region_html(region: NearOptimal) -> str:
    """The same for notebooks."""
    table = region.to_frame().to_html(float_format=_number, border=0, index=False)
    return (
        f"<b>near-optimal region</b>, {escape(region.best.law)}, {escape(region.criterion)}"
        f"{table}{_notes_html(region.notes)}"
    )


def deadweight_text(waste: Deadweight) -> str:
    """A row for each run, and the notes."""
    return "\n".join([waste.to_frame().to_string(index=False), *_notes(waste.notes)])


def deadweight_html(waste: Deadweight) -> str:
    """The same for notebooks."""
    return f"{waste.to_frame().to_html(index=False, border=0)}{_notes_html(waste.notes)}"


def _budgets(allocation: Allocation, level: float) -> pd.DataFrame:
    """A row for each budget; with intervals, which are three times as wide, for each answer."""
    frame = allocation.to_frame(level)
    if not allocation.draws:
        return frame
    ends = [f"{100 * level:g} % {end}" for end in ("low", "high")]
    answers = [name for name in map(str, frame) if f"{name}_low" in frame]
    rows = [
        (one["flops"], name, one[name], one[f"{name}_low"], one[f"{name}_high"])
        for _, one in frame.iterrows()
        for name in answers
    ]
    return pd.DataFrame(rows, columns=["flops", "", "value", *ends])


def covariance_text(found: Covariance) -> str:
    """Intervals of the parameters, and the notes."""
    table = found.conf_int().to_string()
    return "\n".join([f"<Covariance by {found.method}>", table, *_noted(found.notes)])


def profile_line(found: Profile) -> str:
    """The quantity and its interval."""
    low, high = (
        f"{end:.6g}{'' if closed else ' (open)'}"
        for end, closed in zip((found.low, found.high), found.closed, strict=True)
    )
    return f"{found.name}: {found.value:.6g} ({100 * found.level:g} %: {low} to {high})"


def profile_text(found: Profile) -> str:
    """The same with the notes."""
    return "\n".join([profile_line(found), *_noted(found.notes)])


def estimate_text(found: Estimate) -> str:
    """A number with its interval, or the shape of several; and the notes."""
    count = len(found.draws)
    if np.ndim(found.value):
        said = f"<Estimate of shape {np.shape(found.value)}, {count} draws>"
    elif count:
        low, high = found.interval()
        said = f"{found.value:.6g} (95 %: {low:.6g} to {high:.6g})"
    else:
        said = f"{found.value:.6g} (no draws)"
    return "\n".join([said, *_noted(found.notes)])


def ensemble_text(draws: Ensemble, level: float = 0.95) -> str:
    """Full report of an ensemble."""
    fit = draws.fit
    lines = [f"{fit.law.name}: {fit.law.formula}", f"{100 * level:g} % intervals", ""]
    lines += _by_parameter(fit, draws.conf_int(level))
    for label, value in _made(draws):
        lines += _wrapped(value, f"{label:<12}", " " * 12)
    return "\n".join([*lines, *_notes(draws.notes)])


def ensemble_html(draws: Ensemble, level: float = 0.95) -> str:
    """The same report for a notebook."""
    facts = "".join(
        f"<tr><th style='text-align:left'>{escape(label)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for label, value in _made(draws)
    )
    table = _by_parameter_html(draws.fit, draws.conf_int(level))
    return (
        f"<b>{escape(draws.fit.law.name)}</b>, {100 * level:g} % intervals{table}"
        f"<table>{facts}</table>{_notes_html(draws.notes)}"
    )


def _by_parameter(fit: Fit, frame: pd.DataFrame) -> list[str]:
    """A table with a row for each parameter, of very many levels the first ones."""
    left, said = _left_out(fit, frame)
    return [_indented(_table(frame.drop(index=left))), *(f"  {item}" for item in said), ""]


def _by_parameter_html(fit: Fit, frame: pd.DataFrame) -> str:
    left, said = _left_out(fit, frame)
    table = frame.drop(index=left).to_html(float_format=_number, border=0)
    return table + "".join(f"<p>{escape(item)}</p>" for item in said)


def _left_out(fit: Fit, frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Rows that a report leaves out, and what it says of them."""
    left, said = [], []
    for name, grouping in fit.groups.items():
        if len(grouping.levels) > MOST_LEVELS:
            rest = [level_name(name, level) for level in grouping.levels[FIRST_LEVELS:]]
            left += [item for item in rest if item in frame.index]
            said.append(
                f"... and {name} of {len(rest)} more levels of {' and '.join(grouping.columns)}"
            )
    return left, said


def _made(draws: Ensemble) -> list[tuple[str, str]]:
    """How the draws were made, and how that went."""
    facts = [
        ("draws", f"{len(draws)} by {draws.method}, seed {draws.seed}; {draws.failed} failed"),
        ("runs", f"{draws.fit.nobs}, {draws.df_resid} residual degrees of freedom"),
        (
            "new run",
            f"kind='run' adds noise of {draws.noise.values.std():.3g} "
            f"({NOISE_SOURCES[draws.noise.source]}). No interval holds a wrong form of the law, "
            "which tells outside the runs",
        ),
    ]
    if draws.replicates is not None:
        went = draws.replicates
        facts.insert(
            1,
            (
                "refits",
                f"largest gradient {went.gradient_cosine[draws.usable].max(initial=0.0):.1e} "
                f"(cosine); {went.global_search.sum()} searched over the whole bounds, "
                f"{went.improved.sum()} in a lower minimum than the fit led to",
            ),
        )
    return facts


def _notes(notes: Sequence[Note]) -> list[str]:
    return ["", "notes", *_noted(notes)] if notes else []


def _noted(notes: Sequence[Note]) -> list[str]:
    lines = []
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
    trust = fit.diagnostics
    second = (
        "no second one seen"
        if trust.gap is None
        else f"the second of {len(trust.minima)} is {100 * trust.gap:.3g} % worse"
        if math.isfinite(trust.gap)
        else f"the best of {len(trust.minima)} has the objective zero"
    )
    searched = (
        f"{trust.basins} basin{'s' * (trust.basins != 1)} on the grid"
        if trust.search == "grid"
        else "combinations of scattered points"
    )
    looked = {"by the objective itself": trust.cells, "by squares": trust.cells_by_squares}
    cells = " and ".join(f"{count:,} cells {how}" for how, count in looked.items() if count)
    proof = fit.certificate.known if fit.certificate else fit.certificate.reason
    gradient = (
        "rounding only: no residual is left to follow"
        if fit.status is Status.EXACT
        else f"{trust.gradient_cosine:.1e} (cosine), Newton decrement {trust.newton_decrement:.1e}"
    )
    if fit.objective.robust == "l1" and fit.status is not Status.EXACT:
        gradient += f", duality gap {trust.duality_gap:.1e}"
    facts = [
        ("objective", f"{fit.objective_value:.10g} = {fit.objective}"),
        ("spread", f"{fit.residual_rms:.4g} root mean square residual"),
        ("runs", f"{fit.nobs}, {fit.n_free} free parameters"),
        ("status", fit.status.value),
        (
            "search",
            f"{cells}, {searched}; {trust.agreeing} of {trust.starts} starts in the best minimum, "
            f"{second}",
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
