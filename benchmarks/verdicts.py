"""What the verdict says of fits: to real tables, to good simulated designs, and to known traps.

    python benchmarks/verdicts.py [--only WORDS]

A row for each fit, with its verdict and the codes of its notes, warnings in capitals. Real tables
are read by ``scalefit.datasets``, from the folder that SCALEFIT_DATA names; without it their rows
are left out. It is read by eye: a warning on a good design is a false alarm, and a trap that is
called good is silence.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.simulation import grid_design, isoflop_design, ratio_design

GRID = grid_design(np.geomspace(1e8, 1e10, 6), np.geomspace(1e9, 1e12, 6))


class Case(NamedTuple):
    """A fit.

    Attributes:
        kind: ``real``, ``good`` or ``trap``.
        name: what it is.
        runs: the table, made when it is asked for.
        law: name of the law.
        options: of ``fit``.
    """

    kind: str
    name: str
    runs: Callable[[], Any]
    law: str = "chinchilla"
    options: Mapping[str, Any] = {}


def real(name: str, law: str = "chinchilla", what: str = "", **options: Any) -> Case:
    """A public table; options of the table begin with an underscore."""
    load = {key.removeprefix("_"): value for key, value in options.items() if key.startswith("_")}
    kept = {key: value for key, value in options.items() if not key.startswith("_")}
    title = f"{name} {what}".strip()
    return Case("real", title, lambda: sf.datasets.load(name, **load), law, kept)


def noisy(design: pd.DataFrame, noise: float = 0.005, seed: int = 1, **changes: Any) -> Any:
    """A simulated table, when it is asked for."""
    return lambda: sf.simulate(design, noise=noise, seed=seed).assign(**changes)


def curve(loss: Callable[[np.ndarray], np.ndarray], noise: float = 0.004, points: int = 29) -> Any:
    """A loss over one column, when it is asked for."""
    x = np.geomspace(4e6, 1e9, points)
    spread = np.random.default_rng(5).normal(size=points)
    return lambda: pd.DataFrame({"x": x, "loss": loss(x) * np.exp(noise * spread)})


def optima(far: int) -> Any:
    """Best learning rates with 5 % noise, some of them far off, when they are asked for."""
    noise = np.random.default_rng(0).normal(size=len(GRID))
    rates = 0.05 * GRID["N"] ** -0.4 * GRID["D"] ** 0.1 * np.exp(0.05 * noise)
    off = np.where(np.arange(len(GRID)) % 17 == 3, 5.0, 1.0) if far else 1.0
    return lambda: GRID.assign(lr=rates * off)


def least(runs: pd.DataFrame) -> pd.DataFrame:
    """The best row of each model and number of tokens."""
    return runs.loc[runs.groupby(["params", "tokens"])["loss"].idxmin()]


def swept() -> pd.DataFrame:
    """Five learning rates in each cell."""
    base = sf.simulate(GRID, noise=0.002, seed=3)
    rates = [base.assign(lr=1e-3 * 2.0**k, loss=base["loss"] + 0.08 * k**2) for k in range(-2, 3)]
    return pd.concat(rates, ignore_index=True)


def checkpoints() -> pd.DataFrame:
    """Sixty checkpoints of each of six runs, whose noise is shared by neighbours."""
    rng, parts = np.random.default_rng(0), []
    for run, size in enumerate(np.geomspace(1e8, 1e10, 6)):
        D = np.linspace(1e9, 1e11, 60)
        noise = pd.Series(0.01 * rng.normal(size=60)).ewm(alpha=0.1).mean().to_numpy()
        table = sf.simulate(pd.DataFrame({"N": size, "D": D}), noise=0.0)
        parts.append(table.assign(loss=table["loss"] * np.exp(noise), run=run))
    return pd.concat(parts, ignore_index=True)


def pooled(more: float) -> pd.DataFrame:
    """Two corpora whose losses differ by a constant."""
    parts = [sf.simulate(isoflop_design(points=9), noise=0.003, seed=i) for i in range(2)]
    parts = [part.assign(corpus=name) for part, name in zip(parts, "ab", strict=True)]
    parts[1]["loss"] += more
    return pd.concat(parts, ignore_index=True)


CORPORA = "train_dataset"
REAL = [
    real("chinchilla_epoch", what="240 rows", _keep="besiroglu_keep == 1"),
    real("chinchilla_epoch", what="240 rows, squares", _keep="besiroglu_keep == 1", robust="none"),
    real("chinchilla_epoch", what="245 rows"),
    real("llama3_isoflops"),
    real("marin_comma", _keep="oa_used == 1"),
    real("marin_dclm", _keep="oa_used == 1"),
    real("datablations", what="one epoch", _keep="epochs <= 1 and variant == 'base'"),
    real("datablations", what="all rows"),
    real("gadre", what="c4", _keep="train_dataset == 'c4_original'"),
    real("gadre", what="three corpora"),
    real("gadre", what="three corpora, groups", groups=dict.fromkeys("EAB", CORPORA)),
    real("steplaw_dense", what="all rows"),
    Case("real", "steplaw_dense best rows", lambda: least(
        sf.datasets.load("steplaw_dense").to_frame().rename(columns={"N": "params", "D": "tokens"})
    )),
    real("routed_lm", "routed"),
    real("routed_lm", "chinchilla_n", what="without experts"),
    real("vocab_scaling", "vocabulary", residual="raw"),
    real("parscale", "parscale", what="pooled"),
    real("parscale", "parscale", what="groups", groups=dict.fromkeys("EA", CORPORA)),
    real("farseer"),
    real("farseer", "farseer"),
    real("quest", what="all bits"),
    real("mpt_overtrained"),
]  # fmt: skip

GOOD = [
    Case("good", "isoflop 5 x 15, 0.5 %", noisy(isoflop_design())),
    Case("good", "isoflop 5 x 15, squares", noisy(isoflop_design()), options={"robust": "none"}),
    Case("good", "isoflop 5 x 15, no noise", noisy(isoflop_design(), 0.0)),
    Case("good", "isoflop 3 x 5, 0.2 %", noisy(isoflop_design([1e18, 1e19, 1e20], points=5), 2e-3)),
    Case("good", "grid 6 x 6, 1 %", noisy(GRID, 0.01)),
    Case("good", "three seeds", lambda: pd.concat(
        [sf.simulate(GRID, noise=0.01, seed=i).assign(seed=i) for i in range(3)],
        ignore_index=True)),
    Case("good", "L(N) at one ratio", noisy(ratio_design(np.geomspace(1e8, 1e10, 12), 20.0), 2e-3),
         "chinchilla_n"),
    Case("good", "corpora, each its own E", lambda: pooled(0.3),
         options={"groups": {"E": "corpus"}}),
    Case("good", "power law, 29 points", curve(lambda x: 1.5 + 30 * x**-0.3), "power_offset"),
    Case("good", "best learning rates, 5 %", optima(0), "optimal_learning_rate"),
]  # fmt: skip

BEND = curve(lambda x: 0.25 + 0.75 * (1 + (x / 3e7) ** 1.5) ** -0.4)
TRAPS = [
    Case("trap", "curve with a bend", BEND, "power_offset"),
    Case("trap", "the same by broken_power", BEND, "broken_power"),
    Case("trap", "accuracy that rises", curve(lambda x: 0.9 - 20 * x**-0.25), "power_offset"),
    Case("trap", "corpora pooled, 0.06 apart", lambda: pooled(0.06)),
    Case("trap", "corpora pooled, 0.8 apart", lambda: pooled(0.8)),
    Case("trap", "every eighth run diverged", lambda: sf.simulate(isoflop_design(), seed=1).assign(
        loss=lambda t: np.where(np.arange(len(t)) % 8, t["loss"], 7.5))),
    Case("trap", "learning rates in every cell", swept),
    Case("trap", "checkpoints as rows", checkpoints),
    Case("trap", "one bad run, squares", lambda: sf.simulate(GRID, seed=1).assign(
        loss=lambda t: t["loss"] + 0.3 * (np.arange(len(t)) == 8)), options={"robust": "none"}),
    Case("trap", "two far-off optima, squares", optima(1), "optimal_learning_rate",
         {"robust": "none"}),
    Case("trap", "15 % of noise", noisy(GRID, 0.15)),
    Case("trap", "eight runs", noisy(isoflop_design([1e18, 1e20], points=4), 1e-3)),
]  # fmt: skip


def of_fits(only: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Kind, name, verdict in words and codes of the notes of each fit, warnings in capitals."""
    for case in (*(REAL if os.environ.get("SCALEFIT_DATA") else ()), *GOOD, *TRAPS):
        if only not in f"{case.kind} {case.name} {case.law}":
            continue
        fit = sf.fit(case.runs(), case.law, certify=False, **case.options)
        codes = dict.fromkeys(
            note.code.upper() if note.severity == "warning" else note.code for note in fit.notes
        )
        said = f"{fit.verdict.level}: {fit.verdict.words}"
        yield case.kind, f"{case.name} ({case.law})", said, ", ".join(codes)


def main() -> None:
    """Print a row for each fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose kind, name or law has these words")
    began = time.perf_counter()
    for kind, name, said, codes in of_fits(parser.parse_args().only):
        print(f"{kind:5} {name}\n      {said}\n      {codes or '-'}", flush=True)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
