"""Laws of limited data: their limits, and the 182 runs of Muennighoff et al."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from catalogue import epochs
from scipy.optimize import minimize_scalar

import scalefit as sf
from scalefit import laws

PUBLISHED = sf.published("data_constrained", "muennighoff")
LISTED = "182 runs of Muennighoff et al., first stage fixed"
STAGE_1 = {name: PUBLISHED.params[name] for name in ("E", "A", "B", "alpha", "beta")}


def chinchilla(N, D):
    return laws.chinchilla.evaluate({"N": N, "D": D}, STAGE_1)


def test_one_epoch_of_a_small_model_is_chinchilla():
    at = {"N": 1e8, "D": 1e10, "U": 1e10}
    expected = pytest.approx(float(chinchilla(1e8, 1e10)), rel=1e-14)
    assert PUBLISHED.predict(**at) == expected
    assert laws.find("repeated_tokens").evaluate(at, STAGE_1 | {"R_D": 5.0}) == expected
    assert laws.find("repeated_epochs").evaluate(at, STAGE_1 | {"d": 0.0, "k": 0.7}) == expected


# Values of the parameters that the laws have beside those of Chinchilla.
OTHERS = {
    "repeated_tokens": {"R_D": 15.0},
    "data_constrained": {"N_1": PUBLISHED.params["N_1"], "R_D": 15.0, "R_N": 5.0},
    "repeated_epochs": {"d": 3e3, "k": 0.5},
}
LIMITED = list(OTHERS)


def surface(law):
    """The law with published values, as a fit."""
    return replace(PUBLISHED, law=laws.find(law), params=STAGE_1 | OTHERS[law])


@pytest.mark.parametrize("law", LIMITED)
def test_a_run_does_not_know_of_tokens_that_it_has_not_seen(law):
    fit = surface(law)
    N, D = np.meshgrid([1e8, 5e8, 1e9, 1e10], [1e9, 1e10, 1e12])
    seen = fit.predict(N=N, D=D, U=D)
    assert np.isfinite(seen).all()
    for more in (1.0001, 2.0, 1e4):
        np.testing.assert_array_equal(fit.predict(N=N, D=D, U=more * D), seen)
    # Fewer are worth less, and the step to that is none.
    assert (fit.predict(N=N, D=D, U=0.5 * D) > seen).all()
    np.testing.assert_allclose(fit.predict(N=N, D=D, U=(1 - 1e-9) * D), seen, rtol=1e-9)


PENALTY = STAGE_1 | {"P": 0.05, "delta": 0.4, "kappa": 0.7}


def test_a_penalty_is_added_to_chinchilla_and_grows_with_repetitions_and_size():
    law = laws.find("repetition_penalty")
    once = law.evaluate({"N": 5e8, "D": 1e10, "U": 1e12}, PENALTY)
    assert once == pytest.approx(float(chinchilla(5e8, 1e10)), rel=1e-15)
    rounded = law.evaluate({"N": 5e8, "D": 1e10, "U": 1e10 * (1 - 1e-15)}, PENALTY)
    assert rounded == pytest.approx(once, rel=1e-14)
    # Nine repetitions of twice as many parameters as tokens: 0.05 * 9^0.4 * 2^0.7.
    often = law.evaluate({"N": 2e8, "D": 1e9, "U": 1e8}, PENALTY)
    assert often - float(chinchilla(2e8, 1e9)) == pytest.approx(0.1956086, abs=1e-7)


def test_a_larger_model_has_fewer_epochs_before_they_do_harm():
    law = laws.find("repetition_penalty")
    best = [
        minimize_scalar(
            lambda e, N=N: float(
                law.evaluate({"N": N, "D": 1e8 * np.exp(e), "U": 1e8}, PENALTY | {"delta": 1.0})
            ),
            bounds=(0.0, 8.0),
            method="bounded",
        ).x
        for N in (3e7, 1e8, 3e8)
    ]
    # Where B beta U^-beta (1 + R)^-(beta + 1) = P (N / U)^kappa, the slopes are equal.
    p = PENALTY
    equal = [
        np.log(p["B"] * p["beta"] * 1e8 ** -p["beta"] / (p["P"] * (N / 1e8) ** p["kappa"]))
        / (p["beta"] + 1)
        for N in (3e7, 1e8, 3e8)
    ]
    np.testing.assert_allclose(best, equal, atol=1e-4)


def test_more_unique_tokens_than_are_seen_are_chinchilla():
    at = {"N": 5e8, "D": 1e10, "U": 1e12}
    plain = float(chinchilla(5e8, 1e10))
    for law, params in (
        ("repeated_tokens", {"R_D": 15.0}),
        ("data_constrained", OTHERS["data_constrained"]),
        ("repeated_epochs", {"d": 0.0, "k": 0.5}),
    ):
        found = laws.find(law).evaluate(at, STAGE_1 | params)
        assert found == pytest.approx(plain, rel=1e-15), law
    # A model beyond what is compute-optimal for the tokens that it sees has parameters in excess.
    own = PUBLISHED.params["N_1"]
    R = PUBLISHED.params["R_N"]
    worth = own + own * R * (1 - np.exp(-(1e9 / own - 1) / R))
    expected = float(chinchilla(worth, 1e10))
    assert PUBLISHED.predict(N=1e9, D=1e10, U=1e12) == pytest.approx(expected, rel=1e-14)
    assert expected == pytest.approx(2.66589, abs=1e-5)


@pytest.mark.parametrize(
    ("flops", "unique", "N", "loss"),
    [
        (1e22, 3e11, 9.21833e9, 2.1879975),
        (1e22, 1e12, 9.21833e9, 2.1879975),
        (1e19, 1e13, 2.91509e8, 2.9470499),
    ],
)
def test_a_budget_too_small_to_repeat_is_split_as_by_chinchilla(flops, unique, N, loss):
    """Right by the closed form: N = G (C / 6)^(1/2), G = (A / B)^(1 / (2 alpha))."""
    best = sf.allocate(PUBLISHED, flops, fixed={"U": unique})
    G = (STAGE_1["A"] / STAGE_1["B"]) ** (1 / (2 * STAGE_1["alpha"]))
    assert best.N == pytest.approx(G * np.sqrt(flops / 6), rel=1e-9)
    assert best.N == pytest.approx(N, rel=1e-5)
    assert best.loss == pytest.approx(loss, abs=1e-7)
    assert sf.allocate(PUBLISHED, loss=best.loss, fixed={"U": unique}).budget == pytest.approx(
        flops
    )


@pytest.mark.parametrize("law", LIMITED)
def test_more_unique_tokens_never_raise_the_loss_of_a_budget(law):
    unique = np.geomspace(1e9, 1e14, 26)
    best = sf.allocate(surface(law), 1e22, fixed={"U": unique})
    assert (np.diff(best.loss) <= 1e-15).all()
    # Beyond the tokens of unlimited data nothing changes.
    np.testing.assert_allclose(best.N[unique > 4e11], best.N[-1], rtol=1e-9)


@pytest.mark.parametrize("unique", [2e10, 1.5e11, 1.75e11, 1e12])
def test_the_optimum_may_lie_where_repetition_begins(unique):
    """Under repeated_epochs the second epoch is worth less from its first token: a kink."""
    fit = surface("repeated_epochs")
    best = sf.allocate(fit, 1e22, fixed={"U": unique})
    assert (best.D == pytest.approx(unique, rel=1e-12)) == (unique in (1.5e11, 1.75e11))
    N = best.N * np.geomspace(0.1, 10, 200001)
    brute = fit.predict(N=N, D=1e22 / (6 * N), U=unique)
    assert best.loss <= brute.min() * (1 + 1e-14)
    assert brute.min() <= best.loss * (1 + 1e-9)


@pytest.mark.parametrize("unique", [2e10, 1.5e11, 1e12])
@pytest.mark.parametrize("what", ["N", "D", "loss"])
def test_derivatives_of_an_optimum_hold_at_the_kink(what, unique):
    """Beside it, and on it, where the optimum stays while the parameters move."""
    fit = surface("repeated_epochs")
    params = dict(fit.params)
    answer = sf.allocation.optimum_function(fit, what, 1e22, fixed={"U": unique})
    value, gradient, _ = answer.differentiated([params[name] for name in fit.law.names])
    assert value == pytest.approx(float(answer(params)), rel=1e-14)
    for name, slope in zip(fit.law.names, gradient, strict=True):
        step = 1e-5 * max(params[name], 1.0)
        ends = [float(answer(params | {name: params[name] + way * step})) for way in (-1, 1)]
        size = abs(value) / max(params[name], 1.0)
        assert slope == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-4, abs=1e-6 * size)


@pytest.mark.parametrize("law", LIMITED)
def test_runs_of_less_than_an_epoch_are_fitted(law):
    design = epochs()
    # Each fourth run has a corpus that it does not finish.
    part = np.arange(len(design)) % 4 == 0
    design["U"] = np.where(part, 30.0 * design["D"], design["U"])
    options = {"fixed": {"N_1": OTHERS[law]["N_1"]}} if law == "data_constrained" else {}
    runs = sf.simulate(design, law, STAGE_1 | OTHERS[law], noise=0.0)
    fit = sf.fit(runs, law, tied=[("alpha", "beta")], **options)
    for name, value in (STAGE_1 | OTHERS[law]).items():
        assert fit.params[name] == pytest.approx(value, rel=1e-5), name
    seen = runs.assign(U=np.minimum(runs["U"], runs["D"]))
    again = sf.fit(seen, law, tied=[("alpha", "beta")], **options)
    assert again.params == fit.params


def test_repetition_that_never_wears_off_is_new_data():
    at = {"N": 1e8, "D": 5e10, "U": 1e10}
    expected = float(chinchilla(1e8, 5e10))
    found = laws.find("repeated_tokens").evaluate(at, STAGE_1 | {"R_D": 1e9})
    assert found == pytest.approx(expected, rel=1e-8)
    found = laws.find("repeated_epochs").evaluate(at, STAGE_1 | {"d": 0.0, "k": 1 - 1e-9})
    assert found == pytest.approx(expected, rel=1e-6)


def test_repetition_is_worth_a_bounded_number_of_epochs():
    forever = laws.find("repeated_tokens").evaluate(
        {"N": 1e8, "D": 1e16, "U": 1e10}, STAGE_1 | {"R_D": 15.0}
    )
    assert forever == pytest.approx(float(chinchilla(1e8, 16e10)), rel=1e-12)
    forever = laws.find("repeated_epochs").evaluate(
        {"N": 1e8, "D": 1e14, "U": 1e10}, STAGE_1 | {"d": 0.0, "k": 0.9}
    )
    assert forever == pytest.approx(float(chinchilla(1e8, 10e10)), rel=1e-12)


def test_parameters_are_in_excess_beyond_the_optimum_of_the_unique_tokens():
    ratio = STAGE_1["A"] / STAGE_1["B"]
    G = ratio ** (1 / (2 * STAGE_1["alpha"]))
    assert G == pytest.approx(0.2258, abs=5e-5)
    assert PUBLISHED.params["N_1"] == pytest.approx(G * G * 1e10, rel=1e-9)
    optimal = PUBLISHED.params["N_1"]
    for N, excess in ((optimal / 2, False), (2 * optimal, True)):
        found = PUBLISHED.predict(N=N, D=1e10, U=1e10)
        assert (found > chinchilla(N, 1e10) * (1 + 1e-9)) == excess


def test_the_optimum_under_limited_data_is_the_published_one():
    """1e22 FLOP on 25 billion unique tokens; the notebook's grid is coarse."""

    def loss(log_size):
        N = np.exp(log_size)
        return float(PUBLISHED.predict(N=N, D=1e22 / (6 * N), U=25e9))

    best = minimize_scalar(loss, bounds=(np.log(1e9), np.log(5e10)), method="bounded")
    assert np.exp(best.x) == pytest.approx(7.022e9, rel=0.01)
    assert 1e22 / (6 * np.exp(best.x)) / 25e9 == pytest.approx(9.493, rel=0.01)


