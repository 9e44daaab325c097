"""Notes of designs of runs: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
    "not_identified": Code(
        "warning",
        "`scalefit.fit` refuses the runs: whatever their losses are, they cannot identify the law",
        "as the note says: add runs, fix a parameter by `fixed=`, or fit a smaller law",
    ),
    "single_budget": Code(
        "warning",
        "all runs have one compute: nothing shows how the loss changes with it",
        "add budgets, a decade apart or more",
    ),
    "narrow_span": Code(
        "warning",
        "N, D, C or D/N span less than a decade, so that most targets lie far outside",
        "add runs at the ends, `scalefit.next_runs` chooses them; take an extrapolation with care",
    ),
    "collinear_columns": Code(
        "warning",
        "two columns of the law move together: the noise hides what tells their parameters apart",
        "add runs in which one moves without the other; fix a parameter by `fixed=`",
    ),
    "noise_floor": Code(
        "info",
        "replicates, runs of equal inputs, show the noise from run to run: no law can be closer",
        "compare the residuals of a fit with it",
    ),
}
