"""Notes of comparisons of laws: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
    "law_left_out": Code(
        "warning",
        "a law could not be fitted to the runs, or to those of a fold, and is not compared",
        "read its reason; give it more runs, or `fixed=` of its own",
    ),
    "held_out_left_out": Code(
        "info",
        "some held-out runs are not predicted by every law, and are left out for all",
        "none where they are few; else hold other runs out",
    ),
    "few_held_out": Code(
        "warning",
        "fewer than five held-out runs: hardly any difference between laws would be seen",
        "`hold=3`, `scheme='rolling'`, or a rule, `test='C > 1e21'`",
    ),
    "folds_left_out": Code(
        "info",
        "some folds have too few runs for some law, and are left out for all",
        "none; the first origins of `rolling` are always small",
    ),
    "held_at_search_bound": Code(
        "warning",
        "a law ended with a parameter where the search ends: it is neither chosen nor weighed",
        "widen its `bounds=`, or fix the parameter",
    ),
    "no_p_value": Code(
        "info",
        "a law is a restriction of another one, and the test of it has no known distribution here",
        "for a bend, `replicates=199`; else see the reason",
    ),
    "no_criteria": Code(
        "info",
        "AICc and BIC need a Gaussian likelihood of the losses",
        '`robust="none"` with log or raw residuals, where noise is normal',
    ),
    "published_lower": Code(
        "warning",
        "published coefficients have a lower objective on these runs than the fit",
        "compare `bounds=` and `fixed=` of the fit with the published values; fit without them",
    ),
    "published_other_minimum": Code(
        "info",
        "a descent from published coefficients ends at a minimum above that of the fit",
        "none: the fit is the lower one; several minima say that runs do not settle it",
    ),
    "published_outside_bounds": Code(
        "warning",
        "published coefficients have values that the law's parameters cannot have",
        "check their sign and the formula that they are of",
    ),
    "published_no_interval": Code(
        "info",
        "published coefficients are beside a fit without intervals",
        "see its reason; draws by `bootstrap` in place of the fit give others",
    ),
}
