"""Laws as people write them: what works is read, what does not is refused with its line."""

import functools
import inspect
import linecache
import re
from typing import Annotated, Any

import numpy as np
import pytest

import scalefit as sf
from scalefit.laws import Domain, Relation, chinchilla_n, scale_of
from scalefit.laws.base import OPTIONS

HEAD = """
import itertools, math, random
import jax, jax.numpy as jnp, numpy as np
import scalefit as sf
from math import exp as e_to
count = itertools.count()
def helper(n, a):
    if a > 0.3:
        return n**-a
    return n ** (-2 * a)
@sf.law(source="a test")
def mine(N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, a: sf.laws.Exponent):
    "E + A N^-a"
"""


@pytest.fixture(scope="module")
def runs() -> Any:
    return sf.simulate(sf.simulation.isoflop_design(points=4), noise=0.002)


@pytest.fixture
def written(tmp_path: Any) -> Any:
    """A law whose body is in a file, as people have it."""

    def make(body: str, name: str = "mine.py", head: str = HEAD) -> sf.Law:
        path = tmp_path / name
        path.write_text(head + "".join(f"    {line}\n" for line in body.splitlines()))
        names: dict[str, Any] = {}
        exec(compile(path.read_text(), str(path), "exec"), names)
        found: sf.Law = names["mine"]
        return found

    return make


# Spelt with numpy and with scipy.special

NUMPY = [
    ("E + A * np.exp(-a * np.log(N))", "E + A * jnp.exp(-a * jnp.log(N))"),
    ("E + A * np.power(N, -a)", "E + A * jnp.power(N, -a)"),
    (
        "E + A * np.where(N > 1e8, N**-a, 1e8**-a * np.sqrt(1e8 / N) ** a)",
        "E + A * jnp.where(N > 1e8, N**-a, 1e8**-a * jnp.sqrt(1e8 / N) ** a)",
    ),
    (
        "np.float64(2) * E + np.maximum(N, 1e7) ** -a * A + abs(np.clip(a, 0, 1) - a)",
        "np.float64(2) * E + jnp.maximum(N, 1e7) ** -a * A + abs(jnp.clip(a, 0, 1) - a)",
    ),
    (
        "E + A * N**-a * special.expit(a)",
        "E + A * N**-a * jax.scipy.special.expit(a)",
    ),
    (
        "E + A * special.gammaln(2 + a) * N**-a",
        "E + A * jax.scipy.special.gammaln(2 + a) * N**-a",
    ),
    (
        "sf.laws.chinchilla_n(N, E=E, A=np.exp(0 * a) * A, alpha=a)",
        "E + jnp.exp(0 * a) * A * N**-a",
    ),
]


@pytest.mark.parametrize(("own", "jaxs"), NUMPY)
def test_a_law_of_numpy_is_fitted_as_its_spelling_in_jax(
    runs: Any, written: Any, own: str, jaxs: str
) -> None:
    lines = "from scipy import special\nreturn "
    law, other = written(lines + own, "own.py"), written(lines + jaxs, "jaxs.py")
    found, expected = sf.fit(runs, law), sf.fit(runs, other)
    # The formula is the same to the last digit; a fit promises fewer.
    np.testing.assert_array_equal(
        law.evaluate(runs, expected.params), other.evaluate(runs, expected.params)
    )
    assert dict(found.params) == pytest.approx(dict(expected.params), rel=1e-9)
    assert found.objective_value == pytest.approx(expected.objective_value, rel=1e-9)


def test_a_law_of_numpy_is_asked_everything(runs: Any, written: Any) -> None:
    body = "return E + A * np.exp(-a * np.log(N)) + A * np.exp(-a * np.log(D / 20))"
    plain = "return E + A * N**-a + A * (D / 20) ** -a"
    found, expected = (
        sf.fit(runs, written(item, f"{i}.py")) for i, item in enumerate((body, plain))
    )
    assert sf.allocate(found, 1e22).N == pytest.approx(sf.allocate(expected, 1e22).N, rel=1e-9)
    one, two = (sf.covariance(item, runs).standard_errors for item in (found, expected))
    np.testing.assert_allclose(one, two, rtol=1e-6)


# What is refused, with what to write

