"""The figures of docs/own_sweep.md: ``python benchmarks/own_sweep.py``.

Learning rates; noise between seeds; the fit beside an independent optimiser; laws; Approach 2;
runs that no fit has seen; the other count of compute; runs that were repeated. ``--pictures``
draws docs/images/own_sweep_*.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, stats

import scalefit as sf

ROOT = Path(__file__).parents[1]
SWEEP = ROOT / "data" / "sweep"
LINES = "held_out == 0"
LAWS = ("chinchilla", "chinchilla_tied", "chinchilla_outer", "chinchilla_nonembedding", "kaplan")
TARGET = 1e14


def title(said: str) -> None:
    print(f"\n## {said}")


def rates() -> None:
    """Loss by width and learning rate, in units of the rule's."""
    runs = pd.read_json(SWEEP / "rate.jsonl", lines=True)
    runs["times"] = (runs["lr"] * 6 * runs["width"]).round(2)
    print(runs.pivot_table("loss", "width", "times").round(4))


def seeds(runs: pd.DataFrame) -> float:
    """Standard deviation of ln L between seeds of one size, pooled; and by size."""
    line = runs[runs["budget"] == 1e12].assign(log=lambda frame: np.log(frame["loss"]))
    groups = line.groupby("N")["log"]
    print((100 * groups.std()).round(3).rename("percent").to_frame().T)
    freedom = (groups.count() - 1).sum()
    pooled = float(np.sqrt((groups.var() * (groups.count() - 1)).sum() / freedom))
    low, high = pooled * np.sqrt(freedom / stats.chi2.ppf([0.975, 0.025], freedom))
    print(f"pooled {pooled:.3%} ({low:.3%} to {high:.3%}), {freedom} degrees of freedom")
    return pooled


def additive(point: np.ndarray, N: np.ndarray, D: np.ndarray) -> np.ndarray:
    e, a, b, alpha, beta = point
    return np.logaddexp(e, np.logaddexp(a - alpha * N, b - beta * D))


def outer(point: np.ndarray, N: np.ndarray, D: np.ndarray) -> np.ndarray:
    e, a, b, alpha, beta, k = point
    return np.logaddexp(e, k * np.logaddexp(a - alpha * N, b - beta * D))


# Logarithms of the terms of a law, and a box of starts.
PARTS = {
    "chinchilla": (additive, [-2.0, 0, 0, 0.1, 0.1], [1.0, 15, 15, 1.5, 1.5]),
    "chinchilla_outer": (outer, [-2.0, 0, 0, 0.3, 0.3, 0.2], [0.5, 15, 15, 1.2, 1.2, 1.0]),
}


def independent(runs: pd.DataFrame, fit: sf.Fit) -> None:
    """The objective by scipy: least squares with a Huber loss, from 100 starts."""
    N, D, loss = (np.log(runs[name].to_numpy(float)) for name in ("N", "D", "loss"))
    parts, low, high = PARTS[fit.law.name]
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(100):
        done = optimize.least_squares(
            lambda point: loss - parts(point, N, D),
            rng.uniform(low, high),
            loss="huber",
            f_scale=1e-3,
            x_scale="jac",
            max_nfev=1000,
            xtol=1e-14,
            ftol=1e-14,
        )
        ends.append(done.cost)
    near = sum(end < fit.objective_value * 1.001 for end in ends)
    print(
        f"{fit.law.name}: ours {fit.objective_value:.8g}; scipy from 100 starts {min(ends):.8g}, "
        f"{near} of them within 0.1 % of ours"
    )


@sf.allocation.cost(unit="FLOP", source="data/sweep/train.py, flops_per_byte")
def with_attention(N: float, D: float) -> float:
    """Matrix products, with attention over 64 bytes in two layers of the width that N has."""
    width = ((133.0**2 + 96.0 * N) ** 0.5 - 133.0) / 48.0
    return (6 * (24 * width**2 + 128 * width) + 1536 * width) * D


