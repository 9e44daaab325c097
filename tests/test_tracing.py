"""Traced programs against JAX: the same numbers, whatever the shapes and the library."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import ROWS
from compilations import compilations
from jax import lax

import scalefit as sf
from scalefit import laws
from scalefit.tracing.exponentials import rewritten
from scalefit.tracing.operations import Compiled, Program, trace

N, D = np.geomspace(1e7, 1e11, 7), np.geomspace(1e12, 1e8, 7)


def plain(law):
    """A law as a function of columns, then parameters."""
    count = len(law.columns)
    return lambda *given: [law(*given[:count], **dict(zip(law.names, given[count:], strict=True)))]


def compiles(function, *given):
    """How often XLA compiles while a function runs."""
    with compilations() as seen:
        function(*given)
    return len(seen)


def points(law, rng):
    """Columns of the catalogue's table of a law, and plausible parameters."""
    (row,) = (row for row in ROWS if row.law == law.name)
    design = row.design().sample(7, random_state=0)
    columns = [design[name].to_numpy(dtype=float) for name in law.columns]
    table = dict(zip(law.columns, columns, strict=True))
    params = []
    for param in law.params:
        low, high = param.bounds(table)
        if param.kind.spacing == "log":
            params.append(float((low * high) ** 0.5))
        else:
            low, high = max(low, -2.0), min(high, 2.0)
            params.append(low + (high - low) * rng.uniform(0.3, 0.7))
    return columns, params


@pytest.mark.parametrize("law", laws.BUILTIN.values(), ids=lambda law: law.name)
def test_every_built_in_law_is_a_list_of_elementwise_operations(law):
    columns, params = points(law, np.random.default_rng(3))
    program = trace(plain(law), len(columns) + len(params), len(columns))
    assert isinstance(program, Program)
    with jax.enable_x64(True):
        expected = np.asarray(law(*columns, **dict(zip(law.names, params, strict=True))))
    with np.errstate(all="ignore"):
        (found,) = program(*columns, *params)
        several = [np.array([[value], [value]]) for value in params]
        (many,) = program.bind(*columns)(*several)
    # Differences of logarithms of gamma functions, by two libraries.
    rtol = 2e-12 if law.name == "coverage_beta" else 1e-13
    np.testing.assert_allclose(np.broadcast_to(found, 7), expected, rtol=rtol)
    np.testing.assert_array_equal(
        np.broadcast_to(many, (2, 7)), np.broadcast_to(found, (2, 7)), strict=False
    )


def test_what_is_repeated_or_useless_is_left_out():
    def function(x, y):
        a = jnp.exp(x * y)
        return [1.0 * a + 0.0, jnp.exp(y * x) / 1.0, a * jnp.sin(2.0 + 1.0)]

    program = trace(function, 2)
    names = [step.name for step in program._steps]
    assert names == ["mul", "exp", "mul"]
    assert len({program.outputs[0], program.outputs[1]}) == 1
    found = program(np.array([0.5, 1.0]), 2.0)
    np.testing.assert_allclose(found[2], np.exp([1.0, 2.0]) * np.sin(3.0), rtol=1e-15)


def test_the_columns_are_looked_at_once(monkeypatch):
    program = trace(lambda N, alpha: [jnp.exp(-alpha * jnp.log(N))], 2, 1)
    bound = program.bind(N)
    monkeypatch.setattr(np, "log", None)
    np.testing.assert_allclose(bound(0.3)[0], N**-0.3, rtol=1e-14)


