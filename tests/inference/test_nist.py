"""Standard errors of NIST's nonlinear regression problems, written as laws.

Certified values: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml (public domain).
"""

import os
import re
from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import Amplitude, Bounds, Coefficient

FOLDER = Path(os.environ.get("SCALEFIT_DATA", "")) / "nist"

pytestmark = pytest.mark.skipif(
    "SCALEFIT_DATA" not in os.environ, reason="set SCALEFIT_DATA to a folder with the real tables"
)


def within(lower, upper):
    return Annotated[Coefficient, Bounds(lower, upper)]


@sf.law(source="NIST StRD, DanWood")
def dan_wood(x, *, b1: Amplitude, b2: within(1.0, 10.0)):
    """b1 x^b2"""
    return b1 * x**b2


@sf.law(source="NIST StRD, Misra1a")
def misra_a(x, *, b1: Amplitude, b2: within(1e-5, 1e-2)):
    """b1 (1 - exp(-b2 x))"""
    return b1 * -jnp.expm1(-b2 * x)


@sf.law(source="NIST StRD, Misra1b")
def misra_b(x, *, b1: Amplitude, b2: within(1e-5, 1e-2)):
    """b1 (1 - (1 + b2 x / 2)^-2)"""
    return b1 * (1 - (1 + b2 * x / 2) ** -2)


@sf.law(source="NIST StRD, Misra1c")
def misra_c(x, *, b1: Amplitude, b2: within(1e-5, 1e-2)):
    """b1 (1 - (1 + 2 b2 x)^-0.5)"""
    return b1 * (1 - (1 + 2 * b2 * x) ** -0.5)


@sf.law(source="NIST StRD, Misra1d")
def misra_d(x, *, b1: Amplitude, b2: within(1e-5, 1e-2)):
    """b1 b2 x / (1 + b2 x)"""
    return b1 * b2 * x / (1 + b2 * x)


@sf.law(source="NIST StRD, Bennett5")
def bennett(x, *, b1: Coefficient, b2: within(20.0, 100.0), b3: within(0.3, 3.0)):
    """b1 (b2 + x)^(-1 / b3)"""
    return b1 * (b2 + x) ** (-1 / b3)


@sf.law(source="NIST StRD, Thurber")
def thurber(
    x,
    *,
    b1: Coefficient,
    b2: Coefficient,
    b3: Coefficient,
    b4: Coefficient,
    b5: within(0.1, 2.0),
    b6: within(0.0, 1.0),
    b7: within(0.0, 0.2),
):
    """(b1 + b2 x + b3 x^2 + b4 x^3) / (1 + b5 x + b6 x^2 + b7 x^3)"""
    return (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)


@sf.law(source="NIST StRD, Kirby2")
def kirby(
    x,
    *,
    b1: Coefficient,
    b2: Coefficient,
    b3: Coefficient,
    b4: within(-0.02, 0.01),
    b5: within(0.0, 1e-3),
):
    """(b1 + b2 x + b3 x^2) / (1 + b4 x + b5 x^2)"""
    return (b1 + b2 * x + b3 * x**2) / (1 + b4 * x + b5 * x**2)


PROBLEMS = {
    "DanWood": dan_wood,
    "Misra1a": misra_a,
    "Misra1b": misra_b,
    "Misra1c": misra_c,
    "Misra1d": misra_d,
    "Bennett5": bennett,
    "Thurber": thurber,
    "Kirby2": kirby,
}


def problem(name):
    """Runs, and certified value and standard error of each parameter."""
    text = (FOLDER / f"{name}.dat").read_text()
    number = r"[-+]?\d+\.?\d*E[-+]\d+"
    certified = {
        line.split()[0]: tuple(map(float, re.findall(number, line)[-2:]))
        for line in text.splitlines()
        if re.match(r"\s*b\d =", line)
    }
    first, last = map(int, re.search(r"Data\s+\(lines (\d+) to (\d+)\)", text).groups())
    rows = [list(map(float, line.split())) for line in text.splitlines()[first - 1 : last]]
    return pd.DataFrame(rows, columns=["loss", "x"]), certified


@pytest.mark.parametrize(
    "name",
    ["DanWood", *(pytest.param(name, marks=pytest.mark.slow) for name in [*PROBLEMS][1:])],
)
def test_values_have_six_certified_digits_and_errors_four(name):
    runs, certified = problem(name)
    fit = sf.fit(runs, PROBLEMS[name], residual="raw", robust="none")
    errors = sf.covariance(fit, runs, "jacobian").standard_errors
    assert list(errors.index) == list(certified)
    value, error = np.array(list(certified.values())).T
    np.testing.assert_allclose([fit.params[key] for key in certified], value, rtol=5e-7)
    np.testing.assert_allclose(errors, error, rtol=5e-5)
