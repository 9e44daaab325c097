"""What the replicates of a bootstrap are fitted to: rows, clusters, strata or residuals at random.

Every method of :data:`RESAMPLES` takes a fit on its table, the column of the clusters or strata (or
None), the number of replicates and the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from scalefit.data.budgets import budget_codes
from scalefit.errors import DataError
from scalefit.fitting.derivatives import derivatives
from scalefit.fitting.drawn import Drawn
from scalefit.frozen import Frozen
from scalefit.inference.fitted_data import Columns, FittedData, by_text, clusters
from scalefit.inference.leverage import left_out
from scalefit.notes import Note
from scalefit.objective import noisy_losses
from scalefit.results.dependence import FEWEST_CLUSTERS
from scalefit.results.estimate import AS_DRAWN, TailCorrection

__all__ = ["RESAMPLES", "Method", "Resample"]

Method = Literal["rows", "clusters", "strata", "residuals", "wild"]

# Of fewer clusters than this there are few distinct resamples where the ends of an interval lie: of
# six, 462 in all, and the ends of 95 % where Student's t has them are one in four hundred.
FEW_CLUSTERS = 8

# Webb's six-point distribution: mean 0, variance 1, third moment 0.
WEBB = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])


class Resample(NamedTuple):
    """What the replicates are fitted to: new weights of the rows, or new losses.

    Attributes:
        weights: of shape (replicates, rows), or None where the losses are new.
        losses: of shape (replicates, rows), or None where the weights are new.
        tails: which percentiles of the draws are the ends of an interval.
        notes: soft problems.
    """

    weights: Drawn | None
    losses: Drawn | None
    tails: TailCorrection
    notes: tuple[Note, ...] = ()


def _rows(fitted: FittedData, _: Columns | None, n: int, seed: int) -> Resample:
    weights = _drawn_weights(fitted, np.zeros(len(fitted.used), dtype=int), n, seed)
    return Resample(weights, None, _tail_correction(fitted))


def _clusters(fitted: FittedData, by: Columns | None, n: int, seed: int) -> Resample:
    codes = _cluster_codes(fitted, by or ())
    count = int(codes.max()) + 1

    def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
        return _weights(fitted, counts(n, count, rng)[:, codes] * fitted.used)

    # Of G clusters drawn with replacement, spread is that of G - 1.
    tails = TailCorrection(min(count - 1, fitted.df_resid), float(np.sqrt(count / (count - 1))))
    weights = Drawn(drawn, n, len(codes), seed)
    return Resample(weights, None, tails, _few_clusters(count, by or ()))


def _strata(fitted: FittedData, by: Columns | None, n: int, seed: int) -> Resample:
    codes = _budget_codes(fitted) if by is None else _cluster_codes(fitted, by)
    sizes = np.bincount(codes[fitted.used])
    single = int(np.count_nonzero(sizes == 1))
    named = by_text(by or "the budget")
    notes = [
        Note.of(
            "single_run_strata",
            f"{single} of {np.count_nonzero(sizes)} values of {named} have one run, "
            "which stays in every replicate: the spread is understated. Resample rows instead",
            {"single": single},
        )
    ]
    several = sizes[sizes > 1]
    # Of m runs drawn with replacement, spread is that of m - 1.
    inflation = float(np.sqrt(several.sum() / (several - 1).sum())) if len(several) else 1.0
    weights = _drawn_weights(fitted, codes, n, seed)
    tails = _tail_correction(fitted, inflation)
    return Resample(weights, None, tails, tuple(notes if single else ()))


def _drawn_weights(fitted: FittedData, codes: np.ndarray, n: int, seed: int) -> Drawn:
    """Weights that draw each stratum's rows with replacement, as many as it has."""
    strata = [
        np.flatnonzero((codes == code) & fitted.used) for code in np.unique(codes[fitted.used])
    ]

    def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
        times = np.zeros((n, len(codes)), dtype=np.uint16)
        for rows in strata:
            times[:, rows] = counts(n, len(rows), rng)
        return _weights(fitted, times)

    return Drawn(drawn, n, len(codes), seed)


