"""Profiles: how the objective rises when one quantity is held away from its best value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import level as checked_level
from scalefit.arguments import refused
from scalefit.data.table import LossTable
from scalefit.errors import DataError
from scalefit.frozen import Frozen
from scalefit.inference.covariance_matrix import (
    CovarianceMethod,
    check_method,
    chosen_method,
    exact_notes,
)
from scalefit.inference.fitted_data import (
    FittedData,
    attach,
    by_text,
    parameters,
    require_clusters,
    require_freedom,
)
from scalefit.inference.profile_path import PathPoint, ProfilePath
from scalefit.inference.profiled_quantity import read_quantity
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown
from scalefit.results.dependence import dependence_notes
from scalefit.results.fit import Fit, checked_fit
from scalefit.results.prediction import refuse_unknown
from scalefit.results.status import Status
from scalefit.runtime.progress import counting, with_progress

__all__ = ["Profile", "profile"]

# A profile holds the second derivatives of all free parameters in each other: 64 MB for so many.
MOST_PARAMETERS = 200


@dataclass(frozen=True, eq=False, repr=False)
class Profile(Described):
    """Interval of one quantity, with the objective along it.

    Attributes:
        name: of the quantity.
        value: at the fit.
        low: lower end of the interval; where it is not closed, the lowest value reached.
        high: upper end.
        closed: whether the objective rises above the threshold at the lower and the upper end. An
            interval that is not closed on a side reaches the bounds of the fit there, or farther.
        level: coverage.
        threshold: deviance at which an end lies: the square of Student's t.
        df: its degrees of freedom.
        method: what the noise was taken from: ``jacobian``, ``sandwich``, or ``sandwich of`` the
            column of the clusters.
        values: values of the quantity that were tried, ascending, shape (m,).
        deviance: rise of the objective at each, in units of the noise, shape (m,).
        params: parameters at each, raw units, shape (m,) by name.
        notes: soft problems.
    """

    name: str
    value: float
    low: float
    high: float
    closed: tuple[bool, bool]
    level: float
    threshold: float
    df: float
    method: str
    values: np.ndarray
    deviance: np.ndarray
    params: Mapping[str, np.ndarray]
    notes: tuple[Note, ...] = ()

    def conf_int(self, level: float | None = None) -> pd.DataFrame:
        """The quantity and its interval.

        Args:
            level: coverage, at most the profile's own, which it is by default. Ends of a lower one
                are interpolated between the values that were tried.

        Returns:
            A row, by name: ``value``, ``low``, ``high``. Where the profile is open on a side, the
            end is the last value reached.

        Raises:
            ArgumentError: the level is no number between 0 and 1, or above the profile's.
        """
        low, high = self._ends(self.level if level is None else checked_level(level))
        return pd.DataFrame({"value": self.value, "low": low, "high": high}, index=[self.name])

    def _ends(self, level: float) -> tuple[float, float]:
        if level == self.level:
            return self.low, self.high
        if level > self.level:
            raise refused(
                "level",
                level,
                f"at most {self.level:g}, the level that this profile was made for",
                f"Make one that reaches farther, as profile(fit, runs, quantity, level={level:g})",
            )
        from scipy.interpolate import PchipInterpolator
        from scipy.stats import t

        reach = float(t.ppf(0.5 + 0.5 * level, self.df))
        found = []
        for end, outward in (
            (self.low, self.values <= self.value),
            (self.high, self.values >= self.value),
        ):
            order = np.argsort(np.abs(self.values[outward] - self.value))
            # The root of the deviance is nearly straight, and rises but for rounding.
            roots = np.maximum.accumulate(np.sqrt(self.deviance[outward][order]))
            roots, first = np.unique(roots, return_index=True)
            values = self.values[outward][order][first]
            inside = len(roots) > 1 and reach < roots[-1]
            found.append(float(PchipInterpolator(roots, values)(reach)) if inside else end)
        return found[0], found[1]

    def to_frame(self, level: float | None = None) -> pd.DataFrame:
        """The same as :meth:`conf_int`; :meth:`curve_frame` has the values that were tried."""
        return self.conf_int(level)

    def curve_frame(self) -> pd.DataFrame:
        """A row for each value tried: ``value``, ``deviance``, and the parameters there."""
        return pd.DataFrame({"value": self.values, "deviance": self.deviance, **self.params})

    def as_text(self, level: float | None = None) -> str:
        """The quantity and its interval in a line; arguments as for :meth:`conf_int`."""
        level = self.level if level is None else checked_level(level)
        ends = self._ends(level)
        said = shown(self.value, "number", *ends)
        sides = (
            f"{end}{'' if closed else ' (open)'}"
            for end, closed in zip(said.interval.split(" to "), self.closed, strict=True)
        )
        return f"{self.name}: {said.value} ({100 * level:g} %: {' to '.join(sides)})"

    def describe(self, level: float = 0.95) -> Description:
        """The interval, and how the objective rises along the quantity.

        Args:
            level: coverage; of a level above the profile's, the profile's own.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        level = min(checked_level(level), self.level)
        curve = [
            Column(self.name, list(self.values)),
            Column("deviance", [f"{item:.3f}" for item in self.deviance], "text"),
            *(
                Column(name, list(values))
                for name, values in self.params.items()
                if name != self.name
            ),
        ]
        title = "all other parameters refitted at each value"
        return Description(
            title=f"Profile of {self.name}",
            headline=f"{self.as_text(level)}, with all other parameters refitted at each value. "
            "Next: scalefit.plot.profile(found)",
            facts={
                "noise": f"by the {self.method}, Student's t of {self.df:g} degrees of freedom",
                "tried": f"{len(self.values)} values, from {self.values[0]:.4g} to "
                f"{self.values[-1]:.4g}",
            },
            notes=self.notes,
            parts={
                "curve_frame()": Description(
                    "Curve", tables=[Table(curve, title, rest="curve_frame() has all")]
                )
            },
        )

    def __repr__(self) -> str:
        return f"<Profile {self.as_text()}>"


