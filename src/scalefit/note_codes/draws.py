"""Notes of draws and intervals: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
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
    "small_sample": Code(
        "info",
        "fewer than 5 residual degrees of freedom; the fit is linear, and Student's t exact under "
        "normal noise of one size",
        "add runs, to see whether the noise is so",
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
}
