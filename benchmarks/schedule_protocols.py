"""Whether training curves can choose how they are fitted, on the curves of ``schedules.py``.

Every protocol of PROTOCOLS fits the three training curves without a part of them (``folds``) and
predicts that part. The error is the mean square of the held-out rows over the variance of their
whole curve, which is 1 - R2 of a curve held out whole; where a fold holds out several curves, the
mean over them. The protocol of the least geometric mean over the folds and both sizes is chosen,
one for both sizes. Protocols, folds and rule were fixed before any was scored. The six test curves
are scored after the choice, by all protocols: how held-out errors rank them is what is asked.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from common import DATA_VARIABLE, run_alone, table
from schedules import FILE, LAMS, PUBLISHED, columns, huber, published, scores

import scalefit as sf


class Protocol(NamedTuple):
    """A way of fitting.

    Attributes:
        law: a key of LAWS.
        left_out: rows before this share of the last fitted step are not fitted.
        objective: a key of OBJECTIVES.
    """

    law: str
    left_out: float
    objective: str


# What is fitted: the law's column options, and options of the fit. None: annealing.
LAWS: dict[str, tuple[dict[str, Any], dict[str, Any]] | None] = {
    "multi_power": ({}, {}),
    "gamma = beta": ({}, {"tied": [("beta", "gamma")]}),
    "rise counted": ({"warmup": 0}, {}),
    "annealing": None,
}
# The last one weights rows by 1 / step, as if steps were spaced by logarithms.
OBJECTIVES: dict[str, dict[str, Any]] = {
    "Huber": {},
    "squares": {"robust": "none"},
    "squares, log steps": {"robust": "none", "sigma": "sigma"},
}
# Of 24,000 steps: none, those until 4,000, until 8,000.
LEFT_OUT = {"none": 0.0, "1/6": 1 / 6, "1/3": 1 / 3}
# Coefficients that a fit to the three curves takes from one to all nine: which of them are wrong.
OF_NINE = {
    "E, A, alpha": ("E", "A", "alpha"),
    "B, C, beta, gamma": ("B", "C", "beta", "gamma"),
}
PLAIN = Protocol("multi_power", 0.0, "Huber")
PROTOCOLS = [Protocol(*each) for each in product(LAWS, LEFT_OUT.values(), OBJECTIVES)]


class Curves:
    """Some curves, with the columns of every law."""

    def __init__(self, curves: pd.DataFrame) -> None:
        self.made: dict[str, pd.DataFrame] = {
            name: columns(curves, **options[0]) for name, options in LAWS.items() if options
        }
        self.memories = {lam: columns(curves, lam=lam, nodes=0) for lam in LAMS}
        self.rows = self.made["multi_power"][["schedule", "step", "loss"]]

    def predicted(self, protocol: Protocol, train: np.ndarray, *others: Curves) -> list[np.ndarray]:
        """Losses of other curves by a protocol, from some rows of these."""
        step = self.rows["step"]
        kept = train & (step >= protocol.left_out * step[train].max()).to_numpy()
        sigma = np.sqrt(step[kept] / step.max()) * self.rows["loss"][kept]
        given, law = OBJECTIVES[protocol.objective], LAWS[protocol.law]
        if law is None:
            runs = {lam: self.memories[lam][kept].assign(sigma=sigma) for lam in LAMS}
            fits = {lam: sf.fit(runs[lam], "annealing", **given) for lam in LAMS}
            best = min(LAMS, key=lambda lam: fits[lam].objective_value)
            return [fits[best].predict(other.memories[best]) for other in others]
        chosen = self.made[protocol.law][kept].assign(sigma=sigma)
        fit = sf.fit(chosen, sf.laws.multi_power(), **given, **law[1])
        return [fit.predict(other.made[protocol.law]) for other in others]

    def whole(self, protocol: Protocol, *others: Curves) -> list[np.ndarray]:
        """The same from all rows."""
        return self.predicted(protocol, np.full(len(self.rows), True), *others)


def folds(rows: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Held-out rows of the three training curves.

    The cosine is not held out whole: without it all drops end at one learning rate, and gamma is
    not identified.
    """
    stages = rows["schedule"].str.startswith("wsdcon").to_numpy()
    constant = rows["schedule"].str.startswith("constant").to_numpy()
    step = rows["step"].to_numpy()
    yield "constant", constant
    yield "stages", stages
    yield "both long after 12,000", ~stages & (step > 12000)
    yield "all after 10,000", step > 10000


