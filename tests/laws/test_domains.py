"""Values that data columns can have: declared by every law, held in fit, predict and allocate."""

from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest
from catalogue import ROWS

import scalefit as sf
from scalefit import laws
from scalefit.laws import Domain, Relation

NAMED = [pytest.param(row, id=row.law) for row in ROWS]
COLUMNS = [
    pytest.param(law, name, id=f"{law.name}-{name}")
    for law in laws.BUILTIN.values()
    for name in law.columns
]


def outside(domain):
    """Values just outside a domain, and far."""
    lower, upper = domain.lower, domain.upper
    assert np.isfinite(lower)
    found = [-1.0] + ([0.0] if domain.above else [np.nextafter(lower, -1.0)])
    if np.isfinite(upper):
        found += [upper if domain.below else np.nextafter(upper, 2.0), 30.0]
    return found


@pytest.mark.parametrize(("law", "name"), COLUMNS)
def test_every_column_has_a_domain(law, name):
    domain = law.domains[name]
    for value in outside(domain):
        with pytest.raises(sf.errors.DataError, match=law.name) as error:
            law.check({name: value})
        assert error.value.column == name
        assert domain.rule(name) in str(error.value)
    inside = 0.5 if np.isfinite(domain.upper) else max(domain.lower, 1.0)
    law.check({name: np.array([inside, np.nan])})


@pytest.mark.parametrize("row", NAMED)
def test_designs_of_the_papers_are_inside(row):
    law, design = laws.find(row.law), row.design()
    law.check({name: design[name] for name in law.columns})


# A law, a column, a value that gave some number and no warning, and the rule.
ODD = [
    ("moe_sparsity", "sparsity", 1.5, "0 <= sparsity < 1"),
    ("weight_sparsity", "sparsity", 87.5, "0 <= sparsity < 1"),
    ("routed", "experts", 0.5, "1 <= experts"),
    ("qat", "G", 0.5, "1 <= G"),
    ("quartet", "forward", 4.0, "0 <= forward <= 1"),
    ("data_mixture", "share1", 30.0, "0 <= share1 <= 1"),
    ("parscale", "streams", 0.0, "1 <= streams"),
    ("float_quantized", "mantissa_bits", -0.25, "0 <= mantissa_bits"),
    ("coverage_beta", "samples", 0.5, "1 <= samples"),
    ("repeated_tokens", "U", -1e9, "0 < U"),
    ("compressed", "gmse", 1.0, "0 < gmse < 1"),
]


@pytest.mark.parametrize(("name", "column", "value", "rule"), ODD)
def test_a_table_with_an_impossible_value_is_refused_and_the_remedy_works(
    name, column, value, rule
):
    (row,) = (row for row in ROWS if row.law == name)
    law, design = laws.find(name), row.design()
    response = law.evaluate(design, row.truth)
    runs = design.assign(**{law.response: response}).astype({column: float})
    runs.index = [f"run{i}" for i in range(len(runs))]
    runs.loc["run3", column] = value
    with pytest.raises(sf.errors.DataError) as error:
        sf.fit(runs, law)
    assert error.value.column == column and error.value.rows == ("run3",)
    assert f"{column} = {value:g} in row run3" in str(error.value)
    assert f"keep='{rule}'" in error.value.remedy
    kept = sf.LossTable.from_frame(runs, keep=rule)
    assert len(kept) == len(runs) - 1
    law.check({item: kept.column(item) for item in law.columns})


def test_predictions_are_refused_outside():
    fit = sf.published("moe_sparsity", "abnar")
    at = {"N": 1e9, "D": 2e10}
    assert np.isfinite(fit.predict(**at, sparsity=[0.0, 0.9])).all()
    with pytest.raises(
        sf.errors.DataError, match=r"sparsity = 1\.5 is outside .*: 0 <= sparsity < 1\. "
    ):
        fit.predict(**at, sparsity=[0.5, 1.5])
    with pytest.raises(sf.errors.DataError, match="in row b "):
        fit.predict(pd.DataFrame(at | {"sparsity": [0.0, 90.0], "loss": 3.0}, index=["a", "b"]))
    with pytest.raises(sf.errors.DataError, match="N = -1e"):
        fit.predict(N=-1e9, D=2e10, sparsity=0.5)
    # No loss is unlimited data's, and one of them is none.
    assert fit.predict(N=1e9, D=np.inf, sparsity=0.5) < fit.predict(N=1e9, D=1e13, sparsity=0.5)
    with pytest.raises(
        sf.errors.ArgumentError, match=r"N=nan is not a number\. Pass raw numbers, as N=1e"
    ):
        fit.predict(N=np.nan, D=2e10, sparsity=0.5)


