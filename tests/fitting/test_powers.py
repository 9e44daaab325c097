"""Powers of positive numbers as exponentials: the same numbers, no other powers touched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting.powers import quick

N, D = np.geomspace(1e7, 1e11, 7), np.geomspace(1e12, 1e8, 7)


@sf.law(source="test")
def branching(N, D, x, *, E: sf.Offset, A: sf.Amplitude, alpha: sf.Exponent, beta: sf.Exponent):
    """Powers of positive and of other numbers, inside functions that JAX traces on their own."""
    ratio = jnp.where(x > 0, (D / N) ** -beta, x**2)
    return E + A * (1.0 + N / 1e9) ** -alpha + jnp.abs(x) ** alpha + ratio + (x - 3.0) ** 2


def powers(function, *arguments, **params):
    with jax.enable_x64(True):
        text = str(jax.make_jaxpr(function)(*arguments, **params))
    return text.count(" pow ")


CASES = {
    "chinchilla": (
        sf.laws.find("chinchilla"),
        (N, D),
        {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
        0,
    ),
    # abs(x) may be zero: its power stays one.
    "branching": (
        branching,
        (N, D, np.linspace(-1, 2, 7)),
        {"E": 1.69, "A": 4.0, "alpha": 0.34, "beta": 0.28},
        1,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives_are_the_laws(case):
    law, columns, params, left = CASES[case]
    with jax.enable_x64(True):
        params = {name: jnp.asarray(value) for name, value in params.items()}
        for function in (law, quick(law)):
            assert np.isfinite(function(*columns, **params)).all()
        np.testing.assert_allclose(
            quick(law)(*columns, **params), law(*columns, **params), rtol=1e-14
        )

        def along(function):
            return jax.jacfwd(lambda alpha: function(*columns, **{**params, "alpha": alpha}))

        np.testing.assert_allclose(
            along(quick(law))(params["alpha"]), along(law)(params["alpha"]), rtol=1e-12
        )
    assert powers(law, *columns, **params) > left
    assert powers(quick(law), *columns, **params) == left
