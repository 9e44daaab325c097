"""Which law predicts runs that it has not seen: on public tables, and on 92 learning curves.

Four questions, each with its own table of results:

- Farseer's runs, the largest models held out: which of three laws predicts them.
- The points of the Chinchilla paper: whether the outer exponent is 1.
- Over-trained runs (Gadre et al. 2024): five small runs predict the loss of two large ones, and by
  it their mean error over 17 tasks.
- Learning curves: ``power_offset``, ``broken_power``, two laws with a flat start, and what
  ``compare`` makes of the first two and of all four from the training rows alone. The metric is
  the root mean square error of ln loss on the scored rows, mean and median over the curves of a
  column, as in the suite of Alabdulmohsin et al. 2022.

The folders of the tables are named by SCALEFIT_DATA and SCALEFIT_BENCH; without them a part is left
out. What a curve's scored rows hold is read after its law is chosen.
"""

from __future__ import annotations

import argparse
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from common import CHINCHILLA_FILE, CHINCHILLA_RULE, FARSEER_FILE, table

import scalefit as sf

CURVES = ("curves_vision.csv.gz", "curves_language.csv")
GADRE_FILE = "gadre.csv"
SQUARES = {"residual": "raw", "robust": "none"}
COLUMNS = {"IC": "image", "NMT": "NMT", "LM": "LM", "BB": "BIG-Bench"}
LAWS = ("power_offset", "broken_power")
FOUR = (*LAWS, "shifted_power", "stretched_exponential")
CHOICES = (
    *FOUR,
    "compare: best",
    "compare: combined",
    "compare: best of four",
    "compare: combined of four",
)
# Alabdulmohsin et al. 2022; of images on 72 curves, 18 of whose scored rows are not public.
PUBLISHED = (
    ("M1 of the authors", ".1046 (.0906)", ".222", ".0140", ".0148"),
    ("M3 of the authors", ".0615 (.0500)", ".0471", ".00227", ".0087"),
)


def folder(variable: str) -> Path | None:
    """A folder that the environment names, or None."""
    found = os.environ.get(variable)
    return Path(found) if found else None


def farseer(data: Path) -> None:
    """Three laws on Farseer's runs, the largest models held out."""
    runs = pd.read_csv(data / FARSEER_FILE)
    laws = ["chinchilla", "chinchilla_outer", "farseer"]
    found = sf.compare(runs, laws, by="N", N="params", D="tokens")
    print("## Farseer, the largest N held out\n")
    print(found.summary(), "\n")


def chinchilla(data: Path) -> None:
    """The outer exponent on the points of Besiroglu et al."""
    runs = pd.read_csv(data / CHINCHILLA_FILE)
    laws = ["chinchilla", "chinchilla_outer", "chinchilla_tied"]
    found = sf.compare(runs, laws, keep=CHINCHILLA_RULE, test="flops > 1e21")
    print("## The points of the Chinchilla paper\n")
    print(found.summary(), "\n")


def gadre(data: Path) -> None:
    """Five runs predict the two largest, loss and then error over tasks, by their protocol."""
    every = pd.read_csv(data / GADRE_FILE).dropna(subset="loss")
    every = every.assign(M=every["token_multiplier"].astype(float))
    rows = []
    for corpus, runs in every.groupby("train_dataset"):
        smallest = runs["params"] == runs["params"].min()
        five = (runs["params"] < 1e9) & (runs["M"] == 20) | smallest & (runs["M"] == 320)
        large = (runs["model"] == "open_lm_1b") & (runs["M"] == 640)
        large |= (runs["model"] == "open_lm_7b") & (runs["M"] == 20)
        held = sf.holdout(
            runs[five | large], "chinchilla_overtrained", test="params > 1e9", **SQUARES
        ).to_frame()
        # A law of the loss by the five and a sixth run, at the losses that are predicted.
        sixth = five | ((runs["model"] == "open_lm_1b") & (runs["M"] == 20))
        pairs = runs.loc[sixth, ["loss", "err_avg_17"]]
        tasks = sf.fit(pairs, "error_of_loss", error="err_avg_17", **SQUARES)
        chained = tasks.evaluate(loss=held["predicted"].to_numpy())
        for place, row in enumerate(held.itertuples()):
            run = runs.loc[row.row]
            of_loss = 100 * abs(row.predicted / row.observed - 1)
            of_tasks = 100 * abs(chained[place] / run["err_avg_17"] - 1)
            name = f"{corpus}, {run['model']} at {run['M']:g}"
            rows.append((name, f"{of_loss:.2f} %", f"{of_tasks:.2f} %"))
    print("## Over-trained runs of Gadre et al., the largest predicted by five\n")
    print(table(("run", "loss", "error, mean of 17 tasks"), rows), "\n")


