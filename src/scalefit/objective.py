"""What a fit minimises: the residual of a row, the penalty on it, and the numbers of both.

The objective is a sum over rows, never a mean: quasi-Newton tolerances are absolute, and a mean of
tiny Huber terms has stopped published fits far from their optimum.

:data:`PENALTIES` is the one table of what ``robust`` may be, and the functions below are the one
place of the penalties' formulas. Elsewhere nothing depends on the name of a penalty, only on the
properties that the table gives it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
import pandas as pd

from scalefit.arguments import choice, number, shown, text
from scalefit.errors import ArgumentError, DataError
from scalefit.frozen import Frozen
from scalefit.reporting.described import Described
from scalefit.reporting.description import Description

__all__ = ["PENALTIES", "Objective", "Penalty", "Residual", "Robust", "noisy_losses"]

Residual = Literal["log", "relative", "raw"]
Robust = Literal["huber", "l1", "asymmetric", "none"]

# The penalty on runs below the surface in the lower-envelope fits of OLMo-core (allenai/OLMo-core,
# pull request 554).
ASYMMETRY = 10.0

# Above it, rows on either side of the surface differ by more than a step can balance in float64.
MOST_ASYMMETRY = 1e5

# Largest relative residual that noise may have: a loss of ten times the law's.
MOST_RELATIVE = 0.9

# Median size of a standard normal number.
MEDIAN_SIZE = 0.6745

# Of each residual: its formula as text, and in LaTeX.
RESIDUALS: Mapping[Residual, tuple[str, str]] = Frozen(
    {
        "log": ("ln L - ln f", r"\ln L - \ln f"),
        "relative": ("(L - f) / L", r"\frac{L - f}{L}"),
        "raw": ("L - f", "L - f"),
    }
)


class Penalty(NamedTuple):
    """What one word of ``robust`` stands for.

    Attributes:
        words: what is summed.
        term: the term of a row, as text.
        latex: the same in LaTeX.
        options: the numbers of the objective that it takes: ``delta``, ``asymmetry``.
        factor: the objective over the sum of penalties, or of absolute residuals.
        absolute: whether it has a kink at zero, and is minimised by active sets.
        bounded: whether the influence of a row is bounded, however far off it is.
        symmetric: whether both signs of a residual count alike, so that exp(-penalty) is the
            likelihood of noise around the surface.
    """

    words: str
    term: str
    latex: str
    options: tuple[str, ...] = ()
    factor: float = 1.0
    absolute: bool = False
    bounded: bool = True
    symmetric: bool = True


PENALTIES: Mapping[Robust, Penalty] = Frozen(
    {
        "huber": Penalty("Huber losses", "w H(r)", "w H(r)", options=("delta",)),
        "l1": Penalty("absolute values", "w abs(r)", "w |r|", absolute=True),
        "asymmetric": Penalty(
            "Huber losses (more for runs below the surface)",
            "w c H(r)",
            r"w \, c \, H(r)",
            options=("delta", "asymmetry"),
            symmetric=False,
        ),
        "none": Penalty("squares", "w r^2", "w r^2", factor=2.0, bounded=False),
    }
)


@dataclass(frozen=True)
class Objective(Described):
    """The sum that a fit minimises.

    With r the residual of a row and w its weight, ``robust="huber"`` sums w H(r), H(r) = r^2/2 for
    abs(r) <= delta and delta (abs(r) - delta/2) beyond; ``robust="none"`` sums w r^2;
    ``robust="l1"`` sums w abs(r); ``robust="asymmetric"`` sums w c H(r), where c is ``asymmetry``
    for a run below the surface (r < 0) and 1 above it.

    Attributes:
        residual: ``log`` (ln L - ln f), ``relative`` ((L - f)/L) or ``raw`` (L - f).
        robust: ``huber``, ``l1``, ``asymmetric`` or ``none``.
        delta: where the Huber loss turns linear, in units of the residual; None without Huber.
        asymmetry: how many times more a run below the surface counts than one above; None unless
            asymmetric.
        sigma: known standard errors of the losses, in the unit of the table: a number, or the
            header of a column of them. Squares alone take them; None where none are known.

    With s the standard error of a residual (``sigma``; over L for log and relative residuals),
    ``robust="none"`` with ``sigma`` sums w (r / s)^2: chi-squared.

    Raises:
        ArgumentError: an unknown word; a delta that is not positive; an asymmetry that is not above
            1 (1 is ``huber``, and less would be an upper envelope), or above 100,000; a sigma that
            is neither a positive number nor a header, or beside another penalty than squares.
    """

    residual: Residual = "log"
    robust: Robust = "huber"
    delta: float | None = 1e-3
    asymmetry: float | None = None
    sigma: float | str | None = None

    def __post_init__(self) -> None:
        choice(self.residual, "residual", get_args(Residual))
        choice(self.robust, "robust", get_args(Robust))
        taken = self.penalty.options
        delta, asymmetry = None, None
        # Numbers that the penalty does not take are checked all the same, and left out.
        if self.delta is not None or "delta" in taken:
            delta = number(self.delta, "delta", above=0, remedy="Pass delta=1e-3")
        if self.asymmetry is not None or "asymmetry" in taken:
            asymmetry = number(
                ASYMMETRY if self.asymmetry is None else self.asymmetry,
                "asymmetry",
                above=1,
                most=MOST_ASYMMETRY,
                remedy="It is how many times more a run below the surface counts than one above: "
                f"pass asymmetry={ASYMMETRY:g}",
            )
        object.__setattr__(self, "delta", delta if "delta" in taken else None)
        object.__setattr__(self, "asymmetry", asymmetry if "asymmetry" in taken else None)
        object.__setattr__(self, "sigma", self._checked_sigma())

    def _checked_sigma(self) -> float | str | None:
        """The known errors, checked."""
        if self.sigma is None:
            return None
        remedy = "Pass the header of their column, as sigma='loss_se', or one number, as sigma=0.01"
        found = (
            text(self.sigma, "sigma", remedy=remedy)
            if isinstance(self.sigma, str)
            else number(self.sigma, "sigma", above=0, remedy=remedy)
        )
        if self.penalty.bounded:
            raise ArgumentError(
                f"sigma={shown(self.sigma)} are known errors of the losses, which squares are "
                f"divided by: robust={self.robust!r} takes none",
                argument="sigma",
                value=self.sigma,
                remedy="Pass robust='none' with it",
            )
        return found

    @property
    def penalty(self) -> Penalty:
        """What ``robust`` stands for."""
        return PENALTIES[self.robust]

    @property
    def options(self) -> dict[str, Any]:
        """Options of :func:`scalefit.fit` that make this objective: those beside their defaults."""
        usual = asdict(Objective()) | {"asymmetry": ASYMMETRY}
        return {
            name: value
            for name, value in asdict(self).items()
            if value is not None and value != usual[name]
        }

    @property
    def formula(self) -> str:
        """The sum as text of one line."""
        said = f"sum of {self.penalty.term}, r = {RESIDUALS[self.residual][0]}"
        if self.sigma is not None:
            said = said.replace("w r^2", "w (r / s)^2") + f", s = {self._error_of_residual}"
        if self.delta is not None:
            said += f", H Huber with delta = {self.delta:g}"
        if self.asymmetry is not None:
            said += f", c = {self.asymmetry:g} where r < 0, else 1"
        return said

    @property
    def latex(self) -> str:
        """The sum in LaTeX's mathematics."""
        said = rf"\sum_i {self.penalty.latex}, \quad r = {RESIDUALS[self.residual][1]}"
        if self.sigma is not None:
            over = r" / L" if self.needs_positive_loss else ""
            said = said.replace("w r^2", "w (r / s)^2") + rf", \quad s = \sigma{over}"
        if self.delta is not None:
            inside = r"\tfrac{1}{2} r^2 & |r| \le \delta"
            beyond = r"\delta (|r| - \tfrac{1}{2} \delta) & |r| > \delta"
            said += rf", \quad H(r) = \begin{{cases}} {inside} \\ {beyond} \end{{cases}}"
        if self.asymmetry is not None:
            said += rf", \quad c = {self.asymmetry:g} \text{{ if }} r < 0 \text{{, else }} 1"
        return said

    @property
    def _error_of_residual(self) -> str:
        """The known standard error of a residual, as text."""
        error = f"{self.sigma:g}" if isinstance(self.sigma, float) else f"column {self.sigma!r}"
        return f"{error} / L" if self.needs_positive_loss else error

    def describe(self, level: float = 0.95) -> Description:
        """The sum in words and as a formula, and its numbers."""
        return Description(
            "Objective",
            f"The sum of {self.penalty.words} of {self.residual} residuals, with row weights w.",
            self.formula,
            self.latex,
            {
                "delta": "" if self.delta is None else f"{self.delta:g}, in units of the residual",
                "asymmetry": "" if self.asymmetry is None else f"{self.asymmetry:g}",
                "known errors": "" if self.sigma is None else f"s = {self._error_of_residual}",
            },
        )

    def to_frame(self) -> pd.DataFrame:
        """Its words and numbers, one row."""
        return pd.DataFrame([asdict(self)])

    @property
    def needs_positive_loss(self) -> bool:
        """Whether the residual is defined for positive losses only."""
        return self.residual != "raw"


