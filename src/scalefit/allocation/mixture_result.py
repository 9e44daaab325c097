"""The result of :func:`scalefit.optimal_mixture`: the best shares, and what others cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.simplex_search import HELD
from scalefit.arguments import choice
from scalefit.arguments import level as checked_level
from scalefit.errors import AllocationError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import shown
from scalefit.results.estimate import Draws, Estimate

__all__ = ["GAIN", "OptimalMixture"]

GAIN = "gain over {}"


@dataclass(frozen=True, eq=False)
class OptimalMixture(Described):
    """The mixture of least loss.

    Attributes:
        shares: best share of each domain.
        limits: lowest and highest share that was allowed, by domain.
        loss: predicted loss there, the weighted mean of the responses; without the pull.
        losses: each response.
        weights: of the responses, adding up to one.
        at: the law's other columns.
        mixtures: shares of other mixtures, by name: ``natural``, and ``best tried`` of the runs.
        gains: loss of each of them less that of the best.
        multipliers: tokens that each of them takes to reach the loss of the best, over those of the
            run; inf where none do, NaN where the law has no D.
        price: how much the loss falls for each unit of share by which a cap is raised, by domain at
            its cap.
        convex: whether the law is known to be convex in the shares, so that the optimum is global;
            otherwise it is the best that many starts lead to.
        draws: under every draw, by name: the best share of each domain under the draw, shape
            (draws,); ``loss`` and gains of these mixtures, whose shares are those of the fit; and
            ``regret``, by how much the draw's own best mixture is better. Empty for a fit.
        notes: soft problems.
    """

    shares: Mapping[str, float]
    limits: Mapping[str, tuple[float, float]]
    loss: float
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    at: Mapping[str, float]
    mixtures: Mapping[str, Mapping[str, float]]
    gains: Mapping[str, float]
    multipliers: Mapping[str, float]
    price: Mapping[str, float]
    convex: bool
    draws: Draws = field(default_factory=Draws)
    notes: tuple[Note, ...] = ()

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the quantities, for :meth:`estimate`."""
        return (*self.shares, "loss", *(GAIN.format(name) for name in self.gains), "regret")

    def __getitem__(self, domain: str) -> float:
        """The share of a domain."""
        return self.shares[choice(domain, "domain", tuple(self.shares))]

    def estimate(self, name: str) -> Estimate:
        """One quantity with its uncertainty.

        Args:
            name: a domain, for its share; ``loss``; ``gain over natural`` or ``gain over best
                tried``; or ``regret``.

        Raises:
            ArgumentError: there is no such quantity.
            AllocationError: the mixture is of a fit, not of an ensemble.
        """
        choice(name, "name", self.quantities)
        if not self.draws:
            raise AllocationError(
                "this mixture is of one fit and has no intervals. Take that of an ensemble: "
                "optimal_mixture(scalefit.bootstrap(fit, runs), ...)"
            )
        gains = {GAIN.format(other): value for other, value in self.gains.items()}
        value = {**self.shares, "loss": self.loss, "regret": 0.0, **gains}[name]
        return self.draws.estimate(name, np.asarray(value), self.notes)

    def held(self, domain: str) -> str:
        """Which limit holds a share: ``cap``, ``floor`` or none."""
        low, high = self.limits[domain]
        share = self.shares[domain]
        if low == high:
            return "fixed"
        if share >= high - HELD and high < 1:
            return "cap"
        return "floor" if share <= low + HELD else ""

    def at_limit(self, domain: str) -> float:
        """Share of the draws whose best share of a domain is at a limit; NaN without draws."""
        if not self.draws:
            return float("nan")
        low, high = self.limits[domain]
        drawn = self.draws[domain]
        drawn = drawn[np.isfinite(drawn)]
        return float(np.mean((drawn <= low + HELD) | (drawn >= high - HELD)))

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each domain, by name.

        Args:
            level: coverage that an interval promises.

        Returns:
            DataFrame with the columns share; share_low and share_high, of an ensemble; lowest and
            highest share allowed; held (cap, floor, fixed or nothing); at_limit (of the draws); and
            a column for each other mixture.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        names = list(self.shares)
        columns: dict[str, Any] = {"share": [self.shares[name] for name in names]}
        if self.draws:
            ends = [self.estimate(name).interval(level) for name in names]
            columns["share_low"], columns["share_high"] = zip(*ends, strict=True)
        columns["lowest"], columns["highest"] = zip(*(self.limits[n] for n in names), strict=True)
        columns["held"] = [self.held(name) for name in names]
        columns["at_limit"] = [self.at_limit(name) for name in names]
        for other, shares in self.mixtures.items():
            columns[other] = [shares[name] for name in names]
        return pd.DataFrame(columns, index=pd.Index(names, name="domain"))

    def describe(self, level: float = 0.95) -> Description:
        """The mixture in words, its shares, and what other mixtures cost.

        Args:
            level: coverage that an interval promises.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        checked_level(level)
        order = sorted(self.shares, key=lambda name: -self.shares[name])
        mixed = ", ".join(f"{name} {self.shares[name]:.3g}" for name in order)
        return Description(
            title="Optimal mixture" + (f" at {self._where}" if self.at else ""),
            headline=f"Mix {mixed}: loss {shown(self.loss).value}.",
            facts={
                "optimum": "global: the law is convex in the shares"
                if self.convex
                else "the best of many starts",
                "weights": ", ".join(f"{name} {value:.3g}" for name, value in self.weights.items())
                if len(self.weights) > 1
                else "",
            },
            tables=[self._shares(level), *self._others(level)],
            notes=self.notes,
        )

    @property
    def _where(self) -> str:
        return ", ".join(
            f"{name} = {shown(value, 'count' if name in 'ND' else 'number').value}"
            for name, value in self.at.items()
        )

    def _shares(self, level: float) -> Table:
        """A row for each domain."""
        frame = self.to_frame(level)
        ends = (frame["share_low"], frame["share_high"]) if self.draws else ((), ())
        columns = [
            Column("domain", frame.index, "text"),
            Column("share", frame["share"], "number", *ends),
            Column("lowest", frame["lowest"]),
            Column("highest", frame["highest"]),
            Column("held by", frame["held"], "text"),
        ]
        if self.draws:
            columns.append(Column("draws at a limit", frame["at_limit"], "percent"))
        columns += [Column(name, frame[name]) for name in self.mixtures]
        count = len(self.draws["loss"]) if self.draws else 0
        title = f"{100 * level:g} % intervals over {count} draws of the fit" if count else ""
        return Table(columns, title, f"{100 * level:g} % interval")

    def _others(self, level: float) -> list[Table]:
        """What other mixtures cost; none where there are none."""
        if not self.gains:
            return []
        ends: list[Any] = [(), ()]
        if self.draws:
            found = [self.estimate(GAIN.format(name)).interval(level) for name in self.gains]
            ends = [[float(pair[i]) for pair in found] for i in (0, 1)]
        columns = [
            Column("mixture", list(self.gains), "text"),
            Column("loss above the best", list(self.gains.values()), "number", *ends),
        ]
        if not all(np.isnan(value) for value in self.multipliers.values()):
            times = [
                f"{value:.3g} times" if np.isfinite(value) else "no number of them"
                for value in self.multipliers.values()
            ]
            columns.append(Column("tokens for the same loss", times, "text"))
        return [Table(columns, "Other mixtures", f"{100 * level:g} % interval")]

    def __repr__(self) -> str:
        mixed = ", ".join(f"{name} {value:.3g}" for name, value in self.shares.items())
        return f"<OptimalMixture {mixed}: loss {self.loss:.5g}>"
