"""Notes of a bias report: failures of Approach 2, and what the answer depends on."""

from __future__ import annotations

import numpy as np

from scalefit.approach2.bias_report import BiasReport
from scalefit.approach2.bias_variants import AS_GIVEN, UNFLAGGED
from scalefit.data.table import LossTable
from scalefit.notes import Note

__all__ = ["bias_notes"]

# Share of resamples without a minimum at some budget above which that is a warning.
FAILED = 0.05
# Deadweights that differ by more than this factor, the larger above this share, are two answers.
APART, NOTABLE = 2.0, 0.01


def bias_notes(report: BiasReport, table: LossTable) -> list[Note]:
    """All notes of a report that are its own."""
    return [
        *_table_notes(report, table),
        *_failure_notes(report),
        *_noise_notes(report),
        *_choice_notes(report),
        _peak_note(report),
    ]


def _table_notes(report: BiasReport, table: LossTable) -> list[Note]:
    """A note where the surface was not fitted to the runs of the table."""
    fit = report.fit
    data = fit.provenance.get("data")
    same = data is None or data == table.digest([*fit.law.columns, fit.law.response])
    if same and fit.nobs == np.count_nonzero(table.weight > 0):
        return []
    return [
        Note.of(
            "bias_other_runs",
            f"the surface is of {fit.nobs} other runs than the {len(table)} of this table: the "
            "part noise and misfit holds the difference between the two",
            {"rows": fit.nobs, "table": len(table)},
        )
    ]


def _failure_notes(report: BiasReport) -> list[Note]:
    """A note where resamples leave Approach 2 without a minimum."""
    if not report.failed_share > 0:
        return []
    failed, count = int((report.resamples["failed_budgets"] > 0).sum()), len(report.resamples)
    return [
        Note.of(
            "approach2_loses_budgets",
            f"in {failed} of {count} resamples of the runs Approach 2 has no minimum at some "
            "budget, and its power laws go through the others. A fit of the surface uses every run "
            "of every resample",
            {"resamples": count, "failed": failed},
            severity="warning" if report.failed_share > FAILED else "info",
        )
    ]


def _noise_notes(report: BiasReport) -> list[Note]:
    """A note where the difference may be zero."""
    intervals = {}
    if report.draws:
        low, high = report.estimate("error").interval()
        intervals["draws of the surface"] = (float(low), float(high))
    if len(report.resamples):
        low, high = report.resampled("error").interval()
        intervals["resamples of Approach 2"] = (float(low), float(high))
    covering = {name: ends for name, ends in intervals.items() if ends[0] <= 0 <= ends[1]}
    # The scatter of the resamples includes the misfit of the parabolas: both have to cover zero.
    if not covering or len(covering) < len(intervals):
        return []
    each = " and ".join(
        f"{100 * low:+.3g} to {100 * high:+.3g} % over {name}"
        for name, (low, high) in covering.items()
    )
    return [
        Note.of(
            "gap_within_noise",
            f"the error of D* ({report.error():+.1%}) does not differ from zero: its 95 % interval "
            f"is {each}",
            {name: list(ends) for name, ends in covering.items()},
        )
    ]


def _choice_notes(report: BiasReport) -> list[Note]:
    """Notes where flagged runs or the objective change the deadweight by a factor."""
    shares = report.variants["deadweight"]
    given, notes = float(shares[AS_GIVEN]), []
    if UNFLAGGED in shares and _differ(given, float(shares[UNFLAGGED])):
        clean = float(shares[UNFLAGGED])
        nobs = report.variants["nobs"]
        count = int(nobs[AS_GIVEN] - nobs[UNFLAGGED])
        notes.append(
            Note.of(
                "quality_decides",
                f"without the {count} runs that rules flag, Approach 2 wastes {clean:.2%} of the "
                f"budget in place of {given:.2%}: these runs move the answer as much as the method "
                "does. Report both",
                {"given": given, "clean": clean, "runs": count},
            )
        )
    tried = shares.drop([AS_GIVEN, UNFLAGGED], errors="ignore")
    if len(tried) and _differ(float(tried.min()), float(tried.max())):
        notes.append(
            Note.of(
                "objective_decides",
                f"the deadweight is {tried.min():.2%} to {tried.max():.2%} of the budget, by the "
                "objective that the surface is fitted with: see variants",
                {str(name): float(value) for name, value in tried.items()},
            )
        )
    return notes


def _differ(one: float, other: float) -> bool:
    low, high = sorted((one, other))
    return high > NOTABLE and high > APART * low


def _peak_note(report: BiasReport) -> Note:
    """Which peak the dollars are counted with."""
    peak = report.hardware.peak_flops / 1e12
    return Note.of(
        "dense_peak",
        f"dollars count {report.utilisation:.0%} of the dense peak of {report.hardware}, "
        f"{peak:.4g} TFLOP/s. A data sheet's peak with structured sparsity is twice that, and "
        "dollars counted with it are half of these",
        {"tflops": peak, "utilisation": report.utilisation},
    )
