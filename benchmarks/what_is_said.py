"""What scalefit says of real tables, of good simulated designs, and of designs with a known trap.

    python benchmarks/what_is_said.py [--only WORDS]

A row for each table, with the codes of the notes that ``scalefit.check`` gives: warnings first, in
capitals where they block. Real tables are read by ``scalefit.datasets``, from the folders that
SCALEFIT_DATA and SCALEFIT_BENCH name; without them their rows are left out. It is read by eye: a
warning on a good design is a false alarm, and a trap without one is silence.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.design.design_check import BLOCKING
from scalefit.simulation import grid_design, isoflop_design, ratio_design

SIZES = np.geomspace(1e8, 1e10, 12)


class Case(NamedTuple):
    """A table with a law.

    Attributes:
        kind: ``real``, ``good`` or ``trap``.
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
    """A public table, with options of the table among those of the fit."""
    at = ("keep", "missing", "loss", "N", "D", "C", "x")
    of_table = {key: options.pop(key) for key in [*options] if key in at or key.startswith("_")}
    load = {key.removeprefix("_"): value for key, value in of_table.items()}
    return Case(
        "real", f"{name} {what}".strip(), lambda: sf.datasets.load(name, **load), law, options
    )


def noisy(design: pd.DataFrame, noise: float = 0.005, seed: int = 1, **changes: Any) -> Any:
    """A simulated table, when it is asked for."""
    return lambda: sf.simulate(design, noise=noise, seed=seed).assign(**changes)


REAL = [
    real("chinchilla_epoch", what="240 rows", keep="besiroglu_keep == 1"),
    real("chinchilla_epoch", what="245 rows"),
    real("chinchilla_epoch", "kaplan", what="240 rows", keep="besiroglu_keep == 1"),
    real("chinchilla_epoch", "farseer", what="240 rows", keep="besiroglu_keep == 1"),
    real("llama3_isoflops"),
    real("llama3_isoflops", what="largest budget", keep="budget == 1e22"),
    real("marin_comma", keep="oa_used == 1"),
    real("marin_dclm", keep="oa_used == 1"),
    real("farseer"),
    real("farseer", "farseer"),
    real("datablations", what="one epoch", keep="epochs <= 1 and variant == 'base'"),
    real("datablations", what="all rows"),
    real("datablations", "data_constrained", what="paper_fit", keep="paper_fit == 1",
         _U="unique_tokens"),
    real("gadre", what="c4", keep="train_dataset == 'c4_original'"),
    real("gadre", what="three corpora"),
    real("gadre", what="three corpora, groups", groups=dict.fromkeys("EAB", "train_dataset")),
    real("steplaw_dense", what="all rows"),
    real("routed_lm", "chinchilla_n", what="dense", keep="router == 'Dense'"),
    real("parscale", "parscale", groups=dict.fromkeys("EA", "train_dataset"), _P="streams"),
    real("quest", what="all bits"),
    real("mpt_overtrained"),
    real("obs_base_llm", "power_offset", what="mmlu over compute", _loss="mmlu", _x="flops",
         missing="drop"),
]  # fmt: skip

GOOD = [
    Case("good", "isoflop 5 x 15, 0.5 %", noisy(isoflop_design())),
    Case("good", "isoflop 5 x 9, width 4, 0.2 %", noisy(isoflop_design(points=9, width=4.0), 2e-3)),
    Case("good", "isoflop 4 x 7, drift", noisy(isoflop_design(4, points=7, drift=3.0), 2e-3)),
    Case("good", "isoflop 5 x 15, no noise", noisy(isoflop_design(), 0.0)),
    Case("good", "grid 8 x 8", noisy(grid_design(np.geomspace(1e7, 1e10, 8),
                                                 np.geomspace(1e9, 1e12, 8)))),
    Case("good", "grid 5 x 5, 0.3 %", noisy(grid_design(np.geomspace(1e8, 1e10, 5),
                                                        np.geomspace(1e9, 1e11, 5)), 3e-3)),
    Case("good", "ratios 5, 20, 80, 320", noisy(ratio_design(SIZES, [5.0, 20.0, 80.0, 320.0]))),
    Case("good", "isoflop, three seeds", lambda: pd.concat(
        [sf.simulate(isoflop_design(points=7), seed=i).assign(seed=i) for i in range(3)],
        ignore_index=True)),
    Case("good", "L(N) over two decades", noisy(ratio_design(SIZES, 20.0), 2e-3), "chinchilla_n"),
]  # fmt: skip