REWRITTEN = [
    ("", "return E + A * math.exp(-a * math.log(N))", "return E + A * jnp.exp(-a * jnp.log(N))"),
    ("", "return E + A * e_to(-a * 3) * N**-a", "return E + A * jnp.exp(-a * 3) * N ** (-a)"),
    (
        "",
        "return E + A * N**-a / math.log(N, 2)",
        "return E + A * N ** (-a) / (jnp.log(N) / jnp.log(2))",
    ),
    (
        "",
        "return E + A * math.lgamma(a) * N**-a",
        "from jax.scipy import special\nreturn E + A * special.gammaln(a) * N ** (-a)",
    ),
    (
        "",
        "return E + jnp.abs(a) * A * np.exp(-a * np.log(N))",
        "return E + jnp.abs(a) * A * jnp.exp(-a * jnp.log(N))",
    ),
    ("", "return E + A * N ** -float(a)", "return E + A * N ** (-a)"),
    ("", "return E + A * N ** -np.float64(a)", "return E + A * N ** (-a)"),
    ("", "return E + A * N**-a * int(a + 1)", "return E + A * N ** (-a) * jnp.trunc(a + 1)"),
    (
        "",
        "return E + A * np.array([N**-a, D**-a]).sum(axis=0)",
        "return E + A * jnp.array([N ** (-a), D ** (-a)]).sum(axis=0)",
    ),
    ("", "return E + A * max(N, D) ** -a", "return E + A * jnp.maximum(N, D) ** (-a)"),
    (
        "",
        "return E + A * min(N, D, 1e9) ** -a",
        "return E + A * jnp.minimum(jnp.minimum(N, D), 1000000000.0) ** (-a)",
    ),
    (
        "",
        "return E + A * (N**-a if a > 0.3 and N > 1e7 else D**-a if a > 0.2 else 1.0)",
        "return E + A * jnp.where((a > 0.3) & (N > 10000000.0), N ** (-a), "
        "jnp.where(a > 0.2, D ** (-a), 1.0))",
    ),
    (
        "",
        "return E + A * np.exp(-a * np.log(N)) if a > 0.3 else E + A * N**-a",
        "return jnp.where(a > 0.3, E + A * jnp.exp(-a * jnp.log(N)), E + A * N ** (-a))",
    ),
    (
        "",
        "if 0.1 < a < 0.3:\n    return E + A * N**-a\nreturn E + A * D**-a",
        "return jnp.where((0.1 < a) & (a < 0.3), E + A * N ** (-a), E + A * D ** (-a))",
    ),
    (
        "",
        "if a > 2:\n    return E\nelif not a > 0.3:\n    return E + A * D**-a\n"
        "else:\n    return E + A * N**-a",
        "return jnp.where(a > 2, E, jnp.where(~(a > 0.3), E + A * D ** (-a), E + A * N ** (-a)))",
    ),
    ("x = N\n", "if a > 0.3:\n    x = D", "x = jnp.where(a > 0.3, D, x)"),
    ("x = N\n", "if a > 0.3:\n    x *= D", "x = jnp.where(a > 0.3, x * D, x)"),
    ("", "if a > 0.3:\n    x = D\nelse:\n    x = N", "x = jnp.where(a > 0.3, D, N)"),
    ("", "x = 1 + N * ((a > 0.3) or (N > 5))", "x = 1 + N * ((a > 0.3) | (N > 5))"),
]


@pytest.mark.parametrize(("before", "line", "code"), REWRITTEN)
def test_what_asks_for_a_value_is_shown_and_rewritten(
    runs: Any, written: Any, before: str, line: str, code: str
) -> None:
    after = "" if "return" in line else "\nreturn E + A * x**-a"
    law = written(before + line + after)
    with pytest.raises(sf.errors.LawError) as caught:
        sf.fit(runs, law)
    message = str(caught.value)
    number = len((HEAD + before).splitlines())
    assert f"law 'mine': File \"{law.function.__code__.co_filename}\", line " in message
    assert re.search(rf"line {number + 1}:\n    {re.escape(line.splitlines()[0])}", message)
    said = message.partition(":\n    ")[2].partition(":\n    ")[2]
    assert said.replace("\n    ", "\n") == code
    # What is to be written is a law.
    assert written(before + code + after, "again.py").traced