@pytest.fixture(scope="module")
def runs(data_folder):
    frame = pd.read_csv(data_folder / "datablations.csv").query("paper_fit == 1")
    frame = frame.astype({"params": float, "tokens": float, "unique_tokens": float})
    return frame.rename(columns={"params": "N", "tokens": "D", "unique_tokens": "U"})[
        ["N", "D", "U", "loss"]
    ]


def r_squared(fit, runs):
    residual = runs["loss"] - fit.predict(runs)
    return 1 - (residual**2).sum() / ((runs["loss"] - runs["loss"].mean()) ** 2).sum()


@pytest.fixture(scope="module")
def second_stage(runs):
    fixed = STAGE_1 | {"N_1": PUBLISHED.params["N_1"]}
    return sf.fit(runs, "data_constrained", fixed=fixed)


def test_the_second_stage_ends_below_the_published_point(runs, second_stage, agrees):
    fit = second_stage
    assert len(runs) == 182
    listed = ("data_constrained", LISTED)
    agrees(*listed, "Huber of ln L", fit.objective_value, 0.0158046625, rel=1e-8)
    decays = [fit.params["R_D"], fit.params["R_N"]]
    agrees(*listed, "R_D, R_N (published: 15.39, 5.31)", decays, [95.3652, 1.70591], rel=5e-5)
    assert r_squared(fit, runs) == pytest.approx(0.79102, abs=1e-5)
    # The published point's.
    assert fit.objective_value < 0.0158260


