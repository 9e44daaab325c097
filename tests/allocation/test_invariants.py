"""What holds of every law, cost and limit: budgets and losses are each other's inverse.

Coefficients are random around those that the catalogue makes its tables with. What a budget buys is
compared with random models that it buys too, so that nothing here rests on the solver.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from catalogue import ROWS

import scalefit as sf
from scalefit import laws
from scalefit.allocation import HARDWARE, find_cost, kinetics, lifetime, lifetime_usd

ROW = {row.law: row for row in ROWS}
BASE = sf.published("chinchilla", "besiroglu")
DOMAIN = {"N": (5e7, 1e10), "D": (1e9, 1e12), "D/N": (2.0, 2000.0), "6ND": (6e17, 6e22)}
# Where an optimum is looked for: so many times outside the ratios of the runs.
FAR = 1e4

HELD = {"U": 1e12, "P": 4.0, "P_w": 8.0, "P_a": 8.0, "P_kv": 8.0, "forward": 1.0, "backward": 1.0}
HELD |= {"G": 128.0, "exponent_bits": 2.0, "mantissa_bits": 1.0, "experts": 8.0, "samples": 10.0}
HELD |= {"granularity": 8.0, "sparsity": 0.75, "gmse": 0.0374, "vocab_params": 1e8, "aspect": 100.0}
HELD |= {"teacher_loss": 2.2, "supervised_loss": 2.6, "lr": 2e-3, "batch": 1e6}
HELD |= {"share1": 0.5, "share2": 0.3, "share3": 0.2, "width": 2048.0, "depth": 24.0}

LAWS = [
    name
    for name, law in laws.BUILTIN.items()
    if law.response == "loss" and {"N", "D"} <= {*law.columns}
]
# Laws under which more tokens can raise the loss.
TURNING = ["qat", "float_quantized", "unified_precision"]

CONVENTIONS = ["6ND", "kaplan", "chinchilla", "palm", "porian", "deepseek", "gemstones"]
OWN_COSTS = {"moe_sparsity": "moe_sparsity", "fine_grained_moe": "fine_grained_moe"}
OWN_COSTS |= {"distillation": "distillation", "distillation_limit": "distillation"}


def bent(N, D):
    """No straight line in D."""
    return 6.0 * N * D * (1.0 + (D / 1e12) ** 0.5)


SERVED = [
    lifetime(2e12),
    kinetics(1e7, prompt=200, generation=4000, group=4, intensity=HARDWARE["H100 SXM bf16"].ridge),
    lifetime_usd(70, 215, requests=1e9),
    bent,
]


def memory(N):
    return 2.0 * N


def wall_clock(N, D):
    return N**0.5 * D


MEASURES = {
    "N": lambda N, D: N,
    "D": lambda N, D: D,
    "D/N": lambda N, D: D / N,
    memory: lambda N, D: memory(N),
    wall_clock: wall_clock,
}


def random_fit(name: str, rng: np.random.Generator) -> sf.Fit:
    law, row = laws.find(name), ROW[name]
    params = {}
    for param in law.params:
        # Of coefficients that differ by a column, one level.
        value = next(
            v for k, v in reversed([*row.truth.items()]) if k.partition("[")[0] == param.name
        )
        width = {"amplitude": 0.7, "exponent": 0.25}.get(param.kind.name, 0.2)
        # Farseer's drifts turn soon.
        width *= 0.2 if name == "farseer" else 1.0
        params[param.name] = float(value * np.exp(rng.uniform(-width, width)))
    # Without runs the whole line is looked at, on which Farseer's law has no minimum.
    known = name == "farseer" or rng.random() < 0.7
    return replace(BASE, law=law, params=params, domain=DOMAIN if known else {})


def options(kind: int, N: float, D: float, rng: np.random.Generator) -> dict[str, Any]:
    """Limits around an optimum, or a list of sizes."""

    def times(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    return [
        lambda: {},
        lambda: {"limits": {"N": times(0.05, 0.7) * N}},
        lambda: {"limits": {"N": (times(1.5, 20) * N, None)}},
        lambda: {"limits": {"D": times(0.05, 0.7) * D}},
        lambda: {"limits": {"D": (times(1.5, 20) * D, None)}},
        lambda: {"limits": {"D/N": (times(1.5, 30) * D / N, None)}},
        lambda: {"limits": {"D/N": times(0.03, 0.7) * D / N}},
        lambda: {"limits": {memory: memory(times(0.05, 0.7) * N)}},
        lambda: {"limits": {wall_clock: wall_clock(N, D) * times(0.2, 0.9)}},
        lambda: {"limits": {"N": times(0.1, 0.7) * N, "D": times(0.2, 1.0) * D}},
        lambda: {"free": {"N": [N / 30, N / 3, 2.5 * N]}},
    ][kind]()


KINDS = 11


@dataclass
class Question:
    """A fit, a budget, and what the answer keeps to."""

    fit: sf.Fit
    budget: float
    cost: Any
    fixed: Mapping[str, float]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def common(self) -> dict[str, Any]:
        return {"cost": self.cost, "fixed": self.fixed}

    @property
    def unit(self) -> str:
        return {"FLOP": "flops", "USD": "usd"}[find_cost(self.cost).unit]

    def best(self) -> sf.allocation.Allocation:
        return sf.allocate(self.fit, **{self.unit: self.budget}, **self.common, **self.options)

    def price(self, N, D):
        return find_cost(self.cost).evaluate({**self.fixed, "N": N, "D": D})

    def loss(self, N, D):
        columns = {name: self.fixed[name] for name in self.fit.law.columns if name in self.fixed}
        return self.fit.predict(N=N, D=D, **columns)


def question(name: str, kind: int, rng: np.random.Generator) -> Question | None:
    """One of a kind; None where even without limits there is no optimum."""
    fit = random_fit(name, rng)
    costs = [*CONVENTIONS, *SERVED, *filter(None, [OWN_COSTS.get(name)])]
    cost = costs[rng.integers(len(costs))]
    fixed = {column: HELD[column] for column in fit.law.columns if column not in ("N", "D")}
    fixed |= {"N_teacher": 1e10} if cost == "distillation" else {}
    budget = 10 ** rng.uniform(19, 24)
    budget *= 1e-18 if find_cost(cost).unit == "USD" else 1.0
    asked = Question(fit, budget, cost, fixed)
    try:
        free = asked.best()
    except sf.errors.AllocationError as error:
        assert "no minimum" in str(error) or "buy no N and D" in str(error), error
        return None
    asked.options = options(kind, float(free.N), float(free.D), rng)
    return asked


def is_least(asked: Question, best: sf.allocation.Allocation, rng: np.random.Generator) -> None:
    """No random model that the budget and the limits allow is better."""
    size = 2000
    spread = np.r_[rng.uniform(-6, 6, (size, 2)), rng.normal(size=(size, 2)) * 0.1]
    N, D = best.N * np.exp(spread[:, 0]), best.D * np.exp(spread[:, 1])
    if "free" in asked.options:
        N = rng.choice(asked.options["free"]["N"], len(N))
    allowed = asked.price(N, D) <= asked.budget
    for what, ends in asked.options.get("limits", {}).items():
        low, high = ends if isinstance(ends, tuple) else (None, ends)
        value = MEASURES[what](N, D)
        allowed &= (value >= (low or 0.0)) & (value <= (high or np.inf))
    if asked.fit.domain:
        low, high = asked.fit.domain["D/N"]
        allowed &= (D / N >= low / FAR) & (D / N <= high * FAR)
    loss = asked.loss(N, D)[allowed]
    assert not (loss < best.loss - 1e-10 * np.abs(best.loss)).any()


def check(asked: Question, best: sf.allocation.Allocation, rng: np.random.Generator) -> None:
    is_least(asked, best, rng)
    assert best.spent <= asked.budget * (1 + 1e-9)
    slightly_less = asked.loss(best.N, best.D * (1 - 1e-4))
    codes = [note.code for note in best.notes]
    if "more_data_hurts" not in codes and abs(slightly_less / best.loss - 1) < 1e-10:
        # The loss is all that further tokens can reach: it says nothing of the budget.
        return
    low, high = asked.fit.domain.get("D/N", (0.0, np.inf))
    if not 2 * low / FAR < best.D / best.N < high * FAR / 2:
        # A limit holds it at the end of what is looked at, where a loss has no least cost.
        return
    back = sf.allocate(asked.fit, loss=best.loss, **asked.common, **asked.options)
    np.testing.assert_allclose(back.budget, best.spent, rtol=1e-5)
    assert back.loss <= best.loss + 1e-12 * np.abs(best.loss)
    if asked.options == {}:
        factor = np.array([1.0, 1.3, 0.6])
        waste = sf.deadweight(asked.fit, best.N * factor, best.D / factor, **asked.common).share
        assert abs(waste[0]) < 1e-6 and (waste[1:] > 1e-7).all()
    if "free" in asked.options:
        return
    share = float(np.exp(rng.uniform(np.log(0.005), 0.0)))
    limits = asked.options.get("limits")
    region = sf.near_optimal(
        asked.fit, **{asked.unit: asked.budget}, overhead=share, limits=limits, **asked.common
    )
    assert region.low * (1 - 1e-6) <= best.N <= region.high * (1 + 1e-6)
    notes = {note.code: note.details["ends"] for note in region.notes if "region" in note.code}
    said = {*notes.get("region_open", ()), *notes.get("region_cut", ())}
    for end, N, D in (
        ("low", region.low, region.tokens_low),
        ("high", region.high, region.tokens_high),
    ):
        more = asked.price(N, D) / best.spent - 1
        assert (more < share * (1 + 1e-5)) if end in said else more == pytest.approx(share, 1e-5)
        assert asked.loss(N, D) <= best.loss + 1e-9 * np.abs(best.loss)


# Also the loss that is least on a limit, which no model misses by little.
@pytest.mark.parametrize(
    ("name", "kind"), [*product(TURNING, [0, 1, 10]), ("chinchilla", 8), ("vocabulary", 0)]
)
def test_budgets_and_losses_are_each_others_inverse_in_short(name, kind):
    rng = np.random.default_rng([kind, len(name)])
    asked = None
    while asked is None:
        asked = question(name, kind, rng)
    check(asked, asked.best(), rng)


# Three hundred questions: what fails of one kind of limit, or under one cost, fails of many laws.
@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_budgets_and_losses_are_each_others_inverse(name):
    asked = 0
    for kind in range(KINDS):
        rng = np.random.default_rng([kind, sum(map(ord, name))])
        one = question(name, kind, rng)
        if one is None:
            continue
        try:
            best = one.best()
        except sf.errors.AllocationError as error:
            # Limits that leave nothing, or an end that no limit holds.
            assert one.options, error
            continue
        asked += 1
        check(one, best, rng)
    assert asked >= KINDS - 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("low_precision", {"cost": "precision", "free": {"P": (3, 16)}}),
        ("moe_sparsity", {"cost": "moe_sparsity", "free": {"sparsity": (0.0, 0.98)}}),
        ("fine_grained_moe", {"cost": "fine_grained_moe", "free": {"granularity": (1, 64)}}),
        ("qat", {"free": {"G": [32, 64, 128]}, "limits": {"N": 1e8}}),
        ("float_quantized", {"free": {"mantissa_bits": (1, 3)}, "limits": {"D/N": (1000, None)}}),
        ("joint_moe", {"free": {"experts": [1, 2, 4, 8, 16]}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_further_columns_keep_the_inverse(name, options):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        fit = replace(random_fit(name, rng), domain=DOMAIN)
        left = {*fit.law.columns} - {"N", "D", *options["free"]}
        options = options | {"fixed": {column: HELD[column] for column in left}}
        try:
            best = sf.allocate(fit, np.array([1e20, 1e22]), **options)
        except sf.errors.AllocationError as error:
            assert "no minimum" in str(error), error
            continue
        back = sf.allocate(fit, loss=best.loss, **options)
        np.testing.assert_allclose(back.budget, best.spent, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "kaplan_steps",
            {"cost": lambda N, S: 6.0 * N * S * 5e5, "free": {"S": None}},
        ),
        (
            "power_product",
            {"cost": lambda X, D: 6.0 * X * D, "free": {"X": None}, "limits": {"X": 1e9}},
        ),
        ("parscale", {"cost": "parscale", "free": {"streams": [1, 2, 4]}, "fixed": {"D": 42e9}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_laws_of_other_columns_keep_the_inverse(name, options):
    fit = replace(random_fit(name, np.random.default_rng(0)), domain={})
    budgets = np.array([1e20, 1e22])
    best = sf.allocate(fit, budgets, **options)
    back = sf.allocate(fit, loss=best.loss, **options)
    np.testing.assert_allclose(back.budget, budgets, rtol=1e-8)
