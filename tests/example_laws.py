"""Laws that several files of tests fit, and the catalogue does not have."""

from typing import Any

import scalefit as sf


@sf.law(source="a test")
def joint(
    N: Any,
    D: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    F: sf.laws.Coefficient,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """E + A N^-alpha + F (N / 1e8)^-alpha (D / 1e10)^-beta, whose last term sees both exponents."""
    return E + A * N**-alpha + F * (N / 1e8) ** -alpha * (D / 1e10) ** -beta


@sf.law(source="the additive law under another name")
def additive(
    N,
    D,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """E + A N^-alpha + B D^-beta"""
    return E + A * N**-alpha + B * D**-beta


@sf.law(source="a test")
def three(
    N: Any,
    D: Any,
    P: Any,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    B: sf.laws.Amplitude,
    C: sf.laws.Amplitude,
    a: sf.laws.Exponent,
    b: sf.laws.Exponent,
    c: sf.laws.Exponent,
):
    """E + A N^-a + B D^-b + C P^-c"""
    return E + A * N**-a + B * D**-b + C * P**-c
