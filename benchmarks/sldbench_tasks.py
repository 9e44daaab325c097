"""The tasks of SLDBench: their columns, what is held out, and the laws that are candidates.

Everything here was fixed by the training rows. A candidate is a row of one table: to add a law, add
its name there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scalebench_laws import SPARSITY, moe_10
from sldbench_laws import (
    effective_share,
    logarithmic_penalty,
    own_share,
    parallel_additive,
    saturating_product,
    sparse_codes,
    vocabulary_drop,
    vocabulary_factors,
)

import scalefit as sf

Frame = pd.DataFrame
Folds = Callable[[Frame], "list[tuple[np.ndarray, np.ndarray]]"]

CANONICAL: dict[str, Any] = {}
SQUARES = {"residual": "raw", "robust": "none"}
LOG_SQUARES = {"robust": "none"}
DOMAINS = 5


def levels(column: str, count: int) -> Folds:
    """The largest values of a column, each held out from all rows below it."""

    def folds(rows: Frame) -> list[tuple[np.ndarray, np.ndarray]]:
        values = rows[column].to_numpy()
        largest = np.unique(values)[::-1][:count]
        return [(values < value, values == value) for value in largest]

    return folds


def largest(column: str, count: int) -> Folds:
    """The largest values of a column, held out all at once from all rows below them."""

    def folds(rows: Frame) -> list[tuple[np.ndarray, np.ndarray]]:
        values = rows[column].to_numpy()
        start = np.unique(values)[-count]
        return [(values < start, values >= start)]

    return folds


def slices(column: str, count: int, share: float = 1 / 8) -> Folds:
    """The largest rows by a column, a share of all at once, each held out from those below."""

    def folds(rows: Frame) -> list[tuple[np.ndarray, np.ndarray]]:
        values = rows[column].to_numpy()
        ends = [np.quantile(values, 1 - k * share, method="lower") for k in range(count + 1)]
        ends[0] = np.inf
        return [(values < low, (values >= low) & (values < high)) for high, low in pairwise(ends)]

    return folds


def beyond(columns: tuple[str, ...], count: int, share: float = 1 / 8) -> Folds:
    """Rows in the largest share of any of the columns, from rows below in all of them."""

    def folds(rows: Frame) -> list[tuple[np.ndarray, np.ndarray]]:
        found, before = [], np.zeros(len(rows), dtype=bool)
        for k in range(1, count + 1):
            ends = {n: np.quantile(rows[n], 1 - k * share, method="lower") for n in columns}
            large = np.any([rows[n] >= end for n, end in ends.items()], axis=0)
            found.append((~large, large & ~before))
            before = large
        return found

    return folds


def parts(count: int, seed: int = 0) -> Folds:
    """Random parts, each held out from all others: for tables without a scale."""

    def folds(rows: Frame) -> list[tuple[np.ndarray, np.ndarray]]:
        part = np.random.default_rng(seed).permutation(len(rows)) % count
        return [(part != k, part == k) for k in range(count)]

    return folds


def sweeps(count: int) -> Folds:
    """The cells of the largest compute, from smaller cells with an octave less of both settings.

    A larger run is looked for at lower learning rates and larger batches than smaller ones had.
    """

    def folds(rows: Frame) -> list[tuple[np.ndarray, np.ndarray]]:
        compute = (rows["N"] * rows["D"]).to_numpy()
        block = np.round(np.log(compute) / 0.05)
        found = []
        for value in np.unique(block)[::-1][:count]:
            held = block == value
            cell = rows[held]
            inner = rows["lr"] >= 1.99 * cell["lr"].min()
            inner &= rows["batch"] <= cell["batch"].max() / 1.99
            found.append(((block < value) & inner.to_numpy(), held))
        return found

    return folds


class Task(NamedTuple):
    """A task of SLDBench.

    Attributes:
        columns: what headers of the file are called in the laws; the responses become ``loss``.
        responses: headers of the responses.
        folds: what is held out of the training rows of a group.
        candidates: options of ``scalefit.compare`` by label, its ``law`` among them.
        why: the reasons for the candidates.
        published: R2 of the paper's human law and of the best agent; None where there is none.
        cap: parameters that the benchmark allows, 0 for any number.
        objective: options of a fit, fixed beforehand.
        prepared: columns made of others, for one response.
        sign: of the response in a fit.
    """

    columns: Mapping[str, str]
    responses: tuple[str, ...]
    folds: Folds
    candidates: Mapping[str, Mapping[str, Any]]
    why: str
    published: tuple[float, float] | None
    cap: int = 0
    objective: Mapping[str, Any] = CANONICAL
    prepared: Callable[[Frame, int], Frame] | None = None
    sign: float = 1.0


def plain(*laws: Any) -> dict[str, dict[str, Any]]:
    """Candidates that are laws with no options."""
    return {sf.laws.find(law).name: {"law": law} for law in laws}


def _with_tokens(rows: Frame, _: int) -> Frame:
    tokens = sf.laws.tokens_of_characters(rows["characters"], rows["V"])
    return rows.assign(D=tokens, vocab_params=rows["V"])


def _of_domain(rows: Frame, place: int) -> Frame:
    """The own share, those of the other domains in their order, and all but the last by number."""
    shares = rows[[f"share{k}" for k in range(1, DOMAINS + 1)]]
    others = [k for k in range(DOMAINS) if k != place]
    named = {f"other{j + 1}": shares.iloc[:, k] for j, k in enumerate(others)}
    return rows.assign(own=shares.iloc[:, place], **named)


def _of_two(rows: Frame, _: int) -> Frame:
    return rows.assign(X=rows["N"], D=rows["experts"])


def _of_streams(rows: Frame, _: int) -> Frame:
    return rows.assign(X=rows["N"], D=rows["streams"])


def _with_compute(rows: Frame, _: int) -> Frame:
    return rows.assign(compute=rows["N"] * rows["D"])


def _in_tokens(rows: Frame, _: int) -> Frame:
    return rows.assign(batch=2048.0 * rows["sequences"])


def _taught(rows: Frame, _: int) -> Frame:
    """The loss of a student without a teacher, by the supervised law of the distillation paper."""
    alone = 1.220 + (3355 / rows["N"] ** 0.408 + 18186 / rows["D"] ** 0.431) ** 0.452
    return rows.assign(supervised_loss=alone)


def _of_code(rows: Frame, _: int) -> Frame:
    return rows.assign(X=rows["n"], D=rows["k"], N=rows["n"])


def _of_sparsity(rows: Frame, _: int) -> Frame:
    return rows.assign(N=rows["active"])


LIMITED = {
    "repeated_tokens": {"law": "repeated_tokens"},
    "repeated_epochs": {"law": "repeated_epochs"},
    "data_constrained, alpha = beta": {
        "law": "data_constrained",
        "tied": [("alpha", "beta")],
    },
    "repetition_penalty, delta = kappa": {
        "law": "repetition_penalty",
        "tied": [("delta", "kappa")],
    },
    "logarithmic_penalty": {"law": logarithmic_penalty},
    "saturating_epochs": {"law": "saturating_epochs"},
}

TASKS: dict[str, Task] = {
    "parallel": Task(
        {"num_params": "N", "parallel_size": "streams"},
        ("loss",),
        levels("streams", 1),
        plain("parscale", "power_product", parallel_additive),
        "streams as a factor of N (the law of ParScale), as a power that multiplies, as "
        "one that adds",
        (1.000, 1.000),
        4,
        prepared=_of_streams,
    ),
    "vocab": Task(
        {
            "non_vocab_parameters": "N",
            "vocab_size": "V",
            "num_characters": "characters",
            "unigram_normalized_loss": "loss",
        },
        ("unigram_normalized_loss",),
        levels("V", 2),
        plain("vocabulary", "vocabulary_logarithmic", vocabulary_factors, vocabulary_drop),
        "the published law; its vocabulary term in a form of either sign; the vocabulary "
        "as a factor "
        "of the model's and the data's term; a power of the data with an early drop, which the "
        "training rows of every size and vocabulary have at the same tokens. Every size has all "
        "nine vocabularies and twenty checkpoints, so a scale that is held out is a vocabulary. "
        "The response is negative: squares of losses",
        (0.966, 0.989),
        7,
        SQUARES,
        _with_tokens,
    ),
    "sft": Task(
        {"sft_data_size": "D", "sft_loss": "loss"},
        ("sft_loss",),
        levels("D", 2),
        plain(
            "rectified_finetuning",
            "power",
            "power_offset",
            "shifted_power",
            "stretched_exponential",
        ),
        "a power law, with a floor, with a flat start in three forms",
        (0.957, 0.9993),
        4,
        prepared=lambda rows, _: rows.assign(x=rows["D"]),
    ),
    "domain_mixture": Task(
        {f"proportion_domain_{k}": f"share{k}" for k in range(1, DOMAINS + 1)},
        tuple(f"loss_domain_{k}" for k in range(1, DOMAINS + 1)),
        parts(5),
        plain(
            sf.laws.mixture_of(*(f"share{k}" for k in range(1, DOMAINS))),
            own_share,
            effective_share,
        ),
        "the exponential law of data mixing; the logarithm of the own share; the logarithm of "
        "effective tokens, in which a token of another domain is worth a part of an own "
        "one. Mixtures "
        "have no scale: random fifths are held out",
        (0.671, 0.988),
        35,
        prepared=_of_domain,
    ),
    "moe": Task(
        {"num_experts": "experts", "dense_parameter_count": "N", "loss_validation": "loss"},
        ("loss_validation",),
        levels("N", 3),
        plain("routed", "power_product", saturating_product, moe_10),
        "the law of the paper that ran them; a floor and a product of powers; that with "
        "the paper's "
        "saturating number of experts, or with a power of experts that starts flat "
        "(ScaleBench's law 10)",
        (0.703, 0.833),
        6,
        prepared=_of_two,
    ),
    "data_constrained": Task(
        {"unique_tokens": "U", "params": "N", "tokens": "D"},
        ("loss",),
        beyond(("N", "D"), 2),
        LIMITED,
        "repeated tokens that are worth less, in three forms; repetitions that do harm, "
        "by a power or "
        "by a logarithm of their number; repetitions that saturate by model size "
        "(ScaleBench's law 4). "
        "Test rows are beyond the training rows in N or in D, and so are the held-out ones",
        (0.911, 0.984),
        7,
    ),
    "lr_bsz": Task(
        {
            "bsz": "sequences",
            "data_size": "D",
            "non_embedding_param_size": "N",
            "lm_loss": "loss",
        },
        ("lm_loss",),
        sweeps(2),
        plain("chinchilla", "loss_bowl", "posynomial_bowl"),
        "the additive law without both settings, a quadratic form in them, and a sum of causes",
        (-0.076, 0.983),
        objective=LOG_SQUARES,
        prepared=_in_tokens,
    ),
    "easy_question": Task(
        {"flops": "x", "brier_score": "loss"},
        ("brier_score",),
        slices("x", 1, 1 / 4),
        plain("power", "power_offset", "shifted_power", "signed_power_offset", "logarithmic"),
        "errors that fall to zero, to a floor, to one after a flat start, that fall or rise to a "
        "limit, and that have none. A law of the later rise would be "
        "fitted to nothing, as no training row shows it. The response is the Brier score, negated, "
        "which comes to zero: squares of scores",
        (-1.0, 0.022),
        6,
        SQUARES,
        sign=-1.0,
    ),
    "farseer": Task(
        {"params": "N", "tokens": "D"},
        ("loss",),
        levels("N", 1),
        plain("chinchilla", "chinchilla_outer", "farseer"),
        "the additive law, with an outer exponent, with exponents that drift",
        None,
        prepared=_with_compute,
    ),
    "chinchilla": Task(
        {},
        ("loss",),
        slices("compute", 2, 1 / 5),
        plain("chinchilla", "chinchilla_tied", "chinchilla_outer"),
        "the additive law, with one exponent, with an outer one",
        None,
        prepared=_with_compute,
    ),
    "distillation": Task(
        {"NS": "N", "DS": "D", "LT": "teacher_loss", "LS": "loss"},
        ("LS",),
        levels("N", 1),
        plain("distillation_limit", "chinchilla"),
        "the law of the paper that ran them, in the limit of its own fit, and students "
        "without teachers",
        None,
        prepared=_taught,
    ),
    "sae": Task(
        {},
        ("loss",),
        largest("n", 3),
        plain("power_product", "chinchilla", sparse_codes),
        "latents and active latents as powers that multiply, that add, and the law of "
        "the paper that "
        "ran them",
        None,
        prepared=_of_code,
    ),
    "sparsity": Task(
        {"N_active": "active"},
        ("loss",),
        levels("active", 2),
        plain(*SPARSITY),
        "ScaleBench's four: total over active parameters and active ones as powers that "
        "multiply or "
        "add, with an interaction and without",
        None,
        prepared=_of_sparsity,
    ),
}
