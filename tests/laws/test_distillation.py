"""Distillation: limits of the law."""

import numpy as np
import pytest

import scalefit as sf

SHARED = {"K": 0.9, "c0": 2.5, "f1": 0.09, "r": 0.5, "alpha": 0.32, "beta": 0.5, "gamma": 0.76}


def columns(teacher):
    N, D = np.geomspace(1e8, 1e10, 4)[:, None], np.geomspace(1e9, 1e12, 4)
    return {"N": N, "D": D, "teacher_loss": teacher, "supervised_loss": 2.3}


@pytest.mark.parametrize("teacher", [1.9, 2.3, 2.8])
def test_many_powers_become_an_exponential(teacher):
    c1 = 1e7
    limit = sf.laws.distillation_limit.evaluate(columns(teacher), SHARED | {"s": 1.2})
    d1 = 1.2 * (c1 * SHARED["f1"]) ** SHARED["f1"]
    found = sf.laws.distillation.evaluate(columns(teacher), SHARED | {"c1": c1, "d1": d1})
    np.testing.assert_allclose(found, limit, rtol=1e-5)


def test_the_paper_writes_the_last_factor_in_raw_counts():
    c1, d1, teacher = 60.0, 1.3, 2.1
    table = columns(teacher)
    found = sf.laws.distillation.evaluate(table, SHARED | {"c1": c1, "d1": d1})
    K, r, f1 = SHARED["K"], SHARED["r"], SHARED["f1"]
    alpha, beta, gamma = SHARED["alpha"], SHARED["beta"], SHARED["gamma"]
    A, B = K ** (1 / gamma) * 1e9**alpha, r * K ** (1 / gamma) * 1e11**beta
    bracket = (1 + (teacher / (2.3 * d1)) ** (1 / f1)) ** (-c1 * f1)
    powers = (A / table["N"] ** alpha + B / table["D"] ** beta) ** gamma
    np.testing.assert_allclose(found, teacher + teacher ** -SHARED["c0"] * bracket * powers)


def test_excess_has_fallen_to_1_over_e_at_its_ratio_of_losses():
    teacher = 2.6
    far, near = (
        sf.laws.distillation_limit.evaluate(columns(teacher), SHARED | {"s": s}) - teacher
        for s in (100.0, teacher / 2.3)
    )
    np.testing.assert_allclose(near, far / np.e, rtol=1e-9)


def test_students_without_a_gap_fall_with_size_and_tokens():
    found = sf.laws.distillation_limit.evaluate(columns(1.9), SHARED | {"s": 1.2})
    assert (np.diff(found, axis=0) < 0).all() and (np.diff(found, axis=1) < 0).all()
    assert (found > 1.9).all()
