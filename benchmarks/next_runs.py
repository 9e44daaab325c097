"""Runs chosen by ``scalefit.next_runs`` against other ways to spend the same compute.

``--part simulation``: tables of IsoFLOP sweeps up to 1e20 FLOP are simulated on Chinchilla's
surface, the law is fitted, the same compute is spent on further runs in several ways, and the law
is fitted again to all runs. The spread of ln N* at 1e22 FLOP over these experiments, refits
included, is the true error of each way.

``--part scalebench``: the tasks of ScaleBench (Li et al. 2026, arXiv 2604.22753) whose test rows
are public, in the folder that SCALEFIT_BENCH names. A selector buys training rows under a share of
what all of them cost, a law is fitted to what it bought, and the score is R2 on the larger test
runs. Every selector is given the same law and the same fit.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
from common import machine, table
from tqdm import tqdm

import scalefit as sf
from scalefit.design.criteria import Variance
from scalefit.design.prior_information import noise_of, of_runs
from scalefit.design.run_candidates import grid_candidates
from scalefit.design.targets import target_of
from scalefit.inference.fitted_data import attach
from scalefit.results.estimate import Draws

# The starting table, the new compute, and the target: a hundred times the largest budget.
START = (1e18, 5e18, 2e19, 1e20)
POINTS, WIDTH, NOISE = 5, 4.0, 0.005
NEW, TARGET = 3e20, 1e22
RUNS = 20
TRUTH = dict(sf.simulation.SURFACES["chinchilla"])


def chosen(fit: sf.Fit, runs: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """What this library chooses, of at most as many runs as the others."""
    found = sf.next_runs(fit, runs, target=TARGET, budget=NEW, count=RUNS)
    return found.runs[["N", "D"]]


def few(fit: sf.Fit, runs: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """The same with ten runs."""
    found = sf.next_runs(fit, runs, target=TARGET, budget=NEW, count=RUNS // 2)
    return found.runs[["N", "D"]]


def sweep(
    budgets: int, fit: sf.Fit, *_: Any, width: float = WIDTH, points: int = 0
) -> pd.DataFrame:
    """IsoFLOP sweeps centred on the fitted optimum that spend the same compute on as many runs."""
    points = points or RUNS // budgets
    spread = np.geomspace(1, 1.0 if budgets == 1 else 10.0, budgets)
    flops = NEW / points * spread / spread.sum()
    best = sf.allocate(fit, flops=flops).N
    N = best[:, None] * np.logspace(-1, 1, points, base=width)
    return pd.DataFrame({"N": N.ravel(), "D": (flops[:, None] / (6 * N)).ravel()})


def random_runs(fit: sf.Fit, _: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Runs drawn from the same grid of candidates until the compute is spent."""
    grid = grid_candidates(fit, "6ND", NEW, None, None)
    left, places = NEW, list[int]()
    while len(places) < RUNS and (grid.costs <= left).any():
        places.append(int(rng.choice(np.flatnonzero(grid.costs <= left))))
        left -= grid.costs[places[-1]]
    return pd.DataFrame({name: grid.columns[name][places] for name in ("N", "D")})


WAYS: Mapping[str, Callable[..., pd.DataFrame]] = {
    "next_runs, 20 runs": chosen,
    "next_runs, 10 runs": few,
    "one sweep of 5 runs": partial(sweep, 1, points=5),
    "one sweep of 20 runs": partial(sweep, 1),
    "one sweep of 20 runs, twice as wide": partial(sweep, 1, width=2 * WIDTH),
    "four sweeps of 5 runs": partial(sweep, 4),
    "random runs": random_runs,
}


