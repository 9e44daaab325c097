"""The registry of the codes of notes: severity, meaning and remedy of each.

:meth:`Note.of` makes a note of one of them; the table of docs/report.md is written from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scalefit.frozen import Frozen

__all__ = ["CODES", "Code", "Severity"]

Severity = Literal["info", "warning"]


@dataclass(frozen=True)
class Code:
    """What is always true of the notes of one code.

    Attributes:
        severity: of every such note; None where it depends on the case.
        meaning: what happened, in Markdown.
        remedy: what to do about it, in Markdown.
    """

    severity: Severity | None
    meaning: str
    remedy: str


CODES: Mapping[str, Code] = Frozen(
    {
        "at_bound": Code(
            "warning",
            "a parameter ended at its bound; the others are conditional on it",
            "widen it by `bounds=`, or accept it as physical",
        ),
        "response_rises": Code(
            "warning",
            "the response rises with the columns of a law that can only fall",
            "fit as the note prints: a power below its limit, a logarithm, or a power that grows",
        ),
        "law_rounds": Code(
            "warning",
            "the law cancels large terms, and what it rounds away limits the fit",
            "write the difference itself, as `log1p(x)` for `log(1 + x)`",
        ),
        "starts_disagree": Code(
            None,
            "the starts ended in several minima; a warning when the second is within 1 %",
            "report both: `fit.diagnostics.minima`",
        ),
        "starts_stalled": Code(
            "info",
            "some starts did not reach a minimum",
            "usually harmless",
        ),
        "not_certified": Code(
            None,
            "a proof was tried and gave up, or found a lower point",
            "pass the number of boxes that the note names as `certify=`, or report the gap",
        ),
        "weakly_identified": Code(
            "warning",
            "the condition number exceeds 5e4",
            "add runs at other D/N, or fix a parameter: `fixed=`, `tied=`",
        ),
        "one_ratio": Code(
            "warning",
            "D/N varies too little for the noise: the terms of N and D cannot be separated, and "
            "`scalefit.allocate` and `scalefit.deadweight` refuse ([runs at one "
            "ratio](tables.md#runs-at-one-ratio))",
            "add runs at other D/N; fit a law of N or C alone; fix both exponents by `fixed=`",
        ),
        "units": Code(
            "warning",
            "N, D or C are not in raw counts, with the likely unit "
            "([units](tables.md#units)); carried to every answer",
            'pass the units that the note prints, as `N=("params", 1e9)`',
        ),
        "loss_unit": Code(
            "warning",
            "losses above 12, which exceed those of a uniform guess in nats per token, or a header "
            "that names a perplexity",
            '`loss_unit="perplexity"`; leave diverged runs out',
        ),
        "text_numbers": Code(
            "info",
            "text was read as numbers: 70M, 1.4B, 10,072,747, 3,36 "
            "([text](tables.md#numbers-as-text))",
            "nothing, if the example in the note is right",
        ),
        "header_unit": Code(
            "info",
            "a header names a unit, as `params_b`, and its numbers were multiplied by it",
            "nothing, if the unit in the note is right; else name the column and its unit, as "
            '`N=("params_b", 1.0)`',
        ),
        "unit_mismatch": Code(
            "warning",
            "a size or a number of tokens is 1e5 times that of the largest run, or below a "
            "thousandth of the smallest: it is in another unit than the table",
            "pass numbers in the unit of the table, or fit a table in counts",
        ),
        "trajectories": Code(
            None,
            "rows are checkpoints of few runs ([training curves as "
            "rows](tables.md#training-curves-as-rows)); a warning where neighbouring "
            "residuals correlate, and of `isoflop`",
            "name the runs by `by=`; keep the last row of each; or a rule by `keep=`",
        ),
        "repeated_cells": Code(
            None,
            "most rows repeat the inputs of the law ([sweeps in every "
            "cell](tables.md#sweeps-in-every-cell)); a warning where a column such as the learning "
            "rate explains how they differ, or they differ by more than replicates do",
            "the best row of each cell; their vertices: `scalefit.approach2.vertices`; cells by "
            "`by=`",
        ),
        "lower_envelope": Code(
            "warning",
            "the objective is asymmetric: the fit is a lower envelope, not a mean",
            "report it beside a symmetric fit",
        ),
        "delta_unused": Code(
            "info",
            "every residual lies within `delta`: the objective is half the sum of squares",
            "a smaller `delta=`, if outliers are to count less",
        ),
        "delta_tiny": Code(
            "info",
            "nearly every residual lies far beyond `delta`: the objective is `delta` times "
            "the sum of absolute residuals",
            'a larger `delta=`, or `robust="l1"`',
        ),
        "few_rows": Code(
            None,
            "fewer than 5 residual degrees of freedom, of a fit or of parabolas",
            "add runs",
        ),
        "outliers_dominate": Code(
            None,
            "2.5 % of the rows, or up to three far-off ones of a small table, carry over half of "
            "the squared residual (a warning for squares)",
            "check the rows that the note lists",
        ),
        "flops_convention": Code(
            "info",
            "C / 6ND differs from 1 by more than 5 %",
            "count budgets alike: `cost=scalefit.allocation.measured(runs)`",
        ),
        "dataset": Code(
            "info",
            "what to know of a public table before it is fitted ([datasets](datasets.md))",
            "read it; `scalefit.datasets.info` says the rest",
        ),
        "ambiguous_column": Code(
            None,
            "an optional quantity could be several columns; none was taken",
            "name the column, as `C=`",
        ),
        "column_replaced": Code(
            "info",
            "a column of the table has the name of a quantity that another one was given for; "
            "it is left out",
            "rename it before, if it is needed",
        ),
        "duplicate_rows": Code(
            "info",
            "rows repeat exactly",
            "drop them if they are copies",
        ),
        "mid_schedule": Code(
            "warning",
            "a loss of a tracked run is from before the end of its learning-rate schedule",
            "leave the run out, or train it to the end",
        ),
        "run_end_unknown": Code(
            "info",
            "nothing says whether tracked runs have come to their end",
            "pass the steps that they were to have, as `planned=`",
        ),
        "records_replaced": Code(
            "info",
            "a tracked run went back to an earlier step; what it recorded from there on counts",
            "nothing, where it resumed from a checkpoint",
        ),
        "run_names_repeat": Code(
            "info",
            "tracked runs share a name; what tells them apart is added to it",
            "nothing, or other names",
        ),
        "runs_unmatched": Code(
            "info",
            "runs without an entry in a configuration that is joined, or entries without a run",
            "name the entries as the column `run` does",
        ),
        "binned_history": Code(
            "warning",
            "points of an exported chart are averages over several records",
            "export the history, by `run.scan_history()` of Weights & Biases",
        ),
        "not_read": Code(
            "warning",
            "files that a tracker left could not be read, or hold no record",
            "restore them, or do without",
        ),
        "not_separable": Code(
            "info",
            "the law has no linear parameter",
            "write the law with an amplitude, if it has one",
        ),
        "extrapolation": Code(
            None,
            "an answer lies outside the runs; a warning beyond one decade (beyond the width "
            "of its range, for a column that reaches zero)",
            "add larger runs",
        ),
        "form_not_covered": Code(
            None,
            "the interval of a new run holds noise and misfit inside the runs, not a wrong "
            "form of the law; a warning outside them",
            "leave the largest runs out of a fit by `keep=`, and predict them",
        ),
        "at_limit": Code(
            "info",
            "a limit, a rule of the law or an end of a range holds an allocation",
            "nothing, or a wider `limits=`",
        ),
        "more_data_hurts": Code(
            "warning",
            "more tokens raise the loss before the budget is spent",
            "trust it only inside the runs",
        ),
        "flat_optimum": Code(
            "warning",
            "twice the model size wastes less than 2 % of the budget",
            "report the range of sizes: `scalefit.near_optimal`",
        ),
        "region_open": Code(
            "warning",
            "a near-optimal region has no end within the range that is searched",
            "a smaller `within=` or `overhead=`",
        ),
        "region_cut": Code(
            "info",
            "a limit ends a near-optimal region, or the last size that reaches the loss at all",
            "nothing, or a wider `limits=`",
        ),
        "free_parameters": Code(
            "warning",
            "N counts parameters of a shape, such as an embedding, that its FLOPs do not: the law "
            "takes them for as good as others, and the shapes with most of them look best "
            "([shapes](shapes.md#back-from-a-budget))",
            "count N as the FLOPs do, by `size=`, if the fit's N is; or `convention='6N'`",
        ),
        "fit_warnings": Code(
            "warning",
            "an answer rests on a fit with warnings",
            "read the notes of the fit: `fit.notes`",
        ),
        "replicates_failed": Code(
            None,
            "refits of a bootstrap did not reach an optimum and are left out",
            "below 1 %, nothing; above, constrain the law by `fixed=`, `tied=` or `bounds=`",
        ),
        "other_minima": Code(
            None,
            "some replicates have another, lower minimum than the fit leads to; a warning "
            "where the last ones searched still gained",
            "look at `scalefit.plot.pairs` before quoting an interval",
        ),
        "few_searched": Code(
            "info",
            "a law of three nonlinear parameters or more: replicates are searched in part, "
            "and none gained",
            "`global_search=1.0` searches all, where the share that may be missed matters",
        ),
        "chains_disagree": Code(
            "warning",
            "the chains of a posterior are not draws of one distribution yet",
            "a larger `n_draws=`",
        ),
        "divergences": Code(
            "warning",
            "the sampler of a posterior could not follow the density",
            "compare with `scalefit.bootstrap`",
        ),
        "draws_at_bound": Code(
            None,
            "a parameter's draws end at a bound",
            "its interval ends there too: widen it by `bounds=`, or report it",
        ),
        "few_clusters": Code(
            "warning",
            "fewer than 8 clusters were resampled",
            "compare with `scalefit.covariance` and the same `by=`; add clusters",
        ),
        "determined_alone": Code(
            "warning",
            "a sandwich met runs or clusters that determine a combination of the parameters "
            "by themselves",
            '`method="jacobian"`, or add runs beside them',
        ),
        "wild_with_robust": Code(
            "warning",
            "a wild bootstrap under a robust objective, which depends on the smallest residuals",
            'resample rows: `method="rows"`',
        ),
        "single_run_strata": Code(
            "warning",
            "strata of one run never vary",
            'resample rows: `method="rows"`',
        ),
        "conditional_on_bound": Code(
            "warning",
            "standard errors take a parameter at a bound as known",
            "use `scalefit.profile` or `scalefit.bootstrap`",
        ),
        "profile_open": Code(
            "warning",
            "the objective does not close an interval within the bounds",
            "report the interval as open",
        ),
        "loss_not_reached": Code(
            "warning",
            "no budget brings the baseline to the loss of the other: its multiplier is inf",
            "ask at smaller budgets: `flops=`",
        ),
        "draws_without_optimum": Code(
            "warning",
            "some draws have no compute-optimal point",
            "nothing, where they are few: the interval is of the others",
        ),
        "few_budgets": Code(
            "warning",
            "power laws of `isoflop` go through fewer than 4 budgets",
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
            "one run bends the parabola of its budget: the others lie on a parabola without it. It "
            "is kept; the note has the exponent without it",
            'check the run, or leave it out: `rules=["parabola_outlier"]`',
        ),
        "isoflop_impossible": Code(
            "warning",
            "a vertex that no run can have; the budget is left out",
            "add sizes around the least loss",
        ),
        "isoflop_too_wide": Code(
            "warning",
            "runs of close C chained into one budget over more than a factor of two; it is "
            "left out",
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
            "without the runs that rules flag the deadweight differs by more than a factor of 2",
            "report both",
        ),
        "objective_decides": Code(
            "warning",
            "the deadweight depends on the objective, by more than a factor of 2",
            "report the range: `variants` of the report",
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
        "dense_peak": Code(
            "info",
            "dollars are counted with the dense peak of the device",
            "compare with dollars counted the same way",
        ),
        "published": Code(
            None,
            "the values are a paper's, nothing was fitted; a warning where they were read "
            "second-hand",
            "compare with a fit of your own",
        ),
    }
)
