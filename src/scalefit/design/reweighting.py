"""What new runs leave of the spread of draws, without linearising: draws weighted by their fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scalefit.inference.ensemble import Ensemble

__all__ = ["FEWEST_EFFECTIVE", "reweighted_error"]

# Draws that are taken as true in turn.
TRUTHS = 64
# With fewer draws of weight a standard deviation is known to worse than 15 %, which is no check of
# anything: its relative error is 1 / sqrt(2 n).
FEWEST_EFFECTIVE = 25
# Share of the truths that must have as many.
CHECKED = 0.5


def reweighted_error(
    draws: Ensemble, columns: Mapping[str, np.ndarray], noise: float, answers: np.ndarray
) -> float:
    """Standard deviation of answers after new runs, averaged over what they may turn out.

    A draw is taken as the truth, the new runs are simulated from it, and every draw is weighted by
    the likelihood of their losses. The weighted spread of the answers is averaged over truths.

    Args:
        draws: of one surface.
        columns: the law's columns of the new runs, each of shape (runs,).
        noise: standard deviation of a residual.
        answers: the answer under every usable draw, on the scale of its error, shape (draws,
            answers).

    Returns:
        The root of the mean variance over answers and truths; NaN where too few draws have weight
        to say.
    """
    names = draws.fit.law.names
    usable = np.isfinite(answers).all(axis=1)
    params = {name: draws.drawn[name][usable][:, None] for name in names}
    answers = answers[usable]
    predicted = np.asarray(draws.fit.law.evaluate(columns, params))
    predicted = np.broadcast_to(predicted, (len(answers), len(next(iter(columns.values())))))
    if draws.fit.objective.residual != "raw":
        predicted = np.log(predicted)
    truths = np.unique(np.linspace(0, len(answers) - 1, TRUTHS).round().astype(int))
    # Fixed: the check answers the same every time.
    rng = np.random.default_rng(0)
    losses = predicted[truths] + noise * rng.standard_normal((len(truths), predicted.shape[1]))
    found = []
    for truth, simulated in zip(truths, losses, strict=True):
        fit = -0.5 * (((simulated - predicted) / noise) ** 2).sum(axis=1)
        # Of the other draws: the true one itself is not one of the posterior.
        fit[truth] = -np.inf
        weight = np.exp(fit - fit.max())
        weight /= weight.sum()
        if 1 / (weight**2).sum() < FEWEST_EFFECTIVE:
            continue
        middle = weight @ answers
        found.append(float((weight @ (answers - middle) ** 2).mean()))
    if len(found) < CHECKED * len(truths):
        return float("nan")
    return float(np.sqrt(np.mean(found)))
