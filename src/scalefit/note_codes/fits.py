"""Notes of a fit: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
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
        "the condition number exceeds 5e4; of `scalefit.check` also a nonlinear parameter whose "
        "expected standard error exceeds half of it",
        "add runs, `scalefit.next_runs` chooses them; or fix a parameter: `fixed=`, `tied=`",
    ),
    "one_ratio": Code(
        "warning",
        "D/N varies too little for the noise: the terms of N and D cannot be separated, and "
        "`scalefit.allocate` and `scalefit.deadweight` refuse ([runs at one "
        "ratio](tables.md#runs-at-one-ratio))",
        "add runs at other D/N; fit a law of N or C alone; fix both exponents by `fixed=`",
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
        "the best row of each cell; their vertices: `scalefit.approach2.vertices`; cells by `by=`",
    ),
    "shared_runs": Code(
        "warning",
        "the responses of a run share its noise ([several responses](several_responses.md)): rows "
        "are not independent",
        "`scalefit.bootstrap` or `scalefit.covariance`, which take runs with all of their "
        "responses",
    ),
    "dominating_response": Code(
        "warning",
        "the raw residuals of one response make up most of the sum that several share",
        'residuals relative to each response: `residual="log"` or `residual="relative"`',
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
    "sigma_inconsistent": Code(
        "warning",
        "the residuals are larger, or smaller, than the known errors of `sigma=` say: chi-squared "
        "is beyond 99 % or below 1 % of its distribution",
        "another law, or other errors; leave `sigma=` out",
    ),
    "outliers_dominate": Code(
        None,
        "2.5 % of the rows, or up to three far-off ones of a small table, carry over half of "
        "the squared residual (a warning for squares)",
        "check the rows that the note lists",
    ),
    "poor_fit": Code(
        "warning",
        "the law does not describe these runs: residuals above 3 % of the loss and a tenth of its "
        "variation, or less than half of the variation explained ([is the law right "
        "here?](model_checking.md))",
        "what the note names: columns that explain the residuals, diverged or repeated rows, "
        "another law: `scalefit.compare`",
    ),
    "systematic_residuals": Code(
        "warning",
        "the residuals have a pattern along a column, or differ by a label, more than chance and "
        "enough to matter ([patterns](model_checking.md#patterns))",
        "a law that bends, or a coefficient for each label: the note prints the calls, and "
        "`scalefit.compare` says whether they predict better",
    ),
    "lack_of_fit": Code(
        "warning",
        "residuals are larger than the noise of runs with equal inputs, more than chance and "
        "enough to matter ([lack of fit](model_checking.md#lack-of-fit))",
        "a law that bends: the note names some, and `scalefit.compare` says whether they predict "
        "better",
    ),
    "high_leverage": Code(
        "warning",
        "one run alone determines a parameter, or is off and moves one by more than two standard "
        "errors ([leverage](model_checking.md#leverage))",
        "check that run, and add others beside it; `scalefit.diagnose` says what hinges on it",
    ),
    "flops_convention": Code(
        None,
        "C / 6ND differs from 1 by more than 5 %; a warning where by one factor throughout, as "
        "where C is 2ND",
        "count budgets alike: `cost=scalefit.allocation.measured(runs)`; multiply C by the factor",
    ),
    "not_separable": Code(
        "info",
        "the law has no linear parameter",
        "write the law with an amplitude, if it has one",
    ),
    "fit_warnings": Code(
        "warning",
        "an answer rests on a fit with warnings",
        "read the notes of the fit: `fit.notes`",
    ),
    "published": Code(
        None,
        "the values are a paper's, nothing was fitted; a warning where they were read second-hand",
        "compare with a fit of your own",
    ),
}
