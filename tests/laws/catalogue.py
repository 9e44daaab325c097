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
        drawn: codes of the notes that draws from the curvature of the noisy fit carry.
        loose: parameters known so badly that their draws, which are of a logarithm, spread
            otherwise than their standard errors.
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
    drawn: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()


def same(names: str, tolerance: float) -> dict[str, float]:
    """One tolerance for several parameters."""
    return dict.fromkeys(names.split(), tolerance)


def crossed(**levels: Any) -> pd.DataFrame:
    """Every combination of the levels."""
    return pd.DataFrame(list(product(*levels.values())), columns=list(levels))


def grid() -> pd.DataFrame:
    """Sizes by tokens, over two and a half decades each."""
    return crossed(N=np.geomspace(2e7, 7e9, 8), D=np.geomspace(5e8, 2e11, 8))


def overtrained() -> pd.DataFrame:
    """Compute by tokens per parameter, as Gadre et al. vary them."""
    return crossed(C=np.geomspace(1e17, 1e21, 6), M=[5.0, 20.0, 80.0, 320.0, 640.0])


def small_models() -> pd.DataFrame:
    """Sizes of Kaplan et al., from a thousand parameters on."""
    return crossed(N=np.geomspace(800, 1.6e9, 14), D=np.geomspace(1e8, 1e11, 8))


def one_column() -> pd.DataFrame:
    """A ladder of sixteen, over five decades."""
    return pd.DataFrame({"x": np.geomspace(1e5, 1e10, 16)})


def around_a_break() -> pd.DataFrame:
    """Sizes of a training set, closer together around the break."""
    return pd.DataFrame({"x": np.geomspace(50, 2e4, 40)})


def around_two_breaks() -> pd.DataFrame:
    """Five decades with a break in the second and in the fourth."""
    return pd.DataFrame({"x": np.geomspace(10, 1e7, 80)})


def learning_curves() -> pd.DataFrame:
    """Sizes by optimizer steps."""
    return crossed(N=np.geomspace(1e6, 1.5e9, 8), S=np.geomspace(500, 2.5e5, 10))


def epochs() -> pd.DataFrame:
    """Sizes by unique tokens by epochs, as Muennighoff et al. vary them."""
    runs = crossed(
        N=np.geomspace(2e7, 8e9, 6), U=np.geomspace(1e8, 1e11, 4), epochs=[1, 2, 4, 10, 30, 100]
    )
    return runs.assign(D=runs["U"] * runs["epochs"])


SIZES = [3e7, 6e7, 1.1e8, 2.2e8]
TOKENS = [1.5e9, 3e9, 6e9, 1.3e10, 2.6e10]


def one_precision() -> pd.DataFrame:
    """Sizes and tokens of Kumar et al. at one precision for all tensors."""
    return crossed(N=SIZES, D=TOKENS, P=[3, 4, 5, 6, 8, 12, 16])


def precisions() -> pd.DataFrame:
    """Each tensor in turn at few bits, and a hundred mixtures, as Kumar et al. vary them."""
    runs = []
    for name, lowest in (("P_w", 3), ("P_a", 4), ("P_kv", 4)):
        bits = range(lowest, 13)
        others = {other: [16] for other in ("P_w", "P_a", "P_kv") if other != name}
        runs.append(crossed(N=SIZES, D=TOKENS, **{name: bits}, **others))
    rng = np.random.default_rng(0)
    mixed = crossed(N=SIZES, D=TOKENS, again=range(5))[["N", "D"]]
    runs.append(mixed.assign(**{name: rng.integers(4, 13, 100) for name in ("P_w", "P_a", "P_kv")}))
    return pd.concat(runs, ignore_index=True)


def served() -> pd.DataFrame:
    """Runs of several training precisions, each served at several."""
    runs = precisions().iloc[::4]
    runs = runs.merge(pd.DataFrame({"P": [3, 4, 5, 6, 8, 16]}), how="cross")
    return runs.drop_duplicates(ignore_index=True)


def quantized_after() -> pd.DataFrame:
    """Trained models, quantized to few bits."""
    return crossed(N=SIZES, D=TOKENS, P=[3, 4, 5, 6])