def experiment(seed: int) -> dict[str, Any]:
    """Ln N* at the target, from the start and after each way, and what next_runs promised."""
    rng = np.random.default_rng([77, seed])
    start = sf.simulation.isoflop_design(START, points=POINTS, width=WIDTH)
    runs = sf.simulate(start, noise=NOISE, seed=int(rng.integers(2**31)))
    fit = _fit(runs)
    found: dict[str, Any] = {"start": _answer(fit)}
    promised = sf.next_runs(fit, runs, target=TARGET, budget=NEW, count=RUNS)
    found["promised before"], found["promised"] = promised.before[0], promised.after[-1, 0]
    for name, way in WAYS.items():
        new = sf.simulate(way(fit, runs, rng), noise=NOISE, seed=int(rng.integers(2**31)))
        spent = 6 * float((new["N"] * new["D"]).sum())
        if spent > 1.001 * NEW:
            raise SystemExit(f"{name} spends {spent:g}")
        both = pd.concat([runs[["N", "D", "loss"]], new[["N", "D", "loss"]]], ignore_index=True)
        found[name] = _answer(_fit(both))
    return found


def _fit(runs: pd.DataFrame) -> sf.Fit:
    """Least squares of ln L: what the noise calls for, so that refits say nothing of robustness."""
    return sf.fit(runs, robust="none", certify=False)


def _answer(fit: sf.Fit) -> float:
    try:
        return float(np.log(sf.allocate(fit, flops=TARGET).N))
    except sf.ScalefitError:
        return float("nan")


def simulation(repetitions: int, jobs: int) -> str:
    """The table of spreads."""
    began = time.time()
    with ProcessPoolExecutor(jobs) as pool:
        rows = list(tqdm(pool.map(experiment, range(repetitions)), total=repetitions))
    frame = pd.DataFrame(rows)
    rng = np.random.default_rng(5)
    resamples = rng.integers(len(frame), size=(4000, len(frame)))

    def spread(name: str, rows: np.ndarray | slice = slice(None)) -> Any:
        values = frame[name].to_numpy()[rows]
        return np.nanstd(values, axis=-1, ddof=1)

    lines = []
    ours = "next_runs, 20 runs"
    for name in ("start", *WAYS):
        ratio = spread(name) / spread(ours)
        low, high = np.nanpercentile(spread(name, resamples) / spread(ours, resamples), [2.5, 97.5])
        gained = spread("start") / spread(name)
        bias = np.nanmean(frame[name]) - _truth()
        lines.append(
            [
                name,
                f"{spread(name):.4f}",
                f"{bias:+.3f}",
                f"{gained:.2f}",
                f"{ratio:.2f} ({low:.2f} to {high:.2f})",
                str(int(frame[name].isna().sum())),
            ]
        )
    promised = np.sqrt(np.mean(frame["promised"] ** 2))
    head = [
        "runs for 3e20 FLOP",
        "spread of ln N*",
        "bias",
        "start / it",
        "it / next_runs",
        "failed",
    ]
    return (
        f"{repetitions} experiments in {time.time() - began:.0f} s; next_runs promised a standard "
        f"error of {promised:.4f} (root mean square), the spread was {spread(ours):.4f}\n\n"
        + table(head, lines)
    )


def _truth() -> float:
    p = TRUTH
    G = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    return float(np.log(G * (TARGET / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))))


# Shares of the cost of all training rows at which a selector is scored, as in the paper.
SHARES = (0.01, 0.05, 0.10)
# A law is first fitted to small rows, so many times its parameters, for at most this share of all
# costs (as the paper's own V-optimal design begins), and at most half of what may be spent.
FIRST, FIRST_SHARE = 2.5, 0.02
# Fits between two shares: the selectors that look at a fit choose this often.
ROUNDS = 3
# Rows of a round at most.
MOST = 40


class Task(NamedTuple):
    """A task of ScaleBench.

    Attributes:
        law: what is fitted.
        groups: training and test rows of each group with the law's columns, ``loss``, ``cost``.
        published: R2 of the paper's best selector, and of V-optimal, at 10 %, mean over its laws.
    """

    law: Any
    groups: list[tuple[pd.DataFrame, pd.DataFrame]]
    published: str


