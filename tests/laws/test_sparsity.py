"""Sparse weights, sparse experts, compressed representations: published values."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws.sparsity import capacity

T5 = sf.published("weight_sparsity").params
ABNAR = sf.published("moe_sparsity").params


def test_sparse_weights_of_as_many_nonzero_parameters_lose_less():
    columns = {"N": 1e8, "D": 1e11, "sparsity": np.array([0, 0.5, 0.75, 0.875])}
    found = sf.laws.weight_sparsity.evaluate(columns, T5)
    np.testing.assert_allclose(found, [1.6928, 1.6202, 1.5763, 1.5496], atol=5e-5)


def test_dense_experts_leave_one_constant():
    N, D = np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e12, 5)
    columns = {"N": N, "D": D, "sparsity": 0.0}
    found = sf.laws.moe_sparsity.evaluate(columns, ABNAR)
    moved = sf.laws.moe_sparsity.evaluate(columns, {**ABNAR, "e": 0.0, "c": 0.94 + 0.4598})
    np.testing.assert_allclose(found, moved, rtol=1e-14)
    expected = 0.94 + 0.4598 + 16612.5 * N**-0.5962 + 5455.67 * D**-0.3954 + 17.26 * N**-0.1595
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_at_a_fixed_total_size_sparser_experts_cost_loss_but_less_compute():
    dense, sparse = (
        sf.laws.moe_sparsity.evaluate({"N": 1e10, "D": 1e11, "sparsity": S}, ABNAR)
        for S in (0.0, 0.95)
    )
    assert sparse > dense
    # As much compute as the dense model: twenty times the total parameters.
    larger = sf.laws.moe_sparsity.evaluate({"N": 2e11, "D": 1e11, "sparsity": 0.95}, ABNAR)
    assert larger < dense


def test_capacity_of_optimal_quantizers_is_that_of_the_fitted_formats():
    """Two numbers reproduce four multipliers of the QuEST runs, weights only, 1 to 4 bits."""
    gmse = np.array([0.3634, 0.1188, 0.03744, 0.01154])
    fitted = [0.1384, 0.4137, 0.6531, 0.8404]
    np.testing.assert_allclose(capacity(gmse, 0.455, 1.756), fitted, atol=0.013)
    assert capacity(1e-12, 0.455, 1.756) == pytest.approx(1, abs=1e-6)


def test_weight_formats_of_quest_follow_their_error_on_normal_data(data_folder, agrees):
    """With the exponents that all formats share, which these runs alone do not determine."""
    runs = pd.read_csv(data_folder / "quest.csv").query("a_bits == 16")
    gmse = {1: 0.3634, 2: 0.1188, 3: 0.03744, 4: 0.01154, 16: 1e-12}
    runs = runs[runs["w_bits"].isin(gmse) & ~runs["w_quant"].str.contains("FP4")]
    fit = sf.fit(
        runs.assign(gmse=runs["w_bits"].map(gmse)),
        "compressed",
        robust="none",
        fixed={"E": 0.0, "alpha": 0.0627, "beta": 0.2412},
    )
    assert fit.nobs == 22
    assert fit.status is sf.Status.CONVERGED
    assert fit.residual_rms < 0.0024
    listed = ("compressed", "22 QuEST runs of quantized weights, E, alpha, beta fixed")
    agrees(*listed, "F", fit.params["F"], 0.455, abs=0.01)
    agrees(*listed, "C", fit.params["C"], 1.756, abs=0.04)
    found = [float(capacity(gmse[bits], fit.params["F"], fit.params["C"])) for bits in (1, 2, 3, 4)]
    np.testing.assert_allclose(found, [0.1384, 0.4137, 0.6531, 0.8404], atol=0.016)