def formats() -> pd.DataFrame:
    """Three formats on the same sizes and tokens."""
    return crossed(
        N=np.geomspace(3e7, 8e8, 6), D=np.geomspace(2e9, 8e10, 5), format=["16", "8", "4"]
    )


def two_passes() -> pd.DataFrame:
    """A format of the forward pass by one of the backward pass."""
    return crossed(
        N=np.geomspace(3e7, 8e8, 6),
        D=np.geomspace(2e9, 8e10, 5),
        forward=["16", "4"],
        backward=["16", "8", "4"],
    )


def indicated() -> pd.DataFrame:
    """The same, with one low-precision format marked by ones."""
    return crossed(
        N=np.geomspace(3e7, 2e9, 6), D=np.geomspace(2e9, 2e11, 6), forward=[0, 1], backward=[0, 1]
    )


def group_sizes() -> pd.DataFrame:
    """Quantization-aware training by group size, as Chen et al. vary it, and runs in 16 bits."""
    return crossed(
        N=[7.4e7, 1.45e8, 2.97e8, 5.95e8], D=[1e10, 2e10, 5e10, 1e11], G=[1, 32, 64, 128, 256, 1024]
    )


def quantized_groups() -> pd.DataFrame:
    """The quantized runs among them."""
    return group_sizes().query("G > 1").reset_index(drop=True)


def floats() -> pd.DataFrame:
    """Sizes of Sun et al. by tokens, layouts of the number and block sizes."""
    return crossed(
        N=[4.1e7, 8.5e7, 1.54e8, 6.79e8],
        D=[1.05e10, 2.1e10, 5.2e10, 1.05e11, 2.1e11],
        exponent_bits=[1, 2, 4],
        mantissa_bits=[1, 2, 3],
        G=[32, 128, 512],
    ).iloc[::2]


KUMAR = {
    "E": 2.7648,
    "A": 4.299e3,
    "B": 1.806e4,
    "alpha": 0.4965,
    "beta": 0.4965,
    "gamma_w": 2.6745,
    "gamma_a": 2.2102,
    "gamma_kv": 0.9578,
    "n_w": 0.3037,
    "n_a": 1.4072,
    "n_kv": 2.4185,
}
QAT = {"k": 0.1582, "gamma_N": 0.2186, "gamma_D": 0.0745, "gamma_G": 0.7779}
BOWL = {
    **{"E": 1.2, "A": 0.99, "B": 0.4, "s_l": 0.0074, "s_b": 0.0076, "c_ll": 0.028},
    **{"c_lb": -0.014, "c_bb": 0.0213, "l_N": 0.0247, "l_D": -0.0007, "b_N": -0.0045},
    **{"b_D": -0.0217, "t_N": 0.0, "t_D": 0.0, "alpha": 0.25, "beta": 0.24},
}


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


def compressed_formats():
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


def mixtures_at_scale():
    """Mixtures of three domains, each at four sizes and four numbers of tokens."""
    sizes, tokens = np.geomspace(1e8, 4e9, 4), np.geomspace(2e9, 2e11, 4)
    mixed = [(i / 5, j / 5, (5 - i - j) / 5) for i in range(6) for j in range(6 - i)]
    return pd.DataFrame(
        [
            (sizes[k], tokens[(k + place) % 4], *mixture)
            for place, mixture in enumerate(mixed)
            for k in range(4)
        ],
        columns=["N", "D", "share1", "share2", "share3"],
    )


def filtered_pools():
    """Pools of three sizes, seen up to fifty times, as Goyal et al. train on them."""
    return crossed(pool=[1.28e7, 2.56e7, 5.12e7], samples=np.geomspace(1.28e7, 6.4e8, 12))


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


def hyperparameters():
    """Learning rates by batches around the optimum of nine sizes by tokens."""
    runs = crossed(
        N=[6e7, 2.5e8, 1e9], D=[2e9, 1.4e10, 1e11], rate=[0.3, 1.0, 3.0], size=[0.25, 1.0, 4.0]
    )
    rate = runs["rate"] * 1.79 * runs["N"] ** -0.713 * runs["D"] ** 0.307
    return runs[["N", "D"]].assign(lr=rate, batch=runs["size"] * 0.58 * runs["D"] ** 0.571)


