"""Costs are functions of columns; FLOPs by shape; conventions as costs of N and D."""

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

import scalefit as sf
from scalefit.allocation import COSTS, counted, find_cost, measured, product
from scalefit.allocation import flop_counts as accounting

# N, layers, width, heads, head size; the ratios to 6 N of the appendix F count without vocabulary
# and with 32,000 entries, and of the counts of DeepSeek and PaLM.
MODELS = [
    (73e6, 10, 640, 10, 64, 1.037, 1.598, 1.032, 1.359),
    (305e6, 20, 1024, 16, 64, 1.103, 1.318, 1.100, 1.275),
    (552e6, 24, 1280, 10, 128, 1.084, 1.233, 1.083, 1.228),
    (1.1e9, 26, 1792, 14, 128, 1.085, 1.190, 1.084, None),
    (1.6e9, 28, 2048, 16, 128, 1.028, 1.110, 1.028, None),
    (6.8e9, 40, 3584, 28, 128, 0.994, 1.027, 0.993, 1.086),
]


@sf.allocation.cost(source="a test")
def with_overhead(N, D, share, *, k=6.0):
    """k N D (1 + share)"""
    return k * N * D * (1.0 + share)


def test_a_cost_is_its_function_with_columns_from_the_signature():
    assert with_overhead.columns == ("N", "D", "share")
    assert with_overhead.name == "with_overhead" and with_overhead.unit == "FLOP"
    assert with_overhead.formula == "k N D (1 + share)"
    assert with_overhead(2.0, 3.0, 0.5) == 54.0
    assert with_overhead.per_product is None


def test_evaluate_is_float64_and_broadcasts():
    table = {"N": np.array([1, 2], dtype=np.int32), "D": 3_000_000_000, "share": 0.0, "loss": 1.0}
    value = with_overhead.evaluate(table)
    assert value.dtype == np.float64
    np.testing.assert_array_equal(value, [1.8e10, 3.6e10])


def test_a_cost_traces_under_jax():
    with jax.enable_x64(True):
        assert jax.grad(with_overhead)(2.0, 3.0, 0.5) == 27.0


def test_plain_functions_are_costs():
    cost = find_cost(lambda N, D, k=7.0: k * N * D)
    assert cost.columns == ("N", "D") and cost(1.0, 2.0) == 14.0
    assert find_cost(cost) is cost


def test_a_product_buys_tokens_and_another_cost_does_not_say():
    assert product(7.0, source="a test").tokens(14.0, 2.0) == 1.0
    assert product(7.0, source="a test").per_product == 7.0
    with pytest.raises(sf.errors.AllocationError, match="not a multiple of N D"):
        COSTS["kaplan"].tokens(1e20, 1e9)


@pytest.mark.parametrize("name", COSTS)
def test_built_in_costs_are_documented_and_rise_in_every_size(name):
    cost = COSTS[name]
    assert cost.name == name and cost.source and cost.formula and cost.unit == "FLOP"
    table = {column: 0.5 if column == "sparsity" else 1e9 for column in cost.columns}
    base = cost.evaluate(table)
    for column in cost.columns:
        more = cost.evaluate(table | {column: 1.01 * table[column]})
        assert more < base if column == "sparsity" else more > base


def test_built_in_costs_of_structure():
    assert COSTS["precision"].evaluate({"N": 1e9, "D": 1e10, "P": 16}) == 6e19
    assert COSTS["moe"].evaluate({"N_active": 1e9, "D": 1e10, "N": 8e9}) == 6e19
    assert COSTS["moe_sparsity"].evaluate({"N": 8e9, "D": 1e10, "sparsity": 0.875}) == 6e19
    assert COSTS["parscale"].evaluate({"N": 1e9, "D": 1e10, "streams": 4}) == 2.4e20
    teacher = {"N": 1e9, "D": 1e10, "N_teacher": 7e9, "D_teacher": 1e11}
    assert COSTS["distillation"].evaluate(teacher) == 6e19 + 1.4e20
    assert COSTS["distillation_with_teacher"].evaluate(teacher) == 6e19 + 1.4e20 + 4.2e21


