"""Reading tables: what finding columns, units and numbers in text costs beside the bare reader.

Every form holds the same runs. The baseline is pandas reading the CSV of plain numbers, in the same
rounds; of containers, the DataFrame of plain numbers given to ``scalefit.read``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import race, run_alone, table

import scalefit as sf

ROWS, QUICK_ROWS = (240, 20_000, 200_000), (240, 2_000)
ROUNDS, QUICK_ROUNDS = 7, 3

HEADER = ("rows", "form", "time", "/ baseline")


def runs_of(rows: int) -> pd.DataFrame:
    """So many runs of whole numbers, with a loss."""
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "N": np.exp(random.uniform(np.log(1e7), np.log(1e10), rows)).round(-3),
            "D": np.exp(random.uniform(np.log(1e9), np.log(1e12), rows)).round(-5),
            "loss": random.uniform(2.0, 4.0, rows).round(6),
        }
    )


def as_text(runs: pd.DataFrame) -> pd.DataFrame:
    """The same runs as 12.345M, 1,234,500,000 and **3.36**."""
    return pd.DataFrame(
        {
            "params": [f"{value / 1e6:.12g}M" for value in runs["N"]],
            "tokens": [f"{int(value):,}" for value in runs["D"]],
            "loss": [f"**{value!r}**" for value in runs["loss"]],
        }
    )


def files(runs: pd.DataFrame, folder: Path) -> dict[str, Callable[[], Any]]:
    """Readers of the runs in files; the first is the baseline."""
    plain = folder / "runs.csv"
    runs.to_csv(plain, index=False)
    as_text(runs).to_csv(folder / "text.csv", index=False)
    scaled = runs.assign(N=runs["N"] / 1e9).rename(columns={"N": "params_b"})
    scaled.to_csv(folder / "german.csv", sep=";", decimal=",", index=False)
    runs.to_json(folder / "runs.jsonl", orient="records", lines=True)
    runs.to_parquet(folder / "runs.parquet")
    read = {
        "CSV": plain,
        "CSV, units and commas in text": folder / "text.csv",
        "CSV, decimal commas, a header in billions": folder / "german.csv",
        "JSON lines": folder / "runs.jsonl",
        "Parquet": folder / "runs.parquet",
    }
    baseline = {"pandas.read_csv": lambda: pd.read_csv(plain)}
    return baseline | {name: lambda path=path: sf.read(path) for name, path in read.items()}


def containers(runs: pd.DataFrame) -> dict[str, Callable[[], Any]]:
    """Readers of the runs in memory; the first is the baseline."""
    import polars
    import pyarrow

    held = {
        "DataFrame": runs,
        "DataFrame, text": as_text(runs),
        "polars": polars.from_pandas(runs),
        "Arrow table": pyarrow.Table.from_pandas(runs),
        "dict of lists": runs.to_dict("list"),
        "records": runs.to_dict("records"),
    }
    return {name: lambda item=item: sf.read(item) for name, item in held.items()}


def section(quick: bool) -> str:
    """The benchmark as Markdown."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    of_files, of_containers = [], []
    for rows in QUICK_ROWS if quick else ROWS:
        runs = runs_of(rows)
        with tempfile.TemporaryDirectory() as folder:
            of_files += _rows(rows, files(runs, Path(folder)), rounds)
        of_containers += _rows(rows, containers(runs), rounds)
    return "\n\n".join(
        [
            "## Reading tables",
            f"The same runs in every form, median of {rounds} rounds. Files, beside pandas on the "
            "CSV of plain numbers:",
            table(HEADER, of_files),
            "Containers, beside a DataFrame of plain numbers:",
            table(HEADER, of_containers),
        ]
    )


def _rows(rows: int, readers: dict[str, Callable[[], Any]], rounds: int) -> list[tuple[str, ...]]:
    timings = race(readers, rounds)
    first = next(iter(timings.values())).median
    return [
        (f"{rows:,}", name, timing.text, f"{timing.median / first:.1f}")
        for name, timing in timings.items()
    ]


if __name__ == "__main__":
    run_alone(section, __doc__)
