"""Notes of a fit on its runs: what they cannot determine, and rows that are not plain runs."""

from __future__ import annotations

import numpy as np

from scalefit.data.flops_convention import convention_notes
from scalefit.data.other_laws import called
from scalefit.data.table import LossTable
from scalefit.errors import listed
from scalefit.fitting.column_paths import noise_of_residuals, one_ratio_note, path_of
from scalefit.fitting.dependence_notes import dependent_rows
from scalefit.fitting.design_checks import tells_apart
from scalefit.fitting.prepared_fit import PreparedFit
from scalefit.fitting.proposed_calls import objective_options
from scalefit.notes import Note
from scalefit.objective import binary_size, robust_size
from scalefit.problem.problem import Problem
from scalefit.results.fit import Fit
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.results.status import Status

__all__ = ["WEAK_CONDITION", "run_notes"]

# Condition number of the curvature in all parameters: 1e2 to 3e3 for IsoFLOP and grid designs, real
# ones included, and above 5e4 where D is within 10 % of a multiple of N or where 17 runs of five
# sizes have to do.
WEAK_CONDITION = 5e4

# Rows that carry more than half of the squared residual decide a squared fit between them.
OUTLIER_SHARE = 0.5
OUTLIER_ROWS = 0.025
# In a small table so many may, each beyond so many robust standard deviations: of Gaussian noise in
# 12 to 50 runs that happens once in 300 tables, and two of 30 runs that a squared fit bends to are
# no farther out.
OUTLIER_GROUP = 3
OUTLIER_SIZE = 3.5

TINY = np.finfo(np.float64).tiny

# Rank correlation of a response with its column above which it rises.
MOST_RISING = 0.5


def run_notes(fit: Fit, prepared: PreparedFit, residuals: np.ndarray) -> list[Note]:
    """Notes on the runs of a finished fit."""
    problem, table = prepared.problem, prepared.table
    rising = _rising_notes(fit, table) if len(fit.law.columns) == 1 else _rising_with(fit, table)
    notes = [*rising, *_design_notes(fit)]
    if fit.status is not Status.EXACT:
        notes += _outlier_notes(fit, prepared, residuals)
        notes += _one_ratio_notes(fit, problem, table, residuals)
    notes += dependent_rows(fit, table, residuals)
    return [*notes, *_convention_notes(fit, table)]


def _rising_notes(fit: Fit, table: LossTable) -> list[Note]:
    """A note where the response rises along the one column of a law that can only fall."""
    law = fit.law
    if not fit.diagnostics.at_bound:
        return []
    x, observed = table.column(law.columns[0]), table.column(law.response)
    used = table.weight > 0
    rank = _rank_correlation(fit, table, x, observed)
    ends = {law.columns[0]: np.array([x[used].min(), x[used].max()])}
    params = {param.name: param.kind.example for param in law.params}
    start, end = law.evaluate(ends, params)
    if not (rank > MOST_RISING and end < start and x[used].min() > 0):
        return []
    if _rank_correlation(fit, table, x, fit.evaluate(table)) > MOST_RISING:
        # A law of several segments can rise, and does.
        return []
    header, named = (table.sources.get(name, name) for name in (law.columns[0], law.response))
    rest = ("" if named == "loss" else f", loss={named!r}") + objective_options(fit.objective)
    groups = {name: list(item.columns) for name, item in fit.groups.items()}
    limit = (f", groups={groups!r}" if groups else "") + ", bounds={'A': (-np.inf, 0)}"
    ways = [f"fit(runs, 'power_offset', x={header!r}{rest}{limit}) rises to a limit"]
    if not groups:
        # Their parameters have other names.
        ways.append(f"fit(runs, 'logarithmic', x={header!r}{rest}) as ln {header}")
        ways.append(f"fit(runs, 'signed_power', x={header!r}{rest}) as a power")
    return [
        Note.of(
            "response_rises",
            f"{named} rises with {header} (rank correlation {rank:.2f}), and {law.name!r} can only "
            f"fall: what it found is no description of these runs. {', '.join(ways)}",
            {"column": law.columns[0], "rank_correlation": rank},
        )
    ]


def _rising_with(fit: Fit, table: LossTable) -> list[Note]:
    """The same along several columns: the response is the higher, the lower losses would be."""
    law, response = fit.law, fit.law.response
    amplitudes = [
        param.name
        for param in law.params
        if param.kind.name == "amplitude" and fit.params.get(param.name) == 0.0
    ]
    if not amplitudes or not {*amplitudes} <= {*fit.diagnostics.at_bound} or response != "loss":
        return []
    columns = {name: table.column(name) for name in law.columns}
    usual = law.evaluate(columns, {param.name: param.kind.example for param in law.params})
    rank = -_rank_correlation(fit, table, usual, table.column(response))
    if not rank > MOST_RISING:
        return []
    if -_rank_correlation(fit, table, usual, fit.evaluate(table)) > MOST_RISING:
        return []
    named = table.sources.get(response, response)
    loss = "" if named == "loss" else f", loss={named!r}"
    signs = ", ".join(f"{name!r}: (-np.inf, 0)" for name in amplitudes)
    groups = {name: list(item.columns) for name, item in fit.groups.items()}
    kept = f", groups={groups!r}" if groups else ""
    objective = objective_options(fit.objective)
    call = f"fit(runs, {called(law)}{loss}{objective}{kept}, bounds={{{signs}}})"
    return [
        Note.of(
            "response_rises",
            f"{named} rises with {' and '.join(law.columns)} (rank correlation with what "
            f"{law.name!r} usually gives {-rank:.2f}), and {law.name!r} can only fall: what it "
            f"found is no description of these runs. {call} rises to a limit. A budget is "
            f"split only for what falls, as 1 - {named}",
            {"column": " and ".join(law.columns), "rank_correlation": rank},
        )
    ]


