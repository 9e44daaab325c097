"""The loss of a mixture as a function of its shares: weighted over responses, with a pull."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.allocation.column_derivatives import column_derivatives, derivatives_of
from scalefit.errors import AllocationError
from scalefit.laws import Law
from scalefit.runtime.settings import quiet
from scalefit.tracing.operations import Program

__all__ = ["Domains", "MixtureObjective", "Target", "domains_of"]

Params = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Domains:
    """The domains of a mixture.

    Attributes:
        columns: those that are columns of the law.
        names: all of them, in order; the last may be one that the law leaves out.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def implicit(self) -> bool:
        """Whether the last one is no column: its share is what the others leave of one."""
        return len(self.names) > len(self.columns)


def domains_of(law: Law, rest: str | None) -> Domains:
    """The domains whose shares a law takes.

    Args:
        law: a law. Its columns of shares are those whose sum it keeps to one or below; without
            such a rule, all that are declared ``Share``.
        rest: what the domain is called that the law leaves out; None where it leaves out none.

    Raises:
        AllocationError: it has no shares.
    """
    whole = False
    shares = tuple(name for name in law.columns if _is_share(law, name))
    for relation in law.relations:
        parts = relation.smaller
        if relation.larger or len(parts) < 2 or not all(_is_share(law, name) for name in parts):
            continue
        shares = tuple(name for name in law.columns if name in parts)
        whole = any(
            not other.smaller and set(other.larger) == set(shares) for other in law.relations
        )
    if not shares or (len(shares) < 2 and (whole or rest is None)):
        raise AllocationError(
            f"law {law.name!r} is of {', '.join(law.columns)}, and a mixture has shares of two "
            "domains or more. Fit a law of shares, as scalefit.laws.mixture_of('web', 'code'); in "
            "a law of your own their columns are declared Share"
        )
    return Domains(shares, shares if whole or rest is None else (*shares, rest))


def _is_share(law: Law, name: str) -> bool:
    domain = law.domains.get(name)
    return domain is not None and (domain.lower, domain.upper) == (0.0, 1.0)


@dataclass(frozen=True)
class Target:
    """One response and what it counts.

    Attributes:
        name: of the response.
        law: its law.
        weight: its part of the weighted mean.
        at: values of the law's other columns.
        domains: of the mixture.
    """

    name: str
    law: Law
    weight: float
    at: Mapping[str, float]
    domains: Domains

    def columns(self, shares: np.ndarray, at: Mapping[str, Any] | None = None) -> list[Any]:
        """The law's columns at shares of shape (..., domains)."""
        given = {**self.at, **(at or {})}
        places = self._places
        return [
            shares[..., places[name]] if name in places else given[name]
            for name in self.law.columns
        ]

    @property
    def _places(self) -> dict[str, int]:
        """Where the law's own columns of shares are among the domains: it may leave out one that
        the law of another response has.
        """
        own = self.law.columns
        return {name: i for i, name in enumerate(self.domains.names) if name in own}

    @quiet()
    def value(
        self, shares: np.ndarray, params: Mapping[str, Any], at: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """The response at shares of shape (items, domains), of shape (items,)."""
        columns = dict(zip(self.law.columns, self.columns(shares, at), strict=True))
        return np.broadcast_to(self.law.evaluate(columns, params), shares.shape[:-1])

    @quiet()
    def derivatives(self, shares: np.ndarray, params: Mapping[str, Any]) -> list[np.ndarray]:
        """Value, gradient and Hessian in all shares, those of one that is left out zero.

        Raises:
            AllocationError: the law is no list of operations on single numbers.
        """
        given = [np.asarray(params[name], dtype=np.float64) for name in self.law.names]
        places, size = self._places, len(self.domains.names)
        program = column_derivatives(self.law, tuple(places), [False] * len(places))
        if not isinstance(program, Program):
            raise AllocationError(
                f"law {self.law.name!r} is no formula of operations on single numbers, and its "
                "mixtures are not searched. Write its sums out, without loops of JAX and without "
                "arrays"
            )
        found = program(*self.columns(shares), *given)
        value, first, second = derivatives_of(found, len(places), shares.shape[:-1])
        slope, bend = np.zeros((len(shares), size)), np.zeros((len(shares), size, size))
        own = list(places.values())
        slope[:, own], bend[:, np.array(own)[:, None], own] = first, second
        return [value, slope, bend]


@dataclass(frozen=True)
class MixtureObjective:
    """Weighted mean of the responses, with a pull towards natural shares.

    Attributes:
        targets: the responses.
        natural: natural shares, in the order of the domains; None without.
        pull: loss that a divergence of one nat from them costs.
    """

    targets: tuple[Target, ...]
    natural: np.ndarray | None = None
    pull: float = 0.0

    def losses(
        self, shares: np.ndarray, params: Params, at: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Each response, shape (items, responses)."""
        pairs = zip(self.targets, params, strict=True)
        return np.stack([item.value(shares, own, at) for item, own in pairs], axis=-1)

    def loss(
        self, shares: np.ndarray, params: Params, at: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Their weighted mean, shape (items,)."""
        weights = np.array([item.weight for item in self.targets])
        return np.asarray(self.losses(shares, params, at) @ weights)

    def divergence(self, shares: np.ndarray) -> np.ndarray:
        """Kullback-Leibler divergence of the shares from the natural ones, nats."""
        if self.natural is None:
            return np.zeros(shares.shape[:-1])
        with np.errstate(all="ignore"):
            ratio = np.log(shares / self.natural)
        return np.asarray(np.where(shares > 0, shares * ratio, 0.0).sum(axis=-1))

    def value(self, shares: np.ndarray, params: Params) -> np.ndarray:
        """What is minimised, shape (items,)."""
        pulled = self.pull * self.divergence(shares) if self.pull else 0.0
        return np.asarray(self.loss(shares, params) + pulled)

    def derivatives(self, shares: np.ndarray, params: Params) -> list[np.ndarray]:
        """Value, gradient and Hessian of it in the shares."""
        total: list[Any] = [0.0, 0.0, 0.0]
        for target, own in zip(self.targets, params, strict=True):
            if target.weight:
                parts = target.derivatives(shares, own)
                total = [a + target.weight * b for a, b in zip(total, parts, strict=True)]
        if self.pull and self.natural is not None:
            with np.errstate(all="ignore"):
                kept = self.natural > 0
                slope = np.where(kept, np.log(shares / self.natural) + 1.0, 0.0)
                bend = np.where(kept, 1.0 / shares, 0.0)
            total[0] = total[0] + self.pull * self.divergence(shares)
            total[1] = total[1] + self.pull * slope
            total[2] = total[2] + self.pull * bend[..., None] * np.eye(shares.shape[-1])
        return total