def noisy_losses(loss: np.ndarray, noise: np.ndarray, residual: Residual) -> np.ndarray:
    """Losses L whose residuals about a law's losses f are given: the inverse of the residual.

    ``log``: L = f exp(noise). ``raw``: L = f + noise. ``relative``, (L - f)/L: L = f/(1 - noise).

    Args:
        loss: losses of the law, any shape, broadcastable with the noise.
        noise: residuals, in the unit of the residual.
        residual: its kind.
    """
    if residual == "log":
        return np.asarray(loss * np.exp(noise))
    if residual == "raw":
        return np.asarray(loss + noise)
    # A relative residual is below 1 for every finite loss: closer to it the loss has no limit.
    return np.asarray(loss / (1 - np.minimum(noise, MOST_RELATIVE)))


class Measure(NamedTuple):
    """An objective in numbers.

    The penalty is Huber with ``delta`` possibly infinite, which is half the square, times
    ``asymmetry`` where r < 0. Its slope is continuous all the same, since that of the Huber loss is
    zero at r = 0.

    An ``absolute`` objective is the limit of penalty / delta for small delta: the polish chooses
    the deltas, and ``delta`` here is not used.

    Attributes:
        residual: ``log``, ``relative`` or ``raw``, as of an :class:`Objective`.
        delta: where the penalty turns linear.
        asymmetry: factor of the penalty of a negative residual.
        absolute: whether the objective is the sum of w abs(r).
        factor: value of the objective over the sum of penalties, or of w abs(r).
    """

    residual: Residual
    delta: float
    asymmetry: float
    absolute: bool
    factor: float


