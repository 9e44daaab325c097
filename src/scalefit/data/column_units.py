"""Units of columns: headers such as ``params_b``, and pairs such as ``("params", 1e9)``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from scalefit.arguments import number
from scalefit.data.text_numbers import PREFIXES, UNIT_WORDS
from scalefit.frozen import Frozen

__all__ = [
    "PETAFLOP_DAY",
    "Source",
    "fits",
    "is_source",
    "read_source",
    "scaled_header",
    "spelled",
    "unit_of",
]

PETAFLOP_DAY = 8.64e19

POWER = re.compile(r"(?:1?e|10\^)\+?([0-9]{1,2})")
PREFIXED = re.compile(
    r"(?:^|_)([kmgtpezy]|kilo|mega|giga|tera|peta|exa|zetta|yotta)_?flops?(?:_|$)"
)
DAYS = re.compile(r"(?:^|_)(?:pf|pflops?|petaflops?)(?:_?/?_?s)?[_-]?days?")

SEPARATORS = re.compile(r"[_\s\-()\[\]/,]+")

# Words around the FLOP of a run: of a device they are per second (tflops, mfu_tflops).
OF_A_RUN = frozenset(["total", "train", "training", "compute", "cost", "budget", "c"])

OF_A_DEVICE = frozenset(["per", "s", "sec", "second", "gpu", "device", "util"])

# Largest counts that a unit may lead to: what is beyond is a count already, whatever its header.
MOST: Mapping[str, float] = Frozen({"N": 1e13, "D": 1e15, "C": 1e30})

# Quantities that headers with a unit may name.
SCALED = ("N", "D", "C")


class Source(NamedTuple):
    """Where a quantity comes from: a header, and what its numbers are multiplied by, if stated."""

    header: Any
    scale: float | None = None


def read_source(given: Any, name: str) -> Source:
    """What a caller gives for a quantity: a header, or a header with the unit of its numbers.

    Raises:
        ArgumentError: the unit is no positive number.
    """
    if not isinstance(given, tuple) or len(given) != 2:
        return Source(given)
    remedy = f"Give the header and its unit, as {name}=('params_b', 1e9)"
    return Source(given[0], number(given[1], f"{name}[1]", above=0, remedy=remedy))


def is_source(given: Any, header: object, scale: float) -> bool:
    """Whether what a caller gives for a quantity is a header, with its unit if one is given."""
    wanted = (header, scale) if isinstance(given, tuple) else header
    return type(given) is type(wanted) and bool(given == wanted)


def spelled(scale: float) -> str:
    """A number as people type it, and no other number: 1e9."""
    short = re.sub(r"e\+?(-?)0*", r"e\1", f"{scale:g}")
    return short if float(short) == scale else repr(scale)


def scaled_header(header: str, aliases: Mapping[str, tuple[str, ...]]) -> tuple[str, float] | None:
    """The quantity and the unit that a header names; None where it names no unit.

    Args:
        header: as in the table.
        aliases: names of each quantity.
    """
    low = "_".join(_parts(header)).lower()
    if (unit := _unit_of_flops(low)) is not None:
        # FLOP with a prefix may be the speed of a device.
        rest = set(low.split("_"))
        run = OF_A_RUN & rest and not OF_A_DEVICE & rest
        return ("C", unit) if DAYS.search(low) or run else None
    for name, unit, _ in _readings(header):
        for quantity in SCALED:
            if (name if len(name) == 1 else name.lower()) in aliases[quantity]:
                return quantity, unit
    return None


def unit_of(header: object, quantity: str) -> float | None:
    """The unit that the header given for a quantity names, whatever it is called; None for none.

    Args:
        header: as in the table.
        quantity: what its column is.
    """
    if quantity not in SCALED or not isinstance(header, str):
        return None
    unit = _unit_of_flops("_".join(_parts(header)).lower()) if quantity == "C" else None
    # A letter before a name of any kind is none of a unit: t_tokens, m_size.
    named = (scale for _, scale, letter in _readings(header) if not letter)
    return unit if unit is not None else next(named, None)


def _parts(header: str) -> list[str]:
    return [part for part in SEPARATORS.split(header) if part.lower() not in ("", "in", "of")]


def _unit_of_flops(low: str) -> float | None:
    """The unit of FLOP in a header of lower case."""
    if DAYS.search(low):
        return PETAFLOP_DAY
    found = PREFIXED.search(low)
    return PREFIXES[found[1][0]] if found else None


def _readings(header: str) -> Iterator[tuple[str, float, bool]]:
    """Each way to read a header as a name and a unit behind or before it, and whether a letter."""
    parts = _parts(header)
    if len(parts) < 2:
        return
    for unit_part, rest in ((parts[-1], parts[:-1]), (parts[0], parts[1:])):
        unit, name = _unit(unit_part), "_".join(rest)
        before = unit_part is parts[0]
        # N_T is a teacher's size, and nobody writes M_N.
        lone = len(name) == 1 and (before or unit_part.lower() == "t")
        if unit is not None and not lone:
            yield name, unit, before and len(unit_part) == 1


def _unit(word: str) -> float | None:
    if found := POWER.fullmatch(word.lower()):
        return float(10.0 ** int(found[1]))
    return UNIT_WORDS.get(word.lower())


def fits(values: np.ndarray, quantity: str, scale: float) -> bool:
    """Whether numbers may be in this unit: the largest one, scaled, is a possible count."""
    there = values[np.isfinite(values)]
    return not there.size or bool(there.max() * scale <= MOST[quantity])