def test_the_same_program_runs_inside_a_jitted_function():
    program = trace(lambda N, D, a, b: [N**-a, jnp.where(D > 1e10, a, b) * jnp.tanh(b)], 4, 2)

    @jax.jit
    def run(N, D, a, b):
        return program.bind(N, D, library=jnp)(a[:, None], b[:, None])

    a, b = np.array([0.3, 0.4]), np.array([0.1, 0.9])
    with jax.enable_x64(True):
        on_device = run(N, D, a, b)
    for found, expected in zip(program(N, D, a[:, None], b[:, None]), on_device, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_derivatives_are_traced_as_any_function():
    def slope(x, a):
        return [jax.jvp(lambda a: x**a / (1 + jnp.log1p(a)), (a,), (1.0,))[1]]

    x, a = np.linspace(1.0, 3.0, 5), 0.7
    with jax.enable_x64(True):
        expected = jax.vmap(jax.grad(lambda a, x: x**a / (1 + jnp.log1p(a))), (None, 0))(a, x)
    np.testing.assert_allclose(trace(slope, 2, 1)(x, a)[0], expected, rtol=1e-14)


@pytest.mark.parametrize("name", ["log2", "tanh", "arcsin", "arccos", "arctanh", "arcsinh"])
def test_a_function_and_its_derivative_call_no_operation_of_jaxs(name, monkeypatch):
    def both(x):
        return jax.jvp(getattr(jnp, name), (x,), (1.0,))

    x = np.linspace(0.1, 0.9, 5)
    with jax.enable_x64(True):
        expected = jax.vmap(both)(x)
    program = trace(both, 1, 1)
    monkeypatch.setattr("scalefit.tracing.operations.on_device", None)
    np.testing.assert_allclose(program(x), expected, rtol=1e-14)


# Functions that are no formula of one row


def summed(x, a):
    return [a * x - jnp.mean(x)]


def looped(x, a):
    return [lax.fori_loop(0, 3, lambda _, y: y * a, x)]


def branched(x, a):
    return [lax.cond(a > 0, lambda: x * a, lambda: x - a)]


def called_back(x, a):
    kind = jax.ShapeDtypeStruct(jnp.shape(x), jnp.float64)
    root = jax.pure_callback(lambda x: np.asarray(x) ** 0.5, kind, x, vmap_method="sequential")
    return [a * root]


def stacked(x, a):
    return [jnp.sum(jnp.stack([x, a * x, x**2]), axis=0)]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (summed, lambda x, a: a * x - np.mean(x)),
        (looped, lambda x, a: x * a**3),
        (branched, lambda x, a: np.where(a > 0, x * a, x - a)),
        (called_back, lambda x, a: a * np.sqrt(x)),
        (stacked, lambda x, a: x + a * x + x**2),
    ],
)
def test_what_is_no_formula_of_one_row_is_compiled_as_it_stands(function, expected):
    program = trace(function, 2, 1)
    assert isinstance(program, Compiled)
    x, a = np.linspace(1.0, 3.0, 5), np.array([[0.5], [-0.7]])
    (found,) = program.bind(x)(a)
    np.testing.assert_allclose(found, expected(x, a), rtol=1e-14)
    np.testing.assert_allclose(
        np.broadcast_to(program.bind(x)(np.float64(0.5).reshape(1))[0], 5), expected(x, 0.5)
    )


def test_an_operation_numpy_has_no_function_for_is_jaxs_own():
    program = trace(lambda x: [lax.reduce_precision(x, 8, 23)], 1)
    assert isinstance(program, Program)
    assert program(np.array([0.1, 2.0]))[0].tolist() == [np.float32(0.1), 2.0]


@pytest.mark.parametrize("law", ["chinchilla", "precision", "kaplan", "coverage_beta"])
def test_a_fit_of_a_built_in_law_compiles_nothing(law):
    (row,) = (row for row in ROWS if row.law == law)
    design = row.design()
    loss = laws.find(law).evaluate(design, row.truth)
    noise = 1 + 1e-3 * np.random.default_rng(0).standard_normal(len(design))
    runs = design.assign(**{laws.find(law).response: loss * noise})
    assert compiles(lambda: sf.fit(runs, law, **row.options)) == 0


# Powers


@sf.law(source="test")
def branching(
    N,
    D,
    x,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    beta: sf.laws.Exponent,
):
    """Powers of positive and of other numbers, inside functions that JAX traces on their own."""
    ratio = jnp.where(x > 0, (D / N) ** -beta, x**2)
    return E + A * (1.0 + N / 1e9) ** -alpha + jnp.abs(x) ** alpha + ratio + (x - 3.0) ** 2


CASES = {
    "chinchilla": (sf.laws.find("chinchilla"), (N, D), (1.69, 406.4, 410.7, 0.34, 0.28), 0),
    # abs(x) may be zero: its power stays one.
    "branching": (branching, (N, D, np.linspace(-1, 2, 7)), (1.69, 4.0, 0.34, 0.28), 1),
}


@pytest.mark.parametrize("case", CASES)
def test_powers_of_positive_numbers_are_exponentials_of_the_same_value(case):
    law, columns, params, left = CASES[case]
    positive = [name in "ND" for name in law.columns] + [False] * len(params)

    def one(*given):
        return plain(law)(*given)[0]

    quick = rewritten(one, positive)

    def powers(function):
        return str(jax.make_jaxpr(function)(*columns, *params)).count(" pow ")

    with jax.enable_x64(True):
        np.testing.assert_allclose(quick(*columns, *params), one(*columns, *params), rtol=1e-14)

        def along(function):
            return jax.jacfwd(lambda alpha: function(*columns, *params[:-2], alpha, params[-1]))

        alpha = jnp.asarray(params[-2])
        np.testing.assert_allclose(along(quick)(alpha), along(one)(alpha), rtol=1e-12)
        assert powers(one) > left
        assert powers(quick) == left
