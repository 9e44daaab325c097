"""Published coefficients beside fits to the same runs, for every public table that has some.

One row a published fit: whose objective is lower, by how much, what the published point is to that
objective, and the coefficients that differ most. What each paper minimised, which rows it kept and
what it held fixed is fixed in ``PAIRS``, with its source, before anything is fitted.

The folder of the tables is named by SCALEFIT_DATA. ``--out docs/published_coefficients.md`` writes
the page of the documentation; ``--only WORD`` runs the pairs that have the word in their name.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.laws.vocabularies import tokens_of_characters

# Everything below this line of the page is written by --out.
MARKER = "<!-- figures: benchmarks/published_coefficients.py -->"

HUBER: dict[str, Any] = {}
LOG_SQUARES = {"robust": "none"}
SQUARES = {"residual": "raw", "robust": "none"}

Rows = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Pair:
    """A published fit and the runs it was made from.

    Attributes:
        name: what the row is called.
        file: table in the folder.
        law: its law.
        published: name of the published fit, or its coefficients.
        why: where the objective, the rows and what is fixed are from.
        objective: options of the fit.
        rows: the rows and columns of the table.
        held: parameters that are fixed at their published values.
        units: as for ``compare_published``.
        columns: headers.
    """

    name: str
    file: str
    law: str
    published: str | Mapping[str, float]
    why: str
    objective: Mapping[str, Any] = field(default_factory=dict)
    rows: Rows = lambda table: table
    held: tuple[str, ...] = ()
    units: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


def besiroglu(table: pd.DataFrame) -> pd.DataFrame:
    return table.query("besiroglu_keep == 1")


def small(table: pd.DataFrame) -> pd.DataFrame:
    return table.query("fit_c_lt_1e21 == 1")


# Corpora of Gadre et al., as their table and the published fits name them.
GADRE = {"c4_original": "c4", "rpj": "redpajama", "rw_original": "refinedweb"}


def gadre(corpus: str) -> Rows:
    """The five small runs of a corpus."""

    def rows(table: pd.DataFrame) -> pd.DataFrame:
        own = table[table["train_dataset"] == corpus].assign(
            M=lambda runs: runs["token_multiplier"].astype(float),
            C=lambda runs: 6.0 * runs["params"] * runs["tokens"],
        )
        smallest = own["params"] == own["params"].min()
        chosen = (own["params"] < 1e9) & (own["M"] == 20) | smallest & (own["M"] == 320)
        return own[chosen]

    return rows


def gadre_errors(corpus: str) -> Rows:
    """The same, and the largest run of 20 tokens per parameter below 2e9 parameters."""

    def rows(table: pd.DataFrame) -> pd.DataFrame:
        own = table[table["train_dataset"] == corpus]
        large = own["params"].between(1e9, 2e9) & (own["token_multiplier"] == 20)
        return pd.concat([gadre(corpus)(table), own[large]])

    return rows


# Quantizers of QuEST's runs, those of the forward pass alone beside the others, as in the authors'
# notebook.
QUANTIZERS = {
    "NoQuantizer": "{whole}",
    "HadamardTrustQuantizer": "{bits}",
    "HadamardClipQuantizer": "{bits}",
    "TrustQuantizer": "{bits} no Hadamard",
    "ClipQuantizer": "{bits} no Hadamard",
    "HadamardFP4TrustQuantizer": "fp4",
    "HadamardFourEightTrustQuantizer": "2:4 int4",
}


def quest(table: pd.DataFrame) -> pd.DataFrame:
    """Formats by the names of the published fit."""

    def named(run: pd.Series) -> str:
        whole = run["a_quant"] == "NoQuantizer"
        bits = f"w{run['w_bits']}" + ("" if whole else f"a{run['a_bits']}")
        kind = QUANTIZERS[run["w_quant"].removeprefix("Half")]
        return kind.format(bits=bits, whole=str(run["w_bits"]))

    return table.assign(format=table.apply(named, axis=1))


def routed(router: str) -> Rows:
    """Dense runs and those of one router, as the paper chose them."""
    rule = "routing_frequency == 0.5 and topk == 1 and seed == 42"
    return lambda table: table[table["router"].isin(["Dense", router])].query(rule)


def of_corpus(corpus: str) -> Rows:
    """Runs on one corpus."""
    return lambda table: table[table["train_dataset"] == corpus]


def released_tokens(table: pd.DataFrame) -> pd.DataFrame:
    """Rows from 2.18e17 FLOP, with tokens counted as the authors' code does."""
    kept = table[table["flops"] >= 2.18e17]
    counts = kept["characters"].to_numpy(), kept["vocab_size"].to_numpy()
    tokens = tokens_of_characters(*counts, as_released=True)
    return kept[["params", "vocab_params", "loss"]].assign(D=tokens)


def best_runs(table: pd.DataFrame) -> pd.DataFrame:
    """The best run of each size and number of tokens; batches in tokens, 2048 a sequence."""
    lowest = table.loc[table.groupby(["params", "tokens"])["loss"].idxmin()]
    return lowest[["params", "tokens", "lr"]].assign(batch=2048 * lowest["batch_size"])


