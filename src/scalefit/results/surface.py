"""What a fit and an ensemble of fits have in common."""

from __future__ import annotations

from typing import Any, Literal, Protocol, Self, runtime_checkable

import pandas as pd

from scalefit.arguments import instance, refused
from scalefit.data.table import LossTable
from scalefit.notes import Note
from scalefit.results.estimate import Draws, Estimate
from scalefit.results.fit import Fit

__all__ = ["IntervalKind", "Surface", "checked_surface"]

IntervalKind = Literal["mean", "run"]
"""Of the surface, or of a new run, which adds the noise from run to run."""


@runtime_checkable
class Surface(Protocol):
    """A fitted law, with draws of its parameters or without.

    :class:`scalefit.Fit` has none, :class:`scalefit.Ensemble` has some. Code that takes either
    computes its answer at ``point``, and again under ``drawn``, which may be empty.
    """

    @property
    def point(self) -> Fit:
        """The fit: the point estimate of every parameter."""

    @property
    def drawn(self) -> Draws:
        """Every parameter under the usable draws; empty where there are none."""

    @property
    def draw_notes(self) -> tuple[Note, ...]:
        """Soft problems of the draws. Those of the fit are in ``point.notes``."""

    def one_surface(self) -> Self:
        """Itself, if its coefficients do not differ by a column.

        Raises:
            DataError: they do, so that there is a surface for each level.
        """

    def at(self, **levels: Any) -> Self:
        """The surface of one level of each column that coefficients differ by."""

    def estimate_loss(
        self,
        runs: LossTable | pd.DataFrame | None = None,
        *,
        kind: IntervalKind = "mean",
        **columns: Any,
    ) -> Estimate:
        """Predicted loss, with draws where there are any; see :meth:`scalefit.Ensemble.predict`."""


def checked_surface(fit: Any, argument: str = "fit") -> Surface:
    """The fit or the ensemble itself.

    Raises:
        ArgumentError: it is neither.
    """
    remedy = (
        f"Pass a fit, as {argument}=scalefit.fit(runs), or draws of one, as "
        f"{argument}=scalefit.bootstrap(fit, runs)"
    )
    if isinstance(fit, type):
        # The class Fit itself has every member of the protocol.
        raise refused(argument, fit, "a fit, nor an ensemble of fits", remedy)
    return instance(fit, argument, Surface, wanted="a fit, nor an ensemble of fits", remedy=remedy)
