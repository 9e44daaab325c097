"""Notes of Approach 2 and its vertices: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
    "few_budgets": Code(
        "warning",
        "power laws of `isoflop` go through fewer than 4 budgets; of `scalefit.check`: all runs "
        "lie at two",
        "add budgets",
    ),
    "isoflop_edge_minimum": Code(
        "warning",
        "a vertex lies outside its runs",
        "add sizes there, or leave the budget out: `keep_edges=False`",
    ),
    "isoflop_negative_curvature": Code(
        "warning",
        "a parabola opens downward; the budget is left out",
        "check its runs: `scalefit.approach2.flag_runs`",
    ),
    "isoflop_weak_curvature": Code(
        "warning",
        "a curvature below two standard errors: the vertex may be anywhere",
        'add sizes, or leave the budget out: `rules=["weak_curvature"]`',
    ),
    "isoflop_bent": Code(
        "warning",
        "one run bends the parabola of its budget: the others lie on a parabola without it; or "
        "runs lie far from the surface that was passed as `fit=`. They are kept; the note has the "
        "exponent without them",
        'check the runs, or leave them out: `rules=["parabola_outlier"]`, '
        '`rules=["surface_outlier"]`',
    ),
    "isoflop_impossible": Code(
        "warning",
        "a vertex that no run can have; the budget is left out",
        "add sizes around the least loss",
    ),
    "isoflop_too_wide": Code(
        "warning",
        "runs of close C chained into one budget over more than a factor of two; it is left out",
        "name the budgets by `by=`, or a smaller `tolerance=`; for training curves "
        "`scalefit.approach2.envelope`",
    ),
    "isoflop_wide_budget": Code(
        "warning",
        "runs taken for one budget differ in C by more than 20 %",
        "name the budgets by `by=`, or a smaller `tolerance=`",
    ),
    "isoflop_off_centre": Code(
        "info",
        "sweeps not centred on their vertices, and the drift of that with the budget",
        "`scalefit.approach2.design_bias` computes its effect",
    ),
    "isoflop_dropped": Code(
        None,
        "runs left out by a rule that was passed, budgets without a usable minimum",
        "see the `removed` and `budgets` of the result",
    ),
    "vertices_at_edge": Code(
        "warning",
        "a vertex of `approach2.vertices` lies outside its runs",
        "add values there, or leave the cell out: `keep_edges=False`",
    ),
    "vertices_weak": Code(
        "warning",
        "a curvature below two standard errors: the vertex may be anywhere",
        "add values farther from the best",
    ),
    "vertices_left_out": Code(
        "warning",
        "cells without a usable vertex are left out of `to_frame()`",
        "see the `status` in `cells`; add values",
    ),
    "vertices_bent": Code(
        "warning",
        "a run bends the parabola of its cell, or lies far from the surface that was passed as "
        "`fit=`. It is kept; the note has the vertex without it",
        'check the run, or leave it out: `rules=["parabola_outlier"]`, `rules=["surface_outlier"]`',
    ),
    "vertices_mixed": Code(
        "warning",
        "rows of one value in a cell differ by another column",
        'the best at each value, `repeats="least"`, or that column in `by`',
    ),
    "envelope_few_sizes": Code(
        "warning",
        "the fitted part of an envelope has fewer than 5 sizes: N* is a staircase",
        "add sizes",
    ),
    "approach2_loses_budgets": Code(
        None,
        "resamples of the runs leave Approach 2 without a minimum at some budget; a "
        "warning above 5 %",
        "fit the surface; add sizes",
    ),
    "parts_cancel": Code(
        "warning",
        "the error of D* of Approach 2 is small because its parts have opposite signs",
        "judge the parts: `attribution` of the report",
    ),
    "convention_decides": Code(
        "warning",
        "the FLOP convention is the largest part of the error of D*",
        "count budgets alike: `cost=scalefit.allocation.measured(runs)`",
    ),
    "gap_within_noise": Code(
        "warning",
        "the difference between Approach 2 and the surface is not distinguishable from zero",
        "quote both intervals, not the difference",
    ),
    "quality_decides": Code(
        "warning",
        "without the runs that are flagged the deadweight differs by more than a factor of 2, or "
        "the answer of a diagnosis lies outside its interval",
        "report both",
    ),
    "objective_decides": Code(
        "warning",
        "by another objective the deadweight differs by more than a factor of 2, or the answer of "
        "a diagnosis lies outside its interval",
        "report the range: `variants` of the report, `objectives` of the diagnosis",
    ),
    "bias_other_runs": Code(
        "warning",
        "the surface was not fitted to the runs of the sweeps",
        "fit the surface to those runs, or take the rest of the gap with care",
    ),
    "variant_failed": Code(
        "info",
        "a variant of the report has no answer",
        "read the reason in the note",
    ),
}
