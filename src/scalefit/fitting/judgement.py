"""The verdict on a fit, and the notes that it rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from scalefit.data.column_names import ALIASES, normalised
from scalefit.data.table import LossTable
from scalefit.errors import listed
from scalefit.fitting.fitted_rows import MOST_PARAMETERS, FittedRows, fitted_rows
from scalefit.fitting.misfit_notes import Misfit, is_clear, misfit_notes, size_of
from scalefit.fitting.outlying_rows import influential_row, left_out_group
from scalefit.fitting.prepared_fit import PreparedFit
from scalefit.fitting.residual_patterns import cells_of, residual_patterns
from scalefit.notes import Note
from scalefit.objective import binary_size, influence, measure
from scalefit.results.fit import Fit
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.results.status import Status
from scalefit.results.verdict import NO_INFLUENCE, Influence, Level, Pattern, Verdict
from scalefit.runtime.settings import quiet

__all__ = ["judged"]

# The largest residuals are left out of the spread, and noted where they dominate.
LARGEST = 0.025

# A run moves a parameter by so many of its standard errors before it is told of, and with normal
# noise a residual like its is met once in a thousand fits; or nothing else is known of a parameter.
MOST_SHIFT = 2.0
CHANCE = 1e-3
ALONE = 0.99

# A ratio of residuals to variation above which nothing is said of its size.
BEYOND = 1e150

# A law that explains less of the variance is doubted.
DOUBTED = 0.8

# Notes by which a law does not describe its runs, and warnings by which that is in doubt.
POOR = ("poor_fit", "response_rises")
DOUBTS = {
    "few_rows": "too few runs to judge",
    "lower_envelope": "a lower envelope, which residuals do not judge",
    "trajectories": "rows are checkpoints of few runs",
    "repeated_cells": "rows repeat the same inputs",
}


class _Judged(NamedTuple):
    """What the verdict is made of, beside the notes."""

    misfit: Misfit
    patterns: tuple[Pattern, ...] = ()
    alone: Influence = NO_INFLUENCE


@quiet()
def judged(fit: Fit, prepared: PreparedFit, residuals: np.ndarray, notes: Sequence[Note]) -> Fit:
    """A fit with its notes and its verdict.

    Args:
        fit: the fit, with the notes of its table.
        prepared: the problem it solved.
        residuals: of each row, shape (rows,).
        notes: all other notes on it.
    """
    notes = [*fit.notes, *notes]
    if fit.status is Status.EXACT:
        words = f"{fit.law.name} passes through all {fit.nobs} runs to rounding"
        exact = Verdict("good", words, 0.0, 1.0, (), (), NO_INFLUENCE)
        return replace(fit, notes=tuple(notes), verdict=exact)
    rows = fitted_rows(fit, prepared, residuals)
    told = fit.df_resid >= FEWEST_FREEDOM and fit.objective.penalty.symmetric
    if told:
        notes += _group_notes(fit, notes, prepared.table, rows)
    misfit = _sizes(fit, prepared, rows, len(_outliers(notes)))
    found = _Judged(misfit)
    if told:
        patterns: tuple[Pattern, ...] = ()
        if fit.n_free <= MOST_PARAMETERS:
            columns = {name: values[rows.used] for name, values in prepared.columns.items()}
            level = _levels(prepared, rows)
            patterns = residual_patterns(rows, columns, level, _derived(columns))
        alone, chance = influential_row(rows, _influence(fit, rows), prepared.table.rows)
        found = _Judged(misfit, patterns, alone)
        notes += misfit_notes(fit, notes, prepared, rows, misfit, patterns)
        notes += _leverage_notes(notes, alone, chance)
    return replace(fit, notes=tuple(notes), verdict=_verdict(fit, notes, found))


def _sizes(fit: Fit, prepared: PreparedFit, rows: FittedRows, outliers: int) -> Misfit:
    """How large the residuals are without outliers, beside the response and its noise."""
    objective, weight = fit.objective, rows.weight
    observed = prepared.observed[rows.used]
    scaled = np.log(observed) if objective.needs_positive_loss else observed
    off = scaled - np.average(scaled, weights=weight)
    unit = binary_size(float(np.abs(off).max()))
    count, freedom = fit.nobs, max(fit.df_resid, 1)
    variance = np.average((off / unit) ** 2, weights=weight) * count / max(count - 1, 1)
    variation = unit * math.sqrt(variance)
    spread = _spread(rows, count / freedom, outliers)
    # Of a law that is far off the square exceeds float64.
    explained = 1 - min(spread / variation, BEYOND) ** 2 if variation > 0 else math.nan
    header = normalised(str(prepared.table.sources.get(fit.law.response, fit.law.response)))
    losses = fit.law.response == "loss" and (header in ALIASES["loss"] or "loss" in header)
    of_loss = math.nan
    if losses and (observed > 0).all():
        of_loss = spread / (1.0 if objective.needs_positive_loss else float(np.median(observed)))
    return Misfit(spread, variation, explained, of_loss, *_noise(prepared, rows, fit.n_free))


def _spread(rows: FittedRows, correction: float, outliers: int) -> float:
    """Standard deviation of normal noise whose residuals, but for the largest, are like these."""
    from scipy.special import ndtri

    squares = rows.residuals**2
    order = np.argsort(squares)
    few = max(math.ceil(LARGEST * len(order)), outliers)
    if few >= len(order):
        return float(rows.unit * np.sqrt(squares.mean()))
    kept = order[: len(order) - few]
    share = few / len(order)
    # Of a normal distribution without its tails of this share in all.
    end = float(ndtri(1 - share / 2))
    density = math.exp(-0.5 * end**2) / math.sqrt(2 * math.pi)
    factor = (1 - share - 2 * end * density) / (1 - share)
    mean = squares[kept].sum() / rows.weight[kept].sum()
    return float(rows.unit * math.sqrt(mean * correction / factor))


def _noise(prepared: PreparedFit, rows: FittedRows, free: int) -> tuple[float, int, float]:
    """Noise of rows with equal inputs, its degrees of freedom, and the chance of the residuals.

    The noise is their standard deviation, nan where they are few. The chance is that of the F test
    for lack of fit: of residuals so much larger, if the law is right; the larger one of all rows
    and of the repeated ones alone, since noise may be larger elsewhere. Copies of a row count once.
    """
    from scipy.special import fdtrc

    inputs = [values[rows.used] for values in prepared.columns.values()]
    inputs.append(_levels(prepared, rows))
    _, kept = cells_of([*inputs, prepared.observed[rows.used]])
    code, first = cells_of([values[kept] for values in inputs])
    freedom, lacking = len(code) - len(first), len(first) - free
    if freedom < FEWEST_FREEDOM:
        return math.nan, freedom, math.nan
    clipped, weight = rows.clipped[kept], rows.weight[kept]
    root = np.sqrt(weight)
    total = np.bincount(code, weight)
    mean = np.bincount(code, root * clipped) / total
    within = float(((clipped - root * mean[code]) ** 2).sum())
    between, repeated = total * mean**2, np.bincount(code) > 1
    chance = math.nan
    if lacking > 0 and within > 0:
        pairs = ((between.sum(), lacking), (between[repeated].sum(), repeated.sum()))
        ratios = [(of, size / of / (within / freedom)) for size, of in pairs]
        chance = max(float(fdtrc(of, freedom, ratio)) for of, ratio in ratios)
    return rows.unit * math.sqrt(within / freedom), freedom, chance


def _levels(prepared: PreparedFit, rows: FittedRows) -> np.ndarray:
    """Number of the level of each row in all groups together, shape (n,)."""
    level = np.zeros(len(rows.used), dtype=np.int64)
    for codes in prepared.codes.values():
        level = level * (int(codes.max()) + 1) + codes[rows.used]
    return level


def _derived(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """D/N and 6ND of a law that has N and D."""
    if not {"N", "D"} <= set(columns):
        return {}
    N, D = columns["N"], columns["D"]
    return {"D/N": D / N, "6ND": 6 * N * D}


def _influence(fit: Fit, rows: FittedRows) -> np.ndarray:
    """Psi of each row times the square root of its weight, in the unit of the rows."""
    how, root = measure(fit.objective), np.sqrt(rows.weight)
    rest = rows.residuals / root
    if how.absolute:
        return np.asarray(root * np.sign(rest))
    return np.asarray(root * influence(how, rest * rows.unit) / rows.unit)


def _group_notes(fit: Fit, notes: Sequence[Note], table: LossTable, rows: FittedRows) -> list[Note]:
    """A note on few rows that a fit bends to, where their residuals alone do not tell of them."""
    if any(note.code == "outliers_dominate" for note in notes):
        return []
    group, share = left_out_group(rows)
    if not len(group):
        return []
    labels = [table.rows[i] for i in rows.used[group]]
    few = "1 row" if len(labels) == 1 else f"{len(labels)} rows"
    return [
        Note.of(
            "outliers_dominate",
            f"without {few} of {len(rows.used)} (rows {listed(labels)}) the squared residual would "
            f"be {100 * share:.0f} % smaller: the fit bends to them. Look at them: unfinished or "
            "diverged runs move a squared fit far, and a Huber fit less",
            {"rows": [str(row) for row in labels], "share": share},
            severity="info" if fit.objective.penalty.bounded else "warning",
        )
    ]


def _leverage_notes(notes: Sequence[Note], alone: Influence, chance: float) -> list[Note]:
    """A note where one run decides a parameter."""
    if alone.leverage > ALONE:
        said = (
            f"row {alone.row} alone determines {alone.parameter} (leverage {alone.leverage:.4f} of "
            "1): the fit passes through it, and nothing checks its loss. Add runs beside it, or "
            f"leave it out and fix {alone.parameter}"
        )
    elif alone.shift > MOST_SHIFT and chance < CHANCE and alone.row not in _outliers(notes):
        said = (
            f"without row {alone.row} {alone.parameter} would move by {alone.shift:.1f} standard "
            f"errors (the limit is {MOST_SHIFT:g}; leverage {alone.leverage:.2f}), and it is "
            "farther off than noise is: check that run, or fit by robust='huber'"
        )
    else:
        return []
    details = {
        "row": alone.row,
        "leverage": alone.leverage,
        "parameter": alone.parameter,
        "shift": alone.shift,
    }
    return [Note.of("high_leverage", said, details)]


def _verdict(fit: Fit, notes: Sequence[Note], found: _Judged) -> Verdict:
    """The verdict by the notes and the sizes."""
    outliers = _outliers(notes)
    level, reasons = _level(fit, notes, found.misfit)
    numbers = _numbers(fit, found.misfit)
    if level == "good":
        rest = [numbers]
        if found.patterns:
            rest.append(_pattern_words(fit, found))
        elif fit.n_free > MOST_PARAMETERS:
            rest.append(f"patterns not looked for ({fit.n_free} parameters)")
        rest.append(f"outliers in rows {listed(outliers)}" if outliers else "no outliers")
        words = f"{fit.law.name} describes these runs: {', '.join(rest)}"
    elif level == "doubtful":
        words = f"{fit.law.name} may not describe these runs: {', '.join([*reasons, numbers])}"
    else:
        words = f"{fit.law.name} does not describe these runs: {', '.join([numbers, *reasons])}"
    misfit = found.misfit
    return Verdict(
        level, words, misfit.spread, misfit.explained, found.patterns, outliers, found.alone
    )


def _outliers(notes: Sequence[Note]) -> tuple[str, ...]:
    """Labels of the rows that notes tell of."""
    return tuple(
        row for note in notes if note.code == "outliers_dominate" for row in note.details["rows"]
    )


def _pattern_words(fit: Fit, found: _Judged) -> str:
    """That there is no pattern, or one that hardly matters."""
    order = [*fit.law.columns, "D/N", "6ND"]
    clear = [item for item in found.patterns if is_clear(item)]
    looked = sorted((item.column for item in clear or found.patterns), key=order.index)
    if not clear:
        one = "any one of " * (len(looked) > 1)
        return f"no pattern along {one}{listed(looked)}"
    size = math.sqrt(max(item.share for item in clear)) * found.misfit.spread
    return f"a pattern along {listed(looked)} of only {size_of(fit, size)}"


def _numbers(fit: Fit, misfit: Misfit) -> str:
    """How large residuals are, and how much is explained."""
    size = size_of(fit, misfit.spread)
    if math.isnan(misfit.explained):
        return f"residuals of {size}"
    explained = f"{100 * max(misfit.explained, 0.0):.4g} % of the variance explained"
    return f"residuals of {size}, {explained}"


def _level(fit: Fit, notes: Sequence[Note], misfit: Misfit) -> tuple[Level, list[str]]:
    """The level, and the reasons for it beside the numbers."""
    reasons = [] if fit.status.usable else ["the fit is not at an optimum"]
    if misfit.explained < DOUBTED:
        reasons.append("much of the variance is not explained")
    poor = False
    for note in notes:
        poor |= note.code in POOR
        if note.severity != "warning":
            continue
        if note.code == "response_rises":
            reasons.append("the response rises")
        elif note.code == "systematic_residuals":
            reasons.append(f"a pattern along {listed(note.details['columns'])}")
        elif note.code == "lack_of_fit":
            reasons.append(f"residuals {note.details['times']:.2g} times the noise of replicates")
        elif note.code == "outliers_dominate":
            reasons.append(f"it bends to rows {listed(note.details['rows'])}")
        elif note.code == "high_leverage":
            reasons.append(f"row {note.details['row']} decides {note.details['parameter']}")
        elif note.code in DOUBTS:
            reasons.append(DOUBTS[note.code])
    return ("poor" if poor else "doubtful" if reasons else "good"), reasons
