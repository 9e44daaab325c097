"""Derivatives of a law's predictions in its free parameters, at one or many sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scalefit.fitting.law_slopes import law_with_slopes
from scalefit.laws import Law
from scalefit.results.fit import Fit
from scalefit.runtime.settings import quiet

__all__ = ["Coordinates", "coordinates_of", "prediction_slopes"]


class Coordinates(NamedTuple):
    """What is free in a law: its parameters, or their logarithms.

    Attributes:
        groups: free parameters, those that share a value together.
        logarithmic: which of them are taken in the logarithm, shape (p,).
    """

    groups: tuple[tuple[str, ...], ...]
    logarithmic: np.ndarray

    def values(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """The coordinates of sets of parameters, shape (sets, p)."""
        found = np.stack([np.atleast_1d(params[group[0]]) for group in self.groups], axis=-1)
        return np.where(self.logarithmic, np.log(np.where(self.logarithmic, found, 1.0)), found)

    def gradient(
        self, slopes: Mapping[str, np.ndarray], params: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Derivatives in the coordinates, out of those in each parameter.

        Args:
            slopes: derivative in each parameter by name, of one shape S.
            params: the parameters, arrays that broadcast to S.

        Returns:
            Shape (*S, p).
        """
        found = []
        for group, logarithmic in zip(self.groups, self.logarithmic, strict=True):
            slope = sum((slopes[name] for name in group), start=np.zeros(()))
            found.append(slope * params[group[0]] if logarithmic else slope)
        return np.stack(np.broadcast_arrays(*found), axis=-1)


def coordinates_of(fit: Fit, params: Mapping[str, np.ndarray]) -> Coordinates:
    """The free coordinates of a fit, or of sets of its parameters.

    Positive amplitudes, exponents and scales are taken in the logarithm: they are known by a
    factor. Of one set, a parameter at a bound counts as known; of several, one that does not vary.

    Args:
        fit: of one surface.
        params: parameters by name, each of shape (sets,).
    """
    tied = {name: group for group in fit.tied for name in group}
    groups = dict.fromkeys(tied.get(name, (name,)) for name in fit.law.names)
    sets = len(params[fit.law.names[0]])
    still = {*fit.fixed, *(fit.diagnostics.at_bound if sets == 1 else ())}
    free = [
        group
        for group in groups
        if not still & set(group) and (sets == 1 or np.ptp(params[group[0]]) > 0)
    ]
    kinds = {param.name: param.kind for param in fit.law.params}
    logarithmic = [
        (kinds[group[0]].name == "amplitude" or kinds[group[0]].spacing == "log")
        and bool((params[group[0]] > 0).all())
        for group in free
    ]
    return Coordinates(tuple(free), np.array(logarithmic, dtype=bool))


@quiet()
def prediction_slopes(
    law: Law,
    coordinates: Coordinates,
    columns: Mapping[str, np.ndarray],
    params: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and their derivatives in the free coordinates.

    Args:
        law: the law.
        coordinates: what is free.
        columns: the law's columns, each of shape (rows,).
        params: every parameter, each of shape (sets,).

    Returns:
        Predictions of shape (sets, rows), derivatives of shape (sets, rows, p).
    """
    given = [np.asarray(columns[name], dtype=np.float64) for name in law.columns]
    values = {name: np.asarray(params[name], dtype=np.float64)[:, None] for name in law.names}
    shape = (len(values[law.names[0]]), len(given[0]))
    predicted, *slopes = law_with_slopes(law).bind(*given)(*values.values())
    by_name = {
        name: np.broadcast_to(slope, shape) for name, slope in zip(law.names, slopes, strict=True)
    }
    return np.broadcast_to(predicted, shape), coordinates.gradient(by_name, values)