def test_the_published_point_is_one_of_several_minima(runs, second_stage):
    fit = second_stage
    assert "starts_disagree" in {note.code for note in fit.notes}
    found = [(item.params["R_D"], item.value) for item in fit.diagnostics.minima]
    for R_D, value in ((46.990292, 0.0158073786), (15.3717587, 0.015825932069)):
        assert any(
            other == pytest.approx(R_D, rel=1e-3) and worth == pytest.approx(value, rel=1e-7)
            for other, worth in found
        ), found
    assert r_squared(PUBLISHED, runs) == pytest.approx(0.7722046085, abs=1e-9)
    # Along the valley the objective hardly changes.
    for R_D in (14.0, 40.0, 300.0):
        fixed = sf.fit(runs, "data_constrained", fixed=dict(fit.fixed) | {"R_D": R_D})
        assert fixed.objective_value < fit.objective_value * 1.0021


def test_decay_of_data_alone_gives_the_published_ablation(runs, agrees):
    fit = sf.fit(runs, "repeated_tokens", fixed=STAGE_1)
    assert fit.params["R_D"] == pytest.approx(2.916, abs=2e-3)
    agrees("repeated_tokens", LISTED, "Huber of ln L", fit.objective_value, 0.016922, abs=1e-6)
    assert r_squared(fit, runs) == pytest.approx(0.7354, abs=1e-4)


