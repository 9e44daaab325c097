"""Tables that laws are fitted to: those of the tests' catalogue, of makers of laws, public ones.

``CASES`` has them by name. A case is made when it is called: nothing is fitted before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import BENCH_VARIABLE, DATA_VARIABLE

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "laws"))

# A table, a law or its name, and options of the fit.
Case = tuple[Any, Any, Mapping[str, Any]]

SQUARES = {"robust": "none"}
RAW = {"residual": "raw", "robust": "none"}


def noisy(row: Any) -> Any:
    """The table of a row of the catalogue, with losses."""
    import scalefit as sf

    law, runs = sf.laws.find(row.law), row.design()
    params = {name: column(row, runs, name) for name in law.names}
    exact = law.evaluate({name: runs[name] for name in law.columns}, params)
    normal = row.noise * np.random.default_rng(0).standard_normal(len(runs))
    scale = 1.0 if row.options.get("residual") == "raw" else exact
    return runs.assign(**{law.response: exact + scale * normal})


def column(row: Any, runs: Any, name: str) -> Any:
    """The true value of a parameter; of a grouped one, that of each row's level."""
    import scalefit as sf

    if name in row.truth:
        return row.truth[name]
    (param,) = (param for param in sf.laws.find(row.law).params if param.name == name)
    (by,) = param.by
    return runs[by].map(lambda level: row.truth[f"{name}[{level}]"]).to_numpy()


def catalogue(law: str) -> Case:
    """The row of a law in the tests' catalogue."""
    from catalogue import ROWS

    row = next(row for row in ROWS if row.law == law)
    return noisy(row), row.law, row.options


def names() -> list[str]:
    """Names of the laws of the catalogue."""
    from catalogue import ROWS

    return [row.law for row in ROWS]


def mixture(domains: int, joint: bool) -> Case:
    """160 mixtures at nine sizes, with noise of 0.2 %."""
    import scalefit as sf

    rng, called = np.random.default_rng(1), [f"d{i}" for i in range(domains)]
    law = (sf.laws.joint_mixture_of if joint else sf.laws.additive_mixture_of)(*called)
    truth = {"E": 1.2, "K": 0.5, "A": 60.0, "B": 400.0, "alpha": 0.25, "beta": 0.28}
    truth |= {"g_A": 0.6, "g_B": 1.3} if joint else {}
    for name in law.names:
        low, high = (0.2, 0.6) if name.startswith("g_") else (0.05, 0.5)
        truth.setdefault(name, rng.uniform(low, high))
    runs = pd.DataFrame(rng.dirichlet(np.ones(domains), 160), columns=called)
    runs = runs.assign(N=rng.choice([2e8, 4e8, 8e8], 160), D=rng.choice([5e9, 2e10, 1e11], 160))
    exact = law.evaluate(runs, truth)
    return runs.assign(loss=exact * (1 + 0.002 * rng.standard_normal(160))), law, {}


def curves() -> Case:
    """Curves of three schedules by the law of Luo et al., with noise of 0.1 %."""
    import schedules

    import scalefit as sf

    law, steps = sf.laws.multi_power(), np.arange(2500, 24_000, 250)
    parts = [
        sf.laws.schedule_columns(schedules.learning_rates(name, 24_000), steps)
        for name in ("cosine_24000", "wsd_20000_24000", "wsdcon_9")
    ]
    runs = pd.concat(parts, ignore_index=True)
    exact = law.evaluate({name: runs[name] for name in law.columns}, schedules.PUBLISHED["25M"])
    normal = np.random.default_rng(0).standard_normal(len(runs))
    return runs.assign(loss=exact * (1 + 0.001 * normal)), law, {}


def public(
    variable: str, file: str, law: str, rows: str | None = None, **options: Any
) -> Case | None:
    """Runs of a public table; None where its folder is not named."""
    folder = os.environ.get(variable)
    if not folder or not (Path(folder) / file).exists():
        return None
    table = pd.read_csv(Path(folder) / file)
    return table if rows is None else table.query(rows), law, options