def held_out(curves: Curves, protocol: Protocol) -> list[float]:
    """The error of every fold."""
    found = []
    spread = curves.rows.groupby("schedule")["loss"].var(ddof=0)
    for _, out in folds(curves.rows):
        (predicted,) = curves.predicted(protocol, ~out, curves)
        missed = (curves.rows["loss"] - predicted)[out] ** 2
        found.append((missed.groupby(curves.rows["schedule"]).mean() / spread).mean())
    return found


class Sizes(NamedTuple):
    """Training and test curves of one size, and both."""

    train: Curves
    test: Curves
    both: Curves


def each_curve(test: pd.DataFrame, predicted: np.ndarray) -> list[str]:
    """R2: the mean over the curves, and that of each."""
    found = [scores(test, predicted)[0]]
    for _, curve in test.groupby("schedule"):
        found.append(scores(curve, predicted[curve.index])[0])
    return [f"{r2:.4f}" for r2 in found]


def told(protocol: Protocol) -> list[str]:
    left = next(name for name, share in LEFT_OUT.items() if share == protocol.left_out)
    return [protocol.law, left, protocol.objective]


def choice(sizes: dict[str, Sizes]) -> tuple[Protocol, str]:
    """The protocol chosen on training curves, and the table of all, best first."""
    errors = {
        each: np.array([held_out(curves.train, each) for curves in sizes.values()])
        for each in PROTOCOLS
    }
    mean = {each: float(np.exp(np.log(found).mean())) for each, found in errors.items()}
    lines, r2 = [], []
    for each in sorted(PROTOCOLS, key=lambda one: mean[one]):
        test = []
        for train, other, _ in sizes.values():
            (predicted,) = train.whole(each, other)
            test.append(scores(other.rows, predicted)[0])
        r2.append(-np.log1p(-np.array(test)).mean())
        parts = [f"{1e4 * error:.1f}" for error in errors[each].ravel()]
        lines.append([*told(each), *parts, f"{1e4 * mean[each]:.2f}", *(f"{t:.4f}" for t in test)])
    names = [
        f"{size}: {name}" for size, curves in sizes.items() for name, _ in folds(curves[0].rows)
    ]
    header = ["law", "left out", "objective", *names, "mean", *(f"{size}: R2" for size in sizes)]
    order = pd.Series(r2).corr(pd.Series(np.arange(0.0, -len(r2), -1)), method="spearman")
    said = f"Rank correlation of held-out and test errors: {order:.2f}."
    return min(PROTOCOLS, key=lambda one: mean[one]), f"{table(header, lines)}\n\n{said}"


def scored(curves: Sizes, chosen: Protocol, size: str) -> str:
    """Test curves by the chosen protocol, the plain one, published numbers, and a fit to them."""
    train, test = curves.train.rows, curves.test.rows
    contenders = {
        "published coefficients": [published(runs, PUBLISHED[size]) for runs in (train, test)],
        "plain: " + ", ".join(told(PLAIN)): curves.train.whole(PLAIN, *curves[:2]),
        "chosen: " + ", ".join(told(chosen)): curves.train.whole(chosen, *curves[:2]),
    }
    three, six, nine = (each.made["multi_power"] for each in curves)
    law = sf.laws.multi_power()
    fits = {"fitted to all nine": sf.fit(nine, law)}
    found = fits["fitted to all nine"].params
    for name, of_nine in OF_NINE.items():
        fixed = {one: found[one] for one in of_nine}
        fits[f"{name} of all nine"] = sf.fit(three, law, fixed=fixed)
    for name, fit in fits.items():
        contenders[f"plain, {name}"] = [fit.predict(three), fit.predict(six)]
    lines = [
        [name, f"{1e4 * huber(train['loss'], first):.3f}", *each_curve(test, second)]
        for name, (first, second) in contenders.items()
    ]
    names = [str(name) for name, _ in test.groupby("schedule")]
    return table(("fit", "1e4 objective of the three", "R2 of six", *names), lines)


def section(quick: bool) -> str:
    """The choice, and tables of test curves, for both sizes of model or the smaller one."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        return f"## Protocols\n\nNot measured: set {DATA_VARIABLE} to a folder with {FILE}."
    runs = pd.read_csv(Path(folder) / FILE)
    sizes = {}
    for size in list(PUBLISHED)[: 1 if quick else None]:
        own = runs[runs["size"] == size]
        parts = (own[own["split"] == "train"], own[own["split"] == "test"], own)
        sizes[size] = Sizes(*map(Curves, parts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.NoteWarning)
        chosen, ranked = choice(sizes)
        tables = [f"### {size}\n\n{scored(sizes[size], chosen, size)}" for size in sizes]
    return "\n\n".join(["## Protocols, errors in 1e-4", ranked, *tables])


if __name__ == "__main__":
    run_alone(section, __doc__)