def counts(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of so many things is drawn with replacement, as many as there are.

    Shape (n, count), small numbers.
    """
    things = rng.integers(count, size=(n, count)) + count * np.arange(n)[:, None]
    return np.bincount(things.ravel(), minlength=n * count).reshape(n, count).astype(np.uint16)


def _weights(fitted: FittedData, times: np.ndarray) -> np.ndarray:
    """Weights of rows that were drawn so often."""
    weight = fitted.weight
    return times if (weight[fitted.used] == 1).all() else weight * times


def _residuals(fitted: FittedData, _: Columns | None, n: int, seed: int) -> Resample:
    errors, rows = fitted.errors, len(fitted.used)
    if errors is not None:
        sizes = np.where(fitted.used, errors, 0.0)
        return _losses(
            fitted, n, seed, lambda rng, n: rng.standard_normal((n, rows)) * sizes, AS_DRAWN
        )
    # Residuals are smaller than the noise, because the fit follows them.
    noise = fitted.residuals[fitted.used] * fitted.inflation
    tails = TailCorrection(fitted.df_resid)
    return _losses(fitted, n, seed, lambda rng, n: rng.choice(noise, (n, rows)), tails)


def _wild(fitted: FittedData, by: Columns | None, n: int, seed: int) -> Resample:
    rows = len(fitted.used)
    codes = np.arange(rows) if by is None else _cluster_codes(fitted, by)
    count = int(codes.max()) + 1
    around = derivatives(fitted.prepared.problem, fitted.prepared.data, fitted.point)
    jacobian = around.jacobian[fitted.used][:, ~fitted.at_bound]
    # Each run (or cluster) as if it had been left out of the fit, as for the sandwich.
    without = left_out(
        jacobian[:, jacobian.any(axis=0)],
        fitted.weight[fitted.used],
        fitted.residuals[fitted.used],
        None if by is None else codes[fitted.used],
    )
    noise = np.zeros(rows)
    noise[fitted.used] = without.values

    def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
        return noise * rng.choice(WEBB, (n, count))[:, codes]

    tails = TailCorrection(fitted.df_resid if by is None else min(count - 1, fitted.df_resid))
    notes = () if by is None else _few_clusters(count, by)
    if fitted.fit.objective.penalty.bounded:
        notes += (
            Note.of(
                "wild_with_robust",
                "residuals times random numbers are rarely small, and a robust objective rests on "
                "the small ones: such intervals of 95 % held 89 to 93 % in simulations. Resample "
                "rows, or use covariance",
            ),
        )
    return _losses(fitted, n, seed, drawn, tails, notes)


RESAMPLES: Mapping[str, Callable[[FittedData, Columns | None, int, int], Resample]] = Frozen(
    {
        "rows": _rows,
        "clusters": _clusters,
        "strata": _strata,
        "residuals": _residuals,
        "wild": _wild,
    }
)


def _tail_correction(fitted: FittedData, inflation: float = 1.0) -> TailCorrection:
    """Correction for resampled runs; none for robust objectives, whose spread is wide enough."""
    if fitted.fit.objective.penalty.bounded:
        return AS_DRAWN
    return TailCorrection(fitted.df_resid, inflation)


def _losses(
    fitted: FittedData,
    n: int,
    seed: int,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    tails: TailCorrection,
    notes: tuple[Note, ...] = (),
) -> Resample:
    """Losses of the surface with noise, as the objective measures it."""
    residual = fitted.fit.objective.residual

    def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
        return noisy_losses(fitted.predicted, noise(rng, n), residual)

    return Resample(None, Drawn(drawn, n, len(fitted.used), seed), tails, notes)


def _cluster_codes(fitted: FittedData, by: Columns) -> np.ndarray:
    """Number of each row's cluster, shape (rows,); rows without weight are of the first one."""
    found = np.zeros(len(fitted.used), dtype=int)
    found[fitted.used] = clusters(fitted, by)[1]
    return found


def _budget_codes(fitted: FittedData) -> np.ndarray:
    """Number of each row's budget: 6ND, those within five percent of the next together."""
    if not {"N", "D"} <= set(fitted.fit.law.columns):
        raise DataError(
            f"{fitted.fit.law.name!r} is a law of {', '.join(fitted.fit.law.columns)}: it has no "
            "budgets to resample within",
            remedy="Name the column of the strata, as by='corpus'",
        )
    log_nd = np.log(fitted.prepared.columns["N"]) + np.log(fitted.prepared.columns["D"])
    return budget_codes(log_nd)


def _few_clusters(count: int, by: Columns) -> tuple[Note, ...]:
    if count >= FEW_CLUSTERS:
        return ()
    same = by if isinstance(by, str) else list(by)
    compare = f"Compare covariance(fit, runs, by={same!r}), or add clusters"
    if count < FEWEST_CLUSTERS:
        compare = "Add clusters"
    return (
        Note.of(
            "few_clusters",
            f"{by_text(by)} has {count} values, fewer than {FEW_CLUSTERS}: ends of intervals lie "
            f"among few distinct resamples. {compare}",
            {"clusters": count},
        ),
    )
