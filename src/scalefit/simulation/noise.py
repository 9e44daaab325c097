"""How the losses of simulated runs scatter about the law."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import flag, number, text
from scalefit.errors import DataError
from scalefit.notes import Note
from scalefit.objective import noisy_losses
from scalefit.reporting.described import Described
from scalefit.reporting.description import Description
from scalefit.reporting.numbers import percent

__all__ = ["Noise"]


@dataclass(frozen=True)
class Noise(Described):
    """Noise of losses about the law: normal or heavy-tailed, independent or shared by clusters.

    Attributes:
        scale: standard deviation of a run's noise: of ln L, or of L itself, in nats, where
            ``additive``.
        additive: whether noise is added to the loss. Otherwise the loss is multiplied by
            exp(noise).
        df: degrees of freedom of Student's t, above 2; infinite for normal noise. The t is divided
            by its own standard deviation, so that ``scale`` keeps its meaning. At 3 one run in 72
            lies more than three ``scale`` away, against one in 370 of normal noise.
        cluster: column of the design that names clusters: runs of one value share part of their
            noise, as those of one budget, corpus or tuning do. None for independent runs.
        icc: intraclass correlation, 0 to 1: share of the variance that a cluster's runs have in
            common. Not used without ``cluster``.

    Raises:
        ArgumentError: a number makes no sense.

    Example:
        >>> import scalefit as sf
        >>> design = sf.simulation.isoflop_design(points=9)
        >>> heavy = sf.simulate(design, noise=sf.simulation.Noise(0.005, df=3))
        >>> budgets = sf.simulate(design, noise=sf.simulation.Noise(0.005, cluster="C"))
    """

    scale: float
    additive: bool = False
    df: float = math.inf
    cluster: str | None = None
    icc: float = 0.7

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "scale": number(self.scale, "scale", least=0, remedy="Pass a size, as scale=0.005"),
            "additive": flag(self.additive, "additive"),
            "df": number(
                self.df,
                "df",
                above=2,
                infinite=True,
                remedy="Below, Student's t has no standard deviation: pass df=3, or "
                "float('inf') for normal noise",
            ),
            "icc": number(self.icc, "icc", least=0, most=1, remedy="Pass a share, as icc=0.7"),
        }
        if self.cluster is not None:
            text(
                self.cluster,
                "cluster",
                remedy="Pass the name of a column of the design, as cluster='C'",
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def draw(self, design: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """Noise of every row of a design, shape (rows,), in the unit of ``scale``.

        Raises:
            DataError: the design lacks the column of the clusters.
        """
        own = self._unit(len(design), rng)
        if self.cluster is None:
            return self.scale * own
        if self.cluster not in design:
            raise DataError(
                f"noise is shared by {self.cluster!r}, and the design has no such column",
                column=self.cluster,
                remedy=f"Columns: {', '.join(map(str, design.columns))}",
            )
        codes, clusters = pd.factorize(design[self.cluster])
        common = self._unit(len(clusters), rng)[codes]
        return self.scale * (np.sqrt(1 - self.icc) * own + np.sqrt(self.icc) * common)

    def applied(self, exact: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Losses of a law with noise on them."""
        return noisy_losses(exact, noise, "raw" if self.additive else "log")

    @property
    def notes(self) -> tuple[Note, ...]:
        """None: noise is an assumption, not a result."""
        return ()

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Its attributes in one row, as columns of the settings of a simulation study."""
        columns = asdict(self)
        return pd.DataFrame([{"noise": columns.pop("scale"), **columns}])

    def describe(self, level: float = 0.95) -> Description:
        """The noise in one line.

        Args:
            level: not used: there is no interval.
        """
        size = f"{self.scale:g} nats" if self.additive else percent(self.scale)
        kind = "normal" if math.isinf(self.df) else f"Student's t with {self.df:g} df"
        shared = (
            "independent"
            if self.cluster is None
            else (f"{percent(self.icc)} of the variance shared within {self.cluster!r}")
        )
        how = "added to the loss" if self.additive else "of ln L"
        return Description(f"Noise: {size} {how}, {kind}, {shared}")

    def _unit(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if math.isinf(self.df):
            return rng.standard_normal(count)
        spread = np.sqrt(self.df / (self.df - 2))
        return rng.standard_t(self.df, count) / spread