def batches():
    """Batches of 2^14 to 2^23 tokens, each with three seeds."""
    return pd.DataFrame({"batch": np.tile(2.0 ** np.arange(14, 24), 3)})


def checkpoints():
    """Checkpoints of one run of 50000 GPU hours, after its first part."""
    return pd.DataFrame({"C": np.linspace(1500.0, 50000.0, 75)})


def three_schedules() -> pd.DataFrame:
    """A constant, a cosine and a decay at the end, of 24,000 steps with a warm-up of 2,000."""
    step = np.arange(24001)
    risen, done = np.minimum(step / 2000, 1), np.clip((step - 2000) / 22000, 0, 1)
    shapes = {
        "constant": 1.0,
        "cosine": 0.1 + 0.45 * (1 + np.cos(np.pi * done)),
        "wsd": 0.1 ** np.clip((step - 20000) / 4000, 0, 1),
    }
    at = np.linspace(2400, 24000, 25).astype(int)
    return pd.concat(
        [sf.laws.schedule_columns(3e-4 * risen * shape, at, nodes=0) for shape in shapes.values()],
        ignore_index=True,
    )


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


def leverages():
    """Activation ratios by granularities by budgets."""
    return crossed(
        activation=[0.008, 0.016, 0.031, 0.0625, 0.125, 0.25, 0.5, 1.0],
        granularity=[2, 4, 8, 12, 16],
        C=np.geomspace(3e18, 3e20, 4),
    )


def distances():
    """Distances from the starting policy."""
    return pd.DataFrame({"distance": np.linspace(0.2, 8.0, 60)})


def sampled():
    """Sizes by tokens by attempts."""
    return crossed(
        N=np.geomspace(5e6, 9e8, 6), D=np.geomspace(1e8, 2e11, 6), samples=[1, 4, 16, 64, 256]
    )


def two_columns():
    """Sizes by tokens, of any name."""
    return crossed(x=np.geomspace(2e7, 7e9, 6), z=np.geomspace(5e8, 2e11, 6))


def around_a_scale():
    """A ladder of thirty, over four decades."""
    return pd.DataFrame({"x": np.geomspace(1e4, 1e8, 30)})


def attempts_by_compute():
    """Budgets by numbers of attempts."""
    return crossed(C=np.geomspace(1e19, 1e22, 8), samples=[1, 2, 4, 8, 16, 32, 64, 128])


def pretrained():
    """Tokens of pre-training, from nearly none."""
    return pd.DataFrame({"D": np.geomspace(1e6, 1e10, 30)})


def batch_sizes():
    """Batch sizes on both sides of the best, in samples."""
    return pd.DataFrame({"batch": 2.0 ** np.arange(4, 16)})


def gemstones():
    """Twelve shapes from deep and narrow to wide and shallow, by tokens."""
    pairs = [(256, 80), (256, 23), (512, 12), (768, 3), (768, 45), (1024, 28)]
    pairs += [(1280, 36), (1536, 50), (1792, 7), (2048, 27), (2560, 8), (3072, 12)]
    shapes = pd.DataFrame(pairs, columns=["width", "depth"])
    shapes["N"] = 12.0 * shapes["width"] ** 2 * shapes["depth"] + 50304 * shapes["width"]
    return shapes.merge(pd.DataFrame({"D": np.geomspace(1e10, 3.5e11, 8)}), how="cross")


def dimensions():
    """A dimension of a shape by compute, on both sides of the best of each."""
    return crossed(x=np.geomspace(100, 6000, 10), C=np.geomspace(100, 1e5, 7))


def quantized():
    """Sizes by tokens by bits, from three tokens per byte on."""
    return crossed(N=[8.6e7, 3.9e8, 2.2e9], D=np.geomspace(5e9, 1e12, 5), bits=[1, 2, 4, 6])


RAW = {"residual": "raw", "robust": "none"}
SQUARED = {"robust": "none"}