def curves(bench: Path) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Every curve, without rows that repeat another one exactly."""
    found = {}
    for name in CURVES:
        frame = pd.read_csv(bench / name).fillna({"Model": "-"})
        for key, curve in frame.groupby(["Domain", "Task", "Model"]):
            found[key] = curve.drop_duplicates()
    return found


def predictions(curve: pd.DataFrame) -> dict[str, np.ndarray]:
    """Predicted losses of the scored rows, by choice, from the training rows alone.

    Only the x of the scored rows is read.
    """
    rows = curve[curve["Training"] == 1]
    at = curve.loc[curve["Training"] == 0, "Seen Examples"].to_numpy()
    runs = pd.DataFrame({"x": rows["Seen Examples"], "loss": rows["Loss"]})
    made: dict[str, np.ndarray] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for laws, label in ((LAWS, ""), (FOUR, " of four")):
            try:
                found = sf.compare(runs, laws, x="x", loss="loss")
            except sf.ScalefitError as error:
                # Too few rows for the larger law: the smaller one is all there is.
                print(f"one law only ({error})")
                continue
            made |= {law: np.asarray(found.fits[law].predict(x=at)) for law in found.laws}
            made[f"compare: best{label}"] = made[found.best]
            made[f"compare: combined{label}"] = found.predict(x=at)
        for law in FOUR:
            if law not in made:
                made[law] = np.asarray(sf.fit(runs, law, x="x", loss="loss").predict(x=at))
    for choice in CHOICES:
        made.setdefault(choice, made[LAWS[0]])
    return made


def scored(item: tuple[tuple[str, str, str], pd.DataFrame]) -> dict[str, object]:
    """Errors of every choice on one curve."""
    key, curve = item
    made = predictions(curve)
    losses = curve.loc[curve["Training"] == 0, "Loss"].to_numpy()
    return {"column": COLUMNS[key[0]]} | {
        choice: float(np.sqrt(np.mean(np.log(losses / made[choice]) ** 2))) for choice in CHOICES
    }


def curve_table(bench: Path, workers: int) -> str:
    """Errors on the learning curves whose scored rows are there: mean (median) over curves."""
    items = [item for item in curves(bench).items() if (item[1]["Training"] == 0).any()]
    # Forked, a process would wait for threads of JAX's that it does not have.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        frame = pd.DataFrame(pool.map(scored, items, chunksize=2))
    groups = [(name, frame[frame["column"] == name]) for name in COLUMNS.values()]
    header = ("law", *(f"{name} ({len(part)})" for name, part in groups))
    rows = [
        (choice, *(f"{p[choice].mean():.5f} ({p[choice].median():.5f})" for _, p in groups))
        for choice in CHOICES
    ]
    return table(header, [*rows, *PUBLISHED])


def main() -> None:
    """Print the tables of every part whose data are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("farseer", "chinchilla", "gadre", "curves"))
    given = parser.parse_args()
    data, bench = folder("SCALEFIT_DATA"), folder("SCALEFIT_BENCH")
    if data and given.only in (None, "farseer"):
        farseer(data)
    if data and given.only in (None, "chinchilla"):
        chinchilla(data)
    if data and given.only in (None, "gadre"):
        gadre(data)
    if bench and given.only in (None, "curves"):
        print("## Learning curves with scored rows: mean (median) over curves\n")
        print(curve_table(bench, given.workers), "\n")


if __name__ == "__main__":
    main()
