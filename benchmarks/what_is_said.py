"""What ``scalefit.check`` and the verdict of a fit say of real tables, good designs and traps.

    python benchmarks/what_is_said.py [--only WORDS] [--field DIR]

A row for each table: what ``check`` says of the design (whether it identifies the law, and the
codes of its notes), and what the fit says (the level of its verdict and the codes). Warnings come
first, in capitals where they block the design; infos are in parentheses. Real tables are read by
``scalefit.datasets``, from the folder that SCALEFIT_DATA names; without it their rows are left out.
``--field`` names a folder with tables of published cases, which are tried as well.

The table is to be read by eye. The last column marks a good design with a warning, and a trap of
which neither column says anything.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.design.design_check import BLOCKING
from scalefit.notes import Note
from scalefit.simulation import grid_design, isoflop_design, ratio_design

SIZES = np.geomspace(1e8, 1e10, 12)
GRID = grid_design(np.geomspace(1e8, 1e10, 6), np.geomspace(1e9, 1e12, 6))

# Options that only a fit has: a design is checked under the default objective.
OF_FIT = ("robust", "residual")


class Case(NamedTuple):
    """A table with a law.

    Attributes:
        kind: ``real``, ``good``, ``trap`` or ``field``.
        name: what it is.
        runs: the table, made when it is asked for.
        law: name of the law.
        options: of ``fit`` and ``check``.
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


def one_bad_run() -> pd.DataFrame:
    """Four sweeps of six runs, one of them 0.3 too high."""
    table = sf.simulate(isoflop_design([1e18, 3e18, 1e19, 3e19], points=6), noise=1e-3, seed=2)
    return table.assign(loss=table["loss"] + 0.3 * (np.arange(len(table)) == 8))


def pass_at_k() -> pd.DataFrame:
    """Pass rates of k samples where the rate of one is 1.3e-4 on average: Beta(0.4, 3000)."""
    from scipy.special import betaln

    k = np.geomspace(1, 1e4, 13).round()
    rate = -np.expm1(betaln(0.4, 3000.0 + k) - betaln(0.4, 3000.0))
    noise = np.random.default_rng(0).normal(size=len(k))
    return pd.DataFrame({"samples": k, "coverage": rate * (1 + 0.01 * noise)})


CORPORA = "train_dataset"
CLEAN = {"_keep": "besiroglu_keep == 1"}
REAL = [
    real("chinchilla_epoch", what="240 rows", **CLEAN),
    real("chinchilla_epoch", what="240 rows, squares", robust="none", **CLEAN),
    real("chinchilla_epoch", what="245 rows"),
    real("chinchilla_epoch", "kaplan", what="240 rows", **CLEAN),
    real("chinchilla_scalefit", what="217 rows", _keep="C < 1e21"),
    real("llama3_isoflops"),
    real("llama3_isoflops", what="largest budget", _keep="budget == 1e22"),
    real("marin_comma", _keep="oa_used == 1"),
    real("marin_dclm", _keep="oa_used == 1"),
    real("farseer"),
    real("farseer", "farseer"),
    real("datablations", what="one epoch", _keep="epochs <= 1 and variant == 'base'"),
    real("datablations", what="all rows"),
    real("datablations", "data_constrained", what="paper_fit", _keep="paper_fit == 1",
         _U="unique_tokens"),
    real("gadre", what="c4", _keep="train_dataset == 'c4_original'"),
    real("gadre", what="three corpora"),
    real("gadre", what="three corpora, groups", groups=dict.fromkeys("EAB", CORPORA)),
    real("steplaw_dense", what="all rows"),
    Case("real", "steplaw_dense best rows", lambda: least(
        sf.datasets.load("steplaw_dense").to_frame().rename(columns={"N": "params", "D": "tokens"})
    )),
    real("routed_lm", "routed"),
    real("routed_lm", "chinchilla_n", what="dense", _keep="router == 'Dense'"),
    real("routed_lm", "chinchilla_n", what="without experts"),
    real("vocab_scaling", "vocabulary", residual="raw"),
    real("parscale", "parscale", what="pooled", _P="streams"),
    real("parscale", "parscale", what="groups", groups=dict.fromkeys("EA", CORPORA), _P="streams"),
    real("quest", what="all bits"),
    real("mpt_overtrained"),
    real("obs_base_llm", "power_offset", what="mmlu over compute", _loss="mmlu", _x="flops",
         _missing="drop"),
]  # fmt: skip

