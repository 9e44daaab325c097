"""Units of columns: headers such as ``params_b``, and pairs such as ``("params", 1e9)``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from scalefit.arguments import number
from scalefit.frozen import Frozen

__all__ = ["PETAFLOP_DAY", "Source", "fits", "read_source", "scaled_header"]

PETAFLOP_DAY = 8.64e19

# Units in headers. A lone letter before or after the name is none of "T" (N_T is a teacher's size).
WORDS: Mapping[str, float] = Frozen(
    {
        **dict.fromkeys(["k", "thousand", "thousands"], 1e3),
        **dict.fromkeys(["m", "mn", "mil", "million", "millions"], 1e6),
        **dict.fromkeys(["b", "bn", "bil", "billion", "billions"], 1e9),
        **dict.fromkeys(["t", "tn", "trillion", "trillions"], 1e12),
    }
)
POWER = re.compile(r"(?:1?e|10\^)\+?([0-9]{1,2})")
PREFIXES = dict(zip("kmgtpezy", (10.0**power for power in range(3, 27, 3)), strict=True))
PREFIXED = re.compile(r"([kmgtpezy]|kilo|mega|giga|tera|peta|exa|zetta|yotta)_?flops?")
DAYS = re.compile(r"(?:pf|pflops?|petaflops?)(?:_?/?_?s)?[_-]?days?")

SEPARATORS = re.compile(r"[_\s\-()\[\]/,]+")

# Words around the FLOP of a run: of a device they are per second (tflops, mfu_tflops).
OF_A_RUN = frozenset(["total", "train", "training", "compute", "cost", "budget", "c"])

# Largest counts that a unit may lead to: what is beyond is a count already, whatever its header.
MOST: Mapping[str, float] = Frozen({"N": 1e14, "D": 1e17, "C": 1e30})

# Quantities that headers with a unit may name.
SCALED = ("N", "D", "C")


class Source(NamedTuple):
    """Where a quantity comes from: a header, and what its numbers are multiplied by."""

    header: Any
    scale: float = 1.0


def read_source(given: Any, name: str) -> Source:
    """What a caller gives for a quantity: a header, or a header with the unit of its numbers.

    Raises:
        ArgumentError: the unit is no positive number.
    """
    if not isinstance(given, tuple) or len(given) != 2:
        return Source(given)
    remedy = f"Give the header and its unit, as {name}=('params_b', 1e9)"
    return Source(given[0], number(given[1], f"{name}[1]", above=0, remedy=remedy))


def scaled_header(header: str, aliases: Mapping[str, tuple[str, ...]]) -> tuple[str, float] | None:
    """The quantity and the unit that a header names; None where it names no unit.

    Args:
        header: as in the table.
        aliases: names of each quantity.
    """
    parts = [part for part in SEPARATORS.split(header) if part.lower() not in ("", "in", "of")]
    low = "_".join(parts).lower()
    if DAYS.search(low):
        return "C", PETAFLOP_DAY
    if found := PREFIXED.search(low):
        rest = low.replace(found[0], "").split("_")
        return ("C", PREFIXES[found[1][0]]) if OF_A_RUN.intersection(rest) else None
    for place in (-1, 0):
        if len(parts) < 2:
            return None
        unit = _unit(parts[place])
        rest_parts = parts[:-1] if place == -1 else parts[1:]
        name = "_".join(rest_parts)
        lone = len(name) == 1
        if unit is None or (lone and (place == 0 or parts[place].lower() == "t")):
            continue
        for quantity in SCALED:
            if (name if lone else name.lower()) in aliases[quantity]:
                return quantity, unit
    return None


def _unit(word: str) -> float | None:
    if found := POWER.fullmatch(word.lower()):
        return float(10.0 ** int(found[1]))
    return WORDS.get(word.lower())


def fits(values: np.ndarray, quantity: str, scale: float) -> bool:
    """Whether numbers may be in this unit: the largest one, scaled, is a possible count."""
    there = values[np.isfinite(values)]
    return not there.size or bool(there.max() * scale <= MOST[quantity])
