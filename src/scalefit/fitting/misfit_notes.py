"""Notes that a law does not describe its runs, or leaves a pattern, with what may be the cause."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.data.column_names import normalised
from scalefit.data.repeated_cells import HYPERPARAMETERS
from scalefit.data.row_filter import quoted
from scalefit.data.table import LossTable
from scalefit.errors import listed
from scalefit.fitting.explaining_columns import Explaining, explaining_columns
from scalefit.fitting.fitted_rows import FittedRows
from scalefit.fitting.prepared_fit import PreparedFit
from scalefit.fitting.proposed_calls import call_of, wider_laws
from scalefit.notes import Note
from scalefit.objective import robust_size
from scalefit.reporting.numbers import percent
from scalefit.results.fit import Fit
from scalefit.results.verdict import Pattern

__all__ = ["Misfit", "is_clear", "misfit_notes", "size_of"]

# Residuals of a law that describes a sweep: 0.2 to 2 % of the loss on 16 of 17 public tables, and
# seeds differ by 0.1 to 1 %. Where losses span decades, 3 % is little beside their variation.
MOST_SPREAD = 0.03
OF_VARIATION = 0.1
# Where replicates differ as much, it is the runs that are noisy, and not the law that is wrong.
OF_NOISE = 1.5
# A law that explains less of the variance than it leaves.
LEAST_EXPLAINED = 0.5

# A pattern is told of where chance gives one as clear once in a thousand fits, it is this share of
# the residual variance, and its size this share of the variation of the response. Chinchilla's law
# leaves 7 % on the grid of Farseer's 404 runs, whose own law leaves 1.4 %.
CHANCE = 1e-3
LEAST_SHARE = 1 / 3
OF_RANGE = 0.02

# Rows are far above where they exceed so many robust standard deviations and this share of the
# loss; a part of the table from this share of the rows on, which a rule on the loss names where it
# leaves out most of them and few others.
FAR, FAR_SHARE = 6.0, 0.1
FAR_ROWS = 0.02
# Not where a column explains more than this share of the residual variance.
MOSTLY = 0.5
NAMED_ROWS = 0.8


class Misfit(NamedTuple):
    """Sizes of what a law leaves.

    Attributes:
        spread: standard deviation of the residuals without the largest, in their unit.
        variation: standard deviation of the response in the same scale.
        explained: share of the variance that the law explains.
        of_loss: spread as a share of the loss; nan where the response is no loss.
        noise: standard deviation of residuals of rows with equal inputs; nan where there are none.
        freedom: degrees of freedom of the noise.
        chance: of residuals so much larger than the noise, if the law is right; nan without it.
    """

    spread: float
    variation: float
    explained: float
    of_loss: float
    noise: float
    freedom: int
    chance: float

    @property
    def lack(self) -> float:
        """Share of the residual variance that is no noise of replicates; nan without them."""
        return 1 - (self.noise / self.spread) ** 2 if self.spread > 0 else math.nan


def misfit_notes(
    fit: Fit,
    told: Sequence[Note],
    prepared: PreparedFit,
    rows: FittedRows,
    misfit: Misfit,
    patterns: Sequence[Pattern],
) -> list[Note]:
    """Notes that a law does not describe its runs, or that residuals have a pattern.

    Args:
        fit: the fit.
        told: the notes on it so far.
        prepared: the problem it solved.
        rows: its rows.
        misfit: sizes.
        patterns: along its columns, the clearest first.
    """
    table, codes = prepared.table, {note.code for note in told}
    poor = _is_poor(misfit) and "response_rises" not in codes
    explaining = []
    if poor or misfit.spread > OF_RANGE * misfit.variation:
        explaining = explaining_columns(
            fit, table, rows.used, rows.clipped / np.sqrt(rows.weight), labels_only=not poor
        )
    poor = poor and not _is_noise(told, misfit, explaining)
    notes = []
    # Neighbours along a training curve share their noise, and another note says so.
    material = [item for item in patterns if is_clear(item) and _matters(item.share, misfit)]
    material = [] if codes & {"trajectories", "response_rises"} else material
    if poor:
        causes = _causes(fit, told, prepared, rows, _untold(told, explaining))
        notes.append(_poor_note(fit, table, misfit, causes, material))
        # What explains the residuals may explain a pattern, too.
        material = [] if causes else material
    if material:
        notes.append(_pattern_note(fit, table, rows, misfit, material))
    labels = [item for item in _untold(told, explaining) if item.kind == "label"]
    if labels and not poor and _matters(labels[0].share, misfit):
        notes.append(_label_note(fit, prepared, rows, misfit, labels[0]))
    if not notes and not codes & {"trajectories", "response_rises"} and _lacks(misfit):
        notes.append(_lack_note(fit, table, misfit, looked=bool(patterns)))
    return notes


def is_clear(pattern: Pattern) -> bool:
    """Whether a pattern is more than chance, and a large part of the residuals."""
    return pattern.p_value < CHANCE and pattern.share > LEAST_SHARE


def _untold(told: Sequence[Note], explaining: Sequence[Explaining]) -> list[Explaining]:
    """Columns that no other note names."""
    named = {name for note in told for name in note.details.get("swept", ())}
    return [item for item in explaining if item.header not in named]


def _is_poor(misfit: Misfit) -> bool:
    large = misfit.of_loss > MOST_SPREAD and misfit.spread > OF_VARIATION * misfit.variation
    return bool(large or misfit.explained < LEAST_EXPLAINED)


def _is_noise(told: Sequence[Note], misfit: Misfit, explaining: Sequence[Explaining]) -> bool:
    """Whether runs of equal inputs differ as much as all, and no column says why."""
    swept = any(note.code == "repeated_cells" and note.severity == "warning" for note in told)
    noisy = misfit.spread <= OF_NOISE * misfit.noise and misfit.explained >= LEAST_EXPLAINED
    return bool(noisy and not swept and not explaining)


def _matters(share: float, misfit: Misfit) -> bool:
    """Whether a part of the residual variance is large beside the variation of the response."""
    return math.sqrt(share) * misfit.spread > OF_RANGE * misfit.variation


def _lacks(misfit: Misfit) -> bool:
    """Whether replicates show that a large part of the residuals is no noise."""
    large = misfit.lack > LEAST_SHARE and _matters(misfit.lack, misfit)
    return bool(large and misfit.chance < CHANCE)


def size_of(fit: Fit, spread: float) -> str:
    """A residual with its unit."""
    if fit.objective.residual == "raw":
        return f"{spread:.3g} {fit.loss_unit}".rstrip()
    return percent(spread)


def _poor_note(
    fit: Fit, table: LossTable, misfit: Misfit, causes: Sequence[str], patterns: Sequence[Pattern]
) -> Note:
    """The note, with likely causes found by tests on the table."""
    if causes:
        said = "Likely causes: " + "; ".join(f"({i}) {text}" for i, text in enumerate(causes, 1))
    elif patterns:
        along = listed([table.sources.get(item.column, item.column) for item in patterns])
        said = f"Likely cause: another shape along {along}, see systematic_residuals"
    else:
        said = _no_cause(fit, table)
    named = table.sources.get(fit.law.response, fit.law.response)
    return Note.of(
        "poor_fit",
        f"{fit.law.name!r} does not describe these runs: residuals have a standard deviation of "
        f"{size_of(fit, misfit.spread)} without the largest (good fits of losses: below "
        f"{100 * MOST_SPREAD:g} %), and the law explains {100 * max(misfit.explained, 0.0):.4g} % "
        f"of the variance of {named}. {said}",
        {"spread": misfit.spread, "explained": misfit.explained, "causes": list(causes)},
    )


def _causes(
    fit: Fit,
    told: Sequence[Note],
    prepared: PreparedFit,
    rows: FittedRows,
    explaining: Sequence[Explaining],
) -> list[str]:
    """Likely causes of a poor fit, the likeliest first."""
    of_columns = [_of_column(fit, prepared, rows, item) for item in explaining]
    causes = [*_told_elsewhere(fit, told, prepared.table), *of_columns]
    # Runs of another group lie far above, too.
    if explaining and explaining[0].share > MOSTLY:
        return causes
    return [*_far_above(fit, prepared, rows), *causes]


def _far_above(fit: Fit, prepared: PreparedFit, rows: FittedRows) -> list[str]:
    """Rows that lie far above the law, as diverged runs do."""
    rest = rows.residuals * rows.unit / np.sqrt(rows.weight)
    observed = prepared.observed[rows.used]
    size = FAR_SHARE * (1.0 if fit.objective.residual != "raw" else float(np.median(observed)))
    usual = robust_size(rest, fit.n_free)
    # Where many are far above, they move a fit of squares: it is the lower half that is usual.
    below = -rest[rest < 0]
    usual = min(usual, robust_size(below)) if len(below) else usual
    far = rest > max(FAR * usual, size)
    count = int(far.sum())
    if count < max(2, FAR_ROWS * len(rest)) or (observed <= 0).any():
        return []
    text = f"{count} of {len(rest)} rows lie far above the law, as diverged runs do"
    order = np.argsort(observed)
    # Of a rule loss < v: far rows it leaves out, less others.
    gain = np.cumsum((2.0 * far - 1)[order][::-1])[::-1]
    place = int(np.argmax(gain))
    left_out = far[order][place:]
    if not (gain[place] >= NAMED_ROWS * count and place > 0):
        edge = f"{max(FAR * usual, size):.2g}"
        return [f"{text}: look at runs[fit.residuals(runs) > {edge}]"]
    low, high = observed[order][place - 1], observed[order][place]
    response = prepared.table.sources.get(fit.law.response, fit.law.response)
    limit = _between(float(low), float(high))
    call = call_of(fit, prepared.table, keep=f"{quoted(response)} < {limit}")
    return [f"{text}: {call} leaves out {int(left_out.sum())} of them"]


def _between(low: float, high: float) -> str:
    """A number above one and not above another, with few digits."""
    for digits in range(2, 17):
        text = f"{(low + high) / 2:.{digits}g}"
        if low < float(text) <= high:
            return text
    return repr(high)


def _told_elsewhere(fit: Fit, told: Sequence[Note], table: LossTable) -> list[str]:
    """Rows that are no runs of their own, as other notes say."""
    found = []
    for note in told:
        by = note.details.get("by")
        swept = note.details.get("swept", ())
        if note.code == "repeated_cells" and swept:
            response = table.sources.get(fit.law.response, fit.law.response)
            text = f"rows of equal {listed(by or ())} differ by {listed(swept)}"
            settings = all(normalised(name) in HYPERPARAMETERS for name in swept)
            if fit.law.response == "loss" and settings:
                text += (
                    f": fit the best rows, runs.loc[runs.groupby({by!r})[{response!r}].idxmin()]"
                )
            else:
                text += ", and the note repeated_cells prints what to do"
            found.append(text)
        elif note.code == "trajectories":
            found.append("rows are checkpoints, and the note trajectories prints what to do")
    return found


def _of_column(fit: Fit, prepared: PreparedFit, rows: FittedRows, item: Explaining) -> str:
    """What can be done about a column that explains residuals."""
    table, share = prepared.table, percent(item.share)
    text = f"{item.header} explains {share} of the variance of the residuals"
    if item.kind == "label":
        return f"{text}: {_of_label(fit, prepared, rows, item)}"
    if item.kind == "quantity":
        return f"{text}: {call_of(fit, table, item.law)} has it"
    best = table.frame[item.column].mode().iloc[0]
    rule = f"{quoted(item.header)} == {best!r}"
    if isinstance(best, np.generic):
        rule = f"{quoted(item.header)} == {best.item()!r}"
    return f"{text}: compare runs of one value, as keep={rule!r}"


def _of_label(fit: Fit, prepared: PreparedFit, rows: FittedRows, item: Explaining) -> str:
    """Calls that give each value of a label its own coefficient, or fit one of them."""
    table = prepared.table
    calls = []
    coefficient = _differing(fit, prepared, rows, item)
    if coefficient:
        groups = {name: [*found.columns] for name, found in fit.groups.items()}
        groups[coefficient] = [*groups.get(coefficient, []), item.header]
        calls.append(call_of(fit, table, groups=groups))
    common = table.frame[item.column].mode().iloc[0]
    if isinstance(common, str):
        calls.append(f"one of them, keep={f'{quoted(item.header)} == {common!r}'!r}")
    return " or ".join(calls)


def _differing(fit: Fit, prepared: PreparedFit, rows: FittedRows, item: Explaining) -> str:
    """The linear coefficient that explains most if it differs by a label, to first order."""
    tied = {name for group in fit.tied for name in group}
    linear = [
        name
        for name in fit.law.names
        if name in prepared.problem.structure.linear and name not in {*fit.fixed, *tied}
    ]
    code = pd.factorize(prepared.table.frame[item.column].array[rows.used])[0]
    level = code[:, None] == np.arange(code.max() + 1)
    slopes = rows.basis @ np.linalg.pinv(rows.inverse)
    best, least = linear[0] if linear else "", np.inf
    for name in linear:
        if name not in rows.names:
            continue
        columns = level * slopes[:, [rows.names.index(name)]]
        wider = np.hstack([rows.basis, columns])
        found = np.linalg.lstsq(wider, rows.residuals, rcond=1e-9)[0]
        left = float(((rows.residuals - wider @ found) ** 2).sum())
        if left < least:
            best, least = name, left
    return best


def _no_cause(fit: Fit, table: LossTable) -> str:
    """What to try where no column explains it."""
    calls = [call_of(fit, table, name) for name in wider_laws(fit)]
    rest = f"{' or '.join(calls)}, or a" if calls else "a"
    return (
        f"No column of the table explains the residuals: try {rest} law of other columns "
        "(scalefit.laws.table() lists them)"
    )


def _pattern_note(
    fit: Fit,
    table: LossTable,
    rows: FittedRows,
    misfit: Misfit,
    patterns: Sequence[Pattern],
) -> Note:
    """A note on a pattern along a column, and the laws that bend."""
    first = patterns[0]
    header = table.sources.get(first.column, first.column)
    size = math.sqrt(first.share) * misfit.spread
    calls = [call_of(fit, table, name) for name in wider_laws(fit)]
    ways = " or ".join(calls) if calls else _narrower(fit, table, rows, first.column)
    along = listed([table.sources.get(item.column, item.column) for item in patterns])
    return Note.of(
        "systematic_residuals",
        f"residuals of {fit.law.name!r} have a pattern along {along}: neighbours along {header} "
        f"correlate by {first.lag1:.2f} (z = {first.lag1_z:.1f}; runs of signs z = "
        f"{first.runs_z:.1f}; of independent noise once in {_once(first.p_value)} fits). It is "
        f"{percent(first.share)} of their variance, {size_of(fit, size)} in size"
        f"{_at_the_end(fit, table, rows, first.column, header)}. Predictions beyond the runs go "
        f"wrong by more. Try {ways}",
        {
            "columns": [item.column for item in patterns],
            "lag1": first.lag1,
            "lag1_z": first.lag1_z,
            "runs_z": first.runs_z,
            "p_value": first.p_value,
            "share": first.share,
            "size": size,
        },
    )


def _lack_note(fit: Fit, table: LossTable, misfit: Misfit, *, looked: bool) -> Note:
    """A note that residuals are larger than the noise of replicates, and the laws that bend."""
    calls = [call_of(fit, table, name) for name in wider_laws(fit)]
    ways = " or ".join(calls) if calls else "a law of other columns: scalefit.laws.table()"
    times = misfit.spread / misfit.noise
    # Of many parameters no pattern was looked for.
    along = ", along no one column" if looked else ""
    return Note.of(
        "lack_of_fit",
        f"residuals of {fit.law.name!r} are {times:.2g} times the noise: runs of equal inputs "
        f"differ by {size_of(fit, misfit.noise)} (standard deviation, {misfit.freedom} degrees of "
        f"freedom), residuals by {size_of(fit, misfit.spread)}, of a right law once in "
        f"{_once(misfit.chance)} fits. The law misses {size_of(fit, _missed(misfit))}{along}. "
        f"Predictions beyond the runs go wrong by more. Try {ways}",
        {
            "noise": misfit.noise,
            "df": misfit.freedom,
            "times": times,
            "p_value": misfit.chance,
            "size": _missed(misfit),
        },
    )


def _missed(misfit: Misfit) -> float:
    """Size of what is no noise."""
    return math.sqrt(misfit.spread**2 - misfit.noise**2)


def _once(chance: float) -> str:
    return f"{1 / chance:.0e}" if chance > 1e-12 else "1e12"


def _at_the_end(fit: Fit, table: LossTable, rows: FittedRows, column: str, header: str) -> str:
    """By how much the runs at the upper end of a column lie off, where that is said simply."""
    if column not in fit.law.columns:
        return ""
    values = table.column(column)[rows.used]
    top = values >= np.quantile(values, 0.8)
    rest = rows.residuals * rows.unit / np.sqrt(rows.weight)
    off = float(np.average(rest[top], weights=rows.weight[top]))
    named = table.sources.get(fit.law.response, fit.law.response)
    side = "above" if off > 0 else "below"
    return (
        f" (the fifth with the largest {header}: {named} {size_of(fit, abs(off))} {side} the law "
        "in the mean)"
    )


def _narrower(fit: Fit, table: LossTable, rows: FittedRows, along: str) -> str:
    """A part of the runs, where no wider law is known."""
    column = along if along in fit.law.columns else fit.law.columns[-1]
    values = table.column(column)[rows.used]
    middle = _between(*np.quantile(values, [0.2, 0.3]).tolist())
    header = table.sources.get(column, column)
    rule = f"{quoted(header)} > {middle}"
    return f"a law of other columns, or a part of the runs, as {call_of(fit, table, keep=rule)}"


def _label_note(
    fit: Fit, prepared: PreparedFit, rows: FittedRows, misfit: Misfit, item: Explaining
) -> Note:
    """A note on groups that a law pools."""
    size = math.sqrt(item.share) * misfit.spread
    return Note.of(
        "systematic_residuals",
        f"residuals differ by {item.header}, which explains {percent(item.share)} of their "
        f"variance ({size_of(fit, size)} in size): one curve for all is between them. "
        f"Try {_of_label(fit, prepared, rows, item)}",
        {"columns": [item.header], "share": item.share, "size": size},
    )
