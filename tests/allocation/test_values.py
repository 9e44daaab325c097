"""Objects of an allocation as values: equal, hashed, pickled and copied, and what they compile."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import scalefit as sf
from scalefit.allocation import (
    COSTS,
    HARDWARE,
    Utilisation,
    cost,
    counted,
    kinetics,
    lifetime,
    lifetime_usd,
    optimum_function,
    product,
)
from scalefit.allocation.problem_form import programs_of

FIT = sf.published("chinchilla", "besiroglu")


@cost(source="a test")
def doubled(N, D):
    """12 N D"""
    return 12.0 * N * D


VALUES = {
    "decorated": doubled,
    "product": product(7.0, source="a test"),
    "counted": counted("kaplan", aspect=100.0),
    "lifetime": lifetime(2e12),
    "dollars": lifetime_usd(70, 215, requests=1e9),
    "kinetics": kinetics(1e9, prompt=200, generation=4000, group=4, intensity=295.0),
    "hardware": HARDWARE["H100 SXM bf16"],
    "utilisation": Utilisation(decode=0.02),
    **{f"cost {name}": COSTS[name] for name in ("6ND", "moe", "palm")},
}


@pytest.mark.parametrize("name", VALUES)
def test_costs_and_hardware_are_values(name):
    value = VALUES[name]
    for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)):
        assert again == value and hash(again) == hash(value)
    assert value.summary() and len(value.to_frame()) == 1 and value.notes == ()
    assert value.to_markdown() and value.to_latex() and "scalefit" in value._repr_html_()


def test_results_are_copied_and_pickled():
    draws = sf.covariance(*_fitted()).draws(20)
    for result in (
        sf.allocate(draws, [1e20, 1e21]),
        sf.near_optimal(draws, 1e20),
        sf.deadweight(draws, 1e9, 2e10),
    ):
        for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
            assert str(again) == str(result) and again.to_frame().equals(result.to_frame())
        text = result.summary(0.8)
        assert "80 % interval" in text and max(map(len, text.splitlines())) <= 88
        assert repr(result).startswith(f"<{type(result).__name__} ") and "\n" not in repr(result)


def _fitted():
    runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.003, seed=1)
    return sf.fit(runs, certify=False), runs


def test_functions_of_one_optimum_are_one_value():
    first, second = (optimum_function(FIT, "N", 1e22, cost="kaplan") for _ in range(2))
    assert first == second and hash(first) == hash(second)
    assert first != optimum_function(FIT, "D", 1e22, cost="kaplan")
    assert first != optimum_function(FIT, "N", 1e22)
    assert repr(first) == "<OptimumFunction N* at 1e+22 FLOP of chinchilla>"
    values = [FIT.params[name] for name in FIT.law.names]
    known = first.differentiated(values, 2)
    again = copy.copy(second).differentiated(values, 2)
    assert all(np.array_equal(a, b) for a, b in zip(known, again, strict=True))


def test_an_optimum_function_goes_to_another_process():
    function = optimum_function(FIT, "N", 1e22, cost=lifetime(1e12))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(function, dict(FIT.params)).result(timeout=120) == function(FIT.params)


def test_new_functions_of_limits_compile_nothing_and_are_dropped(compiled):
    most = programs_of.cache_info().maxsize
    for i in range(3):
        sf.allocate(FIT, 1e22, limits={lambda N, scale=2.0 + i: scale * N: 40e9})
    assert not compiled and 0 < programs_of.cache_info().currsize <= most


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda: sf.allocate(FIT, C=1e24), "Pass flops=1e[+]24"),
        (lambda: sf.allocate(FIT, 1e24, held={"D": 1e12}), "Pass fixed={'D': 1"),
        (lambda: sf.allocate(FIT, 1e24, N=1e9), "Pass fixed={'N': 1"),
        (lambda: sf.allocate(FIT, 1e24, limts={}), "Pass limits="),
        (lambda: sf.allocate(FIT, 1e24, 7), "by name: usd, loss, cost"),
        (lambda: sf.near_optimal(FIT, budget=1e24), "Pass flops=1e[+]24"),
        (lambda: sf.near_optimal(), r"Call it as near_optimal\(fit, flops\)"),
        (lambda: sf.deadweight(FIT, 1e9), r"Call it as deadweight\(fit, N, D\)"),
        (lambda: sf.deadweight(FIT, 1e9, 2e10, N=1e9), "Pass it once"),
        (lambda: sf.compute_multiplier(FIT, FIT, 1e22, zzz=1), "Options: fit, baseline"),
        (lambda: optimum_function(FIT, "N", C=1e22), "Pass flops=1e[+]22"),
    ],
)
def test_a_call_that_fits_no_signature_says_what_was_meant(call, remedy):
    with pytest.raises(sf.errors.ArgumentError, match=remedy):
        call()