@pytest.mark.parametrize(
    "options",
    [
        {"fixed": {"sparsity": 1.0}},
        {"fixed": {"sparsity": [0.5, 90.0]}},
        {"free": {"sparsity": (0.0, 1.0)}},
        {"free": {"sparsity": [0.0, 0.5, 1.0]}},
    ],
)
def test_budgets_are_not_split_outside(options):
    fit = sf.published("moe_sparsity", "abnar")
    with pytest.raises(sf.errors.DataError, match="outside what 'moe_sparsity' describes"):
        sf.allocate(fit, 1e21, **options)
    if "fixed" in options:
        for verb in (sf.near_optimal, sf.allocation.optimum_function):
            given = (fit, "N", 1e21) if verb is sf.allocation.optimum_function else (fit, 1e21)
            with pytest.raises(sf.errors.DataError, match="outside what 'moe_sparsity' describes"):
                verb(*given, **options)
        with pytest.raises(sf.errors.DataError, match="outside what 'moe_sparsity' describes"):
            sf.deadweight(fit, N=1e9, D=1e10, **options)


def test_shares_are_parts_of_one_whole():
    fit = sf.fit(_mixtures(), "data_mixture")
    with pytest.raises(
        sf.errors.DataError, match=r"share1 = 0\.7, share2 = 0\.5 is outside .* <= 1\. "
    ):
        fit.predict(share1=0.7, share2=[0.2, 0.5])
    # What shares are rounded by when they are printed is allowed.
    assert np.isfinite(fit.predict(share1=0.667, share2=0.334))
    runs = _mixtures()
    row = runs.index[runs["share1"] == 0.5][0]
    runs.loc[row, "share2"] = 0.7
    with pytest.raises(sf.errors.DataError, match=f"in row {row} .*keep='share1 [+] share2 <= 1'"):
        sf.fit(runs, "data_mixture")
    assert sf.fit(runs, "data_mixture", keep="share1 + share2 <= 1").nobs == len(runs) - 1


def test_a_mixture_of_any_domains_keeps_to_them():
    law = laws.mixture_of("web-data", "code")
    columns = {"web-data": np.array([0.5, 0.8]), "code": np.array([0.5, 0.4])}
    with pytest.raises(sf.errors.DataError, match=r"`web-data` \+ code <= 1"):
        law.check(columns)
    with pytest.raises(sf.errors.DataError, match="0 <= code <= 1"):
        law.check({"code": 40.0})
    laws.mixture_of("web").check({"web": 1.0})


def _mixtures():
    (row,) = (row for row in ROWS if row.law == "data_mixture")
    return sf.simulate(row.design(), "data_mixture", row.truth, noise=0.001)


def test_designs_are_simulated_inside():
    design = pd.DataFrame({"N": [1e8, 1e9], "experts": [8, 0]}, index=["a", "b"])
    (row,) = (row for row in ROWS if row.law == "routed")
    with pytest.raises(sf.errors.DataError, match="experts = 0 in row b "):
        sf.simulate(design, "routed", row.truth)


def test_a_law_of_ones_own_declares_domains_and_relations():
    cooled = Relation("decay <= D", ("decay", "D"), lambda decay, D: decay <= D)

    @sf.law(source="a test", relations=[cooled])
    def mine(
        D: laws.Positive,
        decay: Annotated[Any, Domain(0.0, 1e12)],
        *,
        E: sf.laws.Offset,
        B: sf.laws.Amplitude,
        beta: sf.laws.Exponent,
    ):
        """L = E + B (D - 0.5 decay)^-beta"""
        return E + B * (D - 0.5 * decay) ** -beta

    assert mine.domains["decay"] == Domain(0.0, 1e12)
    assert mine.domains["D"].rule("D") == "0 < D"
    mine.check({"D": 1e9, "decay": 1e9})
    with pytest.raises(
        sf.errors.DataError, match=r"decay = 2e\+09, D = 1e\+09 is outside what 'mine'"
    ):
        mine.check({"D": 1e9, "decay": [1e8, 2e9]})
    with pytest.raises(sf.errors.LawError, match="the relation 'a <= b' reads a, b"):
        sf.law(source="a test", relations=[Relation("a <= b", ("a", "b"), np.less_equal)])(
            mine.function
        )
