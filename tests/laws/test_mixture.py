"""The data-mixing law: its gauge, and any number of domains."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws.mixture import (
    additive_mixture_of,
    convex_in_shares,
    joint_mixture_of,
    mixture_of,
)

FIVE = mixture_of("web", "code", "books", "papers")
T = {"t_web": -2.0, "t_code": 0.5, "t_books": -0.7, "t_papers": 1.2}


def simplex(rows, domains, seed=0):
    """Random mixtures of so many domains, all but the last."""
    return np.random.default_rng(seed).dirichlet(np.ones(domains), rows)[:, :-1]


def test_slopes_are_those_of_the_paper_less_that_of_the_last_domain():
    shares = simplex(20, 3)
    last = 1 - shares.sum(axis=1)
    printed = 1.7 + 0.9 * np.exp(-1.1 * shares[:, 0] + 0.3 * shares[:, 1] + 0.8 * last)
    ours = {"c": 1.7, "k": 0.9 * np.exp(0.8), "t1": -1.1 - 0.8, "t2": 0.3 - 0.8}
    found = sf.laws.data_mixture.evaluate({"share1": shares[:, 0], "share2": shares[:, 1]}, ours)
    np.testing.assert_allclose(found, printed, rtol=1e-14)


def test_three_domains_are_the_built_in_law():
    law = mixture_of("web", "code")
    shares = simplex(20, 3)
    params = {"c": 1.7, "k": 0.9}
    mine = law.evaluate(
        {"web": shares[:, 0], "code": shares[:, 1]}, params | {"t_web": -1.0, "t_code": 0.4}
    )
    built_in = sf.laws.data_mixture.evaluate(
        {"share1": shares[:, 0], "share2": shares[:, 1]}, params | {"t1": -1.0, "t2": 0.4}
    )
    np.testing.assert_array_equal(mine, built_in)
    assert law.columns == ("web", "code")


@pytest.mark.parametrize("seed", range(3))
def test_five_domains_are_recovered(seed):
    truth = {"c": 1.9, "k": 1.1, **T}
    runs = pd.DataFrame(simplex(60, 5), columns=list(FIVE.columns))
    exact = FIVE.evaluate(runs, truth)
    fit = sf.fit(runs.assign(loss=exact), FIVE, seed=seed)
    for name, value in truth.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-7), name
    noise = 1 + 0.002 * np.random.default_rng(1).standard_normal(60)
    fit = sf.fit(runs.assign(loss=exact * noise), FIVE, seed=seed)
    np.testing.assert_allclose(fit.predict(runs), exact, rtol=0.004)


@pytest.mark.parametrize("domains", [(), ("web", "web")])
def test_domains_are_named_once(domains):
    with pytest.raises(sf.errors.LawError, match="name each domain but one"):
        mixture_of(*domains)


SCALED = {"E": 1.2, "K": 0.5, "A": 60.0, "B": 400.0, "alpha": 0.25, "beta": 0.28}
SHARES = {"c_b": 0.5, "c_c": 0.2, "g_a": 0.25, "g_b": 0.45, "g_c": 0.35}


def mixed_runs(rows, seed=0):
    rng = np.random.default_rng(seed)
    shares = pd.DataFrame(rng.dirichlet(np.ones(3), rows), columns=list("abc"))
    return shares.assign(N=rng.choice([2e8, 1e9, 5e9], rows), D=rng.choice([5e9, 5e10], rows))


def test_the_additive_law_is_the_papers_with_the_first_domain_divided_out():
    runs, C = mixed_runs(20), {"a": 2.0, "b": 1.0, "c": 0.4}
    sums = sum(C[name] * runs[name] ** SHARES[f"g_{name}"] for name in "abc")
    printed = 1.2 + 1 / sums + 60 * runs["N"] ** -0.25 + 400 * runs["D"] ** -0.28
    law = additive_mixture_of("a", "b", "c")
    np.testing.assert_allclose(law.evaluate(runs, SCALED | SHARES), printed, rtol=1e-14)
    built_in = sf.laws.additive_mixture
    named = dict(zip(built_in.names, (SCALED | SHARES).values(), strict=True))
    renamed = runs.rename(columns={"a": "share1", "b": "share2", "c": "share3"})
    np.testing.assert_allclose(built_in.evaluate(renamed, named), printed, rtol=1e-14)


def test_a_domain_without_a_share_adds_nothing():
    law = additive_mixture_of("a", "b", "c")
    at = {"N": 1e9, "D": 1e10, "a": 0.4, "b": 0.6, "c": 0.0}
    without = {name: SHARES[name] for name in ("c_b", "g_a", "g_b")}
    two = additive_mixture_of("a", "b").evaluate(at, SCALED | without)
    assert law.evaluate(at, SCALED | SHARES) == pytest.approx(two, rel=1e-14)


def test_the_joint_law_is_the_papers_and_additive_where_all_domains_are_alike():
    runs = mixed_runs(20)
    law = joint_mixture_of("a", "b", "c")
    extra = {"a_b": 0.5, "a_c": 2.0, "b_b": 3.0, "b_c": 0.7, "g_A": 0.6, "g_B": 1.3}
    # C^A = 60^(1 / 0.6) (1, 0.5, 2), so that the power of their sum has the factor A = 60.
    model = sum(
        60 ** (1 / 0.6) * c * runs[name] for name, c in zip("abc", (1, 0.5, 2), strict=True)
    )
    data = sum(
        400 ** (1 / 1.3) * c * runs[name] for name, c in zip("abc", (1, 3, 0.7), strict=True)
    )
    bias = 1 / sum(
        c * runs[name] ** SHARES[f"g_{name}"] for name, c in zip("abc", (2, 1, 0.4), strict=True)
    )
    printed = 1.2 + bias + model**0.6 * runs["N"] ** -0.25 + data**1.3 * runs["D"] ** -0.28
    np.testing.assert_allclose(law.evaluate(runs, SCALED | SHARES | extra), printed, rtol=1e-13)
    alike = dict.fromkeys(("a_b", "a_c", "b_b", "b_c"), 1.0) | {"g_A": 0.6, "g_B": 1.3}
    np.testing.assert_allclose(
        law.evaluate(runs, SCALED | SHARES | alike),
        additive_mixture_of("a", "b", "c").evaluate(runs, SCALED | SHARES),
        rtol=1e-13,
    )
    # The paper counts 37 parameters for eight domains.
    assert len(joint_mixture_of(*"abcdefgh").names) == 37


def test_shares_of_all_domains_are_the_whole():
    law = additive_mixture_of("a", "b", "c")
    with pytest.raises(sf.errors.DataError, match=r"1 <= a \+ b \+ c|a \+ b \+ c >= 1"):
        law.check({"a": 0.2, "b": 0.3, "c": 0.3})
    law.check({"a": 0.333, "b": 0.333, "c": 0.333})


@pytest.mark.parametrize("maker", [additive_mixture_of, joint_mixture_of])
@pytest.mark.parametrize("domains", [(), ("web",), ("web", "web"), ("web", "N")])
def test_every_domain_of_a_law_of_size_is_named_once(maker, domains):
    with pytest.raises(sf.errors.LawError, match="name every domain"):
        maker(*domains)


@pytest.mark.parametrize(
    ("maker", "domains"),
    [
        (mixture_of, ("c",)),
        (mixture_of, ("web", "t_web")),
        (mixture_of, ("loss",)),
        (additive_mixture_of, ("E", "web")),
        (joint_mixture_of, ("A", "B")),
    ],
)
def test_no_domain_has_the_name_of_a_parameter_or_of_the_loss(maker, domains):
    with pytest.raises(sf.errors.LawError, match=f"'{domains[-1]}': '|'{domains[0]}': '"):
        maker(*domains)


def test_convexity_is_claimed_where_it_holds_and_the_claim_is_right():
    rng = np.random.default_rng(3)
    additive, joint = additive_mixture_of("a", "b", "c"), joint_mixture_of("a", "b", "c")
    linear = {"a_b": 0.5, "a_c": 2.0, "b_b": 3.0, "b_c": 0.7}
    claims = [
        (additive, SCALED | SHARES, True),
        (additive, SCALED | SHARES | {"g_b": 1.5}, False),
        (joint, SCALED | SHARES | linear | {"g_A": 1.2, "g_B": 1.0}, True),
        (joint, SCALED | SHARES | linear | {"g_A": 0.5, "g_B": 1.0}, False),
        (FIVE, {"c": 2.0, "k": 1.0, **T}, True),
        (FIVE, {"c": 2.0, "k": np.array([1.0, -1.0]), **T}, False),
        (additive, SCALED | SHARES | {"K": -0.1}, False),
    ]
    for law, params, claimed in claims:
        assert convex_in_shares(law, params) == claimed
        if claimed:
            domains = [name for name in law.columns if name not in "ND"]
            first, second = (
                dict(zip(domains, rng.dirichlet(np.ones(len(domains) + 1), 200).T, strict=False))
                for _ in "ab"
            )
            middle = {name: (first[name] + second[name]) / 2 for name in domains}
            ends = [law.evaluate({"N": 1e9, "D": 1e10} | at, params) for at in (first, second)]
            half = law.evaluate({"N": 1e9, "D": 1e10} | middle, params)
            assert (half <= sum(ends) / 2 + 1e-12).all()
    assert not convex_in_shares(sf.laws.chinchilla, {})


@pytest.mark.slow
def test_seven_domains_are_fitted_from_any_seed():
    domains = [f"d{i}" for i in range(7)]
    law, rng = additive_mixture_of(*domains), np.random.default_rng(1)
    worth = dict(
        zip([f"c_{name}" for name in domains[1:]], (0.5, 0.2, 0.1, 0.3, 0.05, 0.15), strict=True)
    )
    bent = dict(
        zip([f"g_{name}" for name in domains], (0.25, 0.4, 0.3, 0.5, 0.2, 0.6, 0.35), strict=True)
    )
    runs = pd.DataFrame(rng.dirichlet(np.ones(7), 160), columns=domains)
    runs = runs.assign(N=rng.choice([2e8, 4e8, 8e8], 160), D=rng.choice([5e9, 2e10, 1e11], 160))
    exact = law.evaluate(runs, SCALED | worth | bent)
    runs = runs.assign(loss=exact * (1 + 0.002 * rng.standard_normal(160)))
    found = [sf.fit(runs, law, seed=seed) for seed in range(3)]
    for fit in found:
        assert fit.objective_value == pytest.approx(found[0].objective_value, rel=1e-7)
    np.testing.assert_allclose(found[0].evaluate(runs), exact, rtol=0.004)
    one = sf.fit(runs, law, tied=[tuple(bent)])
    assert one.objective_value > found[0].objective_value
