"""Numbers as people read them: digits by their uncertainty, counts in K, M, B and T.

A number is shown with :data:`DIGITS` significant digits, or, where an interval is known,
with two digits of its half-width. Nothing here rounds what a result holds: ``to_frame`` has all
digits.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal, NamedTuple

import numpy as np

__all__ = [
    "WORDS",
    "Kind",
    "Shown",
    "chance",
    "escaped",
    "percent",
    "printable",
    "rough_percent",
    "shown",
]

Kind = Literal["text", "name", "formula", "number", "count", "integer", "flop", "percent", "usd"]
# Kinds of words.
WORDS = ("text", "name", "formula")

# Significant digits of a number of which no uncertainty is known.
DIGITS = {"number": 5, "count": 3, "flop": 4, "percent": 3, "usd": 3}
# Significant digits that an interval shows of its half-width, and a number at most.
OF_WIDTH, MOST = 2, 8
# Beyond these a number is written with a power of ten.
SMALLEST, LARGEST = 1e-4, 1e6

# Ends farther apart than this factor share no power of ten.
WIDE = 10.0

SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))


class Shown(NamedTuple):
    """A number as text.

    Attributes:
        value: the number, with its unit letter.
        interval: ``low to high`` in the same unit and digits; empty without an interval.
        latex: both in LaTeX's mathematics.
    """

    value: str
    interval: str
    latex: str


def shown(value: Any, kind: Kind = "number", low: Any = None, high: Any = None) -> Shown:
    """A cell of a table as text and in LaTeX.

    Args:
        value: the value: a number; for the kind ``text`` anything, for ``name`` that of a
            parameter, and for ``formula`` a pair of it as text and in LaTeX.
        kind: what it is: ``count`` is written as 36.9B, ``flop`` as 5.76e23, a ``percent`` is given
            as a share.
        low: lower end of its interval, if any.
        high: upper end.
    """
    if kind == "text":
        text = printable(str(value))
        return Shown(text, "", escaped(text))
    if kind == "name":
        return Shown(printable(value), "", _symbol(value))
    if kind == "formula":
        text, latex = value
        return Shown(printable(text), "", f"${latex}$" if latex else escaped(text))
    if value is None:
        return Shown("-", "", "--")
    if kind == "integer":
        text = f"{int(value):,}" if np.isfinite(value) else _special(float(value))
        return Shown(text, "", text.replace(",", "{,}"))
    number = float(value)
    if kind == "count" and abs(number) < 1000 and number.is_integer() and low is None:
        return Shown(f"{number:.0f}", "", f"${number:.0f}$")
    ends = None if low is None or high is None else (float(low), float(high))
    factor, unit = _unit(number, kind)
    places, power = _places(number / factor, kind, ends and (ends[0] / factor, ends[1] / factor))
    prefix = "$" if kind == "usd" else ""
    text = prefix + _fixed(number / factor, places, power) + unit
    # No interval where both ends are NaN: nothing is known of it.
    if ends is None or all(math.isnan(end) for end in ends):
        return Shown(text, "", _latex(number / factor, None, places, power, unit, prefix))
    words = [prefix + _fixed(end / factor, places, power) + unit for end in ends]
    if power and 0 < WIDE * ends[0] < ends[1]:
        # Ends of several powers of ten: each has its own.
        text, *words = (
            prefix + _fixed(one, *_places(one, "percent", None)) for one in (number, *ends)
        )
    scaled = (ends[0] / factor, ends[1] / factor)
    return Shown(
        text,
        " to ".join(words),
        _latex(number / factor, scaled, places, power, unit, prefix),
    )


def percent(share: float) -> str:
    """A share of one as percent: ``0.48 %``."""
    return shown(share, "percent").value


def rough_percent(share: float) -> str:
    """A share of one as percent, two digits: ``2.5 %``, ``100 %``."""
    return f"{float(f'{100 * share:.2g}'):g} %"


def chance(p: float) -> str:
    """A probability as ``p = 0.02``; one that underflows is no zero."""
    return f"p = {p:.2g}" if p > 0 else "p < 1e-300"


def _unit(number: float, kind: Kind) -> tuple[float, str]:
    """What a number is divided by, and the letter that says so."""
    if kind == "percent":
        return 0.01, " %"
    if kind in ("count", "usd"):
        for size, letter in SUFFIXES:
            # From 999.5 on, three digits show the next unit.
            if size <= abs(number) * 1.0005 and abs(number) < 1e16:
                return size, letter
    return 1.0, ""


def _places(number: float, kind: Kind, ends: tuple[float, float] | None) -> tuple[int, int]:
    """Decimal places, and the power of ten that is taken out."""
    digits = DIGITS[kind]
    # Of what it is rounded to: 0.9997 is shown as 1.00, not as 1.000.
    size = _magnitude(float(f"{number:.{digits - 1}e}"))
    width = _half_width(number, ends)
    if width > 0:
        # A number near zero is as large as its interval.
        size = max(size, _magnitude(width)) if number else _magnitude(width)
        digits = min(size - _magnitude(width) + OF_WIDTH, MOST)
    outside = number != 0 and not SMALLEST <= max(abs(number), width) < LARGEST
    power = size if outside and kind != "integer" else 0
    return max(digits - 1 - size + power, 0), power


def _half_width(number: float, ends: tuple[float, float] | None) -> float:
    """Half an interval, or the finite side of one that is open; 0 where nothing is known."""
    if ends is None:
        return 0.0
    sides = [abs(end - number) for end in ends if math.isfinite(end)]
    return sum(sides) / len(sides) if sides and math.isfinite(number) else 0.0


def _magnitude(number: float) -> int:
    """Power of ten of the first digit; 0 for zero and for what is not finite."""
    return math.floor(math.log10(abs(number))) if number and math.isfinite(number) else 0


def _fixed(number: float, places: int, power: int) -> str:
    if not math.isfinite(number):
        return _special(number)
    if number == 0:
        return "0"
    text = f"{number / 10.0**power:.{places}f}"
    if "." in text and power:
        text = text.rstrip("0").rstrip(".")
    # Minus zero is zero.
    text = text.removeprefix("-") if not text.strip("-0.") else text
    return f"{text}e{power}" if power else text


def _special(number: float) -> str:
    return "-" if math.isnan(number) else "inf" if number > 0 else "-inf"


def _latex(
    number: float,
    ends: tuple[float, float] | None,
    places: int,
    power: int,
    unit: str,
    prefix: str,
) -> str:
    """A number in LaTeX's mathematics, with its errors, which share unit and power of ten."""
    if not math.isfinite(number):
        return {"-": "--", "inf": r"$\infty$", "-inf": r"$-\infty$"}[_special(number)]
    scale = 10.0**power
    body = _fixed(number / scale, places, 0)
    if power and ends is None and "." in body:
        body = body.rstrip("0").rstrip(".")
    if ends is not None:
        down, up = (abs(end - number) / scale for end in ends)
        below, above = _fixed(down, places, 0), _fixed(up, places, 0)
        above = above if math.isfinite(up) else r"\infty"
        below = below if math.isfinite(down) else r"\infty"
        if below == above:
            body += rf" \pm {above}"
        else:
            body += f"^{{+{above}}}_{{-{below}}}"
    if power:
        body = (
            rf"({body}) \times 10^{{{power}}}"
            if r"\pm" in body
            else rf"{body} \times 10^{{{power}}}"
        )
    if unit.strip():
        letter = r"\,\%" if unit.strip() == "%" else rf"\,\mathrm{{{unit.strip()}}}"
        body = (f"({body})" if r"\pm" in body else body) + letter
    return f"${prefix.replace('$', chr(92) + '$')}{body}$"


LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "eta", "kappa", "mu", "nu", "rho", "sigma"),
    *("tau", "theta", "phi", "omega"),
)
NAME = re.compile(r"([A-Za-z]+?)_?([0-9]*|(?<=_)\w+)(?:\[(.*)\])?", re.DOTALL)


def _symbol(name: str) -> str:
    """A parameter in LaTeX: ``alpha`` as a letter, ``gamma_D`` and ``A[fp8]`` with an index."""
    found = NAME.fullmatch(name)
    letter = found[1] if found else ""
    if found is None or (len(letter) > 1 and letter not in (*GREEK, "lam")):
        return escaped(name)
    letter = r"\lambda" if letter == "lam" else rf"\{letter}" if len(letter) > 1 else letter
    below = [found[2]] if found[2] else []
    below += [rf"\mathrm{{{escaped(found[3])}}}"] if found[3] else []
    return f"${letter}_{{{', '.join(below)}}}$" if below else f"${letter}$"


def printable(text: str) -> str:
    """Text as text of one line, whatever a label holds."""
    return text if text.isprintable() else repr(text)[1:-1]


def escaped(text: str) -> str:
    """Text as LaTeX sets it."""
    return "".join(LATEX.get(letter, letter) for letter in text)
