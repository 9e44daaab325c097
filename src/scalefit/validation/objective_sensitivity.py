"""The answer by other objectives, and without runs that are far off."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.approach2.bias_variants import AS_GIVEN, UNFLAGGED
from scalefit.errors import ScalefitError
from scalefit.fitting.refits import objective_label, objective_variants, refit
from scalefit.inference.fitted_data import FittedData
from scalefit.inference.subset_fits import SubsetFit
from scalefit.objective import robust_size
from scalefit.results.fit import Fit
from scalefit.runtime.progress import counting
from scalefit.validation.linearised import FAR_OFF
from scalefit.validation.swings import answers_of
from scalefit.validation.targets import Target

__all__ = ["flagged_runs", "objective_frame"]


def flagged_runs(fitted: FittedData) -> np.ndarray:
    """Runs that a note of the fit names as outliers, or that are far off, booleans (rows,).

    Far off is a residual beyond 3.5 robust standard deviations.
    """
    named = {
        row
        for note in fitted.fit.notes
        if note.code == "outliers_dominate"
        for row in note.details["rows"]
    }
    usual = robust_size(fitted.residuals[fitted.used], fitted.fit.n_free)
    listed = np.array([str(row) in named for row in fitted.table.rows], dtype=bool)
    far = np.abs(fitted.residuals) > FAR_OFF * usual
    return np.asarray(fitted.used & (listed | far))


def objective_frame(
    fitted: FittedData, target: Target, without: SubsetFit | None, answer: float
) -> pd.DataFrame:
    """A row for the fit as given, each other objective, and the fit without flagged runs.

    Args:
        fitted: the fit on its table.
        target: the question.
        without: the fit without flagged runs; None where none is flagged.
        answer: of the fit as given.

    Returns:
        ``runs``, every parameter and answer, ``change`` (ln of the answer over that of the fit as
        given) and ``failure``.
    """
    fit, table = fitted.fit, fitted.table
    labels, failures = [AS_GIVEN], [""]
    fits: list[Fit | None] = [fit]
    if without is not None:
        labels.append(UNFLAGGED)
        _add(without.fit, without.failure, fits, failures)
    variants = objective_variants(fit.objective, table.column(fit.law.response)[fitted.used])
    with counting("fitting again", len(variants), "objectives") as stage:
        for objective in variants:
            labels.append(objective_label(objective))
            try:
                found, failure = refit(fit, table, objective), ""
            except ScalefitError as error:
                found, failure = None, str(error)
            _add(found, failure, fits, failures)
            stage.update()
    frame = answers_of(target, fits)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.log(frame[target.first].to_numpy() / answer)
    missing = ~np.isfinite(change)
    failures = [
        text or ("no answer at the target" if lacking else "")
        for text, lacking in zip(failures, missing, strict=True)
    ]
    frame.insert(0, "runs", [0 if one is None else one.nobs for one in fits])
    return frame.assign(change=change, failure=failures).set_axis(labels)


def _add(found: Fit | None, failure: str, fits: list[Fit | None], failures: list[str]) -> None:
    """One more fit, or why there is none."""
    usable = found is not None and found.status.usable
    if found is not None and not usable:
        failure = f"the fit is not at an optimum ({found.status.name.lower()})"
    fits.append(found if usable else None)
    failures.append(failure)
