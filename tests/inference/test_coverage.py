"""Intervals hold the truth as often as they promise, by simulation, of as few as thirty runs.

``benchmarks/coverage.py`` does it on three surfaces, two designs, three sizes, by every method;
docs/uncertainty.md has its table.
"""

import numpy as np
import pytest

import scalefit as sf

pytestmark = pytest.mark.slow

TABLES = 300
NOISE = 0.005
BUDGET = 1e22
TRUTH = sf.simulation.SURFACES["chinchilla"]
# 95 % of 300 are held within three standard errors: 1.26 % each.
LEAST, MOST = 0.95 - 0.04, 0.95 + 0.038


def simulated(seed, corpora=None):
    """30 runs, with independent noise or with noise that each corpus shares."""
    design = sf.simulation.isoflop_design(points=6)
    if not corpora:
        return sf.simulate(design, noise=NOISE, seed=seed)
    rng = np.random.default_rng([seed, corpora])
    design["corpus"] = rng.permutation(np.arange(len(design)) % corpora)
    return sf.simulate(
        design, noise=sf.simulation.Noise(NOISE, cluster="corpus", icc=0.7), seed=seed
    )


def expected():
    A, B, alpha, beta = (TRUTH[name] for name in ("A", "B", "alpha", "beta"))
    N = (alpha * A / (beta * B) * (BUDGET / 6) ** beta) ** (1 / (alpha + beta))
    return {**{name: TRUTH[name] for name in ("E", "alpha", "beta")}, "N": N, "D": BUDGET / 6 / N}


def share_held(intervals, corpora=None):
    """Share of the tables whose interval holds the truth, for each quantity."""
    truth = expected()
    held = dict.fromkeys(truth, 0)
    for seed in range(TABLES):
        runs = simulated(seed, corpora)
        draws = intervals(sf.fit(runs, robust="none", certify=False), runs, seed)
        table = draws.conf_int()
        best = sf.allocate(draws, BUDGET)
        for name, value in truth.items():
            low, high = (
                best.estimate(name).interval()
                if name in ("N", "D")
                else (table["low"][name], table["high"][name])
            )
            held[name] += low <= value <= high
    return {name: count / TABLES for name, count in held.items()}


def resampled(method, by=None):
    """Draws by a bootstrap."""
    return lambda fit, runs, seed: sf.bootstrap(
        fit, runs, n_draws=300, method=method, by=by, seed=seed, global_search=0.0, progress=False
    )


METHODS = {
    "jacobian": lambda fit, runs, seed: sf.covariance(fit, runs, "jacobian").draws(1000, seed),
    "sandwich": lambda fit, runs, seed: sf.covariance(fit, runs).draws(1000, seed),
    "residuals": resampled("residuals"),
    "wild": resampled("wild"),
}
CLUSTERED = {
    "sandwich": lambda fit, runs, seed: sf.covariance(fit, runs, by="corpus").draws(1000, seed),
    "clusters": resampled("clusters", "corpus"),
}


@pytest.mark.parametrize("method", METHODS)
def test_intervals_hold_the_truth_under_independent_noise(method):
    found = share_held(METHODS[method])
    assert all(LEAST <= share <= MOST for share in found.values()), found


@pytest.mark.parametrize("method", CLUSTERED)
def test_intervals_hold_the_truth_where_twelve_corpora_share_their_noise(method):
    found = share_held(CLUSTERED[method], corpora=12)
    assert all(LEAST <= share <= MOST for share in found.values()), found


def test_interval_of_a_new_run_holds_new_runs():
    held = []
    for seed in range(TABLES):
        runs = simulated(seed)
        fit = sf.fit(runs, robust="none", certify=False)
        draws = sf.covariance(fit, runs, "jacobian").draws(1000, seed)
        new = simulated(10_000 + seed)
        low, high = draws.predict(new, kind="run").interval()
        held.append(np.mean((new["loss"] >= low) & (new["loss"] <= high)))
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