@sf.law(source="this benchmark: additive law with a bowl in ln(lr) and ln(batch)")
def bowl(
    lr: sf.laws.Positive,
    batch: sf.laws.Positive,
    D: sf.laws.Positive,
    N: sf.laws.Positive,
    *,
    E: sf.laws.Offset,
    A: sf.laws.Amplitude,
    alpha: sf.laws.Exponent,
    B: sf.laws.Amplitude,
    beta: sf.laws.Exponent,
    u: sf.laws.Coefficient,
    uu: sf.laws.Coefficient,
    un: sf.laws.Coefficient,
    ud: sf.laws.Coefficient,
    uv: sf.laws.Coefficient,
    v: sf.laws.Coefficient,
    vv: sf.laws.Coefficient,
    vn: sf.laws.Coefficient,
    vd: sf.laws.Coefficient,
) -> Any:
    """E + A n^-alpha + B d^-beta + a quadratic in ln lr, ln batch and their products with n, d"""
    x, y = jnp.log(lr / 1e-3), jnp.log(batch / 256)
    n, d = jnp.log(N / 3e8), jnp.log(D / 2e10)
    return (
        E
        + A * jnp.exp(-alpha * n)
        + B * jnp.exp(-beta * d)
        + (u * x + uu * x * x + un * x * n + ud * x * d + uv * x * y)
        + (v * y + vv * y * y + vn * y * n + vd * y * d)
    )


