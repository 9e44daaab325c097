"""Chinchilla's Approach 1: the lower envelope of training curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd

from scalefit.allocation.costs import Cost
from scalefit.approach2.frontier import Frontier, power_law_table
from scalefit.approach2.isoflop_notes import convention_notes
from scalefit.approach2.power_laws import PowerLaw, line_of_logs
from scalefit.approach2.sweeps import Sweeps, sweeps
from scalefit.arguments import choice, text, whole
from scalefit.data.table import LossTable, as_table
from scalefit.errors import DataError
from scalefit.notes import Note
from scalefit.reporting.description import Column, Description, Table
from scalefit.results.prediction import refuse_unknown

__all__ = ["Envelope", "EnvelopeMethod", "envelope"]

EnvelopeMethod = Literal["bins", "hull"]
"""The best run at each of many budgets, or the corners of the convex hull."""


# Sizes on the fitted part of an envelope. Without noise its exponent is off by up to 0.12 with two
# and 0.03 with four, and by 0.01 from five on.
FEW_SIZES = 5

# Budgets of an envelope; there are that many for each curve.
MOST_BINS = 100_000


@dataclass(frozen=True, eq=False)
class Envelope(Frontier):
    """The runs of least loss at each compute, and power laws through them.

    Attributes:
        points: a row for each budget or corner: ``flops``, ``N``, ``D``, ``loss``, ``run``, and
            ``interior``: whether smaller and larger models were trained that far too. The power
            laws go through those.
        n_law: N* against the budget. Neighbouring points share runs, so it has no standard error.
        d_law: D* against the budget.
        method: how points were chosen.
        cost: name of what budgets are counted in.
        notes: soft problems.
    """

    points: pd.DataFrame
    n_law: PowerLaw
    d_law: PowerLaw
    method: EnvelopeMethod
    cost: str
    notes: tuple[Note, ...] = ()

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest budget of the power laws, FLOP."""
        budgets = self.points["flops"][self.points["interior"]]
        return float(budgets.min()), float(budgets.max())

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """The row of each point; there are no intervals."""
        return self.points.copy()

    def __repr__(self) -> str:
        return (
            f"<Envelope by {self.method}: {int(self.points['interior'].sum())} of "
            f"{len(self.points)} points, N* ~ C^{self.n_exponent:.4f}, "
            f"D* ~ C^{self.d_exponent:.4f}>"
        )

    def describe(self, level: float = 0.95) -> Description:
        """The exponents and the power laws.

        Args:
            level: not used: neighbouring points share runs, so that there are no intervals.
        """
        fitted = self.points[self.points["interior"]]
        points = Description(
            "Points of the envelope",
            tables=[
                Table(
                    [
                        Column("C, FLOP", self.points["flops"], "flop"),
                        Column("N, parameters", self.points["N"], "count"),
                        Column("D, tokens", self.points["D"], "count"),
                        Column("loss", self.points["loss"]),
                        Column("run", list(map(str, self.points["run"])), "text"),
                    ]
                )
            ],
        )
        return Description(
            f"Lower envelope by {self.method}, compute counted as {self.cost}",
            f"N* grows as C^{self.n_exponent:.3f} and D* as C^{self.d_exponent:.3f}, by "
            f"{len(fitted)} of {len(self.points)} points of {fitted['N'].nunique()} sizes. At a "
            "budget: .at(1e24)",
            tables=[power_law_table(self.n_law, self.d_law, level)],
            notes=self.notes,
            parts={"points": points},
        )


