"""Columns of a law that an allocation was not told of: what to say, with values that it accepts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scalefit.errors import DataError
from scalefit.results.fit import Fit

__all__ = ["neither_free_nor_fixed"]

# Where nothing is known of the runs.
UNKNOWN = (8.0, 16.0)


def neither_free_nor_fixed(fit: Fit, missing: Sequence[str], option: str) -> str:
    """The message: all the columns at once, fixed in the middle of the runs or free in their range.

    Args:
        fit: the fit.
        missing: columns that have neither a value nor a range.
        option: name of the option that fixes columns.
    """
    known = {name: fit.domain[name] for name in missing if name in fit.domain}
    seen = ", ".join(
        f"{f'{name} ' if len(missing) > 1 else ''}{low:g} to {high:g}"
        for name, (low, high) in known.items()
    )
    values = _accepted(fit, missing)
    fixed = ", ".join(f"{name!r}: {values[name]:g}" for name in missing)
    low, high = known.get(missing[0], UNKNOWN)
    are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
    others = {name: value for name, value in values.items() if name != missing[0]}
    rest = ", ".join(f"{name!r}: {value:g}" for name, value in others.items())
    beside = f", {option}={{{rest}}}" if rest else ""
    return (
        f"{', '.join(map(repr, missing))} {are} neither free nor fixed"
        f"{f' (the runs have {seen})' if seen else ''}. Fix {them}, as {option}={{{fixed}}}, or "
        f"free one in a range or a list, as free={{{missing[0]!r}: ({low:g}, {high:g})}}{beside}"
    )


def _accepted(fit: Fit, missing: Sequence[str]) -> dict[str, float]:
    """A value of each column, in the middle of the runs where the law describes that."""
    middle = {name: _middle(*fit.domain.get(name, UNKNOWN)) for name in missing}
    if _describes(fit, middle):
        return middle
    # Shares of one whole: as much of each.
    shares = [name for name in missing if _is_share(fit, name)]
    equal = middle | dict.fromkeys(shares, 1.0 / max(len(shares), 1))
    lowest = {name: fit.domain.get(name, UNKNOWN)[0] for name in missing}
    return equal if _describes(fit, equal) else lowest


def _middle(low: float, high: float) -> float:
    """The middle of a range, in the logarithm where it has one; a whole number of whole ones."""
    found = math.sqrt(low * high) if low > 0 else (low + high) / 2
    whole = low == round(low) and high == round(high) and high - low > 1
    return float(round(found)) if whole and found >= 1 else float(f"{found:.2g}")


def _is_share(fit: Fit, name: str) -> bool:
    domain = fit.law.domains.get(name)
    return domain is not None and (domain.lower, domain.upper) == (0.0, 1.0)


def _describes(fit: Fit, values: Mapping[str, float]) -> bool:
    try:
        fit.law.check(values)
    except DataError:
        return False
    return True
