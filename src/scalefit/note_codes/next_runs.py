"""Notes of runs to make next: severity, meaning and remedy of each code."""

from __future__ import annotations

from scalefit.note_codes.code import Code

__all__ = ["CODES"]

CODES = {
    "linearised": Code(
        "warning",
        "draws weighted by simulated losses of the next runs spread otherwise than the first-order "
        "prediction says",
        "make the first runs, fit again and ask again: `count=1`",
    ),
    "noise_hardly_known": Code(
        "warning",
        "fewer than five residual degrees of freedom say how large the noise of a run is",
        "say it: `noise=`",
    ),
    "undetermined": Code(
        "warning",
        "the runs that are there do not determine every combination of the parameters; the next "
        "ones are chosen as if it were known within very wide limits",
        "make the first of them, fit again and ask again: `count=1`",
    ),
    "runs_outside": Code(
        "info",
        "runs that are chosen lie outside those of the fit",
        "nothing, or `limits=`: there the law is tested too",
    ),
}