def envelope(
    curves: LossTable | pd.DataFrame,
    *,
    run: str | None = None,
    method: EnvelopeMethod = "bins",
    bins: int = 1500,
    cost: str | Cost | None = None,
    **columns: str,
) -> Envelope:
    """Compute-optimal N and D from training curves of several sizes.

    ``bins``: the run of least loss at log-spaced budgets, by interpolation that is linear in ln C
    between checkpoints. ``hull``: the corners of the lower convex hull of all checkpoints in
    (ln C, loss). Points whose run is the smallest or the largest trained that far are listed but
    not fitted: a better size may lie beyond.

    The loss within a learning-rate schedule is above that of a run which ends there, so that an
    envelope of long schedules favours small models.

    Args:
        curves: a row for each checkpoint, with N, D so far, and the loss.
        run: column that names the run of a checkpoint; by default a run is a size.
        method: ``bins`` or ``hull``.
        bins: budgets, log-spaced over the compute of the checkpoints.
        cost: what compute is counted in. By default it is the table's column C, or 6ND without one.
        **columns: headers, as for ``fit``, where ``curves`` is a DataFrame.

    Returns:
        The points and the power laws.

    Raises:
        ArgumentError: an option is unknown or no number in its range.
        DataError: a column is missing, or fewer than two sizes are ever best.

    Source:
        Hoffmann et al. 2022, arXiv 2203.15556, section 3.1.

    Example:
        >>> import numpy as np, pandas as pd, scalefit as sf
        >>> N, D = np.meshgrid(np.geomspace(1e7, 1e10, 40), np.geomspace(1e8, 1e12, 200))
        >>> curves = pd.DataFrame({"N": N.ravel(), "D": D.ravel()})
        >>> found = sf.approach2.envelope(sf.simulate(curves, noise=0.0))
        >>> round(found.n_exponent, 2)  # 0.28 / (0.34 + 0.28)
        0.45
    """
    choice(method, "method", get_args(EnvelopeMethod))
    bins = whole(bins, "bins", least=2, most=MOST_BINS, remedy="Pass how many, as bins=1500")
    if run is not None:
        text(run, "run", remedy="Pass the column that names the run of a checkpoint, or run=None")
    refuse_unknown(envelope, None, columns)
    table = as_table(curves, **columns)
    checkpoints = sweeps(table, None, 0.0, cost)
    used = table.weight > 0
    labels = (table.labels(run) if run else pd.Series(table.column("N")))[used].to_numpy()
    names, code = np.unique(
        labels.astype(str) if labels.dtype == object else labels, return_inverse=True
    )
    curve = [np.flatnonzero(code == number) for number in range(len(names))]
    chosen = _best(checkpoints, curve, bins) if method == "bins" else _hull(checkpoints, code)
    points = pd.DataFrame(chosen).assign(run=lambda frame: names[frame["run"]])
    fitted = points[points["interior"]]
    if fitted["N"].nunique() < 2:
        raise DataError(
            f"{fitted['N'].nunique()} of {len(names)} runs are best at some compute with smaller "
            "and larger models beside them, and a power law needs two",
            remedy="Give curves of more sizes that overlap in compute; name the runs with run=",
        )
    laws = (line_of_logs(fitted["flops"], np.log(fitted[name])) for name in ("N", "D"))
    unknown = np.asarray(np.nan)
    n_law, d_law = (replace(law, exponent_se=unknown, spread=unknown) for law in laws)
    return Envelope(
        points=points,
        n_law=n_law,
        d_law=d_law,
        method=method,
        cost=checkpoints.cost.name if checkpoints.counted else f"column {table.sources['C']!r}",
        notes=(*table.notes, *_few_notes(fitted), *convention_notes(checkpoints)),
    )


def _few_notes(fitted: pd.DataFrame) -> list[Note]:
    """A note where few sizes are fitted."""
    sizes = int(fitted["N"].nunique())
    if sizes >= FEW_SIZES:
        return []
    return [
        Note.of(
            "envelope_few_sizes",
            f"the power laws go through {sizes} sizes with smaller and larger ones beside them: "
            "N* has as many steps, and its exponent depends on where they lie. Add sizes between",
            {"sizes": sizes},
        )
    ]


def _best(runs: Sweeps, curves: list[np.ndarray], bins: int) -> dict[str, np.ndarray]:
    """The run of least loss at log-spaced budgets."""
    grid = np.linspace(np.log(runs.C).min(), np.log(runs.C).max(), bins)
    size = np.array([np.log(runs.N[item]).mean() for item in curves])
    loss, tokens = (
        np.stack([_between(np.log(runs.C[item]), of[item], grid) for item in curves])
        for of in (runs.loss, np.log(runs.D))
    )
    trained = np.isfinite(loss)
    some = trained.any(0)
    grid, loss, tokens, trained = grid[some], loss[:, some], tokens[:, some], trained[:, some]
    best = np.where(trained, loss, np.inf).argmin(0)
    here = np.arange(len(grid))
    N = size[best]
    smaller = (trained & (size[:, None] < N)).any(0)
    larger = (trained & (size[:, None] > N)).any(0)
    return {
        "flops": np.exp(grid),
        "N": np.exp(N),
        "D": np.exp(tokens[best, here]),
        "loss": loss[best, here],
        "run": best,
        "interior": smaller & larger,
    }


def _between(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Linear interpolation, NaN outside the points."""
    order = np.argsort(x, kind="stable")
    return np.interp(at, x[order], y[order], left=np.nan, right=np.nan)


def _hull(runs: Sweeps, code: np.ndarray) -> dict[str, np.ndarray]:
    """Corners of the lower convex hull of (ln C, loss), up to the least loss."""
    x, y = np.log(runs.C), runs.loss
    corners: list[int] = []
    for i in np.lexsort((y, x)):
        while len(corners) > 1 and _turns_down(x, y, corners[-2], corners[-1], int(i)):
            corners.pop()
        if not corners or x[i] > x[corners[-1]]:
            corners.append(int(i))
    falling = np.array(corners)[: int(np.argmin(y[corners])) + 1]
    spans = [(x[code == number].min(), x[code == number].max()) for number in range(code.max() + 1)]
    low, high = np.array(spans).T
    size = np.array([runs.N[code == number].mean() for number in range(len(spans))])
    trained = (low[:, None] <= x[falling]) & (x[falling] <= high[:, None])
    N = runs.N[falling]
    smaller = (trained & (size[:, None] < N)).any(0)
    larger = (trained & (size[:, None] > N)).any(0)
    return {
        "flops": runs.C[falling],
        "N": N,
        "D": runs.D[falling],
        "loss": y[falling],
        "run": code[falling],
        "interior": smaller & larger,
    }


def _turns_down(x: np.ndarray, y: np.ndarray, a: int, b: int, c: int) -> bool:
    """Whether b lies on or above the line from a to c."""
    return bool((x[b] - x[a]) * (y[c] - y[a]) <= (x[c] - x[a]) * (y[b] - y[a]))