@pytest.mark.parametrize(
    ("flops", "granularity", "D", "loss"),
    [
        (2.95e18, 8, 4.37e9, 3.133),
        (1.93e20, 16, 28.94e9, 2.491),
        (6.46e21, 32, 137.6e9, 2.076),
        (4.97e25, 64, 7.94e12, 1.367),
    ],
)
def test_fine_grained_optima_are_those_of_the_paper(flops, granularity, D, loss):
    """Krajewski et al. 2024, table 2: granularity among powers of two, tokens, loss."""
    law = sf.laws.find("fine_grained_moe")
    params = {"c": 0.47, "g": 2.1, "a": 18.1, "b": 30.8, "alpha": 0.115, "beta": 0.147}
    N = np.geomspace(1e7, 1e15, 4001)
    best = {}
    for G in (4.0, 8.0, 16.0, 32.0, 64.0, 128.0):
        per_token = COSTS["fine_grained_moe"].evaluate({"N": N, "D": 1.0, "granularity": G})
        tokens = flops / per_token
        losses = law.evaluate({"N": N, "D": tokens, "granularity": G}, params | {"gamma": 0.58})
        i = losses.argmin()
        best[G] = losses[i], tokens[i]
    found = min(best, key=best.get)
    assert found == granularity
    assert best[found][1] == pytest.approx(D, rel=0.03)
    assert best[found][0] == pytest.approx(loss, abs=0.025)


@pytest.mark.parametrize(
    ("N", "n_layers", "d", "h", "q", "layers", "whole", "deepseek", "palm"), MODELS
)
def test_ratios_to_6nd_are_the_published_ones(N, n_layers, d, h, q, layers, whole, deepseek, palm):
    shape = {"n_heads": h, "d_attention": h * q}
    count = accounting.chinchilla(n_layers, d, 2048, **shape) / (6 * N)
    assert count == pytest.approx(layers, abs=5.1e-4)
    count = accounting.chinchilla(n_layers, d, 2048, 32000, **shape) / (6 * N)
    assert count == pytest.approx(whole, abs=2e-3)
    assert accounting.deepseek(n_layers, d, 2048) / (6 * N) == pytest.approx(deepseek, abs=5.1e-4)
    if palm is not None:
        assert accounting.palm(N, n_layers, h * q, 2048) / (6 * N) == pytest.approx(palm, abs=1e-3)


@pytest.mark.parametrize(
    ("width", "layers", "flops"),
    [
        (256, 80, 9.967373e8),
        (512, 12, 5.719419e8),
        (1024, 28, 3.578149e9),
        (2048, 16, 7.374146e9),
        (3072, 12, 1.192512e10),
    ],
)
def test_gemstones_are_counted_as_by_their_authors(width, layers, flops):
    assert accounting.gemstones(layers, width) == pytest.approx(flops, rel=1e-6)


def test_conventions_differ_by_how_attention_counts():
    """6 l s d over 72 l d^2 is 1/12 at s = d; full attention is twice that."""
    assert accounting.kaplan(10, 2048, 2048) / (72 * 10 * 2048**2) == pytest.approx(13 / 12)
    assert accounting.deepseek(10, 2048, 2048) / (72 * 10 * 2048**2) == pytest.approx(14 / 12)
    N = 12 * 10 * 2048**2
    assert accounting.porian(N, 10, 2048) == accounting.kaplan(10, 2048)
    assert accounting.palm(N, 10, 2048) == accounting.deepseek(10, 2048)


@pytest.mark.parametrize("embedded", [0.0, 1e-6, 32000.0, 256000.0])
def test_the_shape_of_a_size_has_that_size(embedded):
    N = np.geomspace(1e5, 1e13, 9)
    layers, width = accounting.shape_of(N, aspect=100.0, embedded=embedded)
    np.testing.assert_allclose(12 * layers * width**2 + embedded * width, N, rtol=1e-12)
    np.testing.assert_allclose(width, 100.0 * layers, rtol=1e-14)