def _rank_correlation(fit: Fit, table: LossTable, x: np.ndarray, y: np.ndarray) -> float:
    """The rank correlation of two columns in the levels of a fit, the mean over its rows."""
    codes = [grouping.codes(table) for grouping in dict.fromkeys(fit.groups.values())]
    used = table.weight > 0
    within = np.unique(np.array([np.zeros(len(x)), *codes])[:, used], axis=1, return_inverse=True)
    level = within[1].ravel()
    found, rows = [], np.bincount(level)
    for i in range(len(rows)):
        first, second = (
            np.unique(item[used][level == i], return_inverse=True)[1] for item in (x, y)
        )
        # Ranks begin at zero: of one value there is no correlation.
        there = first.any() and second.any()
        found.append(float(np.corrcoef(first, second)[0, 1]) if there else 0.0)
    return float(np.average(found, weights=rows))


def _design_notes(fit: Fit) -> list[Note]:
    notes = []
    condition = fit.diagnostics.condition
    if condition > WEAK_CONDITION:
        vary = "Vary D/N more, or fix" if {"N", "D"} <= set(fit.law.columns) else "Add runs, or fix"
        notes.append(
            Note.of(
                "weakly_identified",
                f"the condition number is {condition:.2g} (an IsoFLOP sweep gives 1e2 to 3e3; the "
                f"limit is {WEAK_CONDITION:g}): some combination of the parameters is hardly "
                f"constrained. {vary} or tie a parameter",
                {"condition": condition, "limit": WEAK_CONDITION},
            )
        )
    freedom = fit.nobs - fit.n_free
    # Known errors are the noise.
    if freedom < FEWEST_FREEDOM and fit.objective.sigma is None:
        notes.append(
            Note.of(
                "few_rows",
                f"{fit.nobs} runs leave {freedom} degrees of freedom for {fit.n_free} parameters: "
                f"the residuals say {'little' if freedom else 'nothing'} about the noise. Add runs "
                "before trusting exponents",
                {"rows": fit.nobs, "free": fit.n_free},
                severity="warning",
            )
        )
    return notes


def _outlier_notes(fit: Fit, prepared: PreparedFit, residuals: np.ndarray) -> list[Note]:
    table = prepared.table
    squares = prepared.weight * (residuals / binary_size(np.abs(residuals).max())) ** 2
    few = _dominant(squares[table.weight > 0], fit.n_free)
    if not few:
        return []
    worst = np.argsort(squares)[::-1][:few]
    share = squares[worst].sum() / squares.sum()
    rows = [table.rows[i] for i in worst]
    return [
        Note.of(
            "outliers_dominate",
            f"{few} of {len(squares)} rows carry {100 * share:.0f} % of the squared residual (rows "
            f"{listed(rows)}). Look at them: unfinished or diverged runs move a squared fit far, "
            "and a Huber fit less",
            {"rows": [str(row) for row in rows], "share": float(share)},
            severity="info" if fit.objective.penalty.bounded else "warning",
        )
    ]


def _dominant(squares: np.ndarray, free: int) -> int:
    """How many rows carry over half of the squared residual between them; 0 where many do.

    In a small table one to three, each far beyond the usual size of the others: the median does not
    depend on them, so that one does not hide another.
    """
    most = np.sort(squares)[::-1]
    few = max(1, int(np.ceil(OUTLIER_ROWS * len(most))))
    if len(most) < 4 * few:
        return 0
    usual = robust_size(np.sqrt(most), free) ** 2
    far = int(np.count_nonzero(most > OUTLIER_SIZE**2 * usual))
    far = far if far <= max(1, min(OUTLIER_GROUP, len(most) // 8)) else 0
    if far:
        # Those before the largest drop: beside a run far off, one at the edge of noise is none.
        far = 1 + int(np.argmax(most[:far] / np.maximum(most[1 : far + 1], TINY)))
    # Of one row of a dozen, half of the sum is nothing unusual.
    few = far if few == 1 else max(few, far)
    return few if most[:few].sum() > OUTLIER_SHARE * most.sum() else 0


def _one_ratio_notes(
    fit: Fit, problem: Problem, table: LossTable, residuals: np.ndarray
) -> list[Note]:
    """A note where N and D never move apart by more than the noise hides."""
    if not tells_apart(problem, "N", "D"):
        return []
    noise = noise_of_residuals(fit, residuals[table.weight > 0])
    path = path_of(fit, table, ("N", "D"), noise)
    return [] if path is None or not path.hidden else [one_ratio_note(path, table)]


def _convention_notes(fit: Fit, table: LossTable) -> list[Note]:
    if "C" not in table.sources or "6ND" not in fit.domain:
        return []
    # C is optional: where it has gaps or is no number it is simply not compared.
    N, D = table.column("N"), table.column("D")
    so = "budgets counted as 6ND are not its budgets"
    return convention_notes(table.numbers("C"), N, D, so)
