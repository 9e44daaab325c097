"""ScaleBench with all rows: its own laws, fitted by scalefit and by 64 restarts of L-BFGS-B.

Both minimise the mean square of the raw residual within the same bounds, as ScaleBench does. The
restarts are those of its ``baseline_full_train.py``: 64 random starts within the bounds, by the
logarithm where a lower bound is positive, at most 2,000 iterations each, ftol 1e-15, gtol 1e-10.
Gradients are exact, in numpy as theirs.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from common import table
from scalebench_laws import MOE, PARALLEL, SPARSITY
from scalebench_limited import DATA_CON
from scipy.optimize import minimize
from sldbench import digits, read

import scalefit as sf
from scalefit.fitting.law_slopes import law_with_slopes

STARTS, SEED = 64, 42
# How much lower an objective has to be to count as lower: the rounding of the other's last step.
SAME = 1e-6


class Bench(NamedTuple):
    """A task of ScaleBench: what its columns are called here, its laws, and the published mean."""

    columns: dict[str, str]
    laws: Sequence[sf.laws.Law]
    published: str


BENCHES = {
    "parallel": Bench({"num_params": "N", "parallel_size": "S"}, PARALLEL, "0.99 ± 0.00"),
    "moe": Bench(
        {
            "num_experts": "experts",
            "dense_parameter_count": "N",
            "loss_validation": "loss",
        },
        MOE,
        "0.81 ± 0.04",
    ),
    "data_constrained": Bench(
        {"unique_tokens": "U", "params": "N", "tokens": "D"}, DATA_CON, "0.79 ± 0.23"
    ),
    "sparsity": Bench({"N_active": "N"}, SPARSITY, "0.37 ± 0.10"),
}


def _bounds(law: sf.laws.Law) -> list[tuple[float, float]]:
    """Their bounds: 0 where a logarithmic grid here begins at 1e-9."""
    ends = [(p.kind.lower, p.kind.upper) for p in law.params]
    return [(0.0 if low == 1e-9 else low, high) for low, high in ends]


def restarts(law: sf.laws.Law, rows: pd.DataFrame) -> tuple[np.ndarray, float, float]:
    """Parameters, objective and seconds of the best of 64 restarts."""
    bounds = _bounds(law)
    losses = rows["loss"].to_numpy()
    traced = law_with_slopes(law).bind(*(rows[name].to_numpy() for name in law.columns))

    def both(theta: np.ndarray) -> tuple[float, np.ndarray]:
        values = [np.broadcast_to(item, losses.shape) for item in traced(*theta)]
        rest = values[0] - losses
        return float(np.mean(rest**2)), 2 / len(losses) * (np.array(values[1:]) @ rest)

    rng = np.random.RandomState(SEED)
    best, lowest = np.array([]), np.inf
    options = {"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-10}
    began = time.perf_counter()
    with np.errstate(all="ignore"):
        for _ in range(STARTS):
            start = [
                np.exp(rng.uniform(np.log(low), np.log(high)))
                if low > 0
                else rng.uniform(low, high)
                for low, high in bounds
            ]
            found = minimize(
                both, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
            )
            if found.fun < lowest:
                best, lowest = found.x, float(found.fun)
    return best, lowest, time.perf_counter() - began


def fitted(law: sf.laws.Law, rows: pd.DataFrame) -> tuple[sf.Fit, float, float]:
    """The fit, its objective and seconds."""
    began = time.perf_counter()
    fit = sf.fit(rows[[*law.columns, "loss"]], law, residual="raw", robust="none", certify=False)
    seconds = time.perf_counter() - began
    rest = rows["loss"].to_numpy() - fit.evaluate(**{n: rows[n].to_numpy() for n in law.columns})
    return fit, float(np.mean(rest**2)), seconds


def _task(folder: Path, name: str, bench: Bench, train_only: bool) -> tuple[list[Any], list[Any]]:
    """Rows of the table of laws, and the R2 of each law on test rows where they are given."""
    there = (folder / f"sld_{name}_test.csv").exists() and not train_only
    frames = {"train": read(folder, name, "train")}
    if there:
        frames["test"] = read(folder, name, "test")
    parts = {
        part: {
            key: rows.rename(columns=bench.columns).astype(
                {bench.columns.get(n, n): float for n in rows.select_dtypes("number")}
            )
            for key, rows in frame.groupby("group")
        }
        for part, frame in frames.items()
    }
    lines, scores = [], []
    for law in bench.laws:
        ours, theirs, spent, taken, codes = 0.0, 0.0, 0.0, 0.0, set[str]()
        excess, truth, made = -np.inf, [], []
        for key, rows in parts["train"].items():
            fit, value, seconds = fitted(law, rows)
            _, other, longer = restarts(law, rows)
            ours, theirs = ours + value, theirs + other
            spent, taken = spent + seconds, taken + longer
            excess = max(excess, value / other - 1)
            codes |= {note.code for note in fit.notes}
            if there and key in parts["test"]:
                test = parts["test"][key]
                truth.append(test["loss"].to_numpy())
                made.append(fit.evaluate(**{n: test[n].to_numpy() for n in law.columns}))
        if there:
            scores.append(_pooled(np.concatenate(truth), np.concatenate(made)))
        loose = "no" if "weakly_identified" in codes else ""
        bound = "yes" if "at_bound" in codes else ""
        lines.append(
            (
                f"`{law.name}`",
                f"{ours:.6g}",
                f"{theirs:.6g}",
                "**higher**"
                if excess > SAME
                else "lower"
                if ours < theirs * (1 - SAME)
                else "same",
                f"{spent:.2f} s",
                f"{taken:.1f} s",
                loose,
                bound,
                digits(scores[-1]) if there else "",
            )
        )
        print(lines[-1], flush=True)
    return lines, scores


def _pooled(truth: np.ndarray, made: np.ndarray) -> float:
    """R2 over the rows of all groups, between -1 and 1."""
    rest = np.sum((truth - made) ** 2) / np.sum((truth - truth.mean()) ** 2)
    return float(np.clip(1 - rest, -1, 1)) if np.isfinite(rest) else -1.0


def all_data(folder: Path, only: str | None, train_only: bool) -> str:
    """The tables of laws, and of means over laws beside the published ones."""
    texts, means = [], []
    for name, bench in BENCHES.items():
        if only not in (None, name):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lines, scores = _task(folder, name, bench, train_only)
        header = (
            f"{name}: law",
            "objective, scalefit",
            "L-BFGS-B, best of 64",
            "scalefit's is",
            "time",
            "time of 64",
            "identified",
            "at a bound",
            "R2, test rows",
        )
        texts.append(table(header, lines))
        print(texts[-1], flush=True)
        mean = f"{np.mean(scores):.2f} ± {np.std(scores):.2f}" if scores else ""
        kinds = [line[3] for line in lines]
        ratio = sum(float(line[5][:-2]) for line in lines) / sum(
            float(line[4][:-2]) for line in lines
        )
        means.append(
            (
                name,
                len(lines),
                f"{kinds.count('lower')} lower, {kinds.count('same')} same, "
                f"{kinds.count('**higher**')} higher",
                f"{ratio:.0f}",
                sum(bool(line[6]) for line in lines),
                mean,
                bench.published,
            )
        )
    header = (
        "task",
        "laws",
        "scalefit's objective",
        "time of 64 restarts / scalefit's",
        "laws not identified",
        "R2, mean ± spread over laws",
        "published",
    )
    return table(header, means) + "\n\n" + "\n\n".join(texts)
