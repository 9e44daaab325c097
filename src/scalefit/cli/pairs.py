"""Options of the form NAME=VALUE."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from scalefit.errors import ScalefitError

__all__ = ["columns", "header", "interval", "limit", "pairs", "span", "ties"]


def pairs(items: Iterable[str] | None, form: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """Values of a repeated option by name.

    Args:
        items: what was given.
        form: name of the option and how it is written, as ``--fixed NAME=NUMBER``.
        read: makes a value of its text, or raises ValueError.

    Raises:
        ScalefitError: one is not of the form, or given twice.
    """
    option, _, shape = form.partition(" ")
    found: dict[str, Any] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        try:
            if not (name and equals and value):
                raise ValueError
            meant = read(value)
        except ValueError:
            raise ScalefitError(f"{option} {item!r} is not of the form {shape}") from None
        if name in found:
            raise ScalefitError(f"{option} is given twice for {name!r}: choose one")
        found[name] = meant
    return found


def header(text: str) -> str | tuple[str, float]:
    """A header, or one with the unit of its numbers: ``params_b*1e9``."""
    name, _, unit = text.rpartition("*")
    with suppress(ValueError):
        return (name, float(unit)) if name else text
    return text


def interval(text: str) -> tuple[float, float]:
    """Two numbers: ``0.2:0.6``."""
    low, _, high = text.partition(":")
    return float(low), float(high)


def limit(text: str) -> float | tuple[float | None, float | None]:
    """A largest value, or two ends of which one may be missing: ``20:`` is at least 20."""
    if ":" not in text:
        return float(text)
    low, _, high = text.partition(":")
    return (float(low) if low else None, float(high) if high else None)


def span(text: str) -> tuple[float, float] | list[float]:
    """Two ends, or numbers to choose from: ``3:16`` or ``8,16,32``."""
    return interval(text) if ":" in text else [float(item) for item in text.split(",")]


def columns(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(text.split(","))


def ties(items: Iterable[str] | None) -> list[tuple[str, ...]]:
    """Groups of names: ``alpha=beta``."""
    return [tuple(item.split("=")) for item in items or ()]