@with_progress
def profile(
    fit: Fit,
    runs: LossTable | pd.DataFrame,
    quantity: str | Callable[..., Any],
    *,
    level: float = 0.95,
    method: CovarianceMethod | None = None,
    by: str | Sequence[str] | None = None,
    progress: bool = True,
    **columns: Any,
) -> Profile:
    """Interval of one quantity, by refitting everything else while it is held.

    The deviance of a value c is 2 (F(c) - F) / kappa, with F(c) the least objective where the
    quantity is held at c, and kappa the noise of the objective. Its square root is compared with
    Student's t. Unlike a standard error, a profile follows curved valleys and stops at bounds.

        jacobian:  kappa = s^2 / m  (s, m as for :func:`covariance`)
        sandwich:  kappa = s^2 / m times (variance by the sandwich) / (variance by the Jacobian)

    with the variances of the quantity to first order, as :func:`covariance` has them. The default
    is the sandwich, as there: runs (or clusters) are independent. The Jacobian also assumes noise
    of one size; for squares its deviance is the rise of the sum of squares over the residual
    variance.

    Args:
        fit: the fit.
        runs: the table it was made from.
        quantity: a parameter, or a function of parameters as for :meth:`Ensemble.apply`, made of
            operations that JAX can differentiate, as ``lambda alpha, beta: beta / (alpha + beta)``
            or ``scalefit.allocation.optimum_function(fit, "N", flops=1e24)``. A function with a
            true attribute ``logarithmic`` is followed in its logarithm.
        level: coverage.
        method: where the size of the noise comes from: ``sandwich`` or ``jacobian``, as for
            :func:`covariance`, and by default the one of both that is the default there.
        by: columns of clusters of runs that depend on each other, as for :func:`covariance`
            (sandwich).
        progress: whether a line shows what is going on once it takes more than a second.
        **columns: options of the table where ``runs`` is a DataFrame, as for ``fit``.

    Returns:
        The profile.

    Raises:
        ArgumentError: the quantity is unknown, fixed, without effect or cannot be differentiated,
            or another option is invalid.
        DataError: the table is not the one that was fitted, leaves fewer than five residual
            degrees of freedom, or lacks the column; the objective is a sum of absolute residuals;
            there are more than 200 free parameters; or the sandwich is refused or has no value, as
            for :func:`covariance`.

    Source:
        Bates and Watts 1988, Nonlinear Regression Analysis and Its Applications, section 6.1
        (profile t); Ronchetti 1982 (scaled for robust objectives: Hampel et al. 1986, Robust
        Statistics, section 7.2); Chandler and Bate 2007, Biometrika 94(1) (scaled to a sandwich).

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design())
        >>> sf.profile(sf.fit(runs), runs, "alpha")
        <Profile alpha: 0.34... (95 %: 0.3... to 0.3...)>
    """
    from scipy.stats import t

    checked_fit(fit)
    share = checked_level(level)
    clustered = check_method(method, by)
    wanted = read_quantity(fit, quantity)
    _require_smooth(fit)
    refuse_unknown(profile, fit.law, columns)
    if fit.status is Status.PUBLISHED:
        require_freedom(fit)
    if method != "jacobian" and by is None:
        asked = repr(quantity) if isinstance(quantity, str) else "quantity"
        require_clusters(fit, f"profile(fit, runs, {asked}, by={{by}})")
    fitted = attach(fit, runs, **columns)
    method = chosen_method(fitted, method, clustered)
    require_freedom(fit, fitted.exact(method))
    path = ProfilePath(fitted, wanted)
    df = math.inf if fit.objective.sigma is not None else float(fitted.df_resid)
    notes = [*getattr(quantity, "notes", ()), *fit.carried, *exact_notes(fitted, method)]
    notes += [] if clustered else dependence_notes(fit.notes)
    if method == "sandwich":
        df, said = path.use_sandwich(clustered)
        notes += said
    reach = float(t.ppf(0.5 + 0.5 * share, df))
    with counting("following the valley", 2, "sides") as stage:
        below = path.side(-1, reach)
        stage.update()
        above = path.side(1, reach)
    points = [*reversed(below.points), PathPoint(path.start, path.level, 0.0), *above.points]
    # A quantity is held to a share of its step, and may lie beyond a bound by that.
    least, most = _range(fitted, wanted.name)
    low, high = (float(np.clip(path.natural(side.end), least, most)) for side in (below, above))
    closed = (below.closed, above.closed)
    return Profile(
        name=wanted.name,
        value=path.natural(path.level),
        low=low,
        high=high,
        closed=closed,
        level=share,
        threshold=reach**2,
        df=df,
        method=method if clustered is None else f"{method} of {by_text(clustered)}",
        values=np.clip([path.natural(item.level) for item in points], least, most),
        deviance=np.array([item.deviance for item in points]),
        params=Frozen(_params(fitted, path, np.array([item.point for item in points]))),
        notes=(*notes, *_open_notes(wanted.name, (low, high), closed)),
    )


