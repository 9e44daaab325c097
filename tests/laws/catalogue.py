"""One row for each built-in law: what a fit of it must find on a table it generated itself.

``test_catalogue.py`` does the same with every row. To add a law, add its row to ``ROWS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf


@dataclass(frozen=True)
class Row:
    """A law, and a table that its paper could have had.

    Attributes:
        law: name of the law.
        design: the data columns, without losses.
        truth: parameters the losses are made with, as a fit names them.
        linear: the parameters that enter linearly.
        exact: largest relative error of each parameter on losses without noise; those left out are
            not identified by the design, and only the surface is compared.
        near: largest relative error of each parameter on noisy losses: about three times the spread
            that the noise causes.
        noise: standard deviation of ln L of the noisy losses (of L, where ``residual`` is raw).
        surface: largest relative error of the surface without noise.
        weak: whether the noisy fit carries the note that parameters are weakly identified.
        at_bound: parameters that the noisy fit finds at a bound.
        allocates: whether a budget can be split between N and D.
        options: of the fit.
        seeds: whether the search depends on the seed (scattered cells).
    """

    law: str
    design: Callable[[], pd.DataFrame]
    truth: Mapping[str, float]
    linear: tuple[str, ...]
    exact: Mapping[str, float]
    near: Mapping[str, float]
    noise: float = 0.003
    surface: float = 1e-9
    weak: bool = False
    at_bound: tuple[str, ...] = ()
    allocates: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: bool = False


def same(names: str, tolerance: float) -> dict[str, float]:
    """One tolerance for several parameters."""
    return dict.fromkeys(names.split(), tolerance)


def crossed(**levels: Any) -> pd.DataFrame:
    """Every combination of the levels."""
    return pd.DataFrame(list(product(*levels.values())), columns=list(levels))


def grid() -> pd.DataFrame:
    """Sizes by tokens, over two and a half decades each."""
    return crossed(N=np.geomspace(2e7, 7e9, 8), D=np.geomspace(5e8, 2e11, 8))


def drifting() -> pd.DataFrame:
    """Many sizes, each with a ladder of tokens."""
    return crossed(N=np.geomspace(2e8, 4e9, 20), D=np.geomspace(2e9, 1e11, 20))


def routed_sizes():
    """Sizes by numbers of experts, dense models included."""
    return crossed(N=np.geomspace(1.5e7, 1.3e9, 7), experts=[1, 4, 8, 16, 32, 64, 128, 256, 512])


def experts():
    """Sizes by tokens by numbers of experts up to 32."""
    return crossed(
        N=np.geomspace(5e7, 2e9, 5), D=np.geomspace(2e9, 1.3e11, 5), experts=[1, 2, 4, 8, 16, 32]
    )


def granular():
    """Sizes by tokens by granularity."""
    return crossed(
        N=np.geomspace(1.3e8, 3.7e9, 6),
        D=np.geomspace(1.6e10, 1.3e11, 5),
        granularity=[1, 2, 4, 8, 16],
    )


def sparse_experts():
    """Six sparsities by five budgets by seven sizes."""
    runs = crossed(
        sparsity=[0, 0.25, 0.5, 0.75, 0.9, 0.95], C=np.geomspace(3e19, 1e21, 5), n=range(7)
    )
    N = 3e8 * (runs["C"] / 3e19) ** 0.5 * 1.8 ** (runs["n"] - 1) / (1 - runs["sparsity"]) ** 0.5
    return runs.assign(N=N, D=runs["C"] / (6 * N * (1 - runs["sparsity"])))[["N", "D", "sparsity"]]


def pruned():
    """Sizes by tokens by sparsities of the weights."""
    return crossed(
        N=np.geomspace(1e6, 1e9, 7), D=np.geomspace(4e9, 1e11, 4), sparsity=[0, 0.5, 0.75, 0.875]
    )


def formats():
    """Sizes by tokens by formats of 1, 2, 3, 4, 8 and 16 bits."""
    gmse = [0.3634, 0.1188, 0.03744, 0.01154, 1e-4, 1e-9]
    return crossed(N=np.geomspace(3e7, 1e9, 5), D=np.geomspace(1e9, 1e11, 4), gmse=gmse)


def streams():
    """Sizes by numbers of parallel streams."""
    return crossed(N=np.geomspace(5e8, 4.5e9, 6), streams=[1, 2, 4, 8])


def vocabularies():
    """Sizes by vocabularies by tokens."""
    return crossed(
        N=np.geomspace(3.3e7, 1.1e9, 6),
        vocab_params=np.geomspace(2e6, 2e8, 6),
        D=np.geomspace(5e8, 4e10, 6),
    )


def students():
    """Students by tokens by teachers, and what each student reaches alone."""
    runs = crossed(
        N=np.geomspace(1.4e8, 7.7e9, 6),
        D=np.geomspace(4e9, 5e11, 6),
        teacher_loss=np.linspace(1.9, 2.75, 6),
    )
    alone = 1.220 + (3355 / runs["N"] ** 0.408 + 18186 / runs["D"] ** 0.431) ** 0.452
    return runs.assign(supervised_loss=alone)


def examples():
    """Fourteen sizes of a fine-tuning set, each twice the one before, and seeds of each."""
    return pd.DataFrame({"D": np.tile(200.0 * 2.0 ** np.arange(14), 3)})


def finetuned():
    """Model sizes by sizes of the fine-tuning set."""
    return crossed(X=np.geomspace(1e9, 1.6e10, 4), D=np.geomspace(8e5, 1e9, 8))


def paired():
    """Losses on the first data set."""
    return pd.DataFrame({"source_loss": np.linspace(2.3, 4.5, 80)})


def shares():
    """Shares of two of three domains."""
    return pd.DataFrame(
        [(i / 8, j / 8) for i in range(9) for j in range(9 - i)], columns=["share1", "share2"]
    )


def task_losses():
    """Losses of a ladder of models."""
    return pd.DataFrame({"loss": np.linspace(0.4, 1.6, 60)})


def losses():
    """Losses of models from 1e7 to 1e10 parameters."""
    return pd.DataFrame({"loss": np.linspace(2.2, 5.5, 40)})


def budgets():
    """Training budgets."""
    return pd.DataFrame({"C": np.geomspace(1e18, 3e22, 48)})


def attempts():
    """Numbers of attempts."""
    return pd.DataFrame({"samples": np.round(np.geomspace(1, 1e4, 40))})


def checkpoints():
    """Checkpoints of one run of 50000 GPU hours, after its first part."""
    return pd.DataFrame({"C": np.linspace(1500.0, 50000.0, 75)})


def shapes():
    """Sizes by tokens by aspect ratios."""
    return crossed(
        N=np.geomspace(8e7, 1e9, 5), D=np.geomspace(1e9, 4e10, 4), aspect=[8, 32, 128, 350]
    )


def splits():
    """Hidden widths by ratios of MLP to attention at several sizes."""
    runs = crossed(
        N=[8e7, 1.5e8, 3e8], width_ratio=[0.03, 0.05, 0.08, 0.12, 0.2], mlp_ratio=[0.5, 1, 2, 4]
    )
    return runs.assign(best_loss=1.8 + 350 * runs["N"] ** -0.3)


RAW = {"residual": "raw", "robust": "none"}
SQUARED = {"robust": "none"}

ROWS = [
    Row(
        "chinchilla",
        sf.isoflop_design,
        sf.SURFACES["chinchilla"],
        linear=("E", "A", "B"),
        exact=same("E A B alpha beta", 1e-9),
        near=same("E", 0.05) | same("A B", 0.6) | same("alpha beta", 0.1),
        allocates=True,
    ),
    Row(
        "chinchilla_tied",
        grid,
        {"E": 1.8691, "A": 520.83, "B": 1487.72, "alpha": 0.35266},
        linear=("E", "A", "B"),
        exact=same("E A B alpha", 1e-9),
        near=same("E alpha", 0.02) | same("A B", 0.2),
        allocates=True,
    ),
    Row(
        "chinchilla_n",
        grid,
        {"E": 2.4, "A": 300.0, "alpha": 0.3},
        linear=("E", "A"),
        exact=same("E A alpha", 1e-9),
        near=same("E alpha", 0.02) | same("A", 0.15),
    ),
    Row(
        "chinchilla_d",
        grid,
        {"E": 2.1, "B": 800.0, "beta": 0.29},
        linear=("E", "B"),
        exact=same("E B beta", 1e-9),
        near=same("E beta", 0.02) | same("B", 0.15),
    ),
    Row(
        "farseer",
        drifting,
        {
            "E": 0.4316,
            "B": 1197.4,
            "beta": 0.4115,
            "e": -0.1196,
            "b": -0.4563,
            "c": -0.05147,
            "p": 0.1041,
            "q": 0.01,
            "r": 0.05,
        },
        linear=("E", "B"),
        exact={},
        near=same("E beta", 0.05) | same("B", 0.5),
        surface=1e-6,
        weak=True,
        # Its drifts, followed down to one parameter, end below every surface of sensible sizes.
        allocates=False,
        seeds=True,
    ),
    Row(
        "routed",
        routed_sizes,
        {"A": 10**1.104, "a": -0.082, "b": -0.108, "c": 0.009, "E_start": 1.847, "E_max": 314.478},
        linear=("A",),
        exact=same("A a b c E_start E_max", 1e-6),
        near=same("A a", 0.06) | same("b c", 0.25) | same("E_start", 0.3) | same("E_max", 0.7),
        seeds=True,
    ),
    Row(
        "joint_moe",
        experts,
        {
            "c": 1.3637,
            "a": 35.91,
            "b": 35.98,
            "alpha": -0.1889,
            "beta": -0.1775,
            "gamma": 0.0098,
            "delta": -0.2285,
            "zeta": -0.0259,
            "omega": 0.5529,
            "E_start": 2.0732,
            "E_max": 290.4521,
        },
        linear=("c", "a", "b"),
        exact=same("c a b alpha beta gamma delta zeta omega E_start", 1e-6),
        near=same("c alpha beta", 0.2) | same("E_start", 0.4),
        weak=True,
        seeds=True,
        options={"fix": {"E_max": 290.4521}},
    ),
    Row(
        "fine_grained_moe",
        granular,
        {"c": 0.47, "g": 2.1, "a": 18.1, "b": 30.8, "alpha": 0.115, "beta": 0.147, "gamma": 0.58},
        linear=("c", "g", "a", "b"),
        exact=same("c g a b alpha beta gamma", 1e-6),
        near=same("alpha", 0.2) | same("a gamma", 0.3),
        weak=True,
    ),
    Row(
        "moe_sparsity",
        sparse_experts,
        {
            "e": 0.94,
            "a": 16612.5,
            "b": 5455.67,
            "c": 0.4598,
            "d": 17.26,
            "alpha": 0.5962,
            "beta": 0.3954,
            "lam": -0.1666,
            "delta": 0.1603,
            "gamma": 0.1595,
        },
        linear=("e", "a", "b", "c", "d"),
        exact=same("e a b c d alpha beta lam delta gamma", 1e-6),
        near=same("beta", 0.03) | same("b", 0.25) | same("delta gamma", 0.4),
        seeds=True,
        weak=True,
    ),
    Row(
        "weight_sparsity",
        pruned,
        {
            "c": 0.651,
            "a_S": 16.8,
            "c_S": 45.0,
            "B": 6.9e8**0.203,
            "b_S": 0.722,
            "b_N": 0.245,
            "b_D": 0.203,
        },
        linear=("c", "a_S", "c_S", "B"),
        exact=same("c a_S c_S B b_S b_N b_D", 1e-6),
        near=same("b_N", 0.02) | same("a_S c_S b_S", 0.1) | same("c b_D", 0.2),
    ),
    Row(
        "compressed",
        formats,
        {"E": 1.9, "A": 500.0, "B": 1500.0, "alpha": 0.34, "beta": 0.33, "F": 0.455, "C": 1.756},
        linear=("E", "A", "B"),
        exact=same("E A B alpha beta F C", 1e-6),
        near=same("E alpha beta F C", 0.05) | same("A B", 0.3),
        seeds=True,
    ),
    Row(
        "parscale",
        streams,
        {"E": 1.2886, "A": 1.975e8**0.1963, "alpha": 0.1963, "k": 0.3344},
        linear=("E", "A"),
        exact=same("E A alpha k", 1e-7),
        near=same("k", 0.08) | same("E", 0.12) | same("alpha", 0.2),
        noise=0.001,
    ),
    Row(
        "vocabulary",
        vocabularies,
        {
            "E": -5.53,
            "A1": 1.8314 * 1e6**0.4466,
            "A2": 0.196 * 1e6**0.6707,
            "B": 2.124 * 1e9**0.4466,
            "alpha1": 0.4466,
            "alpha2": 0.6707,
            "beta": 0.4466,
        },
        linear=("E", "A1", "A2", "B"),
        exact=same("E A1 A2 B alpha1 alpha2 beta", 1e-6),
        near=same("E", 0.004)
        | same("A1 B", 0.1)
        | same("alpha1 beta", 0.015)
        | same("alpha2", 0.25),
        noise=0.01,
        options={"residual": "raw", "tie": [("alpha1", "beta")]},
    ),
    Row(
        "distillation",
        students,
        {
            "K": 0.9,
            "c0": 2.5,
            "c1": 60.0,
            "d1": 1.3,
            "f1": 0.09,
            "r": 0.5,
            "alpha": 0.32,
            "beta": 0.5,
            "gamma": 0.76,
        },
        linear=("K",),
        exact=same("K c0 c1 d1 f1 r alpha beta gamma", 1e-6),
        near=same("K c0", 0.08) | same("d1 f1 r alpha beta gamma", 0.2),
        noise=0.002,
        seeds=True,
        weak=True,
    ),
    Row(
        "distillation_limit",
        students,
        {
            "K": 0.9,
            "c0": 2.5,
            "s": 1.1,
            "f1": 0.09,
            "r": 0.5,
            "alpha": 0.32,
            "beta": 0.5,
            "gamma": 0.76,
        },
        linear=("K",),
        exact=same("K c0 s f1 r alpha beta gamma", 1e-6),
        near=same("K c0 s f1", 0.08) | same("r alpha beta gamma", 0.2),
        noise=0.002,
        seeds=True,
    ),
    Row(
        "rectified_finetuning",
        examples,
        {"E": 1.242, "B": 3.285, "beta": 0.5005, "D0": np.exp(11.116)},
        linear=("E", "B"),
        exact=same("E B beta D0", 1e-6),
        near=same("E B beta D0", 0.05),
    ),
    Row(
        "joint_finetuning",
        finetuned,
        {"E": 0.75, "A": 1.2e5, "alpha": 0.52, "beta": 0.15},
        linear=("E", "A"),
        exact=same("E A alpha beta", 1e-6),
        near=same("E", 0.01) | same("alpha beta", 0.07),
    ),
    Row(
        "loss_to_loss",
        paired,
        {"E1": 1.53, "K": 1.05, "kappa": 0.973, "E0": 1.97},
        linear=("E1", "K"),
        exact=same("E1 K kappa", 1e-6),
        near=same("E1 K kappa", 0.025),
        options={"fix": {"E0": 1.97}},
    ),
    Row(
        "data_mixture",
        shares,
        {"c": 1.7, "k": 1.4, "t1": -3.0, "t2": 0.4},
        linear=("c", "k"),
        exact=same("c k t1 t2", 1e-7),
        near=same("c k", 0.012) | same("t1 t2", 0.04),
    ),
    Row(
        "error_of_loss",
        losses,
        {"epsilon": 0.7608, "k": 1.3229, "gamma": 0.8907},
        linear=("epsilon", "k"),
        exact=same("epsilon k gamma", 1e-7),
        near=same("epsilon", 0.01) | same("k gamma", 0.25),
        options=RAW,
    ),
    Row(
        "accuracy_of_loss",
        task_losses,
        {"b": 0.95, "a": -0.7, "k": 8.0, "L0": 0.9},
        linear=("b", "a"),
        exact=same("b a k L0", 1e-7),
        near=same("b a L0", 0.01) | same("k", 0.025),
        options=RAW,
    ),
    Row(
        "accuracy_of_scale",
        grid,
        {"b": 0.95, "a": -0.7, "A": 1.5, "B": 1.0, "e": -2.0, "alpha": 0.3, "beta": 0.3},
        linear=("b", "a"),
        exact=same("b a A B e alpha beta", 1e-5),
        near=same("b", 0.1) | same("a A B alpha beta", 0.25) | same("e", 0.35),
        weak=True,
        options=RAW,
        seeds=True,
    ),
    Row(
        "accuracy_of_compute",
        budgets,
        {"floor": 0.25, "C0": 1e21, "alpha": 0.25},
        linear=("floor",),
        exact=same("floor C0 alpha", 1e-7),
        near=same("floor alpha", 0.02) | same("C0", 0.05),
        options=RAW,
    ),
    Row(
        "accuracy_of_size",
        grid,
        {"A": 0.4, "B": 0.3, "alpha": 0.25, "beta": 0.2},
        linear=(),
        exact=same("A B alpha beta", 1e-7),
        near=same("A B", 0.08) | same("alpha beta", 0.06),
        options=RAW,
        seeds=True,
    ),
    Row(
        "coverage_power",
        attempts,
        {"a": 2.32, "b": 0.37},
        linear=(),
        exact=same("a b", 1e-7),
        near=same("a b", 0.01),
        options=RAW,
    ),
    Row(
        "coverage_beta",
        attempts,
        {"alpha": 0.3, "beta": 3.0},
        linear=(),
        exact=same("alpha beta", 1e-7),
        near=same("alpha beta", 0.02),
        options=RAW,
    ),
    Row(
        "reward_of_compute",
        checkpoints,
        {"R0": 0.3, "A": 0.645, "B": 1.7, "C_mid": 12000.0},
        linear=("R0", "A"),
        exact=same("R0 A B C_mid", 1e-7),
        near=same("A", 0.015) | same("R0 C_mid", 0.04) | same("B", 0.09),
        options=RAW,
    ),
    Row(
        "optimal_learning_rate",
        grid,
        {"c": 1.79, "a": -0.713, "b": 0.307},
        linear=("c",),
        exact=same("c a b", 1e-7),
        near=same("a b", 0.07) | same("c", 0.5),
        noise=0.1,
        options=SQUARED,
    ),
    Row(
        "optimal_batch_size",
        grid,
        {"c": 0.58, "b": 0.571},
        linear=("c",),
        exact=same("c b", 1e-7),
        near=same("b", 0.04) | same("c", 0.5),
        noise=0.1,
        options=SQUARED,
    ),
    Row(
        "aspect_ratio",
        shapes,
        {
            "E": 2.4475,
            "A": 5.475e4,
            "B": 7.783e5,
            "alpha": 0.61457,
            "beta": 0.61457,
            "gamma": 0.61457,
            "epsilon": 1.1462e-3,
        },
        linear=("E", "A", "B"),
        exact=same("E A B alpha epsilon", 1e-6),
        near=same("E alpha", 0.02) | same("epsilon", 0.1) | same("A B", 0.25),
        options={"tie": [("alpha", "beta", "gamma")]},
    ),
    Row(
        "architecture_product",
        splits,
        {"a0": 1.14, "a1": 0.05, "a2": 0.004, "b1": 0.004, "b2": 0.004},
        linear=("a0", "a1", "a2"),
        exact=same("a0 a1 a2 b1 b2", 1e-6),
        near=same("a0", 0.003) | same("a1 a2", 0.04) | same("b1 b2", 0.45),
        noise=0.001,
    ),
    Row(
        "architecture_sum",
        splits,
        {"a0": 0.3, "a1": 0.15, "a2": 0.012, "b1": 0.01, "b2": 0.01},
        linear=("a0", "a1", "a2", "b1", "b2"),
        exact=same("a0 a1 a2 b1 b2", 1e-6),
        near=same("a0 a1 a2", 0.04) | same("b1 b2", 0.6),
        noise=0.001,
    ),
]
