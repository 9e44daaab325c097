"""What the runs of a fit, or its draws, say of its free parameters, and what a new run adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from scalefit.design.sensitivities import Coordinates, coordinates_of, prediction_slopes
from scalefit.errors import DataError
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.fitted_data import FittedData
from scalefit.results.estimate import Draws
from scalefit.results.fit import Fit
from scalefit.validation.linearised import noise_spread

__all__ = ["Information", "noise_of", "of_draws", "of_runs", "residual_slopes"]

# Sets of parameters that a criterion is averaged over. Between 16 and 64 of 4,000 the runs that are
# chosen hardly differ, and 32 keep 2,000 candidates below a second.
SETS = 32

# A direction of the parameters that the runs hardly determine counts as known to within so many
# factors of e of its effect on their losses. For noise of 0.5 % and 20 runs that is a singular
# value of 1e-5 (columns of length one); those of an IsoFLOP sweep are above 1e-3.
WIDEST = 100.0


class Information(NamedTuple):
    """What is known of the free parameters before new runs, and where that is linearised.

    Attributes:
        fit: the fit, of one surface.
        coordinates: what is free.
        params: sets of parameters that answers are averaged over, each of shape (sets,).
        root: matrix R of shape (p, p) with R R^T the covariance of the coordinates.
        noise: standard deviation of the residual of a new run.
        undetermined: how many directions of the parameters are known by nothing but ``WIDEST``.
    """

    fit: Fit
    coordinates: Coordinates
    params: Mapping[str, np.ndarray]
    root: np.ndarray
    noise: float
    undetermined: int = 0

    def rows(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """New runs in the coordinates in which the covariance before them is the identity.

        A run with the row z adds z z^T to the information.

        Args:
            columns: the law's columns, each of shape (rows,).

        Returns:
            Shape (sets, rows, p).
        """
        slopes = residual_slopes(self.fit, self.coordinates, columns, self.params)
        return np.asarray(slopes @ self.root / self.noise)


def residual_slopes(
    fit: Fit,
    coordinates: Coordinates,
    columns: Mapping[str, np.ndarray],
    params: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Derivatives of the predictions on the scale of the residuals, shape (sets, rows, p).

    That is the loss itself for raw residuals, and its logarithm for the others.
    """
    predicted, slopes = prediction_slopes(fit.law, coordinates, columns, params)
    return slopes if fit.objective.residual == "raw" else slopes / predicted[..., None]


def noise_of(fitted: FittedData) -> float:
    """Standard deviation of a run that carries the information of one run of this fit.

    With psi the derivative of the penalty, sqrt(sum w psi^2 / (n - p)) / mean psi': for squares the
    residual standard deviation, and for a robust loss what its efficiency makes of it.
    """
    residuals, weight = fitted.residuals[fitted.used], fitted.table.weight[fitted.used]
    return noise_spread(fitted.fit.objective, residuals, weight, fitted.df_resid)


def of_runs(fitted: FittedData, noise: float) -> Information:
    """What the runs of a fit say: the Fisher information J^T W J / noise^2 at its optimum.

    A combination of the parameters that the runs hardly determine counts as known to within
    ``WIDEST`` factors of e of its effect on their losses.

    Raises:
        DataError: a parameter has no effect on them.
    """
    fit = fitted.fit
    params = {name: np.array([value]) for name, value in fit.params.items()}
    coordinates = coordinates_of(fit, params)
    columns = {
        name: values[fitted.used] for name, values in fitted.table.columns_of(fit.law).items()
    }
    slopes = residual_slopes(fit, coordinates, columns, params)[0]
    slopes = slopes * np.sqrt(fitted.table.weight[fitted.used])[:, None]
    # Columns of length one: sizes of parameters differ by many powers of ten.
    size = np.linalg.norm(slopes, axis=0)
    _require_effect(coordinates, size)
    _, singular, right = np.linalg.svd(slopes / size, full_matrices=len(slopes) < len(size))
    found = np.zeros(len(size))
    found[: len(singular)] = singular
    unit = 1.0
    if fit.objective.residual == "raw":
        unit = float(np.abs(fitted.predicted[fitted.used]).mean())
    least = noise / (WIDEST * unit * np.sqrt(len(slopes)))
    root = right.T / np.maximum(found, least) / size[:, None] * noise
    open_ = int(np.count_nonzero(found < least))
    return Information(fit, coordinates, params, root, noise, open_)


def _require_effect(coordinates: Coordinates, size: np.ndarray) -> None:
    idle = [coordinates.groups[i][0] for i in np.flatnonzero(size == 0)]
    if idle:
        raise DataError(
            f"{', '.join(idle)} has no effect on these runs, so that nothing says what another run "
            "would tell of it",
            remedy="Fix it, or fit a law without it. Or pass draws of a posterior: "
            "next_runs(scalefit.posterior(fit, runs), ...)",
        )


def of_draws(draws: Ensemble, noise: float) -> Information:
    """What draws say: their covariance, and the law at some of them.

    Args:
        draws: of one surface.
        noise: standard deviation of the residual of a new run.

    Raises:
        DataError: there are fewer of them than parameters, or nothing varies.
    """
    drawn = draws.drawn
    names = draws.fit.law.names
    coordinates = coordinates_of(draws.fit, drawn)
    points = coordinates.values(drawn) if coordinates.groups else np.empty((0, 0))
    count, free = points.shape
    if count <= free or not free:
        raise DataError(
            f"{count} usable draws of {free} free parameters have no covariance",
            remedy="Make more of them, as scalefit.bootstrap(fit, runs, n_draws=1000)",
        )
    centred = (points - points.mean(axis=0)) / np.sqrt(count - 1) * draws.tails.inflation
    # The covariance X^T X = V s^2 V^T has the root V s; columns are scaled for digits only.
    size = np.linalg.norm(centred, axis=0)
    _, singular, right = np.linalg.svd(centred / size, full_matrices=False)
    return Information(
        draws.fit,
        coordinates,
        some_of(drawn, names),
        size[:, None] * right.T * singular,
        noise,
    )


def some_of(drawn: Draws, names: Any) -> dict[str, np.ndarray]:
    """A few draws, equally spaced in the order they were made."""
    count = len(drawn[names[0]])
    chosen = np.unique(np.linspace(0, count - 1, min(SETS, count)).round().astype(int))
    return {name: drawn[name][chosen] for name in names}