GOOD = [
    Case("good", "isoflop 5 x 15, 0.5 %", noisy(isoflop_design())),
    Case("good", "isoflop 5 x 15, squares", noisy(isoflop_design()), options={"robust": "none"}),
    Case("good", "isoflop 5 x 15, no noise", noisy(isoflop_design(), 0.0)),
    Case("good", "isoflop 5 x 9, width 4, 0.2 %", noisy(isoflop_design(points=9, width=4.0), 2e-3)),
    Case("good", "isoflop 4 x 7, drift", noisy(isoflop_design(4, points=7, drift=3.0), 2e-3)),
    Case("good", "isoflop 3 x 5, 0.2 %", noisy(isoflop_design([1e18, 1e19, 1e20], points=5), 2e-3)),
    Case("good", "grid 8 x 8", noisy(grid_design(np.geomspace(1e7, 1e10, 8),
                                                 np.geomspace(1e9, 1e12, 8)))),
    Case("good", "grid 5 x 5, 0.3 %", noisy(grid_design(np.geomspace(1e8, 1e10, 5),
                                                        np.geomspace(1e9, 1e11, 5)), 3e-3)),
    Case("good", "grid 6 x 6, 1 %", noisy(GRID, 0.01)),
    Case("good", "ratios 5, 20, 80, 320", noisy(ratio_design(SIZES, [5.0, 20.0, 80.0, 320.0]))),
    Case("good", "isoflop, three seeds", lambda: pd.concat(
        [sf.simulate(isoflop_design(points=7), seed=i).assign(seed=i) for i in range(3)],
        ignore_index=True)),
    Case("good", "grid, three seeds, 1 %", lambda: pd.concat(
        [sf.simulate(GRID, noise=0.01, seed=i).assign(seed=i) for i in range(3)],
        ignore_index=True)),
    Case("good", "L(N) at one ratio", noisy(ratio_design(SIZES, 20.0), 2e-3), "chinchilla_n"),
    Case("good", "corpora, each its own E", lambda: pooled(0.3),
         options={"groups": {"E": "corpus"}}),
    Case("good", "power law, 29 points", curve(lambda x: 1.5 + 30 * x**-0.3), "power_offset"),
    Case("good", "best learning rates, 5 %", optima(0), "optimal_learning_rate"),
    Case("good", "small pass rates", pass_at_k, "coverage_beta"),
]  # fmt: skip

BEND = curve(lambda x: 0.25 + 0.75 * (1 + (x / 3e7) ** 1.5) ** -0.4)
ROUNDED = ratio_design(SIZES, 20.0).assign(D=lambda t: t["D"] * np.linspace(0.988, 1.012, 12))
SHORT = grid_design(np.geomspace(1e8, 4e8, 5), np.geomspace(1e10, 4e10, 5))
BILLIONS = isoflop_design([1e18, 1e19, 1e20, 1e21], points=9)
TRAPS = [
    Case("trap", "one D/N", noisy(ratio_design(SIZES, 20.0), 3e-3)),
    Case("trap", "one D/N, rounded 1.2 %", noisy(ROUNDED, 3e-3)),
    Case("trap", "one D", noisy(grid_design(SIZES, [1e11]), 3e-3)),
    Case("trap", "one budget", noisy(isoflop_design([1e20], points=12), 2e-3)),
    Case("trap", "two budgets", noisy(isoflop_design([1e19, 1e21], points=9), 2e-3)),
    Case("trap", "half a decade of N and D", noisy(SHORT, 2e-3)),
    Case("trap", "three budgets of two sizes", noisy(isoflop_design([1e19, 1e20, 1e21], points=2))),
    Case("trap", "eight runs", noisy(isoflop_design([1e18, 1e20], points=4), 1e-3)),
    Case("trap", "C is 2ND", lambda: sf.simulate(isoflop_design()).assign(C=lambda t: t["C"] / 3)),
    Case("trap", "N and D in billions", lambda: sf.simulate(BILLIONS, seed=1).assign(
        N=lambda t: t["N"] / 1e9, D=lambda t: t["D"] / 1e9)),
    Case("trap", "the same without C", lambda: sf.simulate(BILLIONS, seed=1).assign(
        N=lambda t: t["N"] / 1e9, D=lambda t: t["D"] / 1e9).drop(columns="C")),
    Case("trap", "perplexity as the loss", lambda: sf.simulate(BILLIONS, seed=1).assign(
        loss=lambda t: np.exp(t["loss"]))),
    Case("trap", "ten copied rows", lambda: pd.concat(
        [t := sf.simulate(isoflop_design()), t.iloc[:10]], ignore_index=True)),
    Case("trap", "every eighth run diverged", lambda: sf.simulate(isoflop_design(), seed=1).assign(
        loss=lambda t: np.where(np.arange(len(t)) % 8, t["loss"], 7.5))),
    Case("trap", "one bad run, squares", one_bad_run, options={"robust": "none"}),
    Case("trap", "one bad run, Huber", one_bad_run),
    Case("trap", "two far-off optima, squares", optima(1), "optimal_learning_rate",
         {"robust": "none"}),
    Case("trap", "corpora pooled, 0.06 apart", lambda: pooled(0.06)),
    Case("trap", "corpora pooled, 0.8 apart", lambda: pooled(0.8)),
    Case("trap", "learning rates in every cell", swept),
    Case("trap", "checkpoints as rows", checkpoints),
    Case("trap", "checkpoints without a run", lambda: checkpoints().drop(columns="run")),
    Case("trap", "curve with a bend", BEND, "power_offset"),
    Case("trap", "accuracy that rises", curve(lambda x: 0.9 - 20 * x**-0.25), "power_offset"),
    Case("trap", "accuracy that rises, power", curve(lambda x: 0.9 - 20 * x**-0.25), "power"),
    Case("trap", "15 % of noise", noisy(GRID, 0.15)),
    Case("trap", "four runs of L(C)", curve(lambda x: 1.6 + 80 * x**-0.0941, 0.0, 4), "power"),
]  # fmt: skip

