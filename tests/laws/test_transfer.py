"""Loss to loss: what pairs of Chinchilla surfaces give."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def pairs(E0, E1, K, kappa):
    above = np.geomspace(0.2, 2.5, 60)
    return pd.DataFrame({"source_loss": E0 + above, "loss": E1 + K * above**kappa})


def test_proportional_surfaces_give_a_straight_line():
    runs = sf.simulation.isoflop_design()
    first = sf.simulate(runs, noise=0.0)["loss"]
    surface = sf.simulation.SURFACES["chinchilla"]
    other = surface | {"E": 1.4, "A": 0.8 * surface["A"], "B": 0.8 * surface["B"]}
    second = sf.simulate(runs, params=other, noise=0.0)["loss"]
    table = pd.DataFrame({"source_loss": first, "loss": second})
    fit = sf.fit(table, "loss_to_loss", fixed={"E0": surface["E"]})
    for name, value in {"K": 0.8, "kappa": 1.0, "E1": 1.4}.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-8)


def test_floor_of_the_first_loss_is_found_where_losses_come_near_it():
    fit = sf.fit(pairs(1.97, 1.53, 1.07, 1.1), "loss_to_loss")
    for name, value in {"K": 1.07, "kappa": 1.1, "E1": 1.53, "E0": 1.97}.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-6)


def test_floor_above_some_losses_is_passed_without_harm():
    table = {"source_loss": np.array([1.0, 1.5, 2.0, 2.5])}
    params = {"E1": 1.0, "K": 1.0, "kappa": 0.7, "E0": 1.5}
    found = sf.laws.loss_to_loss.evaluate(table, params)
    np.testing.assert_allclose(found, [1.0, 1.0, 1 + 0.5**0.7, 2.0], rtol=1e-12)
