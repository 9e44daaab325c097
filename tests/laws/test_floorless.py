"""Kaplan's laws: the published optimum exponents, and the fit of the Chinchilla points."""

import numpy as np
import pytest

import scalefit as sf


def test_optimal_size_grows_with_the_exponent_of_the_joint_law():
    best = sf.allocate(sf.published("kaplan"), [1e20, 1e23])
    p = sf.published("kaplan").params
    ratio = p["alpha_N"] / p["alpha_D"]
    np.testing.assert_allclose(best.n_exponent, 1 / (1 + ratio), rtol=1e-6)
    assert best.n_exponent[0] == pytest.approx(0.575, abs=5e-4)
    closed = (ratio * p["N_c"] ** ratio * 1e20 / (6 * p["D_c"])) ** (1 / (1 + ratio))
    assert best.N[0] == pytest.approx(closed, rel=1e-6)


def test_limits_of_the_joint_law_are_power_laws():
    fit = sf.published("kaplan")
    p = fit.params
    assert fit.predict(N=1e9, D=1e25) == pytest.approx((p["N_c"] / 1e9) ** p["alpha_N"], rel=1e-6)
    assert fit.predict(N=1e25, D=1e9) == pytest.approx((p["D_c"] / 1e9) ** p["alpha_D"], rel=1e-6)


def test_published_power_laws_have_loss_one_at_their_scale():
    for name, scale in (("kaplan_n", 8.8e13), ("kaplan_d", 5.4e13), ("kaplan_c", 3.1e8)):
        assert sf.published("power", name).predict(x=scale) == pytest.approx(1, rel=1e-10)
    steps = sf.published("kaplan_steps")
    assert steps.predict(N=6.5e13, S=1e30) == pytest.approx(1, rel=1e-10)
    assert steps.predict(N=1e60, S=2.1e3) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_chinchilla_points_under_the_joint_law(data_folder, agrees):
    listed = ("kaplan", "240 Chinchilla points")
    runs = sf.read(data_folder / "chinchilla_epoch.csv", keep="besiroglu_keep == 1", C="flops")
    for seed in range(10):
        fit = sf.fit(runs, "kaplan", robust="none", seed=seed)
        agrees(*listed, "half sum of squares of ln L", fit.objective_value / 2, 0.030306, abs=5e-7)
    exponents = [fit.params["alpha_N"], fit.params["alpha_D"]]
    agrees(*listed, "alpha_N, alpha_D", exponents, [0.09607, 0.11413], abs=5e-5)
    assert np.log(fit.params["N_c"]) == pytest.approx(29.711, abs=0.01)
    assert np.log(fit.params["D_c"]) == pytest.approx(31.053, abs=0.01)