def test_a_counted_cost_is_the_convention_at_the_shape():
    cost = counted("kaplan", aspect=128, seq=4096)
    N = 12 * 32 * 4096**2
    assert cost.evaluate({"N": N, "D": 10.0}) == pytest.approx(
        10.0 * accounting.kaplan(32, 4096, 4096), rel=1e-12
    )
    whole = counted("chinchilla", aspect=128, vocab=32000, tied=False)
    N += 2 * 32000 * 4096
    assert whole.evaluate({"N": N, "D": 1.0}) == pytest.approx(
        accounting.chinchilla(32, 4096, 2048, 32000), rel=1e-12
    )


def test_counted_costs_have_derivatives():
    for name in accounting.CONVENTIONS:
        cost = counted(name, vocab=32000)
        with jax.enable_x64(True):
            slope = float(jax.grad(cost)(1e9, 1.0))
        step = (cost(1e9 + 1e3, 1.0) - cost(1e9 - 1e3, 1.0)) / 2e3
        assert slope == pytest.approx(step, rel=1e-6)


def test_measured_takes_the_median_and_refuses_two_conventions():
    runs = pd.DataFrame({"N": [1e8, 1e9, 1e10], "D": [2e9, 2e10, 2e11], "loss": [3.0, 2.6, 2.3]})
    k = np.array([6.4, 6.2, 6.1])
    cost = measured(runs.assign(C=k * runs.N * runs.D))
    assert cost.per_product == pytest.approx(6.2)
    assert "3 runs, 5 to 95 %: 6.11 to 6.38" in cost.formula
    with pytest.raises(sf.errors.AllocationError, match="another convention"):
        measured(runs.assign(C=np.array([14.0, 7.0, 6.0]) * runs.N * runs.D))
    with pytest.raises(sf.errors.DataError, match="no column C"):
        measured(runs)


def test_marins_own_count_is_below_6nd(data_folder):
    for name, low, high in (("marin_comma", 4.5, 6.4), ("marin_dclm", 4.5, 6.4)):
        runs = sf.read(data_folder / f"{name}.csv", C="flops_reported")
        assert low < measured(runs).per_product < high


def test_the_answer_moves_with_the_count_at_the_budgets_of_the_runs(data_folder):
    """N and tokens per parameter of docs/costs.md, by search along each cost's budget line."""
    entries = 128_256

    @sf.allocation.cost(source="the count of the runs themselves")
    def own(N, D):
        """3 (32 l d^2 + 2 V d + 16480 l d) D"""
        n_layers, d = accounting.shape_of(N, aspect=98, embedded=2 * entries, per_layer=16)
        return (96 * n_layers * d**2 + 6 * entries * d + 49440 * n_layers * d) * D

    runs = sf.read(data_folder / "marin_comma.csv", C="flops_reported")
    N, D = runs.column("N"), runs.column("D")
    off = own.evaluate({"N": N, "D": D}) / runs.column("C") - 1
    assert np.abs(off).max() < 0.032 and np.abs(off[N > 5e8]).max() < 0.007
    fit = sf.fit(runs)
    expected = {
        (1e18, "6ND"): (229e6, 3.2),
        (1e18, measured(runs)): (228e6, 3.2),
        (1e18, own): (202e6, 5.3),
        (1e22, "6ND"): (5.69e9, 51.4),
        (1e22, measured(runs)): (5.68e9, 51.3),
        (1e22, own): (5.52e9, 51.0),
    }

    def loss(x, flops, per_token):
        N = np.exp(x)
        return float(fit.predict(N=N, D=flops / float(per_token(N, 1.0))))

    for (flops, cost), (size, ratio) in expected.items():
        per_token = find_cost(cost)
        found = minimize_scalar(
            loss,
            args=(flops, per_token),
            bounds=(16, 30),
            method="bounded",
            options={"xatol": 1e-8},
        )
        N = np.exp(found.x)
        assert pytest.approx(size, rel=3e-3) == N
        assert flops / per_token(N, 1.0) / N == pytest.approx(ratio, abs=0.06)
