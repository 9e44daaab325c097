"""Laws of learning-rate schedules on the public curves of Luo et al. 2025 (arXiv 2503.12811).

By the protocol of the authors: three schedules are fitted, six others predicted, for each size of
model; figures are means over the six curves. The table needs ``SCALEFIT_DATA``. The published
coefficients are evaluated by the plain sum over all steps.

Each schedule has 2,160 steps of linear warm-up to 3e-4. Cosines and decays end at 3e-5.
"""

from __future__ import annotations

import os
import warnings
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from common import DATA_VARIABLE, run_alone, table

import scalefit as sf

FILE = "mpl_loss_curves.csv"
WARMUP, PEAK, END, STAGE = 2160, 3e-4, 3e-5, 8000
LAMS = (0.99, 0.995, 0.997, 0.998, 0.9985, 0.999, 0.9995)

# Coefficients that the authors print (README of thu-yao-01-luo/MultiPowerLaw), and their figures:
# R2, mean absolute error, mean and largest relative error.
PUBLISHED = {
    "25M": {
        **{"E": 3.04045406, "A": 0.52468604, "alpha": 0.50786857, "B": 363.78751622},
        **{"C": 2.06560812, "beta": 0.58279013, "gamma": 0.64142257},
    },
    "100M": {
        **{"E": 2.6514477, "A": 0.60115152, "alpha": 0.45295811, "B": 437.9464276},
        **{"C": 2.13245612, "beta": 0.59785199, "gamma": 0.65523644},
    },
}
PRINTED = {
    "25M": (0.9988, 0.00376, 0.00110, 0.00409),
    "100M": (0.9983, 0.00435, 0.00142, 0.00583),
}
# Those of a third size, of 400M parameters.
LARGER = {"beta": 0.59350493, "gamma": 0.63472457}


def learning_rates(name: str, last: int) -> np.ndarray:
    """The learning rate of every step from 0 to the last, of a schedule by its name."""
    kind, *numbers = name.split("_")
    step = np.arange(last + 1)
    warm = PEAK * np.minimum(step / WARMUP, 1.0)
    if kind == "constant":
        return warm
    if kind == "wsdcon":
        return np.where(step < STAGE, warm, float(numbers[0]) * 1e-5)
    end = int(numbers[-1])
    begin = WARMUP if kind == "cosine" else int(numbers[0])
    done = np.clip((step - begin) / (end - begin), 0.0, 1.0)
    shape = {
        "cosine": END + (PEAK - END) * 0.5 * (1 + np.cos(np.pi * done)),
        "wsd": PEAK * (END / PEAK) ** done,
        "wsdld": PEAK + (END - PEAK) * done,
    }[kind]
    return np.where(step < WARMUP, warm, shape)


def columns(curves: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """The table that the laws take, of curves of several schedules."""
    parts = []
    for name, curve in curves.groupby("schedule", sort=False):
        lr = learning_rates(str(name), curve["step"].max())
        made = sf.laws.schedule_columns(lr, curve["step"], **options)
        parts.append(made.assign(loss=curve["loss"].to_numpy(), schedule=name))
    return pd.concat(parts, ignore_index=True)


def published(runs: pd.DataFrame, found: dict[str, float]) -> np.ndarray:
    """Losses by the sum over all steps, those of the warm-up included, as the authors' code has it.

    Args:
        runs: a table of :func:`columns`.
        found: the coefficients.
    """
    parts = []
    for name, curve in runs.groupby("schedule", sort=False):
        lr = learning_rates(str(name), curve["step"].max())
        area, drops = np.cumsum(lr), -np.diff(lr)
        k = 1 + np.flatnonzero(drops)
        for t in curve["step"]:
            until = k[k <= t]
            pace = 1 + found["C"] * lr[until] ** -found["gamma"] * (area[t] - area[until - 1])
            lowered = (drops[until - 1] * (1 - pace ** -found["beta"])).sum()
            forward = found["E"] + found["A"] * area[t] ** -found["alpha"]
            parts.append(forward - found["B"] * lowered)
    return np.array(parts)


def scores(runs: pd.DataFrame, predicted: np.ndarray) -> tuple[float, float, float, float]:
    """R2, mean absolute error, mean and largest relative error, each the mean over curves."""
    each = []
    for _, curve in runs.assign(predicted=predicted).groupby("schedule"):
        loss, error = curve["loss"], (curve["loss"] - curve["predicted"]).abs()
        r2 = 1 - (error**2).sum() / ((loss - loss.mean()) ** 2).sum()
        each.append((r2, error.mean(), (error / loss).mean(), (error / loss).max()))
    found = np.mean(each, axis=0)
    return tuple(map(float, found))  # type: ignore[return-value]


def huber(observed: Any, predicted: Any, delta: float = 1e-3) -> float:
    """The sum of Huber losses of log residuals, which all are compared by."""
    far = np.abs(np.log(observed) - np.log(predicted))
    return float(np.where(far < delta, far**2 / 2, delta * (far - delta / 2)).sum())


CASES: dict[str, dict[str, Any]] = {
    "`multi_power()`": {},
    "the same, squares of losses": {"residual": "raw", "robust": "none"},
    "the same, gamma = beta": {"tied": [("beta", "gamma")]},
    "the same, beta and gamma of 400M": {"fixed": LARGER},
}


def judged(name: str, train: pd.DataFrame, test: pd.DataFrame, predict: Any) -> list[str]:
    """A row of the table: the objective of the training curves, and the errors of the others."""
    begin = process_time()
    fit = predict(train) if callable(predict) else None
    took = "" if fit is None else f"{process_time() - begin:.2f}"
    first, second = (
        (published(runs, predict) if fit is None else fit.predict(runs)) for runs in (train, test)
    )
    r2, *errors = scores(test, second)
    digits = [f"{1e4 * huber(train['loss'], first):.3f}", f"{r2:.4f}"]
    return [name, *digits, *(f"{error:.5f}" for error in errors), took]


def rows(curves: pd.DataFrame, size: str) -> list[list[str]]:
    """Published coefficients and fits of one size of model."""
    parts = [curves[curves["split"] == part] for part in ("train", "test")]
    train, test = (columns(part) for part in parts)
    r2, *errors = PRINTED[size]
    digits = [f"{r2}", *(f"{error:.5f}" for error in errors)]
    found = [["published", "", *digits, ""]]
    found.append(judged("published coefficients", train, test, PUBLISHED[size]))
    for name, given in CASES.items():
        fitted = partial(sf.fit, law=sf.laws.multi_power(), **given)
        found.append(judged(name, train, test, fitted))
    made = {lam: [columns(part, lam=lam, nodes=0) for part in parts] for lam in LAMS}
    best = min(LAMS, key=lambda lam: sf.fit(made[lam][0], "annealing").objective_value)
    name = f"`annealing`, lam = {best}"
    found.append(judged(name, *made[best], partial(sf.fit, law="annealing")))
    return found


def section(quick: bool) -> str:
    """A table for each size of model, or for the smaller one alone."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        return f"## Schedules\n\nNot measured: set {DATA_VARIABLE} to a folder with {FILE}."
    curves = pd.read_csv(Path(folder) / FILE)
    header = ("fit", "1e4 objective", "R2", "MAE", "mean rel.", "largest rel.", "CPU s")
    told = ["## Schedules"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.NoteWarning)
        for size in list(PUBLISHED)[: 1 if quick else None]:
            told += [f"### {size}", table(header, rows(curves[curves["size"] == size], size))]
    return "\n\n".join(told)


if __name__ == "__main__":
    run_alone(section, __doc__)
