"""The data-mixing law: its gauge, and any number of domains."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws.mixture import mixture_of

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