def test_freezing_the_first_stage_doubles_the_objective(runs, second_stage):
    fit = sf.fit(
        runs,
        "data_constrained",
        fixed={"N_1": PUBLISHED.params["N_1"]},
        tied=[("alpha", "beta")],
    )
    assert fit.objective_value < 0.5 * second_stage.objective_value


SATURATING = STAGE_1 | {"R": 8.0, "d": -0.3}


def test_repetitions_saturate_at_a_number_of_epochs_that_depends_on_size():
    law = laws.find("saturating_epochs")
    forever = law.evaluate({"N": 1e8, "D": 1e30, "U": 1e9}, SATURATING)
    # 8 * 10^0.3 = 15.9621 epochs of 1e9 tokens for a tenth of the size.
    assert forever == pytest.approx(float(chinchilla(1e8, 15.96209852e9)), rel=1e-9)
    # As many epochs as that are worth half of them.
    half = law.evaluate({"N": 1e9, "D": 8e9, "U": 1e9}, SATURATING)
    assert half == pytest.approx(float(chinchilla(1e9, 4e9)), rel=1e-14)
    plenty = law.evaluate({"N": 1e9, "D": 1e9, "U": 1e12}, SATURATING | {"R": 1e5})
    assert plenty == pytest.approx(float(chinchilla(1e9, 1e9)), rel=1e-5)