REFUSED = [
    ("while a > 0.3:\n    N = N / 2\nreturn E + A * N**-a", "while a > 0.3:", "a fixed number of"),
    ("assert a > 0\nreturn E + A * N**-a", "assert a > 0", "Bounds(lower, upper)"),
    ("if a < 0:\n    raise ValueError('no')\nreturn E", "if a < 0:", "Bounds(lower, upper)"),
    ("raise ValueError('my own')", "raise ValueError('my own')", "raises ValueError: my own"),
    ("return E + B * N**-a", "return E + B * N**-a", "raises NameError: name 'B' is not defined"),
    ("return E + A * N.values**-a", "return E + A * N.values**-a", "raises AttributeError"),
    ("return E + A * helper(N, a)", "if a > 0.3:", "jnp.where(a > 0.3, n ** (-a), n **"),
    ("if a > 0.3:\n    x, y = N, D\nelse:\n    x, y = D, N\nreturn E", "if a > 0.3:", "jnp.where("),
    ("return E + A * (a in [0.3])", "return E + A * (a in [0.3])", "jnp.where("),
    (
        "import scipy.special\nreturn E + scipy.special.lambertw(A * N**-a)",
        "return E + scipy.special.lambertw(A * N**-a)",
        "scipy.special.lambertw() has no counterpart",
    ),
    (
        "return E + A * np.add.reduce([N**-a, N**-a])",
        "return E + A * np.add.reduce([N**-a, N**-a])",
        "Write it with functions of jax.numpy",
    ),
    ("E + A * N**-a", "def mine(N, D, *, E: sf", "returns nothing. End it with return"),
    ("return E, A * N**-a", "return E, A * N**-a", "returns a tuple"),
    ("return [E + A * N**-a]", "return [E + A * N**-a]", "returns a list"),
    ("return 'loss'", "return 'loss'", "returns a str"),
    ("return {'loss': E}", "return {'loss': E}", "returns a dict"),
    ("return E + A * N**-a > 2", "return E + A * N**-a > 2", "returns bool values"),
    ("return E + 1j * N**-a", "return E + 1j * N**-a", "returns complex128 values"),
    ("return (E + A * N**-a)[:2]", "return (E + A * N**-a)[:2]", "shape (2,) for 3 rows"),
    ("return E + A * N**-a + next(count)", "return E + A * N**-a + next(count)", "another formula"),
    ("return E + random.random() * N**-a", "return E + random.random() * N**-a", "another formula"),
    (
        "return E + A * np.random.normal(size=np.shape(N)) ** 2",
        "return E + A * np.random.normal(size=np.shape(N)) ** 2",
        "gives another formula each time it is called",
    ),
    *(
        (f"return E + A * {term}", f"return E + A * {term}", "when the other rows change")
        for term in (
            "(N / N.mean()) ** -a",
            "(N / np.mean(N)) ** -a",
            "jnp.sort(N) ** -a",
            "jnp.cumsum(N) ** -a",
            "(N / N[0]) ** -a",
            "(N**-a).sum()",
            "N**-a / N.size",
            "jnp.arange(1.0, N.size + 1) ** -a",
            "jax.random.uniform(jax.random.key(0), N.shape) ** a",
        )
    ),
    ("return E + A * N**-a / len(N)", "return E + A * N**-a / len(N)", "for a single row"),
    (
        "return E + A * jax.lax.cond(N > 1, lambda: N**-a, lambda: 1 + a)",
        "return E + A * jax.lax.cond(N > 1, lambda: N**-a, lambda: 1 + a)",
        "raises TypeError: Pred must be a scalar",
    ),
    ("return E + A * N**-a + np.nan", "return E + A * N**-a + np.nan", "is nan at ordinary values"),
    ("return E + A * N ** (200 * a)", "return E + A * N ** (200 * a)", "is inf at ordinary values"),
]


@pytest.mark.parametrize(("body", "line", "said"), REFUSED, ids=[item[0] for item in REFUSED])
def test_what_is_no_law_is_refused_with_its_line(
    runs: Any, written: Any, body: str, line: str, said: str
) -> None:
    law = written(body)
    with pytest.raises(sf.errors.LawError) as caught:
        sf.fit(runs, law)
    message = str(caught.value)
    assert message.startswith(f"law 'mine': File \"{law.function.__code__.co_filename}\", line ")
    assert f":\n    {line}" in message
    assert said in message


