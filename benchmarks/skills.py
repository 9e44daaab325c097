"""Latent skills: larger models predicted from the smallest of their family, on a public table.

The protocol is that of the code of arXiv 2412.06540 (Sloth): models with all benchmarks of a set,
families of two models or more (base and instruction-tuned ones are two families), floors as
published there; of each name, all families are left out at once but for their smallest models. The
list of the names that the paper tests is not in what could be read of its code: here it is all of
them. The errors are means over folds, then over benchmarks, in points of accuracy.

The penalty is chosen on the first set of benchmarks, and judged on the second.
"""

from __future__ import annotations

import argparse
import time

import pandas as pd
from common import machine, table

import scalefit as sf

# Scores of guessing, from data/lower_bounds.csv of the authors.
FLOORS = {
    "Leaderboard v1": {
        "MMLU": 0.2303,
        "ARC": 0.2048,
        "HellaSwag": 0.2491432,
        "Winogrande": 0.4791,
        "TruthfulQA": 0.317364,
        "GSM8K": 0.0,
    },
    "Leaderboard v2": {
        "IFEval": 0.06805,
        "BBH": 0.29,
        "MATH Lvl 5": 0.0,
        "GPQA": 0.23115,
        "MUSR": 0.33,
        "MMLU-PRO": 0.11,
    },
}
COLUMNS = {"N": ("#Params (B)", 1e9), "D": ("Pretraining Data Size (T)", 1e12)}
PENALTIES = (0.03, 0.1, 0.3, 1.0)
# Mean absolute error of the authors' best variant (two skills, trained link functions) on
# Leaderboard v2: figure 1 of the paper, as anthonywest.co.uk's explainer of 2026-04-09 reads it.
PUBLISHED = {"Leaderboard v2": 2.9}


def models(runs: pd.DataFrame, benchmarks: list[str]) -> pd.DataFrame:
    """Models with every benchmark, of families of two or more."""
    headers = [header for header, _ in COLUMNS.values()]
    found = runs.dropna(subset=[*headers, *benchmarks])
    found = found[["Model", "Family", "Family2", *headers, *benchmarks]]
    return found[found["Family2"].map(found["Family2"].value_counts()) >= 2]


def left_out(runs: pd.DataFrame, name: str, **options: float) -> sf.skills.FamiliesOut:
    """The folds of one set of benchmarks."""
    floors = FLOORS[name]
    return sf.skills.leave_families_out(
        models(runs, list(floors)),
        list(floors),
        family="Family2",
        together="Family",
        floors=floors,
        **COLUMNS,
        **options,
    )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plain", action="store_true", help="also (nearly) without penalty: slow")
    asked = parser.parse_args()
    runs = sf.datasets.load("sloth_v2").to_frame()
    print(machine(), end="\n\n")
    first, second = FLOORS
    rows, errors = [], {}
    for name in FLOORS:
        for penalty in PENALTIES:
            start = time.process_time()
            found = left_out(runs, name, penalty=penalty)
            errors[name, penalty] = 100 * found.mean_abs_error
            taken = time.process_time() - start
            rows.append((name, f"{penalty:g}", f"{errors[name, penalty]:.2f}", f"{taken:.0f}"))
    print(table(("benchmarks", "penalty", "MAE, points", "CPU s"), rows), end="\n\n")
    best = min(PENALTIES, key=lambda penalty: errors[first, penalty])
    found = left_out(runs, second, penalty=best)
    print(f"Chosen on {first}: penalty {best:g}. On {second}:\n")
    print(found.summary(), end="\n\n")
    print(f"Published, best variant, second-hand: {PUBLISHED[second]} points")
    if asked.plain:
        for skills in (1, 2, 3):
            plain = left_out(runs, second, penalty=1e-3, delta=0.01, skills=skills)
            print(f"penalty 0.001, delta 0.01, {skills} skills: {100 * plain.mean_abs_error:.2f}")


if __name__ == "__main__":
    main()
