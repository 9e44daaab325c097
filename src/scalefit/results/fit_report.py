"""What the report of a fit says first: its headline and its facts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scalefit.data.dropped_rows import counted
from scalefit.data.grouping import level_keywords
from scalefit.reporting.numbers import percent, shown
from scalefit.results.chi_squared import chi_squared
from scalefit.results.dependence import interval_call
from scalefit.results.domain import ranges
from scalefit.results.remembered_columns import LEVEL, spoken
from scalefit.results.status import Status

__all__ = ["FEWEST_FREEDOM", "MOST_NAMED", "facts", "headline", "swept"]

# With fewer residual degrees of freedom the size of the noise is hardly known: its 95 % interval
# spans a factor of 3.4 at 5, and of 6 at 3. Only where the fit is linear does Student's t hold all
# the same, whatever their number: a covariance may have intervals.
FEWEST_FREEDOM = 5

# Columns that a proposed prediction names, at most: a table of more is passed as a whole.
MOST_NAMED = 5

# Warnings by which the law may not describe its runs: what it misses comes before its answers.
MISFIT = {"poor_fit", "systematic_residuals", "lack_of_fit", "high_leverage"}


def headline(fit: Any) -> str:
    """What matters most: what is wrong, how good the fit is, and what comes next."""
    codes = list(dict.fromkeys(note.code for note in fit.notes if note.severity == "warning"))
    first = f"Look at the warnings first: {', '.join(codes)}. " if codes else ""
    # Of few runs, and of known errors, a covariance has the intervals that there are.
    plain = fit.df_resid < FEWEST_FREEDOM or fit.objective.sigma is not None
    call = "scalefit.covariance(fit, runs)" if plain else interval_call(fit.notes)
    # One level of a fit has no intervals of its own.
    whole = LEVEL not in fit.provenance
    steps = [f"{call} for intervals"] * (fit.df_resid > 0 and whole)
    if MISFIT & set(codes):
        steps.insert(0, "scalefit.diagnose(fit, runs) for what the law misses")
    if "one_ratio" in codes:
        steps.append("runs at other D/N, before N and D are split")
    elif optimised := swept(fit.law.columns, fit.law.response):
        steps.append(f"scalefit.optimal_columns(fit, {optimised}) for the best of them")
    elif {"N", "D"} <= set(fit.law.columns) and fit.law.response == "loss":
        largest = fit.domain.get("6ND", (math.nan, math.nan))[1]
        flops = f"1e{math.ceil(math.log10(largest) + 0.5)}" if largest > 0 else "1e24"
        at = f".at({level_keywords(fit.groups.values())})" if fit.groups else ""
        steps.append(f"scalefit.allocate(fit{at}, flops={flops}) for the best N and D")
    else:
        called = spoken(fit.law, fit.provenance)
        columns = [called.get(name, name) for name in fit.law.columns]
        plain = all(name.isidentifier() for name in columns) and not fit.groups
        few = len(columns) <= MOST_NAMED
        given = ", ".join(f"{name}=..." for name in columns) if plain and few else "..."
        steps.append(f"fit.predict({given}) for other runs")
    if fit.status is Status.PUBLISHED:
        values = f"Values of {fit.provenance.get('source', 'a paper')}"
        return f"{first}{values}; nothing was fitted. Next: {steps[-1]}."
    if not fit.status.usable:
        return f"{first}No optimum: {fit.status.value}."
    if fit.status is Status.EXACT:
        return f"{first}Passes through all {fit.nobs} runs to rounding. Next: {steps[-1]}."
    return f"{first}Fits {fit.nobs} runs to {_spread(fit)}. Next: {', '.join(steps)}."


def swept(columns: Sequence[str], response: str) -> str:
    """What ``optimal_columns`` takes of a law of learning rate or batch, as code; else empty."""
    over = [name for name in columns if name in ("lr", "batch")]
    if not over or response != "loss":
        return ""
    return ", ".join([str(over), *(f"{name}=..." for name in columns if name not in over)])


def _spread(fit: Any) -> str:
    """Size of the residuals, with its unit."""
    kind = fit.objective.residual
    if kind == "raw":
        size = f"{fit.residual_rms:.3g} {fit.loss_unit}".rstrip()
        return f"{size} (root mean square of residuals)"
    return f"{percent(fit.residual_rms)} (root mean square of {kind} residuals)"


def facts(fit: Any) -> dict[str, str]:
    """Short facts by name; empty ones are left out of a report."""
    if fit.status is Status.PUBLISHED:
        return {"range": _ranges(fit), "law": fit.law.source}
    minimum = f"{shown(fit.objective_value).value} = {fit.objective.formula}"
    optimum = fit.certificate.known if fit.certificate else fit.diagnostics.agreement
    unproved = fit.certificate.attempted and not fit.certificate
    return {
        "verdict": ""
        if fit.verdict.level == "none"
        else f"{fit.verdict.level}: {fit.verdict.words}",
        "runs": f"{fit.nobs}; {fit.n_free} free parameters; {_ranges(fit)}",
        "dataset": fit.provenance.get("dataset", ""),
        "responses": ", ".join(fit.responses),
        "groups": "; ".join(
            f"{name} by {' and '.join(item.columns)} ({len(item.levels)} levels)"
            for name, item in fit.groups.items()
        ),
        "dropped": counted(fit.dropped),
        "objective": minimum,
        "chi-squared": str(chi_squared(fit) or ""),
        "optimum": optimum + "; not proved to be global, see certificate" * unproved,
        "law": fit.law.source,
    }


def _ranges(fit: Any) -> str:
    """Ranges of the runs, under the headers of the columns."""
    return ranges(fit.domain, spoken(fit.law, fit.provenance))
