"""Reports as text and HTML. They print what results hold and compute nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.data.grouping import level_name
from scalefit.notes import Note

if TYPE_CHECKING:
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


def _table(frame: pd.DataFrame, index: bool = True) -> str:
    return frame.to_string(float_format=_number, index=index)


def _number(value: float) -> str:
    return f"{value:.6g}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)
