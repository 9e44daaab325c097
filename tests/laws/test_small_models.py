"""Laws on tables of models of a thousand to a million parameters, where some overflow in places."""

from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from catalogue import ROWS, crossed
from remedies import option

import scalefit as sf
from scalefit import laws
from scalefit.problem import probe
from scalefit.problem.separability import structure

FARSEER = laws.find("farseer")

# What byte-level models of a few thousand parameters have: geometric mean and most decades.
SMALL = {
    **{"N": (3e4, 3), "D": (3e6, 3), "U": (3e6, 3), "C": (1e12, 4), "x": (3e4, 3), "z": (3e6, 3)},
    **{"X": (3e4, 3), "S": (1e3, 2), "vocab_params": (3e3, 3), "pool": (1e5, 2), "batch": (1e3, 2)},
}

# About what Farseer finds of byte-level models of 2,600 to 2e5 parameters.
TRUTH = {
    **{"E": 0.28, "B": 0.047, "beta": 0.006, "e": -0.15, "b": -0.66, "c": -0.75},
    **{"p": 0.004, "q": -0.02, "r": 0.12},
}
DESIGN = crossed(N=np.geomspace(2600, 1e6, 6), D=np.geomspace(2e5, 1e8, 6))


def law(function: Any) -> sf.Law:
    return sf.law(source="a test")(function)


def shrunk(values: pd.Series, middle: float, decades: float) -> pd.Series:
    """The same order of values around another middle."""
    logs = np.log10(values)
    centred = logs - (logs.min() + logs.max()) / 2
    return middle * 10.0 ** (centred * min(1.0, decades / max(np.ptp(logs), 1e-9)))


@pytest.mark.slow
@pytest.mark.parametrize("row", [pytest.param(row, id=row.law) for row in ROWS])
def test_every_law_is_read_on_small_models_as_on_large_ones(row: Any) -> None:
    law, design = laws.find(row.law), row.design()
    small = design.copy()
    for name in {*SMALL} & {*law.columns}:
        small[name] = shrunk(design[name], *SMALL[name])
    found = [
        structure(law, {name: table[name].to_numpy(float) for name in law.columns})
        for table in (design, small)
    ]
    assert found[0] == found[1]


SCALES = {
    "thousands": ((1e3, 1e6), (1e5, 1e8)),
    "hundreds": ((1e2, 1e4), (1e4, 1e6)),
    "units": ((1, 10), (10, 100)),
    "trillions": ((1e11, 1e13), (1e12, 1e14)),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("rows", [3, 30])
def test_a_law_that_overflows_in_places_has_one_structure(scale: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    ends = dict(zip("ND", SCALES[scale], strict=True))
    columns = {name: 10 ** rng.uniform(*np.log10(pair), rows) for name, pair in ends.items()}
    found = structure(FARSEER, columns)
    assert found.linear == ("E", "B")
    assert found.depends_on == (("e", "p"), ("beta", "b", "c", "q", "r"))
    assert found.remainder is None


def test_a_term_that_underflows_is_no_other_law() -> None:
    """Where four values were finite, terms of 1e-310 were no multiples of their coefficient."""
    for seed in (9, 14):
        rng = np.random.default_rng(seed)
        low, high, least, most = (1e2, 1e4, 1e4, 1e6) if seed == 9 else (1, 10, 10, 100)
        columns = {
            "N": np.exp(rng.uniform(np.log(low), np.log(high), 2000)),
            "D": np.exp(rng.uniform(np.log(least), np.log(most), 2000)),
        }
        assert structure(FARSEER, columns).linear == ("E", "B")


def test_farseer_is_recovered_from_small_models() -> None:
    runs = sf.simulate(DESIGN, FARSEER, TRUTH, noise=0.0)
    assert runs["loss"].between(0.9, 2.5).all()
    fit = sf.fit(runs, FARSEER)
    np.testing.assert_allclose(fit.predict(runs), runs["loss"], rtol=1e-6)


@law
def rising(
    N: Any,
    *,
    E: laws.Offset,
    A: laws.Amplitude,
    k: Annotated[laws.Coefficient, laws.Bounds(0.001, 50.0)],
) -> Any:
    return E + A * jnp.exp(k * N)


SIZES = np.linspace(1, 300, 40)
CURVE = pd.DataFrame({"N": SIZES, "loss": 1.5 + 0.008 * np.exp(0.02 * SIZES)})


def test_a_law_that_overflows_nearly_everywhere_is_refused_with_bounds_that_do() -> None:
    with pytest.raises(sf.errors.LawError, match="is inf at ordinary values") as caught:
        sf.fit(CURVE, rising)
    bounds = option(str(caught.value), "bounds")
    assert sf.fit(CURVE, rising, bounds=bounds).params["k"] == pytest.approx(0.02, rel=1e-6)


def test_bounds_of_the_call_say_where_a_law_is_examined() -> None:
    for pair in [(0.01, 0.1), (-0.1, 0.1)]:
        fit = sf.fit(CURVE, rising, bounds={"k": pair})
        assert fit.params["k"] == pytest.approx(0.02, rel=1e-6)
    several = CURVE.rename(columns={"loss": "loss_a"}).assign(loss_b=2 * CURVE["loss"])
    options = {"bounds": {"k": (0.01, 0.1)}}
    fit = sf.fit(several, rising, responses=["loss_a", "loss_b"], **options)
    assert fit.params["k"] == pytest.approx(0.02, rel=1e-6)
    table = CURVE.assign(corpus=np.arange(len(CURVE)) % 2)
    found = sf.compare(table, {"rising": {"law": rising, **options}}, groups="corpus")
    assert len(found.to_frame()) == 3


def test_bounds_that_a_search_refuses_are_refused_by_name() -> None:
    for pair in [(-2.0, -1.0), (0.0, 0.1), (6.0, np.inf)]:
        with pytest.raises(sf.errors.ArgumentError, match=r"bounds\['beta'\]"):
            sf.fit(sf.simulate(DESIGN, FARSEER, TRUTH, noise=0.0), FARSEER, bounds={"beta": pair})


def test_a_law_of_the_catalogue_is_refused_with_bounds_of_the_call(monkeypatch: Any) -> None:
    monkeypatch.setattr(probe, "LEAST_SHARE", 0.9)
    runs = sf.simulate(DESIGN.assign(N=1.01 * DESIGN["N"]), FARSEER, TRUTH, noise=0.0)
    with pytest.raises(sf.errors.LawError) as caught:
        sf.fit(runs, FARSEER)
    message = str(caught.value)
    assert ". Pass bounds={" in message
    assert "Annotated" not in message
    assert sf.fit(runs, FARSEER, bounds=option(message, "bounds")).nobs == len(runs)
