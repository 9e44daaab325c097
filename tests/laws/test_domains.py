"""Values that columns and responses can have: declared by laws, held in fit, predict, allocate."""

from dataclasses import replace
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


# What is known of the values of a response; losses, their differences and rewards have any sign.
RESPONSES = {
    "D": "0 < D",
    "accuracy": "0 <= accuracy <= 1",
    "batch": "0 < batch",
    "bleu": "0 <= bleu",
    "coverage": "0 <= coverage <= 1",
    "error": "0 <= error <= 1",
    "leverage": "0 < leverage",
    "lr": "0 < lr",
    "qat_share": "0 <= qat_share <= 1",
}


def test_responses_have_domains():
    for law in laws.BUILTIN.values():
        passes = law.name == "reward_of_compute"
        rule = "0 <= reward <= 1" if passes else RESPONSES.get(law.response)
        assert (rule in law.rules) == (law.response in law.domains) == (rule is not None), law.name
        assert all(item in str(law) for item in law.rules if item.startswith("0 <= a"))
    assert laws.data_mixture.rules == (
        "0 <= share1 <= 1",
        "0 <= share2 <= 1",
        "share1 + share2 <= 1",
    )


K = np.array([1.0, 10.0, 100.0, 1000.0])
PASSED = np.array([0.02, 0.11, 0.37, 0.68])


def test_percentages_are_refused_and_divided_as_said():
    runs = pd.DataFrame({"k": K, "pass@k": 100 * PASSED})
    with pytest.raises(sf.errors.DataError) as error:
        sf.fit(runs, "coverage_beta", samples="k", coverage="pass@k")
    said = str(error.value)
    assert "coverage = 2 in row 0 (4 such rows: 0, 1, 2, 3) is outside" in said
    assert "runs.assign(**{'pass@k': runs['pass@k'] / 100}) in place of runs" in said
    shares = eval(said[said.index("runs.assign") : said.index(" in place")], {"runs": runs})
    np.testing.assert_allclose(shares["pass@k"], PASSED, rtol=1e-15)
    fit = sf.fit(shares, "coverage_beta", samples="k", coverage="pass@k")
    with pytest.raises(sf.errors.DataError, match=r"Divide percentages by 100: runs\.assign"):
        fit.residuals(runs, samples="k", coverage="pass@k")
    # One share that is none is no column of percentages.
    with pytest.raises(sf.errors.DataError, match="leave the rows out with keep='0 <= coverage"):
        sf.fit(
            shares.assign(**{"pass@k": [0.02, 0.11, 0.37, 68]}),
            fit.law,
            samples="k",
            coverage="pass@k",
        )


def test_percentages_of_columns_are_divided_as_said():
    fit = sf.published("moe_sparsity", "abnar")
    for given, said in ((87.5, "sparsity=0.875"), ([50.0, 87.5], "sparsity=0.5")):
        with pytest.raises(sf.errors.DataError, match=f"Divide percentages by 100, as {said}$"):
            fit.predict(N=1e9, D=2e10, sparsity=given)
    assert np.isfinite(fit.predict(N=1e9, D=2e10, sparsity=0.875))
    (row,) = (row for row in ROWS if row.law == "moe_sparsity")
    runs = sf.simulate(row.design(), row.law, row.truth, noise=0.003)
    runs = runs.drop(columns="sparsity").assign(pruned=100 * runs["sparsity"])
    with pytest.raises(sf.errors.DataError, match=r"\{'pruned': runs\['pruned'\] / 100\}"):
        sf.fit(runs, row.law, sparsity="pruned")
    with pytest.raises(sf.errors.DataError, match="Check the column and its unit"):
        fit.predict(N=1e9, D=2e10, sparsity=[1.1, 1.2])
    # A share of experts of exactly one is none, whatever it is divided by.
    with pytest.raises(sf.errors.DataError, match="Check the column and its unit"):
        fit.predict(N=1e9, D=2e10, sparsity=[50.0, 100.0])


@pytest.mark.parametrize("row", NAMED)
def test_designs_of_the_papers_are_inside(row):
    law, design = laws.find(row.law), row.design()
    law.check({name: design[name] for name in law.columns})


# Errors that pass 1 far outside the runs.
UNBOUNDED = ("error_of_loss", "quality_quantity_tradeoff")