def minimum(noise: float) -> None:
    """Of the parabola through the three runs at ten times the largest budget."""
    runs = sf.datasets.frame("scalefit_bytes").query("part == 'target'")
    scatter = np.exp(noise * np.random.default_rng(0).normal(size=(20_000, 3)))
    losses = np.vstack([runs["loss"].to_numpy(), runs["loss"].to_numpy() * scatter])
    curves = np.polyfit(np.log(runs["N"]), losses.T, 2)
    sizes = np.exp(-curves[1] / 2 / curves[0])
    low, high = np.quantile(sizes[1:], [0.025, 0.975])
    print(f"minimum at {sizes[0]:.4g} parameters ({low:.4g} to {high:.4g})")


def unseen() -> None:
    """The held-out runs, by law and part."""
    for law in LAWS[:3]:
        for part in ("overtrained", "target"):
            other = "target" if part == "overtrained" else "overtrained"
            frame = sf.datasets.load("scalefit_bytes", keep=f"part != '{other}'")
            found = sf.holdout(frame, law, test=f"part == '{part}'")
            print(f"{law}, {part}: {found.verdict()}")
            if part == "target":
                print(found.to_frame()[["N", "D", "observed", "predicted", "low", "high"]].round(4))


def repeats() -> None:
    """Runs that were trained twice."""
    path = SWEEP / "main_repeat.jsonl"
    if not path.exists():
        return
    both = pd.read_json(path, lines=True).merge(
        pd.read_json(SWEEP / "main.jsonl", lines=True), on="run", suffixes=("_again", "")
    )
    gap = np.abs(np.log(both["loss_again"] / both["loss"]))
    print(both[["run", "loss", "loss_again"]])
    print(f"{len(both)} runs, largest difference {gap.max():.2e} of the loss")


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", action="store_true")
    given = parser.parse_args()
    every = sf.datasets.load("scalefit_bytes")
    runs = sf.datasets.load("scalefit_bytes", keep=LINES)
    frame = sf.datasets.frame("scalefit_bytes").query(LINES)
    title("Learning rates, in times the rule's")
    rates()
    title("Noise between seeds, 1e12 FLOP")
    noise = seeds(frame)
    title("The fits")
    draws = {}
    for name in ("chinchilla", "chinchilla_outer"):
        fit = sf.fit(runs, name, certify=name == "chinchilla")
        print(fit.summary())
        independent(frame, fit)
        draws[name] = sf.bootstrap(fit, runs, n_draws=2000, global_search=0.1, progress=False)
        print(draws[name].conf_int().round(4))
        print(sf.allocate(draws[name], flops=TARGET))
    title("Laws")
    for name in LAWS:
        one = sf.fit(runs, name)
        print(
            f"{name}: residuals {one.residual_rms:.3%}; N* {sf.allocate(one, flops=TARGET).N:.3g}"
        )
    print(sf.compare(runs, LAWS[:3]))
    title("Approach 2")
    found = sf.isoflop(runs)
    print(found)
    for some in draws.values():
        report = sf.bias(some, found, runs, TARGET)
        print(report)
        print(report.attribution)
    title("Compute as counted, with attention")
    ratio = frame["flops_counted"] / (6 * frame["N"] * frame["D"])
    print(f"counted / 6ND: {ratio.min():.2f} to {ratio.max():.2f}")
    counted = with_attention.evaluate({name: frame[name].to_numpy(float) for name in ("N", "D")})
    np.testing.assert_allclose(counted, frame["flops_counted"], rtol=1e-6)
    for name, some in draws.items():
        for cost in ("6ND", with_attention):
            best = sf.allocate(some.fit, flops=TARGET, cost=cost)
            print(f"{name}, {best.cost}: N* {best.N:.4g}, D* {best.D:.4g}")
    title("Runs that no fit has seen")
    unseen()
    minimum(noise)
    title("Trained again")
    repeats()
    if given.pictures:
        pictures(draws["chinchilla_outer"], runs, found, every)


def pictures(
    draws: sf.Ensemble, runs: sf.LossTable, found: sf.IsoFlop, every: sf.LossTable
) -> None:
    """The pictures of the page."""
    held_out = sf.holdout(every, "chinchilla_outer", test="held_out == 1")
    drawn = {
        "surface": sf.plot.surface(draws, runs, flops=TARGET),
        "isoflop": sf.plot.isoflop(found, runs),
        "unseen": sf.plot.holdout(held_out)[0],
    }
    for name, ax in drawn.items():
        ax.figure.savefig(ROOT / "docs" / "images" / f"own_sweep_{name}.png", dpi=110)


if __name__ == "__main__":
    main()