def public_curves(law: str) -> Case | None:
    """The three curves that Luo et al. fit, of 25M parameters."""
    import schedules

    import scalefit as sf

    found = public(DATA_VARIABLE, schedules.FILE, law, "size == '25M' and split == 'train'")
    if found is None:
        return None
    return (
        schedules.columns(found[0]),
        sf.laws.multi_power() if law == "multi_power" else law,
        {},
    )


STEPLAW = {"batch": ("batch_size", 2048), "N": "params", "D": "tokens", **SQUARES}
VOCABULARY = {
    "N": "non_vocab_parameters",
    "vocab_params": "vocab_size",
    "D": "num_characters",
    "loss": "unigram_normalized_loss",
}
MIXTURE = {f"d{i}": f"proportion_domain_{i}" for i in range(1, 5)}


def public_mixtures() -> Case | None:
    """Four shares of five, and the loss on the first domain of the smallest models."""
    import scalefit as sf

    found = public(BENCH_VARIABLE, "sld_domain_mixture_train.csv", "", "group == '70M'")
    options = {**MIXTURE, "loss": "loss_domain_1"}
    return found and (found[0], sf.laws.mixture_of(*MIXTURE), options)


MAKERS: dict[str, Callable[[], Case]] = {
    "multi_power()": curves,
    "additive_mixture_of, 3 domains": partial(mixture, 3, joint=False),
    "additive_mixture_of, 7 domains": partial(mixture, 7, joint=False),
    "joint_mixture_of, 3 domains": partial(mixture, 3, joint=True),
    "joint_mixture_of, 7 domains": partial(mixture, 7, joint=True),
}
data, bench = partial(public, DATA_VARIABLE), partial(public, BENCH_VARIABLE)
PUBLIC: dict[str, Callable[[], Case | None]] = {
    "chinchilla, Epoch": partial(
        data, "chinchilla_epoch.csv", "chinchilla", "besiroglu_keep == 1", C="flops"
    ),
    "farseer, Farseer": partial(data, "farseer.csv", "farseer"),
    "data_constrained, datablations": partial(
        data,
        "datablations.csv",
        "data_constrained",
        "paper_fit == 1",
        N="params",
        D="tokens",
        U="unique_tokens",
    ),
    "parscale, ParScale": partial(
        data, "parscale.csv", "parscale", "train_dataset == 'stack_v2_python'"
    ),
    "posynomial_bowl, Step Law": partial(data, "steplaw_dense.csv", "posynomial_bowl", **STEPLAW),
    "posynomial_bowl, SLDBench": partial(
        bench,
        "sld_lr_bsz_train.csv",
        "posynomial_bowl",
        batch=("bsz", 2048),
        N="non_embedding_param_size",
        D="data_size",
        loss="lm_loss",
        **SQUARES,
    ),
    "loss_bowl, Step Law": partial(data, "steplaw_dense.csv", "loss_bowl", **STEPLAW),
    "vocabulary, SLDBench": partial(
        bench, "sld_vocab_train.csv", "vocabulary", **VOCABULARY, **RAW
    ),
    "vocabulary_logarithmic, SLDBench": partial(
        bench, "sld_vocab_train.csv", "vocabulary_logarithmic", **VOCABULARY, **RAW
    ),
    "rectified_finetuning, SLDBench": partial(
        bench,
        "sld_sft_train.csv",
        "rectified_finetuning",
        "group.str.contains('LaMini-GPT-124M') and group.str.contains('flan')",
        D="sft_data_size",
        loss="sft_loss",
    ),
    "power_product, SLDBench": partial(
        bench,
        "sld_moe_train.csv",
        "power_product",
        X="num_experts",
        D="dense_parameter_count",
        loss="loss_validation",
    ),
    "mixture_of, SLDBench": public_mixtures,
    "annealing, MultiPowerLaw": partial(public_curves, "annealing"),
    "multi_power(), MultiPowerLaw": partial(public_curves, "multi_power"),
}


def cases() -> dict[str, Callable[[], Case | None]]:
    """Every case by name: the catalogue, makers, public tables whose folder is named."""
    found: dict[str, Callable[[], Case | None]] = {}
    found |= {name: partial(catalogue, name) for name in names()}
    return {**found, **MAKERS, **PUBLIC}
