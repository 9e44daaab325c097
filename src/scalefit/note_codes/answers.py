"""Notes of predictions and allocations: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
    "extrapolation": Code(
        None,
        "an answer lies outside the runs; a warning beyond one decade (beyond the width "
        "of its range, for a column that reaches zero)",
        "hold the largest runs out, `scalefit.holdout`; add larger runs, `scalefit.next_runs`",
    ),
    "form_not_covered": Code(
        None,
        "the interval of a new run holds noise and misfit inside the runs, not a wrong "
        "form of the law; a warning outside them",
        "hold the largest runs out: `scalefit.holdout(runs, law, hold=3)`",
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
    "loss_not_reached": Code(
        "warning",
        "no budget brings the baseline to the loss of the other: its multiplier is inf",
        "ask at smaller budgets: `flops=`",
    ),
    "level_not_reached": Code(
        "warning",
        "no value of the column brings the law to a response: the inverse is inf, or 0 where the "
        "law is beyond it throughout",
        "ask for a response above the asymptote, or fit runs nearer to it",
    ),
    "several_roots": Code(
        "info",
        "a law that is not monotone passes a response several times; the smallest value is given",
        "look at `fit.predict` around it",
    ),
    "interval_open": Code(
        None,
        "some draws never reach a response: beyond their share an interval of the inverse ends at "
        "inf; a warning where one of 95 % does",
        "report it as open; add larger runs",
    ),
    "share_at_limit": Code(
        "info",
        "a cap or zero holds the share of a domain in an optimal mixture",
        "nothing; or more tokens, epochs or another bound where a cap is dear",
    ),
    "mixture_outside_runs": Code(
        "warning",
        "an optimal mixture is no blend of the mixtures tried",
        "a run of it at a small size; `bounds=` around the mixtures tried",
    ),
    "several_mixtures": Code(
        "warning",
        "a law that is not convex in the shares has several local optima",
        "runs at both, which tell them apart",
    ),
    "gain_uncertain": Code(
        "info",
        "some draws find another mixture no worse than the optimal one",
        "more runs near both, or the mixture that is known to work",
    ),
    "responses_unpaired": Code(
        "info",
        "draws of several responses are not of the same resamples, and are taken as independent",
        "`bootstrap` with the same `seed=` and `n_draws=` for every response",
    ),
    "draws_without_crossing": Code(
        "warning",
        "in some draws two laws do not cross where their fits do: the interval is of the others",
        "report the share beside the interval",
    ),
    "no_inner_optimum": Code(
        "warning",
        "a law is least at an end of the range of a column, or its curvature is not upwards in "
        "every direction: there is no optimum inside the range",
        "a wider `within=`, or runs on both sides of the optimum",
    ),
    "draws_without_optimum": Code(
        "warning",
        "some draws have no compute-optimal point, or no minimum inside a range",
        "nothing, where they are few: the interval is of the others",
    ),
    "dense_peak": Code(
        "info",
        "dollars are counted with the dense peak of the device",
        "compare with dollars counted the same way",
    ),
}