def test_every_use_of_a_law_says_the_same(runs: Any, written: Any) -> None:
    law = written("return E + A * N**-a if a > 0.3 else E")
    params = {"E": 1.0, "A": 2.0, "a": 0.3}
    messages = set()
    for use in (
        lambda: sf.fit(runs, law),
        lambda: sf.simulate(sf.simulation.isoflop_design(), law, params),
        lambda: law.evaluate({"N": [1e9], "D": [1e9]}, params),
        lambda: law.traced,
    ):
        with pytest.raises(sf.errors.LawError) as caught:
            use()
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_rows_that_depend_on_each_other_are_no_simulation(written: Any) -> None:
    law = written("return E + A * (N / N.mean()) ** -a")
    with pytest.raises(sf.errors.LawError, match="when the other rows change"):
        sf.simulate(sf.simulation.isoflop_design(), law, {"E": 1.0, "A": 2.0, "a": 0.3})


def test_code_without_a_source_is_refused_without_its_text(runs: Any) -> None:
    names: dict[str, Any] = {}
    exec(HEAD + "    return E + A * N**-a if a > 0.3 else E", names)
    with pytest.raises(sf.errors.LawError) as caught:
        sf.fit(runs, names["mine"])
    number = len(HEAD.splitlines()) + 1
    assert str(caught.value).startswith(
        f"law 'mine': File \"<string>\", line {number}: an if, and,"
    )


def test_a_cell_of_a_notebook_has_a_source(runs: Any) -> None:
    cell, name = HEAD + "    return E + A * N ** -float(a)\n", "<ipython-input-7>"
    # As IPython keeps them: no file, and never out of date.
    linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
    names: dict[str, Any] = {}
    exec(compile(cell, name, "exec"), names)
    with pytest.raises(
        sf.errors.LawError, match=r"return E \+ A \* N \*\* -float\(a\)\n.*Write:\n"
    ):
        sf.fit(runs, names["mine"])


def test_a_loop_and_a_choice_of_jax_are_laws(written: Any) -> None:
    N, D = np.array([1e8, 3e9]), np.array([1e10, 2e10])
    for body, expected in {
        "return E + A * jax.lax.fori_loop(0, 2, lambda i, x: x * 0.5, N) ** -a": (N / 4) ** -0.4,
        "return E + A * np.stack([N**-a, D**-a]).sum(axis=0)": N**-0.4 + D**-0.4,
        "return E + A * jax.lax.cond(a > 0.3, lambda: N**-a, lambda: N**-0.3)": N**-0.4,
    }.items():
        found = written(body).evaluate({"N": N, "D": D}, {"E": 0.0, "A": 1.0, "a": 0.4})
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_law_is_read_once(runs: Any) -> None:
    calls = []

    @sf.law(source="a test")
    def mine(N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, a: sf.laws.Exponent) -> Any:
        calls.append(1)
        return E + A * N**-a

    sf.fit(runs, mine)
    first = len(calls)
    sf.fit(runs.iloc[::-1], mine)
    assert len(calls) == first


# Signatures


def refused(make: Any) -> str:
    with pytest.raises((sf.errors.LawError, sf.errors.ArgumentError)) as caught:
        make()
    return str(caught.value)


def decorated(function: Any) -> Any:
    return lambda: sf.law(source="a test")(function)


async def waiting(N: Any, *, E: sf.laws.Offset) -> Any:
    return E


def yielding(N: Any, *, E: sf.laws.Offset) -> Any:
    yield E


def defaulted(N: Any, *, E: sf.laws.Offset = 1.7) -> Any:
    return E


def mutable(N: Any, table: Any = [], *, E: sf.laws.Offset) -> Any:  # noqa: B006
    return E


def variadic(*columns: Any, E: sf.laws.Offset) -> Any:
    return E


def unstarred(N: Any, E: sf.laws.Offset, alpha: sf.laws.Exponent) -> Any:
    return E * N**-alpha


def plain_floats(N: Any, *, E: float) -> Any:
    return E


def misspelt(N: Any, *, E: "sf.Ofset") -> Any:  # type: ignore[name-defined]
    return E


def paired(N: Any, *, a: Annotated[sf.laws.Exponent, (0.1, 1.0)]) -> Any:
    return N**-a


def predicting(loss: Any, *, E: sf.laws.Offset) -> Any:
    return E * loss


def optional(seed: Any, *, E: sf.laws.Offset) -> Any:
    return E * seed


class Holder:
    def method(self, N: Any, *, E: sf.laws.Offset) -> Any:
        return E


def good(N: Any, *, E: sf.laws.Offset) -> Any:
    return E


