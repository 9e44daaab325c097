"""What limits the shares of a mixture: the options of ``optimal_mixture``, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit.allocation.mixture_objective import Domains
from scalefit.arguments import mapping, number, refused, shown
from scalefit.errors import AllocationError, ArgumentError

__all__ = ["EPOCHS", "caps_of", "limits_of", "natural_shares", "normal_weights", "other_columns"]

# Seen so often, a token is worth nearly as much as a new one: Muennighoff et al. 2023.
EPOCHS = 4.0
# Rounding in sums of limits.
ROUNDING = 1e-9


def normal_weights(weights: Any, names: tuple[str, ...]) -> np.ndarray:
    """Weights of the responses, divided by their sum; equal ones where none are given.

    Raises:
        ArgumentError: they are no mapping of responses to numbers from zero on, or all zero.
    """
    example = f"as weights={{{names[0]!r}: 1.0}}"
    if weights is None:
        return np.full(len(names), 1.0 / len(names))
    given = mapping(weights, "weights", remedy=f"Pass a weight by response, {example}")
    _known(given, "weights", names, f"Pass weights of responses, {example}")
    found = np.array(
        [
            number(given.get(name, 0.0), f"weights[{name!r}]", least=0, remedy=f"Pass it {example}")
            for name in names
        ]
    )
    if not found.sum() > 0:
        raise refused("weights", weights, "with one above zero", f"Pass weights {example}")
    return np.asarray(found / found.sum())


def other_columns(at: Any, needed: Mapping[str, str]) -> dict[str, float]:
    """Values of the columns that are no shares.

    Args:
        at: the option.
        needed: these columns, each with the name of a law that has it.

    Raises:
        ArgumentError: one is no number, or no column.
        AllocationError: one is missing.
    """
    example = ", ".join(f"{name!r}: {1e9 if name == 'N' else 1e11:g}" for name in needed)
    remedy = f"Pass at={{{example}}}" if needed else "Leave at out: the law has only shares"
    given = {} if at is None else mapping(at, "at", remedy=remedy)
    _known(given, "at", tuple(needed), remedy)
    for name, law in needed.items():
        if name not in given:
            raise AllocationError(f"law {law!r} has the column {name} beside the shares. {remedy}")
    return {name: number(given[name], f"at[{name!r}]", remedy=remedy) for name in needed}


def natural_shares(natural: Any, domains: Domains) -> np.ndarray | None:
    """Natural shares: what is given for each domain, divided by the sum.

    Raises:
        ArgumentError: they are no mapping of every domain to numbers from zero on, or all zero.
    """
    if natural is None:
        return None
    example = ", ".join(f"{name!r}: {1 / len(domains.names):.3g}" for name in domains.names)
    remedy = f"Pass shares or tokens of every domain, as natural={{{example}}}"
    given = mapping(natural, "natural", remedy=remedy)
    _known(given, "natural", domains.names, remedy)
    for name in domains.names:
        if name not in given:
            raise ArgumentError(
                f"natural has no share of {name}",
                argument="natural",
                value=natural,
                remedy=remedy,
            )
    found = np.array(
        [
            number(given[name], f"natural[{name!r}]", least=0, remedy=remedy)
            for name in domains.names
        ]
    )
    if not found.sum() > 0:
        raise refused("natural", natural, "with one above zero", remedy)
    return np.asarray(found / found.sum())


def caps_of(available: Any, epochs: Any, tokens: float | None, domains: Domains) -> np.ndarray:
    """The largest share of each domain: its unique tokens, seen so often, over the run's tokens.

    Args:
        available: unique tokens by domain; domains left out are not limited.
        epochs: how often a token may be seen, one number or one by domain.
        tokens: of the run; None where they are not known.
        domains: of the mixture.

    Raises:
        ArgumentError: they are no mappings of domains to positive numbers, or the tokens of the run
            are not known.
    """
    caps = np.ones(len(domains.names))
    if available is None:
        return caps
    first = domains.names[0]
    remedy = f"Pass unique tokens by domain, as available={{{first!r}: 3e10}}"
    given = mapping(available, "available", remedy=remedy)
    _known(given, "available", domains.names, remedy)
    often = _epochs(epochs, domains)
    if tokens is None:
        raise ArgumentError(
            "available is in tokens, and the tokens of the run are not known",
            argument="tokens",
            value=None,
            remedy="Pass the tokens of the run, as tokens=1e11",
        )
    for place, name in enumerate(domains.names):
        if name in given:
            unique = number(given[name], f"available[{name!r}]", above=0, remedy=remedy)
            caps[place] = min(1.0, often[place] * unique / tokens)
    return caps


def _epochs(epochs: Any, domains: Domains) -> list[float]:
    """How often tokens of each domain may be seen."""
    remedy = "Pass how often a token may be seen, as epochs=4.0"
    if not isinstance(epochs, Mapping):
        return [number(epochs, "epochs", above=0, remedy=remedy)] * len(domains.names)
    given = mapping(epochs, "epochs", remedy=remedy)
    _known(given, "epochs", domains.names, remedy)
    return [
        number(given.get(name, EPOCHS), f"epochs[{name!r}]", above=0, remedy=remedy)
        for name in domains.names
    ]


def limits_of(
    bounds: Any, fixed: Any, caps: np.ndarray, domains: Domains
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limit of each share.

    Raises:
        ArgumentError: bounds or fixed are no mappings of domains to shares, or cross each other.
        AllocationError: no mixture keeps to them.
    """
    first = domains.names[0]
    low, high = np.zeros(len(caps)), caps.copy()
    remedy = f"Pass a pair of shares by domain, as bounds={{{first!r}: (0.1, 0.6)}}"
    given = {} if bounds is None else mapping(bounds, "bounds", remedy=remedy)
    _known(given, "bounds", domains.names, remedy)
    held = f"Pass a share by domain, as fixed={{{first!r}: 0.2}}"
    ones = {} if fixed is None else mapping(fixed, "fixed", remedy=held)
    _known(ones, "fixed", domains.names, held)
    for place, name in enumerate(domains.names):
        if name in given:
            least, most = _pair(given[name], f"bounds[{name!r}]", remedy)
            low[place], high[place] = least, min(high[place], most)
        if name in ones:
            share = number(ones[name], f"fixed[{name!r}]", least=0, most=1, remedy=held)
            if not low[place] - ROUNDING <= share <= high[place] + ROUNDING:
                raise AllocationError(
                    f"fixed[{name!r}] = {share:g} is outside the limits of its share, "
                    f"{low[place]:.4g} to {high[place]:.4g}. Fix it within them"
                )
            low[place] = high[place] = share
    _require_room(low, high, domains)
    return low, high