def measure(objective: Objective, unit: float = 1.0) -> Measure:
    """The objective in numbers.

    Args:
        objective: what is summed.
        unit: what observed and predicted losses are divided by.
    """
    delta = math.inf if objective.delta is None else objective.delta
    return Measure(
        residual=objective.residual,
        delta=float(delta if objective.needs_positive_loss else delta / unit),
        asymmetry=float(objective.asymmetry or 1.0),
        absolute=objective.penalty.absolute,
        factor=float(objective.penalty.factor * _scale(objective, unit)),
    )


def _scale(objective: Objective, unit: Any) -> Any:
    """The penalty of a raw residual of one unit; others have no unit."""
    if objective.needs_positive_loss:
        return 1.0
    return unit if objective.penalty.absolute else unit**2


# The functions below take arrays of numpy or of JAX. The value reported is computed by them on the
# host, apart from the search.


def _library(array: Any) -> Any:
    return np if isinstance(array, np.ndarray | np.floating | float) else jnp


def residuals(how: Measure, observed: Any, predicted: Any) -> Any:
    """Residual of each row; infinite where the logarithm of a prediction does not exist."""
    xp = _library(predicted)
    if how.residual == "raw":
        return observed - predicted
    if how.residual == "relative":
        return (observed - predicted) / observed
    # Ones stand in where there is no logarithm, for derivatives of what is not chosen.
    fine = predicted > 0
    logs = xp.log(observed) - xp.log(xp.where(fine, predicted, 1.0))
    return xp.where(fine, logs, xp.inf)


def residual_derivatives(how: Measure, observed: Any, predicted: Any) -> tuple[Any, Any]:
    """First and second derivative of each residual in its prediction."""
    if how.residual == "log":
        inverse = -1.0 / predicted
        return inverse, inverse**2
    each = observed if how.residual == "relative" else np.ones_like(observed)
    return -1.0 / each, np.zeros_like(each)


def penalty(how: Measure, residual: Any) -> Any:
    """Huber loss of each residual, times the asymmetry below the surface."""
    xp = _library(residual)
    size = xp.abs(residual)
    inner = xp.minimum(size, how.delta)
    # Delta may be infinite, and so may a residual: neither 0 * inf nor inf - inf may be formed.
    outside = size > how.delta
    delta = xp.where(outside, how.delta, 0.0)
    huber = 0.5 * inner**2 + delta * (xp.where(outside, size, 0.0) - delta)
    return _side(how, residual) * huber


