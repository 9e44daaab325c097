"""Notes of held-out runs: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
    "leaky_folds": Code(
        None,
        "checkpoints of one run, or repeats of one cell, are among the fitted and the held-out "
        "runs of one fold: errors are too small; a warning where their residuals correlate",
        "hold whole runs out: `by=`",
    ),
    "folds_without_fit": Code(
        None,
        "the other runs of some folds cannot identify the law; a warning unless these are the "
        "first origins of `scheme='rolling'`",
        "hold fewer runs out, or fit a law of fewer parameters",
    ),
    "folds_without_intervals": Code(
        "warning",
        "some folds predict without intervals, and count for no coverage",
        "add runs, or fix or tie parameters: `fixed=`, `tied=`",
    ),
    "unseen_levels": Code(
        "warning",
        "held-out runs have levels of `groups=` that none of the fitted runs has, and no "
        "prediction",
        "hold out by another column: `by=`",
    ),
    "intervals_do_not_hold": Code(
        "warning",
        "95 % intervals of new runs hold fewer held-out runs than chance allows",
        "widen intervals by the factor, or fit another law",
    ),
    "few_held_out": Code(
        "info",
        "too few held-out runs have intervals to see whether these hold what they promise",
        "hold more runs out: `hold=`, or `scheme='rolling'`",
    ),
    "few_freedom": Code(
        "info",
        "fits of folds have fewer than 20 residual degrees of freedom: where the law is not "
        "linear, their intervals may hold far less than they promise, and log scores depend on "
        "them",
        "compare coverage and log scores of folds with more runs only",
    ),
}