def _require_smooth(fit: Fit) -> None:
    """Raise where the objective has corners, or more parameters than second derivatives fit."""
    if fit.objective.penalty.absolute:
        raise DataError(
            "a sum of absolute residuals has corners along a profile",
            remedy="Fit with robust='huber' and a small delta, or use bootstrap",
        )
    if fit.n_free > MOST_PARAMETERS:
        raise DataError(
            f"a profile holds the cube of the {fit.n_free} free parameters in memory: "
            f"{MOST_PARAMETERS} is the limit",
            remedy="Use covariance or bootstrap, or profile a fit of fewer levels",
        )


def _range(fitted: FittedData, name: str) -> tuple[float, float]:
    """Bounds of a parameter; none of a function."""
    for group, (low, high) in zip(
        fitted.prepared.problem.names, fitted.prepared.settings.ends, strict=True
    ):
        if name in group:
            return float(low), float(high)
    return -np.inf, np.inf


def _params(fitted: FittedData, path: ProfilePath, points: np.ndarray) -> dict[str, np.ndarray]:
    """Parameters by name at points of a path, shape (m, p)."""
    k = len(fitted.prepared.problem.owners)
    scale = np.array([path.scale(point) for point in points]).reshape(len(points), k)
    active = (points <= path.lower) | (points >= path.upper)
    return parameters(fitted, points[:, :k] * scale, points[:, k:], active)


def _open_notes(name: str, ends: tuple[float, float], closed: tuple[bool, bool]) -> list[Note]:
    return [
        Note.of(
            "profile_open",
            f"{name} is not bounded {where}: the objective stays below the threshold down to the "
            f"bounds of the fit ({end:.4g}). No interval from these runs ends there",
            {"side": where, "end": end},
        )
        for where, end, shut in zip(("below", "above"), ends, closed, strict=True)
        if not shut
    ]