SIGNATURES = [
    (decorated(waiting), "is an async function"),
    (decorated(yielding), "yields. Return the predicted value"),
    (decorated(defaulted), r"E has the default 1.7, which a fit would not use. .*fixed={...}"),
    (decorated(mutable), r"table has the default \[\], which"),
    (decorated(variadic), "is variadic"),
    (decorated(unstarred), r"E is annotated as a parameter \(offset\), but stands among the col"),
    (decorated(plain_floats), "parameter 'E' has no kind. Annotate it with one of Offset"),
    (decorated(misspelt), "an annotation cannot be resolved .*Ofset"),
    (decorated(paired), r"annotated with \(0.1, 1.0\), .*Write Bounds\(lower, upper\)"),
    (decorated(predicting), "predicts 'loss', which is one of its columns"),
    (decorated(optional), "the column 'seed' has the name of an option of fit"),
    (decorated(Holder.method), "is a method: 'self' would be a column"),
    (decorated(functools.partial(good)), r"functools.partial.* is not a plain function"),
    (decorated(Holder), "is not a plain function"),
    (decorated(lambda N, *, E: E), "parameter 'E' has no kind"),
    (decorated(None), "None is not a plain function"),
    (decorated(dict.fromkeys), "has the default None"),
    (
        lambda: sf.law(source=""),
        r"source='' is not text that says something. Write @scalefit.law\(source=",
    ),
    (lambda: sf.law("mine"), r"source by keyword. Write @scalefit.law\(source='mine'\)"),
    (lambda: sf.law(3), "3 is not a plain function"),
    (lambda: sf.law(source=3), "source=3 is not text"),
    (lambda: sf.law(source="x", response=None), "response=None is not text"),
    (lambda: sf.law(source="x", relations=["a < b"]), r"relations\[0\]='a < b' is not a Relation"),
    (lambda: sf.laws.Bounds("a", 1), "Bounds.lower='a' is not a number"),
    (lambda: sf.laws.Bounds(0, float("nan")), "Bounds.upper=nan is not a number"),
    (lambda: Domain("0"), "Domain.lower='0' is not a number"),
    (lambda: scale_of(None), "column=None is not text"),
    (lambda: sf.laws.By(3), r"By.columns\[0\]=3 is not text"),
    (lambda: sf.laws.By(), "By.columns='' is not text"),
]


@pytest.mark.parametrize(("make", "said"), SIGNATURES, ids=[item[1] for item in SIGNATURES])
def test_signatures_of_no_law_are_refused(make: Any, said: str) -> None:
    assert re.search(said, refused(make))


def test_a_bare_decorator_makes_a_law(runs: Any) -> None:
    @sf.law
    def mine(N: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, a: sf.laws.Exponent) -> Any:
        """E + A N^-a"""
        return E + A * np.exp(-a * np.log(N))

    assert sf.fit(runs, mine).objective_value == pytest.approx(
        sf.fit(runs, "chinchilla_n").objective_value, rel=1e-9
    )
    assert mine.source.endswith("test_a_bare_decorator_makes_a_law.<locals>.mine")
    assert sf.law()(good).source.endswith("good")


def test_a_kind_that_stands_alone_is_a_kind() -> None:
    @sf.law(source="a test")
    def mine(N: Domain(0.0), *, E: sf.laws.Offset, s: scale_of("N")) -> Any:  # type: ignore[valid-type]
        return E + s / N

    assert mine.params[1].kind.name == "scale"
    assert mine.domains["N"].lower == 0.0


def test_a_law_within_a_law_is_a_law(runs: Any) -> None:
    @sf.law(source="a test")
    def mine(
        N: Any, D: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, a: sf.laws.Exponent
    ) -> Any:
        return chinchilla_n(N, E=E, A=A, alpha=a)

    assert sf.fit(runs, mine).objective_value == pytest.approx(
        sf.fit(runs, "chinchilla_n").objective_value, rel=1e-9
    )


def test_a_column_of_an_options_name_has_another_in_the_law(runs: Any) -> None:
    named = inspect.signature(sf.fit).parameters
    assert set(named) - {"columns"} == OPTIONS

    @sf.law(source="a test")
    def mine(seed_: Any, *, E: sf.laws.Offset, A: sf.laws.Amplitude, a: sf.laws.Exponent) -> Any:
        return E + A * seed_**-a

    assert sf.fit(runs.rename(columns={"D": "seed"}), mine, seed_="seed").nobs == len(runs)


def test_relations_hold_their_own() -> None:
    with pytest.raises(sf.errors.LawError, match="reads N, U, but its columns are N"):
        sf.law(source="x", relations=[Relation("N <= U")])(good)