ROWS = [
    Row(
        "chinchilla",
        sf.simulation.isoflop_design,
        sf.simulation.SURFACES["chinchilla"],
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
        "chinchilla_overtrained",
        overtrained,
        {"E": 1.508261, "a": 141.277, "b": 189.516, "eta": 0.121236},
        linear=("E", "a", "b"),
        exact=same("E a b eta", 1e-9),
        near=same("E eta", 0.05) | same("a b", 0.2),
    ),
    Row(
        "chinchilla_nonembedding",
        small_models,
        {
            "E": 1.8172,
            "A": 482.01,
            "B": 2085.43,
            "alpha": 0.3478,
            "beta": 0.3658,
            "gamma": 47491.0,
        },
        linear=("E", "A", "B"),
        exact=same("E A B alpha beta gamma", 1e-9),
        near=same("E alpha beta", 0.05) | same("A B gamma", 0.5),
        allocates=True,
    ),
    Row(
        "chinchilla_outer",
        grid,
        {"E": 1.757, "S": 0.75, "w": 0.5, "alpha": 0.4244, "beta": 0.4305, "k": 0.7741},
        linear=("E", "S"),
        exact=same("E S w alpha beta k", 1e-7),
        near=same("E S w alpha beta k", 0.3),
        allocates=True,
        seeds=True,
    ),
    Row(
        "power",
        one_column,
        {"A": 8.8e13**0.076, "alpha": 0.076},
        linear=("A",),
        exact=same("A alpha", 1e-9),
        near=same("A alpha", 0.02),
    ),
    Row(
        "power_offset",
        one_column,
        {"E": 1.7, "A": 100.0, "alpha": 0.24},
        linear=("E", "A"),
        exact=same("E A alpha", 1e-9),
        near=same("E alpha", 0.05) | same("A", 0.2),
    ),
    Row(
        "shifted_power",
        around_a_scale,
        {"E": 1.7, "A": 40.0, "alpha": 0.3, "x0": 3e5},
        linear=("E", "A"),
        exact=same("E A alpha x0", 1e-6),
        near=same("E", 0.1) | same("alpha x0", 0.4) | same("A", 0.9),
    ),
    Row(
        "signed_power",
        one_column,
        {"A": 0.292, "b": 0.3271},
        linear=("A",),
        exact=same("A b", 1e-9),
        near=same("A b", 0.02),
    ),
    Row(
        "signed_power_offset",
        one_column,
        {"E": 0.9, "A": -3.0, "b": -0.15},
        linear=("E", "A"),
        exact=same("E A b", 1e-8),
        near=same("E A b", 0.2),
        options=RAW,
    ),
    Row(
        "logarithmic",
        one_column,
        {"a": 5.0, "b": -0.15},
        linear=("a", "b"),
        exact=same("a b", 1e-9),
        near=same("a b", 0.02),
    ),
    Row(
        "logarithmic_sum",
        two_columns,
        {"a": 8.0, "b": -0.15, "c": -0.1},
        linear=("a", "b", "c"),
        exact=same("a b c", 1e-9),
        near=same("a b c", 0.03),
    ),
    Row(
        "stretched_exponential",
        around_a_scale,
        {"E": 1.7, "A": 2.0, "s": 1e6, "b": 0.5},
        linear=("E", "A"),
        exact=same("E A s b", 1e-7),
        near=same("E A b", 0.05) | same("s", 0.1),
    ),
    Row(
        "broken_power",
        around_a_break,
        {
            "a": 0.413884,
            "b": 2.277272,
            "c0": 0.0550773,
            "c1": 5.662904,
            "d1": 612.58366,
            "f1": 0.059193,
        },
        linear=("a", "b"),
        exact=same("a b c0 c1 d1 f1", 1e-7),
        near=same("a b c0 c1 d1 f1", 0.3),
        seeds=True,
    ),
    Row(
        "broken_power_twice",
        around_two_breaks,
        {
            "a": 0.2,
            "b": 3.0,
            "s0": 0.02,
            "s1": 0.52,
            "s2": 0.17,
            "d": 500.0,
            "g": 200.0,
            "f1": 0.3,
            "f2": 0.4,
        },
        linear=("a", "b"),
        exact=same("a b s0 s1 s2 d g f1 f2", 1e-6),
        near=same("s1 s2 d g f1 f2", 0.3),
        seeds=True,
    ),
    Row(
        "kaplan",
        grid,
        {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
        linear=(),
        exact=same("N_c D_c alpha_N alpha_D", 1e-7),
        near=same("alpha_N alpha_D", 0.05),
        allocates=True,
        seeds=True,
    ),
    Row(
        "kaplan_steps",
        learning_curves,
        {"A": 6.5e13**0.077, "B": 2.1e3**0.76, "alpha_N": 0.077, "alpha_S": 0.76},
        linear=("A", "B"),
        exact=same("A B alpha_N alpha_S", 1e-9),
        near=same("A alpha_N alpha_S", 0.05) | same("B", 0.2),
    ),
    Row(
        "repeated_tokens",
        epochs,
        {"E": 1.8691, "A": 520.83, "B": 1487.72, "alpha": 0.35266, "beta": 0.35266, "R_D": 15.39},
        linear=("E", "A", "B"),
        exact=same("E A B alpha beta R_D", 1e-8),
        near=same("E alpha beta R_D", 0.1) | same("A B", 0.3),
    ),
    Row(
        "data_constrained",
        epochs,
        {
            "E": 1.8691,
            "A": 520.83,
            "B": 1487.72,
            "alpha": 0.35266,
            "beta": 0.35266,
            "N_1": 5.1e8,
            "R_D": 15.39,
            "R_N": 5.31,
        },
        linear=("E", "A", "B"),
        exact=same("E A B alpha beta R_D R_N", 1e-8),
        near=same("E alpha beta R_D R_N", 0.1) | same("A B", 0.3),
        options={"fixed": {"N_1": 5.1e8}, "tied": [("alpha", "beta")]},
        seeds=True,
    ),
    Row(
        "repeated_epochs",
        epochs,
        {"E": 0.5, "A": 50.0, "B": 400.0, "d": 5e4, "alpha": 0.3, "beta": 0.35, "k": 0.9},
        linear=("E", "A", "B", "d"),
        exact=same("E A B d alpha beta k", 1e-7),
        near=same("E alpha beta k", 0.2),
        seeds=True,
    ),
    Row(
        "repetition_penalty",
        epochs,
        {
            "E": 1.9,
            "A": 500.0,
            "B": 1500.0,
            "P": 0.05,
            "alpha": 0.35,
            "beta": 0.35,
            "delta": 0.6,
            "kappa": 0.7,
        },
        linear=("E", "A", "B", "P"),
        exact=same("E A B P alpha beta delta kappa", 1e-7),
        near=same("E alpha beta delta kappa", 0.2),
    ),
    Row(
        "saturating_epochs",
        epochs,
        {
            **{"E": 1.9, "A": 500.0, "B": 1500.0, "alpha": 0.35, "beta": 0.35},
            **{"R": 8.0, "d": -0.3},
        },
        linear=("E", "A", "B"),
        exact=same("E A B alpha beta R d", 1e-7),
        near=same("E alpha beta R d", 0.2),
        seeds=True,
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
        allocates=True,
        seeds=True,
        drawn=("draws_at_bound",),
    ),
    Row(
        "low_precision",
        one_precision,
        {"E": 2.0, "A": 200.0, "B": 1e3, "alpha": 0.3, "beta": 0.32, "gamma": 2.469, "n": 0.646},
        linear=("E", "A", "B"),
        exact=same("E A B alpha beta gamma n", 1e-8),
        near=same("E alpha beta", 0.2) | same("gamma n", 0.15),
        seeds=True,
    ),
    Row(
        "precision",
        precisions,
        KUMAR,
        linear=("E", "A", "B"),
        exact=same("E A B alpha beta gamma_w gamma_a gamma_kv n_w n_a n_kv", 1e-7),
        near=same("E", 0.01)
        | same("A n_w", 0.25)
        | same("B", 0.3)
        | same("alpha beta gamma_a n_a", 0.04)
        | same("gamma_w", 0.05)
        | same("gamma_kv", 0.3)
        | same("n_kv", 0.5),
        options={"tied": [("alpha", "beta")]},
        seeds=True,
        drawn=("draws_at_bound",),
    ),
    Row(
        "ptq_excess",
        quantized_after,
        {"C_T": 0.0598 * np.exp(1.1277), "gamma_D": 0.5068, "gamma_N": 0.3439, "gamma_P": 0.5907},
        linear=("C_T",),
        exact=same("C_T gamma_D gamma_N gamma_P", 1e-9),
        near=same("gamma_D gamma_N gamma_P", 0.01) | same("C_T", 0.1),
        seeds=True,
    ),
    Row(
        "unified_precision",
        served,
        KUMAR
        | {"C_T": 0.1847, "gamma_D": 0.5068, "gamma_N": 0.3439, "gamma_P": 0.5907}
        | {"C_w": 0.3, "C_a": 0.4, "C_kv": 0.5},
        linear=("E", "A", "B", "C_T"),
        exact=same("C_T gamma_D gamma_N gamma_P C_w C_a C_kv", 1e-7),
        near=same("gamma_D gamma_N gamma_P C_w C_a C_kv", 0.1),
        options={"fixed": KUMAR},
        seeds=True,
    ),
    Row(
        "effective_parameters",
        formats,
        {
            "E": 1.0,
            "A[16]": 200.0,
            "A[8]": 205.0,
            "A[4]": 240.0,
            "B": 500.0,
            "alpha": 0.25,
            "beta": 0.27,
        },
        linear=("E", "A", "B"),
        exact=same("E A[16] A[8] A[4] B alpha beta", 1e-8),
        near=same("E alpha beta", 0.2) | same("A[16] A[8] A[4] B", 0.6),
    ),
    Row(
        "effective_parameters_and_tokens",
        two_passes,
        {
            "E": 1.0,
            "A[16]": 200.0,
            "A[4]": 240.0,
            "B[16]": 500.0,
            "B[8]": 510.0,
            "B[4]": 540.0,
            "alpha": 0.25,
            "beta": 0.27,
        },
        linear=("E", "A", "B"),
        exact=same("E A[16] A[4] B[16] B[8] B[4] alpha beta", 1e-8),
        near=same("E alpha beta", 0.2) | same("A[16] A[4] B[16] B[8] B[4]", 0.6),
    ),
    Row(
        "quartet",
        indicated,
        {
            "E": 1.35,
            "S": 1.0,
            "w": 0.5,
            "alpha": 0.589,
            "beta": 0.544,
            "k": 0.274,
            "eff_N": 0.64,
            "eff_D": 0.88,
        },
        linear=("E", "S"),
        exact=same("E S w alpha beta k eff_N eff_D", 1e-7),
        near=same("E S w alpha beta k", 0.5) | same("eff_N eff_D", 0.05),
        seeds=True,
    ),
    Row(
        "qat",
        group_sizes,
        {"E": 1.9279, "A": 237.7042, "B": 596.249, "alpha": 0.3022, "beta": 0.3022} | QAT,
        linear=("E", "A", "B", "k"),
        exact=same("E A B alpha beta k gamma_N gamma_D gamma_G", 1e-7),
        near=same("E", 0.1) | same("alpha beta gamma_G", 0.3),
        options={"tied": [("alpha", "beta")]},
        seeds=True,
        loose=("k",),
    ),
    Row(
        "qat_excess",
        quantized_groups,
        QAT,
        linear=("k",),
        exact=same("k gamma_N gamma_D gamma_G", 1e-9),
        near=same("gamma_N gamma_G", 0.02) | same("gamma_D", 0.05) | same("k", 0.1),
        seeds=True,
    ),
    Row(
        "optimal_qat_share",
        quantized,
        {"a": 6.7297},
        linear=(),
        exact=same("a", 1e-9),
        near=same("a", 0.01),
        options=RAW,
    ),
    Row(
        "float_quantized",
        floats,
        {
            "E": 1.9061,
            "A": 69.2343,
            "B": 68973.0621,
            "K": 1 / 11334.5197,
            "alpha": 0.2368,
            "beta": 0.5162,
            "delta": 3.1926,
            "nu": 2.9543,
        },
        linear=("E", "A", "B", "K"),
        exact=same("E A B K alpha beta delta nu", 1e-7),
        near=same("E alpha delta nu", 0.06) | same("beta", 0.15),
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
        options={"fixed": {"E_max": 290.4521}},
    ),
    Row(
        "fine_grained_moe",
        granular,
        {"c": 0.47, "g": 2.1, "a": 18.1, "b": 30.8, "alpha": 0.115, "beta": 0.147, "gamma": 0.58},
        linear=("c", "g", "a", "b"),
        exact=same("c g a b alpha beta gamma", 1e-6),
        near=same("alpha", 0.2) | same("a gamma", 0.3),
        weak=True,
        drawn=("draws_at_bound",),
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
        drawn=("draws_at_bound",),
        loose=("a", "d"),
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
        compressed_formats,
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
        options={"residual": "raw", "tied": [("alpha1", "beta")]},
    ),
    Row(
        "vocabulary_logarithmic",
        vocabularies,
        {
            "E": -6.3,
            "A1": 82.0,
            "c": 0.057,
            "B": 5760.0,
            "alpha1": 0.32,
            "beta": 0.37,
        },
        linear=("E", "A1", "c", "B"),
        exact=same("E A1 c B alpha1 beta", 1e-6),
        near=same("E beta", 0.002)
        | same("c", 0.005)
        | same("A1", 0.25)
        | same("B", 0.015)
        | same("alpha1", 0.045),
        noise=0.002,
        options={"residual": "raw"},
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
        loose=("c1",),
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
        "power_product",
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
        options={"fixed": {"E0": 1.97}},
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
        "additive_mixture",
        mixtures_at_scale,
        {"E": 1.2, "K": 0.5, "A": 60.0, "B": 400.0, "alpha": 0.25, "beta": 0.28}
        | {"c2": 0.5, "c3": 0.2, "g1": 0.25, "g2": 0.45, "g3": 0.35},
        linear=("E", "K", "A", "B"),
        exact=same("E K A B alpha beta c2 c3 g1 g2 g3", 1e-5),
        near=same("E K c2 c3", 0.06) | same("alpha beta g1 g2 g3", 0.15) | same("A B", 0.4),
        noise=0.002,
        seeds=True,
    ),
    Row(
        "quality_quantity_tradeoff",
        filtered_pools,
        {"d": 0.1, "A": 11.4, "b": 0.16, "tau": 6.7},
        linear=("d", "A"),
        exact=same("d A b tau", 1e-6),
        near=same("d", 0.7) | same("A b", 0.25) | same("tau", 0.1),
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
        drawn=("draws_at_bound",),
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
        "bleu_of_data",
        pretrained,
        {"K": 2.0, "D0": 2e4, "beta": 1.1},
        linear=("K",),
        exact=same("K D0 beta", 1e-6),
        near=same("K beta", 0.3) | same("D0", 0.5),
        noise=0.2,
        options=RAW,
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
        "coverage_of_compute",
        attempts_by_compute,
        {"C0": 3e20, "alpha": 0.2, "beta": 0.35, "delta": 0.02},
        linear=(),
        exact=same("C0 alpha beta delta", 1e-6),
        near=same("C0 alpha beta delta", 0.08),
        options=RAW,
        seeds=True,
    ),
    Row(
        "verified_sampling",
        attempts,
        {"share": 0.4, "rate": 0.5, "ratio": 0.02, "soundness": 0.99},
        linear=("share",),
        exact=same("share rate ratio soundness", 1e-6),
        near=same("share rate", 0.035) | same("ratio", 0.05) | same("soundness", 0.0005),
        options=RAW,
        seeds=True,
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
        "annealing",
        three_schedules,
        {"E": 2.8, "A": 0.6, "alpha": 0.45, "C": 0.48},
        linear=("E", "A", "C"),
        exact=same("E A alpha C", 1e-7),
        near=same("E", 0.01) | same("A alpha C", 0.05),
        noise=0.001,
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
        "surge_learning_rate",
        batch_sizes,
        {"lr_max": 1e-3, "B_noise": 700.0},
        linear=("lr_max",),
        exact=same("lr_max B_noise", 1e-8),
        near=same("lr_max", 0.06) | same("B_noise", 0.15),
        noise=0.05,
    ),
    Row(
        "loss_bowl",
        hyperparameters,
        BOWL,
        linear=tuple(BOWL)[:14],
        exact=same("E A B c_ll c_lb c_bb l_N b_D beta", 1e-5),
        near=same("c_ll c_lb c_bb", 0.15) | same("E beta", 0.1),
        noise=0.001,
        options=SQUARED,
    ),
    Row(
        "posynomial_bowl",
        hyperparameters,
        {
            **{"E": 1.2, "A": 0.7, "P": 0.088, "Q": 0.048, "R": 0.2, "W": 2.4e-5},
            **{"alpha": 0.25, "p": 0.43, "r": 0.3, "u": 0.54, "v": 0.35, "k": 0.28},
        },
        linear=tuple("EAPQRW"),
        exact=same("E A P Q R alpha p r u v k", 1e-4),
        near=same("p r u v k", 0.2),
        noise=0.001,
        seeds=True,
    ),
    Row(
        "tokens_of_batch",
        batches,
        {"D_min": 3e9, "b_crit": 1e6},
        linear=("D_min",),
        exact=same("D_min b_crit", 1e-7),
        near=same("D_min b_crit", 0.05),
        noise=0.02,
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
        options={"tied": [("alpha", "beta", "gamma")]},
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
    Row(
        "width_depth",
        gemstones,
        {"E": 1.5, "A": 8.3, "B": 1.0, "C": 1e4, "alpha": 0.35, "beta": 0.5, "gamma": 0.45},
        linear=("E", "A", "B", "C"),
        exact=same("E A B C alpha beta gamma", 1e-6),
        near=same("E B", 0.1) | same("alpha beta gamma", 0.2),
    ),
    Row(
        "width_depth_size",
        gemstones,
        {
            "E": 1.521,
            "A": 5.143,
            "B": 0.9748,
            "C": 2.168e4,
            "G": 2605.0,
            "alpha": 0.3015,
            "beta": 0.3655,
            "gamma": 0.4670,
            "zeta": 0.5055,
        },
        linear=("E", "A", "B", "C", "G"),
        exact=same("E A B C G alpha beta gamma zeta", 1e-5),
        near=same("E A B alpha beta gamma", 0.06) | same("C zeta", 0.12) | same("G", 0.45),
        noise=0.0003,
        weak=True,
    ),
    Row(
        "shape_dimension",
        dimensions,
        {"E": 0.1, "A": 3.0, "B": 0.02, "G": 0.8, "a": 0.6, "b": 0.5, "c": 0.35},
        linear=("E", "A", "B", "G"),
        exact=same("E A B G a b c", 1e-6),
        near=same("E A G a b c", 0.1) | same("B", 0.4),
    ),
    Row(
        "efficiency_leverage",
        leverages,
        {"A_s": 0.0163, "a": 1.23, "d": -0.0761, "beta": -0.117, "gamma": 0.0167},
        linear=(),
        exact=same("A_s a d beta gamma", 1e-6),
        near=same("A_s a d beta gamma", 0.12),
        noise=0.02,
        seeds=True,
    ),
    Row(
        "overoptimization_best_of_n",
        distances,
        {"alpha": 1.0, "beta": 0.1},
        linear=("alpha", "beta"),
        exact=same("alpha beta", 1e-9),
        near=same("alpha beta", 0.015),
        noise=0.02,
        options=RAW,
    ),
    Row(
        "overoptimization_rl",
        distances,
        {"alpha": 1.0, "beta": 0.4},
        linear=("alpha", "beta"),
        exact=same("alpha beta", 1e-9),
        near=same("alpha beta", 0.015),
        noise=0.02,
        options=RAW,
    ),
    Row(
        "train_to_test",
        sampled,
        {"E": 0.2, "A": 30.0, "B": 60.0, "G": 0.8, "alpha": 0.25, "beta": 0.25, "gamma": 0.4},
        linear=("E", "A", "B", "G"),
        exact=same("E A B G alpha beta gamma", 1e-6),
        near=same("E A B", 0.09) | same("G alpha beta gamma", 0.03),
    ),
]