def influence(how: Measure, residual: Any) -> Any:
    """psi(r), the derivative of the penalty."""
    return _side(how, residual) * _library(residual).clip(residual, -how.delta, how.delta)


def _side(how: Measure, residual: Any) -> Any:
    """Factor of a row's penalty: the asymmetry below the surface, one above it."""
    return _library(residual).where(residual < 0, how.asymmetry, 1.0)


def evaluate(
    objective: Objective, observed: np.ndarray, predicted: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """Value of the objective and the residuals, in float64 on the host.

    Args:
        objective: what is summed.
        observed: observed losses, shape (rows,).
        predicted: predicted losses, shape (rows,).
        weight: row weights, shape (rows,).
    """
    how = measure(objective)
    rows = residuals(how, observed, predicted)
    # A row of weight zero counts for nothing, even where no residual exists.
    sizes = np.abs(rows) if how.absolute else penalty(how, rows)
    terms = np.where(weight > 0, weight, 0.0) * np.where(weight > 0, sizes, 0.0)
    return float(how.factor * np.sum(terms)), rows


def slack(objective: Objective, rows: np.ndarray, weight: np.ndarray, error: np.ndarray) -> float:
    """The most by which the objective changes where residuals change by no more than ``error``.

    Args:
        objective: what is summed.
        rows: residuals, shape (rows,).
        weight: row weights, shape (rows,).
        error: largest change of each residual, shape (rows,).
    """
    how = measure(objective)
    size = np.where(weight > 0, np.abs(rows), 0.0)
    steepest = np.ones(()) if how.absolute else np.minimum(size + error, how.delta)
    return float(how.factor * how.asymmetry * np.sum(weight * steepest * error))


def typical_residual(
    objective: Objective, value: Any, weight: np.ndarray, unit: Any, delta: Any
) -> Any:
    """Residual relative to the loss at which every row would give the objective a value.

    The inverse of :func:`value_of_residual`. Twice the Huber loss of a residual is its square
    within delta, and delta (2 r - delta) beyond.

    Args:
        objective: what is summed.
        value: of the objective, (...).
        weight: row weights, shape (rows,), or those of several tables, (..., rows).
        unit: what losses are divided by, (...).
        delta: where the Huber loss turns linear, in that unit, (...).
    """
    mean = np.abs(value) / weight.sum(axis=-1) / _scale(objective, unit)
    if objective.penalty.absolute:
        return mean
    root = np.sqrt(mean)
    return np.where(root > delta, 0.5 * (mean / delta + delta), root)


def value_of_residual(
    objective: Objective, residual: float, weight: np.ndarray, unit: Any, delta: Any
) -> Any:
    """Objective where every residual is this share of the loss; arguments as above."""
    size: Any = residual
    if not objective.penalty.absolute:
        size = np.where(residual <= delta, residual**2, delta * (2 * residual - delta))
    return weight.sum(axis=-1) * _scale(objective, unit) * size


def binary_size(value: Any) -> float:
    """The power of two of a number's size, by which others are divided without rounding.

    One where the number is zero, or none.
    """
    if not (np.isfinite(value) and value):
        return 1.0
    return float(np.ldexp(1.0, int(np.frexp(value)[1])))


def robust_size(residuals: np.ndarray, free: int = 0) -> float:
    """Standard deviation of normal residuals about zero, by the median of their sizes.

    That median is 0.6745 standard deviations. A fit may pass through as many rows as it has
    parameters, of which the median then knows nothing: so many of the smallest are left out.

    Args:
        residuals: shape (rows,).
        free: number of free parameters behind them.

    Source:
        Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers.
    """
    sizes = np.sort(np.abs(residuals))[::-1]
    return float(np.median(sizes[: max(len(sizes) - free, 1)])) / MEDIAN_SIZE


def require_positive(objective: Objective, loss: Any, rows: Any) -> None:
    """Raise where the residual needs positive losses and the table has others.

    Raises:
        DataError: a loss is zero or negative under a log or relative residual.
    """
    if objective.needs_positive_loss and not (loss > 0).all():
        bad = (loss <= 0).nonzero()[0]
        raise DataError(
            f"loss is {loss[bad[0]]:g} in row {rows[bad[0]]}: {objective.residual} residuals need "
            "positive losses",
            column="loss",
            rows=[rows[i] for i in bad],
            remedy="Use residual='raw' (unigram-normalised and difference losses are negative), or "
            "convert the loss to nats per token",
        )