@pytest.mark.parametrize("row", NAMED)
def test_inside_its_domains_a_law_is_a_number(row):
    law, design, rng = laws.find(row.law), row.design(), np.random.default_rng(0)
    columns = {}
    for name in law.columns:
        domain, runs = law.domains[name], design[name].to_numpy(dtype=float)
        if np.isfinite(domain.upper):
            ends = [domain.lower, domain.upper]
            near = [np.nextafter(end, 0.5) for end in ends]
            values = np.concatenate([rng.uniform(*ends, 200), ends, near])
        else:
            # Four decades to either side of the runs, and the least that there can be.
            low, high = np.log([max(runs.min(), 1e-9), runs.max()]) + np.log(1e4) * np.array(
                [-1, 1]
            )
            values = np.append(
                np.maximum(np.exp(rng.uniform(low, high, 200)), domain.lower), domain.lower
            )
        columns[name] = rng.choice(values[domain.holds(values)], 300)
    for relation in law.relations:
        columns = {name: values[relation.holds(columns)] for name, values in columns.items()}
    law.check(columns)
    params = {
        param.name: next(
            value for name, value in row.truth.items() if name.partition("[")[0] == param.name
        )
        for param in law.params
    }
    found = law.evaluate(columns, params)
    assert np.isfinite(found).all()
    # An error along error_of_loss has no lower end.
    if law.response in law.domains and law.name not in UNBOUNDED:
        law.check({law.response: found})


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
    @sf.law(source="a test", relations=[Relation("decay <= D")])
    def mine(
        D: laws.Positive,
        decay: Annotated[Any, Domain(0.0, 1e12)],
        *,
        E: sf.laws.Offset,
        B: sf.laws.Amplitude,
        beta: sf.laws.Exponent,
    ) -> laws.Positive:
        """L = E + B (D - 0.5 decay)^-beta"""
        return E + B * (D - 0.5 * decay) ** -beta

    assert mine.domains["decay"] == Domain(0.0, 1e12)
    assert mine.domains["D"].rule("D") == "0 < D"
    assert mine.rules == ("0 < D", "0 <= decay <= 1e+12", "0 < loss", "decay <= D")
    mine.check({"D": 1e9, "decay": 1e9})
    with pytest.raises(
        sf.errors.DataError, match=r"decay = 2e\+09, D = 1e\+09 is outside what 'mine'"
    ):
        mine.check({"D": 1e9, "decay": [1e8, 2e9]})
    with pytest.raises(sf.errors.LawError, match="the relation 'a <= b' reads a, b"):
        sf.law(source="a test", relations=[Relation("a <= b")])(mine.function)


def test_a_relation_is_read_from_its_rule():
    mixed = Relation("2 * `web-data` - code / 4 >= -1.5 + D")
    assert mixed.columns == ("D", "web-data", "code")
    columns = {"web-data": [1.0, 1.0, np.nan], "code": [2.0, 2.0, 2.0], "D": [3.0, 3.1, 9.0]}
    # 2 - 0.5 = 1.5 against 1.5 and 1.6.
    np.testing.assert_array_equal(mixed.holds(columns), [True, False, True])
    rounded = Relation("a + b <= 1", tolerance=0.01)
    np.testing.assert_array_equal(
        rounded.holds({"a": [0.667, 0.7, np.inf], "b": [0.334, 0.4, 0.1]}), [True, False, False]
    )
    # Of two numbers that are the same but for rounding neither is larger.
    assert Relation("a <= b").holds({"a": 0.1 + 0.2, "b": 0.3})
    assert hash(rounded) == hash(Relation("a + b <= 1", tolerance=0.01)) != hash(mixed)


@pytest.mark.parametrize(
    "rule",
    [
        *("a", "a < b", "a <= b <= c", "1 <= 2", "a ** 2 <= 3", "f(a) <= 1", "a <=", "`a <= 1"),
        *("a and b <= 1", "a <= True", "a.b <= 1", "", 3),
    ],
)
def test_a_relation_that_is_no_rule_is_refused(rule):
    with pytest.raises(sf.errors.ArgumentError, match=r"Relation\.rule=") as error:
        Relation(rule)
    remedy = str(error.value)
    assert eval(remedy[remedy.rindex("Relation(") :], {"Relation": Relation}).columns == ("U", "D")


@sf.law(source="a test", relations=[Relation("decay <= D")])
def cooled(
    N: laws.Positive,
    D: laws.Positive,
    decay: laws.NotNegative,
    *,
    E: laws.Offset,
    A: laws.Amplitude,
    B: laws.Amplitude,
    alpha: laws.Exponent,
    beta: laws.Exponent,
):
    """L = E + A N^-alpha + B (D - decay / 2)^-beta"""
    return E + A * N**-alpha + B * (D - decay / 2) ** -beta