ONE_BUDGET = isoflop_design([1e20], points=12)
ROUNDED = ratio_design(SIZES, 20.0).assign(D=lambda t: t["D"] * np.linspace(0.988, 1.012, 12))
SHORT = grid_design(np.geomspace(1e8, 4e8, 5), np.geomspace(1e10, 4e10, 5))
TRAPS = [
    Case("trap", "one D/N", noisy(ratio_design(SIZES, 20.0), 3e-3)),
    Case("trap", "one D/N, rounded 1.2 %", noisy(ROUNDED, 3e-3)),
    Case("trap", "one D", noisy(grid_design(SIZES, [1e11]), 3e-3)),
    Case("trap", "one budget", noisy(ONE_BUDGET, 2e-3)),
    Case("trap", "two budgets", noisy(isoflop_design([1e19, 1e21], points=9), 2e-3)),
    Case("trap", "half a decade of N and D", noisy(SHORT, 2e-3)),
    Case("trap", "C is 2ND", lambda: sf.simulate(isoflop_design()).assign(C=lambda t: t["C"] / 3)),
    Case("trap", "N and D in billions",
         lambda: sf.simulate(isoflop_design()).assign(N=lambda t: t["N"] / 1e9,
                                                      D=lambda t: t["D"] / 1e9)),
    Case("trap", "ten copied rows", lambda: pd.concat(
        [t := sf.simulate(isoflop_design()), t.iloc[:10]], ignore_index=True)),
    Case("trap", "three runs of five sizes", noisy(isoflop_design([1e19, 1e20, 1e21], points=2))),
    Case("trap", "checkpoints as rows", noisy(grid_design(
        np.geomspace(1e7, 1e9, 6), np.linspace(1e9, 1e11, 100)))),
]  # fmt: skip


def said(found: sf.design.DesignCheck) -> str:
    """The codes of a check: warnings first, capitals where they block."""
    codes = {"warning": [], "info": []}
    for note in found.notes:
        code = note.code.upper() if note.code in BLOCKING else note.code
        codes[note.severity].append(code)
    info = f" ({', '.join(codes['info'])})" if codes["info"] else ""
    return f"{', '.join(codes['warning']) or '-'}{info}"


def row(case: Case) -> str:
    """The row of a table."""
    begin = time.perf_counter()
    try:
        runs = case.runs()
        found = sf.check(runs, case.law, **case.options)
        verdict = "yes" if found.identifies else "no"
        loose = found.expected[found.expected["sized"]]["relative"].max()
        worst = f"{100 * loose:.2g} %" if len(found.expected) else "-"
        facts = f"{found.runs} | {verdict} | {worst} | {found.condition:.2g} | {said(found)}"
    except sf.ScalefitError as error:
        facts = f"- | - | - | - | {type(error).__name__}: {str(error)[:100]}"
    return f"| {case.kind} | {case.name} | {case.law} | {facts} | {time.perf_counter() - begin:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose kind and name hold this")
    only = parser.parse_args().only
    cases = [*(REAL if "SCALEFIT_DATA" in os.environ else []), *GOOD, *TRAPS]
    print("| kind | table | law | runs | identified | worst exponent | condition | check | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in cases:
        if only in f"{case.kind} {case.name}":
            print(row(case), "|", flush=True)


if __name__ == "__main__":
    main()