FIELD = {
    "bird5": ("power_offset", {"x": "Seen Examples", "loss": "Loss", "keep": "Training == 1"}),
    "isoflop_one_bad_run": ("chinchilla", {}),
    "ladder_one_ratio": ("chinchilla", {}),
    "lr_bs_optima": ("optimal_learning_rate", {}),
    "lr_sweep_cells": ("optimal_learning_rate", {}),
    "minimind_like": ("chinchilla", {}),
    "passk_small_rates": ("coverage_beta", {}),
    "pinned_asymptote": ("power_offset", {"x": "C", "fixed": {"E": 1.6}}),
    "repeated_below_one_epoch": ("repeated_tokens", {"U": "unique_tokens"}),
    "rising_accuracy": ("power_offset", {"loss": "accuracy"}),
    "units_billions": ("chinchilla", {}),
}
"""Tables of published cases: the law, and options."""


def of_field(folder: Path | None) -> list[Case]:
    """The published cases of a folder."""
    if folder is None:
        return []
    return [
        Case("field", name, lambda name=name: pd.read_csv(folder / f"{name}.csv"), *what)
        for name, what in FIELD.items()
    ]


def codes(notes: Iterable[Note]) -> str:
    """The codes of notes: warnings first, capitals where they block, infos in parentheses."""
    found: dict[str, dict[str, None]] = {"warning": {}, "info": {}}
    for note in notes:
        found[note.severity][note.code.upper() if note.code in BLOCKING else note.code] = None
    info = f" ({', '.join(found['info'])})" if found["info"] else ""
    return f"{', '.join(found['warning']) or '-'}{info}"


def warned(notes: Iterable[Note]) -> bool:
    """Whether any of them is a warning."""
    return any(note.severity == "warning" for note in notes)


def told(case: Case, level: str, notes: Iterable[Note]) -> str:
    """A mark where there is a warning of a good design, or nothing is said of a trap."""
    if case.kind == "good" and (warned(notes) or level != "good"):
        return "FALSE ALARM"
    # An info tells of it, too: a Huber fit holds out against one bad run.
    return "SILENT" if case.kind == "trap" and level == "good" and not notes else ""


def row(case: Case) -> str:
    """The row of a table."""
    begin = time.perf_counter()
    runs, options = case.runs(), case.options
    of_check = {key: value for key, value in options.items() if key not in OF_FIT}
    level, notes = "refused", []
    try:
        found = sf.check(runs, case.law, **of_check)
        design = f"{found.runs} | {'yes' if found.identifies else 'no'} | {codes(found.notes)}"
        notes += found.notes
        # A check has the fit by the default objective.
        fit = found.fit if of_check == {**options} else None
    except sf.ScalefitError as error:
        design, fit = f"- | - | {type(error).__name__}: {str(error)[:90]}", None
    try:
        fit = fit or sf.fit(runs, case.law, certify=False, **options)
        level = fit.verdict.level
        verdict = f"{level} | {codes(fit.notes)}"
        notes += fit.notes
    except sf.ScalefitError as error:
        verdict = f"refused | {type(error).__name__}: {str(error)[:90]}"
    seconds = time.perf_counter() - begin
    title = f"{case.kind} | {case.name} | {case.law}"
    return f"| {title} | {design} | {verdict} | {seconds:.1f} | {told(case, level, notes)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose kind, name or law has these words")
    parser.add_argument("--field", type=Path, help="folder with tables of published cases")
    given = parser.parse_args()
    print("| kind | table | law | runs | identified | check | verdict | fit | s | |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    tables = REAL if os.environ.get("SCALEFIT_DATA") else []
    for case in (*tables, *of_field(given.field), *GOOD, *TRAPS):
        if given.only in f"{case.kind} {case.name} {case.law}":
            print(row(case), flush=True)


if __name__ == "__main__":
    main()
