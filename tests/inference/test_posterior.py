"""Posterior: against quadrature, against the other methods, and what is said about the chains."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf, logsumexp

import scalefit as sf
from scalefit.inference import posterior as sampling
from scalefit.inference.fitted_data import attach
from scalefit.inference.posterior_density import log_normaliser
from scalefit.objective import Objective, measure

BETA, DELTA = 0.28, 0.05
WIDE = (0.3, 4.0)
# So noisy a table does not rule out that B is nothing, and the logarithm of that has no end.
BOUNDS_B = (40.0, 4000.0)

# Every objective, each with another residual.
OBJECTIVES = {
    "squares": {"robust": "none", "residual": "log"},
    "huber": {"robust": "huber", "residual": "relative", "delta": DELTA},
    "l1": {"robust": "l1", "residual": "raw"},
}


@pytest.fixture(scope="module")
def table():
    """16 runs so noisy that priors count, some with more weight than others."""
    design = sf.simulation.isoflop_design(points=4).iloc[:16].drop(columns="N")
    design = design.assign(D=np.geomspace(1e9, 1e11, 16), weight=np.tile([1.0, 0.5], 8))
    return sf.simulate(
        design, "chinchilla_d", {"E": 1.8, "B": 400.0, "beta": BETA}, noise=0.07, seed=2
    )


def fitted(table, which, bounds=WIDE):
    both = {"E": bounds, "B": BOUNDS_B}
    return sf.fit(
        table,
        "chinchilla_d",
        fixed={"beta": BETA},
        bounds=both,
        certify=False,
        **OBJECTIVES[which],
    )


@pytest.fixture(scope="module")
def made(table):
    fit = fitted(table, "huber")
    return fit, sf.posterior(fit, table, seed=5)


def by_quadrature(table, which, bounds):
    """Marginal distribution functions of E and ln B, the noise integrated out, on a fine grid."""
    edges = {"E": np.linspace(*bounds, 251), "log_B": np.linspace(*np.log(BOUNDS_B), 251)}
    E, log_B = (0.5 * (each[1:] + each[:-1]) for each in edges.values())
    D, loss, weight = (table[name].to_numpy() for name in ("D", "loss", "weight"))
    f = E[:, None, None] + np.exp(log_B)[:, None] * D**-BETA
    rows = weight.sum()
    if which == "squares":
        log_density = -0.5 * rows * np.log(np.sum(weight * np.log(loss / f) ** 2, axis=-1))
    elif which == "l1":
        log_density = -rows * np.log(np.sum(weight * np.abs(loss - f), axis=-1))
    else:
        size = np.abs((loss - f) / loss)
        huber = np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA))
        total = np.sum(weight * huber, axis=-1)
        tau = np.geomspace(1e-5, 1.0, 60)
        core = np.sqrt(2 * np.pi * tau) * erf(DELTA / np.sqrt(2 * tau))
        whole = core + 2 * tau / DELTA * np.exp(-(DELTA**2) / (2 * tau))
        log_density = logsumexp(-total[..., None] / tau - rows * np.log(whole), axis=-1)
    density = np.exp(log_density - log_density.max())
    shares = {"E": density.sum(axis=1), "log_B": density.sum(axis=0)}
    return {
        name: (edges[name], np.r_[0, np.cumsum(share)] / share.sum())
        for name, share in shares.items()
    }


def assert_as_quadrature(draws, expected):
    drawn = {"E": draws.params["E"], "log_B": np.log(draws.params["B"])}
    for name, (edges, below) in expected.items():
        for share in (0.05, 0.25, 0.5, 0.75, 0.95):
            found = np.mean(drawn[name] < np.interp(share, below, edges))
            # About a thousand effective draws: three standard errors in the middle. A prior flat in
            # B, not ln B, would move the shares in the middle by 0.06 to 0.09.
            assert found == pytest.approx(share, abs=0.05), (name, share)


@pytest.mark.parametrize("which", OBJECTIVES)
@pytest.mark.slow
def test_draws_are_those_of_the_posterior(table, which):
    # Steps over kinks are shorter: with 1,000 draws a chain, R-hat is at its limit.
    n_draws = 3000 if which == "l1" else 1000
    draws = sf.posterior(fitted(table, which), table, n_draws=n_draws, seed=5)
    assert_as_quadrature(draws, by_quadrature(table, which, WIDE))
    assert draws.notes == ()


@pytest.mark.slow
def test_a_parameter_at_a_bound_of_the_fit_is_free_within_it(table):
    bounds = (1.9, 4.0)
    fit = fitted(table, "squares", bounds)
    assert fit.diagnostics.at_bound == ("E",)
    draws = sf.posterior(fit, table, seed=5)
    assert draws.params["E"].min() >= bounds[0]
    assert draws.params["E"].std() > 0.02
    assert_as_quadrature(draws, by_quadrature(table, "squares", bounds))


@pytest.mark.slow
def test_on_a_table_that_identifies_the_law_all_methods_agree(squares, runs):
    draws = sf.posterior(squares, runs)
    assert draws.notes == ()
    posterior = draws.conf_int()["se"]
    # With the noise unknown the posterior is a t distribution, whose spread is wider by this.
    wider = np.sqrt(draws.df_resid / (draws.df_resid - 2))
    errors = sf.covariance(squares, runs, "jacobian").standard_errors
    boot = sf.bootstrap(squares, runs, n_draws=400, method="residuals", seed=1).conf_int()["se"]
    for name in ("E", "alpha", "beta"):
        # Second order in the noise, besides.
        assert posterior[name] == pytest.approx(wider * errors[name], rel=0.1), name
        # 400 replicates give the standard deviation to 3.5 percent.
        assert posterior[name] == pytest.approx(wider * boot[name], rel=0.15), name
        assert abs(draws.params[name].mean() - squares.params[name]) < 0.3 * errors[name]


@pytest.mark.parametrize("scale", [1e-5, 0.03, 2.0])
@pytest.mark.parametrize("delta", [1e-3, 0.5, None])
def test_the_density_of_noise_integrates_to_one(delta, scale):
    robust = "none" if delta is None else "huber"
    how = measure(Objective("raw", robust, delta))

    def density(r):
        edge = np.inf if delta is None else delta
        size = min(abs(r), edge)
        return np.exp(-(0.5 * size**2 + (0 if size == abs(r) else edge * (abs(r) - size))) / scale)

    with jax.enable_x64(True):
        found = float(jnp.exp(log_normaliser(how, scale)))
    core = 1.0 if delta is None else delta
    tails = 8 * np.sqrt(scale) if delta is None else 50 * scale / delta
    inner = quad(density, 0, min(core, 40 * np.sqrt(scale)), epsabs=0, epsrel=1e-12, limit=200)[0]
    outer = quad(density, core, core + tails, epsabs=1e-300, epsrel=1e-12, limit=200)[0]
    assert found == pytest.approx(2 * (inner + outer), rel=1e-9)


def test_the_density_of_absolute_noise_integrates_to_one():
    how = measure(Objective("raw", "l1"))
    with jax.enable_x64(True):
        assert float(jnp.exp(log_normaliser(how, 0.3))) == pytest.approx(0.6)


@pytest.mark.filterwarnings(r"ignore:\s*ArviZ is undergoing:FutureWarning")
def test_rhat_is_arvizs():
    import arviz

    rng = np.random.default_rng(0)
    mixed = rng.standard_t(3, (4, 201))
    for chains in (mixed, mixed + np.arange(4)[:, None], mixed * np.array([[1], [1], [1], [3]])):
        assert sampling.split_rhat(chains) == pytest.approx(float(arviz.rhat(chains)), rel=1e-6)
    assert np.isnan(sampling.split_rhat(np.ones((4, 10))))


def test_chains_agree(made):
    _, draws = made
    assert draws.chains == 4
    for name in ("E", "B"):
        assert sampling.split_rhat(draws.params[name].reshape(4, -1)) < 1.01


def test_chains_that_disagree_and_steps_that_diverge_are_noted(table):
    problem = attach(fitted(table, "huber"), table).prepared.problem
    rng = np.random.default_rng(0)
    points, noise = rng.normal(size=(4, 500, 2)), rng.normal(size=(4, 500))
    fine = sampling._Chains(points, noise, np.zeros((4, 500), dtype=bool))
    assert sampling._notes(problem, fine) == []
    aside = points + np.array([[[0.0, 0.0]]] * 3 + [[[0.0, 1.0]]])
    diverged = np.arange(2000).reshape(4, 500) < 7
    notes = sampling._notes(problem, sampling._Chains(aside, noise, diverged))
    assert [note.code for note in notes] == ["chains_disagree", "divergences"]
    assert {note.severity for note in notes} == {"warning"}
    assert notes[0].details["parameter"] == "B" and notes[0].details["rhat"] > 1.01
    assert notes[1].details == {"divergences": 7, "draws": 2000}
    stuck = fine._replace(noise=np.zeros((4, 500)))
    assert sampling._notes(problem, stuck)[0].details["parameter"] == "the noise"


def test_seeds_reproduce_and_the_users_configuration_is_left_alone(table, made):
    fit, draws = made
    before = dict(jax.config.values)
    again, other = (sf.posterior(fit, table, seed=seed) for seed in (5, 6))
    assert dict(jax.config.values) == before
    assert jnp.ones(1).dtype == "float32"
    np.testing.assert_array_equal(again.params["E"], draws.params["E"])
    assert not np.isin(other.params["E"], draws.params["E"]).any()


def test_draws_answer_like_any_ensemble_and_come_back_from_disk(table, made, tmp_path):
    _, draws = made
    assert repr(draws) == "<Ensemble chinchilla_d: 4000 draws by posterior>"
    assert (draws.method, draws.replicates, draws.failed) == ("posterior", None, 0)
    assert draws.df_resid == 14
    assert np.all(draws.params["beta"] == BETA)
    assert np.all((draws.params["E"] > WIDE[0]) & (draws.params["E"] < WIDE[1]))
    mean, run = (draws.predict(D=1e10, kind=kind) for kind in ("mean", "run"))
    assert np.subtract(*run.interval()[::-1]) > np.subtract(*mean.interval()[::-1])
    draws.save(tmp_path / "draws")
    found = sf.Ensemble.load(tmp_path / "draws")
    assert (found.method, found.chains, found.seed) == ("posterior", 4, 5)
    for name, values in draws.params.items():
        np.testing.assert_array_equal(found.params[name], values)


def test_arviz_gets_the_chains(made):
    _, draws = made
    posterior = draws.to_arviz()["posterior"]
    for name in ("E", "B"):
        assert posterior[name].dims == ("chain", "draw")
        np.testing.assert_array_equal(
            posterior[name].to_numpy(), draws.params[name].reshape(4, 1000)
        )


def test_what_has_no_posterior_is_refused(table):
    lower = sf.fit(table, "chinchilla_d", fixed={"beta": BETA}, robust="asymmetric")
    with pytest.raises(sf.errors.DataError, match="lower envelope"):
        sf.posterior(lower, table)
    fit = fitted(table, "huber")
    with pytest.raises(sf.errors.DataError, match="not the 16 runs"):
        sf.posterior(fit, table.iloc[::-1])
    few = table.iloc[:6]
    with pytest.raises(sf.errors.DataError, match="fewer than 5"):
        sf.posterior(fitted(few, "huber"), few)


def test_an_amplitude_of_zero_is_refused(table):
    rising = table.assign(loss=table["loss"].to_numpy()[::-1])
    fit = sf.fit(rising, "chinchilla_d", fixed={"beta": BETA})
    assert fit.params["B"] == 0
    with pytest.raises(
        sf.errors.DataError, match="B is 0 at the optimum, and the prior is flat in its"
    ):
        sf.posterior(fit, rising)


def test_a_missing_sampler_says_how_to_get_it(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(ImportError, match=r"pip install 'scalefit\[bayes\]'") as caught:
        sf.posterior(fitted(table, "huber"), table)
    assert isinstance(caught.value, sf.errors.MissingExtraError)
    assert caught.value.extra == "bayes"


def test_missing_arviz_says_how_to_get_it(table, monkeypatch):
    draws = sf.bootstrap(fitted(table, "huber"), table, n_draws=8, progress=False)
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(sf.errors.MissingExtraError, match=r"pip install 'scalefit\[bayes\]'"):
        draws.to_arviz()