# Of the table of 217 runs; millions of parameters and 1e9 tokens.
SCALED = {"N": 1e6, "D": 1e9}
NOTEBOOK = "the authors' notebook"

NOTEBOOK_DIGITS = {"E": 1.81686, "A": 482.00572, "B": 2085.4342, "alpha": 0.34781, "beta": 0.36585}

PAIRS = (
    Pair(
        "Besiroglu et al., headline",
        "chinchilla_epoch",
        "chinchilla",
        "besiroglu",
        "paper: Huber, delta 1e-3, of log losses, without the five largest losses",
        HUBER,
        besiroglu,
    ),
    Pair(
        "Besiroglu et al., as their code minimised",
        "chinchilla_epoch",
        "chinchilla",
        "besiroglu",
        f"{NOTEBOOK}: delta in units of a fitted noise of 4.7e-6, which is absolute residuals",
        {"robust": "l1"},
        besiroglu,
    ),
    Pair(
        "Besiroglu et al., digits of their notebook",
        "chinchilla_epoch",
        "chinchilla",
        NOTEBOOK_DIGITS,
        "as the first of these",
        HUBER,
        besiroglu,
    ),
    Pair(
        "Besiroglu et al., digits and objective of their notebook",
        "chinchilla_epoch",
        "chinchilla",
        NOTEBOOK_DIGITS,
        "as the second",
        {"robust": "l1"},
        besiroglu,
    ),
    Pair(
        "Hoffmann et al., unrounded",
        "chinchilla_epoch",
        "chinchilla",
        "hoffmann_unrounded",
        "paper, section 3.3: Huber, delta 1e-3, of log losses; runs digitised from its figure 4",
        HUBER,
        besiroglu,
    ),
    Pair(
        "Hoffmann et al., as printed",
        "chinchilla_epoch",
        "chinchilla",
        "hoffmann",
        "the same",
        HUBER,
        besiroglu,
    ),
    Pair(
        "ml-scalefit, squares",
        "chinchilla_scalefit",
        "chinchilla",
        {"E": 1.9051, "A": 4.0005, "B": 1.0509, "alpha": 0.3511, "beta": 0.4587},
        "validation table of vpnls: squares of losses, C < 1e21",
        SQUARES,
        small,
        units=SCALED,
    ),
    Pair(
        "ml-scalefit, squares of logarithms",
        "chinchilla_scalefit",
        "chinchilla",
        {"E": 1.8926, "A": 4.0146, "B": 1.0571, "alpha": 0.3522, "beta": 0.4430},
        "the same table: squares of log losses, C < 1e21",
        LOG_SQUARES,
        small,
        units=SCALED,
    ),
    Pair(
        "ml-scalefit, Huber by basin hopping",
        "chinchilla_scalefit",
        "chinchilla",
        {"E": 1.8250, "A": 3.6984, "B": 1.0396, "alpha": 0.3239, "beta": 0.4058},
        "the same table: Huber, delta 1e-3, of losses, C < 1e21",
        {"residual": "raw"},
        small,
        units=SCALED,
    ),
    Pair(
        "ml-scalefit, Huber by L-BFGS",
        "chinchilla_scalefit",
        "chinchilla",
        {"E": 1.8267, "A": 3.7066, "B": 1.0386, "alpha": 0.3240, "beta": 0.4080},
        "the same table: Huber, delta 1e-3, of losses, C < 1e21",
        {"residual": "raw"},
        small,
        units=SCALED,
    ),
    Pair(
        "Llama 3 by vpnls, squares",
        "llama3_isoflops",
        "chinchilla",
        {
            "E": 0.6047,
            "A": 59.1,
            "B": 155.1,
            "alpha": 0.3100060864600114,
            "beta": 0.3136430673663364,
        },
        "results of vpnls: squares of the losses as digitised, 133 points",
        SQUARES,
    ),
    Pair(
        "Llama 3, squares of logarithms",
        "llama3_isoflops",
        "chinchilla",
        {"E": 0.6021, "A": 56.2, "B": 147.3, "alpha": 0.3068, "beta": 0.311},
        "the same: squares of log losses",
        LOG_SQUARES,
    ),
    Pair(
        "Muennighoff et al., decay of repeated data",
        "datablations",
        "data_constrained",
        "muennighoff",
        f"{NOTEBOOK}: Huber, delta 1e-3, of log losses, 182 runs, the first stage fixed",
        HUBER,
        lambda table: table.query("paper_fit == 1"),
        held=("E", "A", "B", "alpha", "beta", "N_1"),
        columns={"U": "unique_tokens"},
    ),
    *(
        Pair(
            f"Gadre et al., {configuration}",
            "gadre",
            "chinchilla_overtrained",
            f"gadre_{configuration}",
            f"{NOTEBOOK}: squares of losses, five runs",
            SQUARES,
            gadre(corpus),
        )
        for corpus, configuration in GADRE.items()
    ),
    *(
        Pair(
            f"Gadre et al., error on {tasks} tasks, {configuration}",
            "gadre",
            "error_of_loss",
            f"{configuration}_{tasks}_tasks",
            f"{NOTEBOOK}: squares of errors, six runs",
            SQUARES,
            gadre_errors(corpus),
            columns={"error": f"err_avg_{tasks}"},
        )
        for corpus, configuration in GADRE.items()
        for tasks in (46, 17)
    ),
    Pair(
        "QuEST, 18 formats",
        "quest",
        "effective_parameters",
        "quest",
        f"{NOTEBOOK}: its Huber of residuals over 1e-3 is their squares",
        LOG_SQUARES,
        quest,
    ),
    *(
        Pair(
            f"ParScale, {configuration}",
            "parscale",
            "parscale",
            configuration,
            "parametric_fit.py: Huber, delta 1e-3, of log losses",
            HUBER,
            of_corpus(corpus),
        )
        for corpus, configuration in {"stack_v2_python": "stack_python", "pile": "pile"}.items()
    ),
    *(
        Pair(
            f"Clark et al., {router}",
            "routed_lm",
            "routed",
            configuration,
            "paper: squares of log losses; coefficients read second-hand",
            LOG_SQUARES,
            routed(router),
        )
        for router, configuration in {"S-Base": "s_base", "RL-R": "rl_r", "Hash": "hash"}.items()
    ),
    Pair(
        "Tao et al., vocabulary",
        "vocab_scaling",
        "vocabulary",
        "tao",
        "released code: Huber, delta 1e-3, of losses, alpha1 = beta, from 2.18e17 FLOP, tokens as "
        "released",
        {"residual": "raw", "tied": [("alpha1", "beta")]},
        released_tokens,
    ),
    Pair(
        "Step Law, learning rate",
        "steplaw_dense",
        "optimal_learning_rate",
        "step_law",
        "means of the authors' bootstrap; here squares of logarithms, best runs of 17 cells",
        LOG_SQUARES,
        best_runs,
    ),
    Pair(
        "Step Law, batch size",
        "steplaw_dense",
        "optimal_batch_size",
        "step_law",
        "the same",
        LOG_SQUARES,
        best_runs,
    ),
)