def _pair(value: Any, argument: str, remedy: str) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise refused(argument, value, "a pair of the lowest and the highest share", remedy)
    least = 0.0 if value[0] is None else value[0]
    most = 1.0 if value[1] is None else value[1]
    low = number(least, f"{argument}[0]", least=0, most=1, remedy=remedy)
    high = number(most, f"{argument}[1]", least=0, most=1, remedy=remedy)
    if low > high:
        raise refused(argument, value, "a pair in ascending order", remedy)
    return low, high


def _require_room(low: np.ndarray, high: np.ndarray, domains: Domains) -> None:
    """Raise where no mixture keeps to the limits."""
    said = ", ".join(
        f"{name} {least:.3g} to {most:.3g}"
        for name, least, most in zip(domains.names, low, high, strict=True)
    )
    for name, least, most in zip(domains.names, low, high, strict=True):
        if least > most + ROUNDING:
            raise AllocationError(
                f"the share of {name} is to be at least {least:.4g}, and its tokens allow "
                f"{most:.4g}. Lower its bound, or allow more epochs"
            )
    if high.sum() < 1 - ROUNDING:
        raise AllocationError(
            f"no mixture keeps to the limits: the largest shares add up to {high.sum():.4g} "
            f"({said}). Train on {high.sum():.4g} times the tokens, allow {1 / high.sum():.4g} "
            "times the epochs, or loosen bounds"
        )
    if low.sum() > 1 + ROUNDING:
        raise AllocationError(
            f"no mixture keeps to the limits: the smallest shares add up to {low.sum():.4g} "
            f"({said}). Lower them until they add up to 1 or less"
        )


def _known(given: Mapping[str, Any], argument: str, names: tuple[str, ...], remedy: str) -> None:
    """Raise where a name is none of those that are known."""
    for name, value in given.items():
        if name not in names:
            raise ArgumentError(
                f"{argument} has {shown(name)}, which is none of {', '.join(names) or 'no names'}",
                argument=argument,
                value=value,
                remedy=remedy,
            )