def tasks(folder: Path) -> dict[str, Task]:
    """The tasks whose test rows are public."""

    def rows(task: str, part: str) -> pd.DataFrame:
        return pd.read_csv(folder / f"sld_{task}_{part}.csv")

    def pair(task: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> tuple[Any, Any]:
        return change(rows(task, "train")), change(rows(task, "test"))

    def parallel(f: pd.DataFrame) -> pd.DataFrame:
        f = f.rename(columns={"num_params": "N", "parallel_size": "streams"})
        return f.assign(cost=f["N"] * 1.0)

    def repeated(f: pd.DataFrame) -> pd.DataFrame:
        f = f.rename(columns={"params": "N", "tokens": "D", "unique_tokens": "U"})
        return f.drop(columns="group").assign(cost=6 * f["N"] * f["D"])

    def tuned(f: pd.DataFrame) -> pd.DataFrame:
        names = {"bsz": "batch", "data_size": "D", "non_embedding_param_size": "N"}
        f = f.rename(columns=names | {"lm_loss": "loss"}).drop(columns="group")
        return f.assign(cost=6 * f["N"] * f["D"])

    def distilled(f: pd.DataFrame) -> pd.DataFrame:
        f = f.rename(columns={"NS": "N", "DS": "D", "LT": "teacher_loss", "LS": "loss"})
        # The supervised loss of the student, with the constants of the task's own law.
        alone = 1.220 + (3355 / f["N"] ** 0.408 + 18186 / f["D"] ** 0.431) ** 0.452
        return f.assign(supervised_loss=alone, cost=6 * f["N"] * f["D"])

    whole = pair("parallel", parallel)
    corpora = [
        tuple(f[f["group"] == group].drop(columns="group").reset_index(drop=True) for f in whole)
        for group in sorted(set(whole[0]["group"]))
    ]
    return {
        "parallel": Task("parscale", corpora, ".99, .99"),
        "data_constrained": Task(
            "repeated_tokens", [pair("data_constrained", repeated)], ".86, .85"
        ),
        "lr_bsz": Task(bowl, [pair("lr_bsz", tuned)], ".22, .18"),
        "distillation": Task("distillation_limit", [pair("distillation", distilled)], "-"),
    }


def fitted(law: Any, rows: pd.DataFrame) -> sf.Fit | None:
    """The fit, or None where the rows do not determine the law."""
    try:
        return sf.fit(rows, law, certify=False)
    except sf.ScalefitError:
        return None


class Wallet:
    """Rows that a selector has bought of one group."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self.bought: list[int] = []
        self.whole = float(rows["cost"].sum())

    @property
    def spent(self) -> float:
        """What they cost."""
        return float(self.rows.loc[self.bought, "cost"].sum())

    def affordable(self, share: float) -> pd.DataFrame:
        """Rows that can still be paid under a share of all costs."""
        left = self.rows.drop(index=self.bought)
        return left[left["cost"] <= share * self.whole * (1 + 1e-12) - self.spent]

    def fit(self, law: Any) -> sf.Fit | None:
        """The fit to them."""
        return fitted(law, self.rows.loc[self.bought])


def buy_random(wallet: Wallet, law: Any, test: pd.DataFrame, share: float, rng: Any) -> None:
    """Affordable rows at random, until none is."""
    del law, test
    while len(left := wallet.affordable(share)):
        wallet.bought.append(int(rng.choice(left.index)))


def buy_cheap(wallet: Wallet, law: Any, test: pd.DataFrame, share: float, rng: Any) -> None:
    """The cheapest rows."""
    del law, test, rng
    while len(left := wallet.affordable(share)):
        wallet.bought.append(int(left["cost"].idxmin()))


def _begin(wallet: Wallet, law: Any, share: float) -> None:
    """Small rows that differ much, for a first fit: each the farthest from those before.

    In logarithms of the columns, each over its range; among rows whose cost leaves as much for each
    of those that are still to be bought.
    """
    law = sf.laws.find(law)
    count = int(FIRST * len(law.params))
    places = np.log(wallet.rows[list(law.columns)].to_numpy(dtype=np.float64))
    places = (places - places.min(0)) / np.ptp(places, axis=0)
    share = min(FIRST_SHARE, share / 2)
    while len(wallet.bought) < count:
        left = wallet.affordable(share)
        if not len(left):
            return
        each = (share * wallet.whole - wallet.spent) / (count - len(wallet.bought))
        near = left[left["cost"] <= max(each, left["cost"].min())].index.to_numpy()
        if not wallet.bought:
            wallet.bought.append(int(left["cost"].idxmin()))
            continue
        away = np.linalg.norm(places[near][:, None] - places[wallet.bought], axis=2).min(1)
        wallet.bought.append(int(near[np.argmax(away)]))


def buy_designed(
    choose: Callable[..., list[int]],
    wallet: Wallet,
    law: Any,
    test: pd.DataFrame,
    share: float,
    rng: Any,
) -> None:
    """In rounds, what a design by the fit to the rows bought so far says."""
    _begin(wallet, law, share)
    for place in range(ROUNDS):
        fit = wallet.fit(law)
        left = wallet.affordable(share)
        if fit is None or not fit.status.usable or fit.df_resid < 1 or not len(left):
            # A law that cannot be fitted yet.
            buy_cheap(wallet, law, test, share, rng)
            return
        budget = (share * wallet.whole - wallet.spent) / (ROUNDS - place)
        budget = max(budget, float(left["cost"].min()))
        try:
            wallet.bought += choose(fit, wallet.rows.loc[wallet.bought], test, left, budget)
        except sf.ScalefitError:
            return


def by_next_runs(
    fit: sf.Fit, bought: pd.DataFrame, test: pd.DataFrame, left: pd.DataFrame, budget: float
) -> list[int]:
    """The rows that next_runs chooses for the losses of the test rows."""
    columns = list(fit.law.columns)
    found = sf.next_runs(
        fit,
        bought,
        target=test[columns],
        budget=budget,
        candidates=left[[*columns, "cost"]],
        cost="cost",
        count=MOST,
    )
    return [int(i) for i in found.runs.index]


def by_v_optimality(
    fit: sf.Fit, bought: pd.DataFrame, test: pd.DataFrame, left: pd.DataFrame, budget: float
) -> list[int]:
    """Row by row what lowers the mean variance most for its cost to the power of 0.3.

    As the paper's own V-optimal design chooses; between fits, as all designs here.
    """
    columns = list(fit.law.columns)
    known = of_runs(attach(fit, bought), noise_of(attach(fit, bought)))
    slopes = target_of(test[columns], known, Draws(), None).slopes
    each = {name: left[name].to_numpy(dtype=np.float64) for name in columns}
    criterion = Variance(known.rows(each), slopes @ known.root)
    costs, places = left["cost"].to_numpy(), list[int]()
    while len(places) < MOST:
        open_ = costs <= budget * (1 + 1e-9) - costs[places].sum()
        open_[places] = False
        if not open_.any():
            break
        before = np.exp(criterion.value(places))
        gained = (before - np.exp(criterion.with_each(places))) / costs**0.3
        places.append(int(np.argmax(np.where(open_, gained, -np.inf))))
    return [int(i) for i in left.index[places]]


SELECTORS: Mapping[str, Callable[..., None]] = {
    "next_runs": partial(buy_designed, by_next_runs),
    "V-optimal, greedy": partial(buy_designed, by_v_optimality),
    "cheapest rows": buy_cheap,
    "random": buy_random,
}


def score(task: Task, selector: Callable[..., None], seed: int) -> list[float]:
    """R2 on the test rows of all groups at each share; -1 where no group has a fit."""
    rng = np.random.default_rng(seed)
    wallets = [Wallet(train) for train, _ in task.groups]
    found = []
    for share in SHARES:
        truth, guess = [], []
        for wallet, (_, test) in zip(wallets, task.groups, strict=True):
            selector(wallet, task.law, test, share, rng)
            if wallet.spent > share * wallet.whole * (1 + 1e-9):
                raise SystemExit("a selector overspent")
            fit = wallet.fit(task.law) if wallet.bought else None
            if fit is None:
                continue
            truth.append(test["loss"].to_numpy())
            guess.append(fit.evaluate(**{n: test[n].to_numpy() for n in fit.law.columns}))
        found.append(_r2(np.concatenate(truth), np.concatenate(guess)) if truth else -1.0)
    return found


def _r2(truth: np.ndarray, guess: np.ndarray) -> float:
    rest = ((truth - guess) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    return float(np.clip(1 - rest, -1, 1)) if np.isfinite(rest) else -1.0


def scalebench(repetitions: int, only: Sequence[str] = ()) -> str:
    """The table of scores."""
    folder = os.environ.get("SCALEFIT_BENCH")
    if folder is None:
        raise SystemExit("set SCALEFIT_BENCH to the folder of the tables")
    lines = []
    for name, task in tasks(Path(folder)).items():
        if only and name not in only:
            continue
        everything = score(task._replace(), buy_all, 0)[0]
        lines.append([name, "all rows", "", "", f"{everything:.3f}", task.published])
        for selector, function in SELECTORS.items():
            seeds = range(repetitions if selector == "random" else 1)
            found = np.array([score(task, function, seed) for seed in seeds])
            cells = [
                f"{mean:.3f}" + (f" +- {spread:.2f}" if len(found) > 1 else "")
                for mean, spread in zip(found.mean(0), found.std(0), strict=True)
            ]
            lines.append([name, selector, *cells, ""])
            print(lines[-1], flush=True)
    head = ["task", "rows by", "1 %", "5 %", "10 %", "published at 10 %: best, V-optimal"]
    return table(head, lines)


def buy_all(wallet: Wallet, law: Any, test: pd.DataFrame, share: float, rng: Any) -> None:
    """Every row, whatever it costs."""
    del law, test, share, rng
    wallet.bought, wallet.whole = list(wallet.rows.index), np.inf


def main() -> None:
    """Run one part, or both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("simulation", "scalebench"))
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tasks", nargs="*", default=(), help="of ScaleBench; all by default")
    given = parser.parse_args()
    print(machine())
    if given.part != "scalebench":
        print(simulation(given.repetitions, given.jobs))
    if given.part != "simulation":
        print(scalebench(min(given.repetitions, 20), given.tasks))


if __name__ == "__main__":
    main()
