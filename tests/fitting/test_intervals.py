"""Enclosures of functions and their derivatives, against JAX's own derivatives at points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scalefit.certification.interval_programs import enclose, known, variable
from scalefit.certification.intervals import Interval, NotEnclosed
from scalefit.certification.taylor import ORDER

N = 10 ** np.random.default_rng(0).uniform(6, 10, 7)

SMOOTH = {
    "power": lambda t: N**-t,
    "power of exp of log": lambda t: N ** -jnp.exp(jnp.log(t)),
    "sum of powers": lambda t: N**-t + (1e3 * N) ** -t,
    "product": lambda t: t**2 * N**-t,
    "exponential": lambda t: jnp.exp(-t * jnp.log(N)),
    "base two": lambda t: jnp.exp2(-t) * N,
    "saturating": lambda t: 1 / (1 + (N / 1e8) ** t),
    "scale": lambda t: (1 + N / (1e8 * t)) ** -0.3,
    "tanh": lambda t: jnp.tanh(t * jnp.log(N) / 20),
    "logistic": lambda t: jax.nn.sigmoid(t - 1.0) * N**-0.3,
    "log1p": lambda t: jnp.log1p(t * N**-0.1),
    "logarithm to base two": lambda t: jnp.log2(t * N),
    "expm1": lambda t: jnp.expm1(t) * jnp.sqrt(N),
    "rsqrt": lambda t: jax.lax.rsqrt(t + N / 1e8),
    "cube": lambda t: (t - 1) ** 3 * N,
    "division": lambda t: (t - 0.5) / (N / 1e7 + t),
    "branch on data": lambda t: jnp.where(N > 1e8, N**-t, t),
    "jitted": lambda t: jax.jit(lambda s: N**-s)(2 * t),
    "maximum of data": lambda t: jnp.maximum(N - 1e8, 0.0) * t,
}


def trace(function):
    return jax.make_jaxpr(lambda t: jnp.broadcast_to(function(t), N.shape))(jnp.float64(0.3))


def enclosed(function, lower, upper):
    with jax.enable_x64(True):
        (found,) = enclose(trace(function), [variable(lower, upper)])
    zero = Interval(np.zeros((1, 1)), np.zeros((1, 1)))
    return [part or zero for part in found.jet]


def derivatives(function, points):
    """Value and derivatives at each point, each of shape (points, rows)."""
    nested = [lambda t: jnp.broadcast_to(function(t), N.shape)]
    for _ in range(ORDER):
        inner = nested[-1]
        nested.append(lambda t, inner=inner: jax.jvp(inner, (t,), (jnp.ones(()),))[1])
    with jax.enable_x64(True):
        every = jax.jit(jax.vmap(lambda t: [f(t) for f in nested]))
        return [np.asarray(item) for item in every(points)]


@pytest.mark.parametrize("name", SMOOTH)
def test_enclosures_hold_value_and_derivatives(name):
    rng = np.random.default_rng(1)
    lower = rng.uniform(0.01, 3, 40)
    upper = lower + 10 ** rng.uniform(-8, 0, 40)
    shares = np.array([0.0, 0.31, 0.5, 0.77, 1.0])
    points = lower + shares[:, None] * (upper - lower)
    exact = derivatives(SMOOTH[name], points.ravel())
    at_points = enclosed(SMOOTH[name], points.ravel(), points.ravel())
    size = sum(np.abs(values) for values in exact)
    for part, point, values in zip(
        enclosed(SMOOTH[name], lower, upper), at_points, exact, strict=True
    ):
        # JAX's own rounding at the points.
        slack = 1e-12 * np.abs(values).max(axis=0)
        assert (point.lo - slack <= values).all() and (values <= point.hi + slack).all()
        values = values.reshape(len(shares), len(lower), -1)
        assert (part.lo - slack <= values).all() and (values <= part.hi + slack).all()
        assert (point.hi - point.lo <= 1e-9 * size.max(axis=0) + 1e-300).all()


def test_a_power_has_no_curvature_in_its_logarithm():
    with jax.enable_x64(True):
        (found,) = enclose(
            trace(SMOOTH["power of exp of log"]), [variable(np.array([0.1]), np.array([4.0]))]
        )
    _, slope, second, third = found.log.jet
    np.testing.assert_allclose(slope.mid[0], -np.log(N), rtol=1e-14)
    assert second is None and third is None


@pytest.mark.parametrize(
    "kinked", [lambda t: jnp.abs(t - 1) * N, lambda t: jnp.maximum(t, 1.0) * N], ids=["abs", "max"]
)
def test_nothing_is_claimed_of_derivatives_at_a_kink(kinked):
    value, first, second, _ = enclosed(kinked, np.array([0.5, 0.2]), np.array([1.5, 0.6]))
    with jax.enable_x64(True):
        at = np.asarray(kinked(np.linspace(0.5, 1.5, 11)[:, None]))
    assert (value.lo[0] <= at).all() and (at <= value.hi[0]).all()
    assert np.isinf(second.hi[0]).all() and np.isinf(first.lo[0]).all()
    assert np.isfinite(first.hi[1]).all()


def test_what_has_no_rule_is_named():
    with pytest.raises(NotEnclosed, match="'sin'"):
        enclosed(lambda t: jnp.sin(t) * N, np.array([0.1]), np.array([0.2]))
    with pytest.raises(NotEnclosed, match="may not be positive"):
        enclosed(lambda t: jnp.log(t - 0.15) * N, np.array([0.1]), np.array([0.2]))


def test_arithmetic_is_rounded_outward():
    third = (
        Interval(np.array([1.0]), np.array([1.0]))
        * Interval(np.array([3.0]), np.array([3.0])).reciprocal()
    )
    assert third.lo[0] < 1 / 3 < third.hi[0]
    middle, radius = third.ball
    assert radius[0] >= third.hi[0] - middle[0]
    assert known(2.0).value.lo[0] == 2.0