@sf.law(source="a test", relations=[Relation("web + code <= 1")])
def blended(
    N: laws.Positive,
    D: laws.Positive,
    web: laws.Share,
    code: laws.Share,
    *,
    E: laws.Offset,
    A: laws.Amplitude,
    B: laws.Amplitude,
    alpha: laws.Exponent,
    beta: laws.Exponent,
    u: laws.Coefficient,
    v: laws.Coefficient,
):
    """L = E + A N^-alpha + B D^-beta (3 - u web - v code)"""
    return E + A * N**-alpha + B * D**-beta * (3 - u * web - v * code)


@sf.law(source="a test")
def capped(
    N: Annotated[Any, Domain(0.0, 1e10)],
    D: Annotated[Any, Domain(0.0, 1e12)],
    *,
    E: laws.Offset,
    A: laws.Amplitude,
    B: laws.Amplitude,
    alpha: laws.Exponent,
    beta: laws.Exponent,
):
    """L = E + A N^-alpha + B D^-beta"""
    return E + A * N**-alpha + B * D**-beta


SURFACE = {"E": 1.7, "A": 480.0, "B": 2000.0, "alpha": 0.34, "beta": 0.37}


def surface(law, **more):
    return replace(sf.published("chinchilla", "besiroglu"), law=law, params=SURFACE | more)


def test_budgets_are_split_where_relations_hold():
    fit = surface(cooled)
    loose, tight = (sf.allocate(fit, 1e22, fixed={"decay": decay}) for decay in (1e10, 1e12))
    # Loose, it is the root of the slope; the tokens of a tight one are the decay itself.
    N = loose.N * np.array([0.99, 1.0, 1.01])
    losses = fit.predict(N=N, D=1e22 / (6 * N), decay=1e10)
    assert losses.argmin() == 1 and "at_limit" not in {note.code for note in loose.notes}
    assert tight.D == pytest.approx(1e12, rel=1e-11)
    assert tight.N == pytest.approx(1e22 / 6e12, rel=1e-11)
    assert "holds the optimum: decay <= D" in str(tight)
    assert np.isfinite(fit.predict(N=tight.N, D=tight.D, decay=1e12))
    # So it is for the least budget that reaches a loss.
    again = sf.allocate(fit, loss=tight.loss, fixed={"decay": 1e12})
    assert again.budget == pytest.approx(1e22, rel=1e-9)
    asked = sf.allocation.optimum_function(fit, "D", 1e22, fixed={"decay": 1e12})
    assert asked(SURFACE) == pytest.approx(1e12, rel=1e-11)
    np.testing.assert_allclose(asked.differentiated([*SURFACE.values()])[1], 0.0, atol=1e-3)
    with pytest.raises(sf.errors.AllocationError, match=r"buy no N and D .* under decay <= D"):
        sf.allocate(fit, 1e19, fixed={"decay": 1e21})
    with pytest.raises(sf.errors.DataError, match=r"decay = 2e\+10, D = 1e\+10 is outside"):
        sf.allocate(fit, 1e22, fixed={"decay": 2e10, "D": 1e10}, free={"N": None})


@pytest.mark.parametrize(
    ("u", "v", "most", "best"),
    [
        (1.0, 0.7, 1.0, (1.0, 0.0)),
        (1.0, 0.7, 0.6, (0.6, 0.4)),
        # Along the relation the loss hardly falls.
        (1.0, 0.99, 0.123456, (0.123456, 0.876544)),
        (0.3, 1.0, 0.8, (0.0, 1.0)),
        (-0.3, 1.0, 0.8, (0.0, 1.0)),
    ],
)
def test_shares_that_are_searched_are_parts_of_one_whole(u, v, most, best):
    fit = surface(blended, u=u, v=v)
    found = sf.allocate(fit, 1e22, free={"web": (0.0, most), "code": (0.0, 1.0)})
    assert (found["web"], found["code"]) == pytest.approx(best, abs=1e-8)
    listed = sf.allocate(fit, 1e22, free={"web": [0.0, 0.3, 0.6], "code": [0.0, 0.4, 0.7]})
    choices = [(w, c) for w in (0.0, 0.3, 0.6) for c in (0.0, 0.4, 0.7) if w + c <= 1]
    assert (listed["web"], listed["code"]) == max(choices, key=lambda at: u * at[0] + v * at[1])
    with pytest.raises(sf.errors.AllocationError, match="other values of fixed columns and choic"):
        sf.allocate(fit, 1e22, free={"web": [0.6, 0.9], "code": [0.6, 0.9]})


def test_searches_end_where_domains_do():
    found = sf.allocate(surface(capped), [1e20, 1e26])
    plain = sf.allocate(surface(laws.chinchilla), 1e20)
    assert (found.N[0], found.D[0]) == pytest.approx((plain.N, plain.D), rel=1e-9)
    assert (found.N[1], found.D[1]) == pytest.approx((1e10, 1e12), rel=1e-12)