def beside(pair: Pair, folder: Path) -> Any:
    """A published fit beside ours."""
    table = pair.rows(pd.read_csv(folder / f"{pair.file}.csv", low_memory=False))
    held = {}
    if pair.held:
        params = sf.published(pair.law, pair.published).params
        held = {"fixed": {name: params[name] for name in pair.held}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.NoteWarning)
        fit = sf.fit(table, pair.law, **pair.objective, **held, **pair.columns)
        return sf.compare_published(fit, table, pair.published, units=pair.units, **pair.columns)


def digits(value: float) -> str:
    """Two digits of a number."""
    return f"{float(f'{value:.2g}'):g}"


def line(pair: Pair, found: Any) -> str:
    """A row of the table."""
    frame = found.to_frame()
    outside = [name for name, inside in frame["inside"].items() if inside is False]
    judged = frame["inside"].notna().any()
    exponents = found.exponents
    cells = (
        pair.name,
        f"`{pair.law}`",
        str(found.fit.nobs),
        f"{found.value:.7g}",
        f"{found.fit.objective_value:.7g}",
        "0" if found.lower == "neither" else digits(100 * found.relative_excess),
        found.lower,
        found.published_is,
        "" if np.isnan(found.likelihood_ratio) else digits(max(found.likelihood_ratio, 0)),
        (", ".join(outside) or "none") if judged else "no intervals",
        ""
        if exponents is None
        else f"{exponents.published:.3f}, {float(exponents.fitted.value):.3f}",
    )
    return f"| {' | '.join(cells)} |"


HEADER = (
    "published fit",
    "law",
    "runs",
    "objective there",
    "of our fit",
    "% above",
    "lower",
    "the published point is",
    "2 ln of the likelihood ratio",
    "outside our 95 % intervals",
    "exponent of N*: published, ours",
)


def document(pairs: list[Pair], folder: Path) -> str:
    """The table, and what each paper minimised."""
    lines = [f"| {' | '.join(HEADER)} |", "|" + "---|" * len(HEADER)]
    for pair in pairs:
        begin = time.perf_counter()
        lines.append(line(pair, beside(pair, folder)))
        print(f"{time.perf_counter() - begin:6.1f} s  {pair.name}", file=sys.stderr)
    lines += ["", "What was minimised, and where that is from:", ""]
    lines += [f"- {pair.name}: {pair.why}." for pair in pairs]
    return "\n".join(lines)


def main() -> None:
    """Print the table; with ``--out FILE`` write it into the page as well."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="a word of the names of the pairs to run")
    parser.add_argument("--out", type=Path, help="page to write the table to")
    arguments = parser.parse_args()
    if "SCALEFIT_DATA" not in os.environ:
        parser.error("SCALEFIT_DATA names no folder of tables")
    chosen = [pair for pair in PAIRS if arguments.only.casefold() in pair.name.casefold()]
    found = document(chosen, Path(os.environ["SCALEFIT_DATA"]))
    print(found)
    if arguments.out:
        above = arguments.out.read_text().partition(MARKER)[0]
        arguments.out.write_text(f"{above}{MARKER}\n\n{found}\n")


if __name__ == "__main__":
    main()
