"""Broken power laws: straight lines in logarithms, joined by smooth bends."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from scalefit.laws.base import law
from scalefit.laws.kinds import Amplitude, Bounds, Coefficient, Kind, Offset, Positive

__all__ = ["broken_power", "broken_power_twice"]

# A slope of either sign: curves may rise before they fall.
Slope = Annotated[Coefficient, Bounds(-1.0, 3.0)]
Change = Annotated[Coefficient, Bounds(-6.0, 8.0)]
# A break lies inside the range of the table, or just outside.
Break = Annotated[jax.Array, Kind("break", 0.5, 2.0, spacing="log", column="x")]
# From a sharp corner to a bend over the whole table.
Width = Annotated[jax.Array, Kind("width", 0.02, 2.0, spacing="log")]


def _bend(x: Any, d: Any, c: Any, f: Any) -> Any:
    """(1 + (x / d)^(1 / f))^(-c f), without overflow."""
    return jnp.exp(-c * f * jnp.logaddexp(0.0, jnp.log(x / d) / f))


@law(
    source="Caballero et al. 2022, arXiv 2210.14891, eq. 1 with one break",
    latex=(
        r"L(x) = a + b\,x^{-c_0} \left(1 + \left(\frac{x}{d_1}\right)^{1/f_1}\right)^{-c_1 f_1}"
    ),
    also_known_as=[
        "smoothly broken power law, BNSL (2210.14891)",
    ],
)
def broken_power(
    x: Positive, *, a: Offset, b: Amplitude, c0: Slope, c1: Change, d1: Break, f1: Width
) -> Any:
    """L(x) = a + b x^-c0 (1 + (x / d1)^(1 / f1))^(-c1 f1)

    A power law with one smooth break, as where an ability sets in.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="D"``.
        a: limit at infinite x.
        b: size of the first segment, extrapolated to x = 1.
        c0: slope of the first segment; negative where the curve rises.
        c1: change of slope at the break: the second segment falls as x^-(c0 + c1).
        d1: where the break is, in the unit of x.
        f1: width of the break in ln x; near 0 a corner. 0.06 on four-digit addition.

    a is identified only by points beyond the break that bend again; f1 only by points inside the
    break, within f1 of d1 in ln x.
    """
    return a + b * x**-c0 * _bend(x, d1, c1, f1)


@law(
    source="Caballero et al. 2022, arXiv 2210.14891, eq. 1 with two breaks",
    latex=(
        r"L(x) = a + b\,x^{-s_0}"
        r" \left(1 + \left(\frac{x}{d}\right)^{1/f_1}\right)^{(s_0 - s_1) f_1}"
        r" \left(1 + \left(\frac{x}{g\,d}\right)^{1/f_2}\right)^{(s_1 - s_2) f_2}"
    ),
)
def broken_power_twice(
    x: Positive,
    *,
    a: Offset,
    b: Amplitude,
    s0: Slope,
    s1: Slope,
    s2: Slope,
    d: Break,
    g: Annotated[jax.Array, Kind("ratio", 1.0, 1e5, spacing="log")],
    f1: Annotated[Width, Bounds(0.05, 1.5)],
    f2: Annotated[Width, Bounds(0.05, 1.5)],
) -> Any:
    """L = a + b x^-s0 (1 + (x/d)^(1/f1))^((s0 - s1) f1) (1 + (x/(g d))^(1/f2))^((s1 - s2) f2)

    A power law with two smooth breaks: a slow start, a fall, a plateau; or a double descent.

    The paper gives changes of slope, c1 = s1 - s0 and c2 = s2 - s1, and places the second break by
    itself. Slopes describe the same curves and are found from any seed; a second break placed by
    its distance cannot change places with the first.

    Args:
        x: what is scaled, any positive quantity; name its column, as ``x="D"``.
        a: limit at infinite x.
        b: size of the first segment, extrapolated to x = 1.
        s0: slope of the first segment, which goes as x^-s0; negative where the curve rises.
        s1: slope between the breaks; give ``bounds`` where it is steeper than 3.
        s2: slope of the last segment.
        d: where the first break is, in the unit of x.
        g: how many times farther the second break is; 1 or more.
        f1: width of the first break in ln x; near 0 a corner.
        f2: width of the second break in ln x.

    Nine parameters want some thirty points; widths of breaks with few points inside are not
    identified.
    """
    return a + b * x**-s0 * _bend(x, d, s1 - s0, f1) * _bend(x, g * d, s2 - s1, f2)
