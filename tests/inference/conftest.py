"""One table, its fit and its bootstrap, shared by the tests of what is made from them."""

import numpy as np
import pytest

import scalefit as sf


@pytest.fixture(scope="session")
def runs():
    """30 runs with half a percent of noise, in six corpora of five."""
    frame = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.005, seed=3)
    return frame.assign(corpus=np.arange(len(frame)) % 6, seed=np.arange(len(frame)))


@pytest.fixture(scope="session")
def fit(runs):
    return sf.fit(runs)


@pytest.fixture(scope="session")
def squares(runs):
    return sf.fit(runs, robust="none")


@pytest.fixture(scope="session")
def draws(fit, runs):
    return sf.bootstrap(fit, runs, n_draws=400, seed=1)
