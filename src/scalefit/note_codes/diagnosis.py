"""Notes of a diagnosis: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
    "residual_trend": Code(
        "warning",
        "the residuals have a slope or a curvature along a column that the law does not describe",
        "a law with a further term: `scalefit.compare`; or only the runs nearest to the target: "
        "`keep=`",
    ),
    "residual_pattern": Code(
        "warning",
        "a smooth surface explains more than a quarter of the variance of the residuals: the law "
        "misses it, and it is no noise",
        "other laws on these runs: `scalefit.compare`; report what the answer hinges on",
    ),
    "influential_block": Code(
        "warning",
        "the answer without one block of runs differs by more than noise explains",
        "check these runs, or report the answer with and without them",
    ),
    "block_needed": Code(
        "info",
        "without a block of runs the law cannot be fitted, or has no answer",
        "read the reason in the note; add runs beside that block",
    ),
    "searched_nearby": Code(
        "info",
        "a law of more than four nonlinear parameters: fits without a block start at the optimum "
        "of all runs, and are not searched over the whole bounds",
        "fit such a part by itself: `scalefit.fit`, `keep=`",
    ),
    "blocks_joined": Code(
        "info",
        "a column has more than 12 values: neighbouring ones are left out together",
        "nothing, or a column of blocks: `by=`",
    ),
}
