"""Notes on a design: what it cannot tell apart, what it cannot identify, and its noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from scalefit.data.flops_convention import convention_notes
from scalefit.data.table import LossTable
from scalefit.design.replicate_noise import ReplicateNoise, exact_copies
from scalefit.errors import DataError, listed
from scalefit.fitting.column_paths import ColumnPath, one_ratio_note, own_law_calls, path_of
from scalefit.fitting.design_checks import tells_apart
from scalefit.fitting.run_notes import WEAK_CONDITION
from scalefit.inference.run_noise import FEWEST_REPEATS
from scalefit.notes import Note
from scalefit.problem.problem import Problem
from scalefit.reporting.numbers import percent
from scalefit.results.fit import Fit

__all__ = [
    "compute_notes",
    "copy_notes",
    "identification_notes",
    "noise_notes",
    "paths_of",
    "refusal_notes",
    "separation_notes",
]

# Share of the variance of one logarithm that the other explains, above which two columns are called
# collinear: a variance inflation of ten, the usual limit (Belsley, Kuh and Welsch 1980).
COLLINEAR = 0.9

# With a standard error above half of it, the 95 % interval of a parameter includes zero.
MOST_RELATIVE = 0.5

# Residuals of so many times the noise between replicates are called misfit: those of the Chinchilla
# law on seeds of one table have 1 to 1.5 times.
MISFIT = 2.0


def paths_of(fit: Fit, table: LossTable, problem: Problem, noise: float) -> list[ColumnPath]:
    """The path of the runs in each pair of columns that different parameters depend on."""
    pairs = [pair for pair in combinations(fit.law.columns, 2) if tells_apart(problem, *pair)]
    found = [path_of(fit, table, pair, noise) for pair in pairs]
    return [path for path in found if path is not None]


def separation_notes(
    fit: Fit, table: LossTable, problem: Problem, paths: Sequence[ColumnPath], *, single: bool
) -> list[Note]:
    """Notes on columns that the noise does not let be told apart.

    Args:
        fit: the fit to the runs.
        table: the runs.
        problem: the problem that the fit solved.
        paths: from :func:`paths_of`.
        single: whether all runs have one compute, of which another note tells.
    """
    notes = []
    for path in paths:
        if not path.hidden:
            continue
        if path.columns == ("N", "D"):
            if not single:
                note = one_ratio_note(path, table)
                refused = f"{note.message}. scalefit.allocate refuses a fit to these runs"
                notes.append(Note.of(note.code, refused, note.details))
        elif path.shared >= COLLINEAR:
            notes.append(_collinear_note(fit, problem, path))
    return notes


def _collinear_note(fit: Fit, problem: Problem, path: ColumnPath) -> Note:
    first, second = path.columns
    concerned = _concerned(fit, problem, path.columns)
    named = listed(concerned)
    kinds = {param.name: param.kind for param in fit.law.params}
    # The last of a law's parameters are its exponents.
    fixed = concerned[-1]
    return Note.of(
        "collinear_columns",
        f"{second} follows {first} as {first}^{path.power:.2g} (to within "
        f"{100 * np.expm1(path.off):.2g} %, {100 * path.shared:.3g} % of its variance): what "
        f"moving them apart does is {path.apart:.2g} standard errors at most, so that {named} "
        f"are not told apart. Add runs in which {second} moves without {first}, or fix one, as "
        f"fixed={{{fixed!r}: {kinds[fixed].example:.3g}}}",
        {
            "columns": [first, second],
            "parameters": concerned,
            "apart": path.apart,
            "power": path.power,
            "off": path.off,
            "shared": path.shared,
        },
    )


def _concerned(fit: Fit, problem: Problem, columns: tuple[str, str]) -> list[str]:
    """Free parameters whose effect depends on one of two columns."""
    uses = zip(fit.law.names, problem.structure.uses, strict=True)
    return [name for name, seen in uses if {*columns} & {*seen} and name not in fit.fixed]


def identification_notes(expected: pd.DataFrame, fit: Fit) -> list[Note]:
    """A note where the information matrix is near singular, or a nonlinear parameter is loose."""
    loose = expected[expected["sized"] & (expected["relative"] > MOST_RELATIVE)]
    said, condition = [], fit.diagnostics.condition
    if condition > WEAK_CONDITION:
        said.append(
            f"the condition number is {condition:.2g} (an IsoFLOP sweep gives 1e2 to 3e3; the "
            f"limit is {WEAK_CONDITION:g}): some combination of the parameters is hardly "
            "constrained"
        )
    if len(loose):
        each = [
            f"{name} = {row['value']:.3g} is {_relative_text(row['relative'])}"
            for name, row in loose.iterrows()
        ]
        said.append(
            f"the expected standard error of {listed(each)}, above {percent(MOST_RELATIVE)}: these "
            "runs hardly tell it from zero"
        )
    if not said:
        return []
    vary = "Vary D/N more, or fix" if {"N", "D"} <= set(fit.law.columns) else "Add runs, or fix"
    return [
        Note.of(
            "weakly_identified",
            f"{'; '.join(said)}. {vary} or tie a parameter",
            {
                "condition": condition,
                "limit": WEAK_CONDITION,
                "relative": {str(name): float(row) for name, row in loose["relative"].items()},
            },
        )
    ]


def _relative_text(relative: float) -> str:
    return f"{percent(relative)} of it" if relative < 10 else "more than ten times as large"


def noise_notes(found: ReplicateNoise | None, residual: float, logarithmic: bool) -> list[Note]:
    """A note on what replicates say of the noise.

    Args:
        found: their noise.
        residual: standard deviation of the residuals; NaN where there is no fit.
        logarithmic: whether both are of the logarithm of the response.
    """
    if found is None:
        return []
    value, rest = (
        percent(item) if logarithmic else f"{item:.3g}" for item in (found.value, residual)
    )
    said = (
        f"{found.rows} runs in {found.groups} groups of equal inputs differ by {value} (standard "
        f"deviation, {found.df} degrees of freedom)"
    )
    few = found.df < FEWEST_REPEATS
    said += ": no law can be closer" if not few else f", fewer than {FEWEST_REPEATS}: a rough idea"
    if np.isfinite(residual):
        said += f". The residuals of the fit are {rest}"
        if not few and residual > MISFIT * found.value:
            times = f"{residual / found.value:.2g}"
            said += f", {times} times as much: misfit, or runs that differ otherwise"
    return [
        Note.of(
            "noise_floor",
            said,
            {
                "value": found.value,
                "groups": found.groups,
                "rows": found.rows,
                "df": found.df,
                "residual": residual,
            },
        )
    ]


def copy_notes(table: LossTable, columns: Sequence[str], response: str) -> list[Note]:
    """A note on exact copies of runs, where the reading of the table has none."""
    if any(note.code == "duplicate_rows" for note in table.notes):
        return []
    copied = exact_copies(table, columns, response)
    rows = [row for row, one in zip(table.rows, copied, strict=True) if one]
    if not rows:
        return []
    return [
        Note.of(
            "duplicate_rows",
            f"{len(rows)} rows repeat an earlier row's {', '.join(columns)} and {response} exactly "
            f"(rows {listed(rows)}). Each counts as a run of its own; drop them if they are not",
            {"rows": [str(row) for row in rows]},
        )
    ]


def compute_notes(table: LossTable) -> list[Note]:
    """A note where the column C of a table is not 6ND."""
    if not {"N", "D", "C"} <= set(table.sources):
        return []
    used = table.weight > 0
    C, N, D = (table.numbers(name)[used] for name in ("C", "N", "D"))
    return convention_notes(C, N, D, "budgets counted as 6ND are not its budgets")


def refusal_notes(error: DataError, table: LossTable, columns: Sequence[str]) -> list[Note]:
    """A note on a design that no fit can use, with what it does determine.

    Args:
        error: why ``fit`` refuses it.
        table: the runs.
        columns: columns of the law.
    """
    said, details = str(error), {"columns": list(columns)}
    if {"N", "D"} <= set(columns) and _is_path(table):
        said += (
            f". Such runs determine the loss along their path: {own_law_calls(table)}. "
            "scalefit.allocate needs runs at several D/N"
        )
    return [Note.of("not_identified", said, details)]


def _is_path(table: LossTable) -> bool:
    """Whether both N and D take several values, at one ratio."""
    used = table.weight > 0
    frame = pd.DataFrame({name: np.log(table.column(name)[used]) for name in ("N", "D")})
    ratio = frame["D"] - frame["N"]
    return bool(0 < 10 * np.ptp(ratio) < np.ptp(frame["N"]))
