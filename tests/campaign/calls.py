"""Every argument of every public call, by inspection, and values that none of them is meant for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scalefit as sf
from campaign.dresses import Sulky
from campaign.judge import Outcome, tried
from scalefit.laws import Bounds, scale_of
from scalefit.objective import Objective
from scalefit.simulation import Noise, grid_design, isoflop_design, ratio_design
from scalefit.studies import simulation_study


def raises(*_: Any, **__: Any) -> Any:
    """A function of the user's that fails."""
    raise ZeroDivisionError("division by zero")


class Call(NamedTuple):
    """A public call that works.

    Attributes:
        function: what is called.
        given: its arguments; those left out have their defaults.
    """

    function: Callable[..., Any]
    given: Mapping[str, Any]

    @property
    def arguments(self) -> list[str]:
        """Names of arguments that can be given, but for columns of a table."""
        variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        known = inspect.signature(self.function).parameters.values()
        names = [item.name for item in known if item.kind not in variable]
        return [*names, *(name for name in self.given if name not in names)]


VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "minus one": -1,
    "minus a half": -0.5,
    "one": 1,
    "two": 2,
    "one and a half": 1.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "minus inf": -float("inf"),
    "1e-300": 1e-300,
    "1e308": 1e308,
    "10**400": 10**400,
    "10**12": 10**12,
    "complex": 1j,
    "decimal": Decimal("0.5"),
    "decimal snan": Decimal("sNaN"),
    "text": "x",
    "empty text": "",
    "digits": "0.9",
    "amount": "7B",
    "nul": "a\0b",
    "long text": "N" * 5000,
    "bytes": b"3",
    "list": [],
    "list of nan": [1.0, float("nan")],
    "mixed": [1, "x"],
    "nested": [[1], [2, 3]],
    "tuple": (),
    "pair reversed": (2, 1),
    "mapping": {},
    "wrong mapping": {"x": 1},
    "numbered mapping": {1: 2},
    "mapping to none": {"N": None},
    "mapping to text": {"alpha": "x"},
    "set": {1.0},
    "iterator": iter([1]),
    "date": np.datetime64("2020"),
    "stamp": pd.Timestamp("2020"),
    "array": np.array([1.0, 2.0]),
    "0-d": np.array(0.5),
    "empty array": np.zeros(0),
    "cube": np.ones((2, 1, 3)),
    "masked": np.ma.masked,
    "objects": np.array([None, "x"], dtype=object),
    "series": pd.Series([0.5], index=["a"]),
    "frame": pd.DataFrame(),
    "object": object(),
    "class": int,
    "function": raises,
    "number of it": len,
    "module": np,
    "sulky": Sulky(),
}


@cache
def calls() -> dict[str, Call]:
    """The calls, by name, on small results that are shared."""
    runs = sf.simulate(isoflop_design(3, points=8))
    labelled = runs.assign(format=np.where(np.arange(len(runs)) % 2, "a", "b"))
    fit, by_format = sf.fit(runs), sf.fit(labelled, groups={"A": "format"})
    draws = sf.bootstrap(fit, runs, 20, progress=False)
    found, matrix = sf.isoflop(runs), sf.covariance(fit, runs)
    best = sf.allocate(draws, 1e22)
    near = sf.near_optimal(fit, 1e22, overhead=0.1)
    wasted = sf.deadweight(fit, N=1e9, D=1e11)
    estimate = draws.predict(N=1e9, D=1e11)
    profile = sf.profile(fit, runs, "alpha")
    along = [sf.fit(runs, "power_offset", x="N"), sf.fit(runs, "power", x="N")]
    budget = {"fit": fit, "flops": 1e22}
    quiet = {"progress": False}
    table = sf.LossTable.from_frame(runs)
    plain = {"rules": (), "objectives": False, "n_draws": 8}
    path = Path(mkdtemp()) / "runs.csv"
    runs.to_csv(path)
    power = sf.fit(runs, "power_offset", x="N", fixed={"E": 1.5}), along[0]
    diagnosed, held = sf.diagnose(fit, runs), sf.holdout(runs, intervals=False)
    compared = sf.compare(runs, ["chinchilla", "kaplan"])
    planned = sf.next_runs(fit, runs, target=1e22, budget=1e20)
    sweeps = sf.approach2.vertices(runs, over="N", by="C")
    few = {"settings": {"noise": [0.01]}, "seeds": 2, "methods": "surface"}
    given = {
        "fit": (sf.fit, {"runs": runs, "N": "N", "D": "D", "loss": "loss"}),
        "bootstrap": (sf.bootstrap, {"fit": fit, "runs": runs, "n_draws": 10, **quiet}),
        "covariance": (sf.covariance, {"fit": fit, "runs": runs}),
        "profile": (sf.profile, {"fit": fit, "runs": runs, "quantity": "alpha"}),
        "allocate": (sf.allocate, budget),
        "allocate for a loss": (sf.allocate, {"fit": fit, "loss": 2.2}),
        "near_optimal": (sf.near_optimal, {**budget, "overhead": 0.1}),
        "deadweight": (sf.deadweight, {"fit": fit, "N": 1e9, "D": 1e11}),
        "compute_multiplier": (sf.compute_multiplier, {**budget, "baseline": fit}),
        "inverse_predict": (sf.inverse_predict, {"fit": fit, "loss": 2.5, "N": 1e9}),
        "crossing": (sf.crossing, {"first": along[0], "second": along[1], "within": (1e15, 1e25)}),
        "compute_multiplier of a column": (
            sf.compute_multiplier,
            {"fit": power[0], "baseline": power[1], "flops": 1e9},
        ),
        "diagnose": (sf.diagnose, {"fit": fit, "runs": runs}),
        "holdout": (sf.holdout, {"runs": runs, "intervals": False}),
        "compare": (sf.compare, {"runs": runs, "laws": ["chinchilla", "kaplan"]}),
        "next_runs": (
            sf.next_runs,
            {"fit": fit, "runs": runs, "target": 1e22, "budget": 1e20, "count": 2},
        ),
        "report": (sf.report, {"fit": fit, "runs": runs}),
        "power_law of a table": (
            sf.approach2.power_law,
            {"flops": found.to_frame(), "optimum": "N"},
        ),
        "optimal": (sf.allocation.optimum_function, {**budget, "what": "N"}),
        "isoflop": (sf.isoflop, {"runs": runs}),
        "quality": (sf.approach2.flag_runs, {"runs": runs}),
        "vertices": (sf.approach2.vertices, {"runs": runs, "over": "N", "by": "C"}),
        "check": (sf.check, {"runs": runs}),
        "attribute": (sf.approach2.attribute_bias, {**budget, "isoflop": found}),
        "bias": (sf.bias, {**budget, "isoflop": found, "runs": runs, **plain}),
        "design_bias": (sf.approach2.design_bias, {**budget, "runs": runs}),
        "advise": (sf.approach2.advise, {**budget, "points": 7}),
        "parabola_shift": (
            sf.approach2.parabola_shift,
            {"alpha": 0.34, "beta": 0.28, "width": 8.0},
        ),
        "study": (simulation_study, {**few, **quiet}),
        "simulate": (sf.simulate, {"design": runs[["N", "D"]]}),
        "isoflop_design": (isoflop_design, {}),
        "grid_design": (grid_design, {"N": [1e8, 1e9], "D": [1e10, 1e11]}),
        "ratio_design": (ratio_design, {"N": [1e8, 1e9]}),
        "published": (sf.published, {"law": "chinchilla", "configuration": "besiroglu"}),
        "law": (sf.law, {"source": "here"}),
        "cost": (sf.allocation.cost, {"source": "here"}),
        "scale_of": (scale_of, {"column": "N"}),
        "read": (sf.read, {"runs": path}),
        "Noise": (Noise, {"scale": 0.01}),
        "Objective": (Objective, {}),
        "Bounds": (Bounds, {"lower": 0.1, "upper": 1.0}),
        "LossTable.from_frame": (sf.LossTable.from_frame, {"frame": runs, "N": "N"}),
        "LossTable.column": (table.column, {"name": "N"}),
        "Fit.predict": (fit.predict, {"N": 1e9, "D": 1e11}),
        "Fit.predict of a table": (fit.predict, {"runs": runs}),
        "Fit.predict of a level": (by_format.predict, {"N": 1e9, "D": 1e11, "format": "a"}),
        "Fit.residuals": (fit.residuals, {"runs": runs}),
        "Fit.at": (by_format.at, {"format": "a"}),
        "Fit.from_json": (sf.Fit.from_json, {"text": fit.to_json()}),
        "Ensemble.apply": (draws.apply, {"function": lambda alpha: alpha}),
        "Ensemble.interval": (draws.conf_int, {}),
        "Ensemble.summary": (draws.summary, {}),
        "Ensemble.predict": (draws.predict, {"N": 1e9, "D": 1e11}),
        "Estimate.interval": (estimate.interval, {}),
        "Estimate.to_frame": (estimate.to_frame, {}),
        "Covariance.draws": (matrix.draws, {"n_draws": 10}),
        "Covariance.interval": (matrix.conf_int, {}),
        "Allocation.summary": (best.summary, {}),
        "Allocation.to_frame": (best.to_frame, {}),
        "Allocation.estimate": (best.estimate, {"name": "N"}),
        "IsoFlop.at": (found.at, {"flops": 1e22}),
        "Diagnosis.summary": (diagnosed.summary, {}),
        "HoldOut.summary": (held.summary, {}),
        "HoldOut.to_frame": (held.to_frame, {}),
        "Comparison.summary": (compared.summary, {}),
        "Comparison.to_frame": (compared.to_frame, {}),
        "NextRuns.summary": (planned.summary, {}),
        "NextRuns.to_frame": (planned.to_frame, {}),
        "Vertices.summary": (sweeps.summary, {}),
        "Deadweight.hours": (wasted.hours, {"hardware": "H100 SXM bf16"}),
        "plot.surface": (sf.plot.surface, {"result": fit, "flops": 1e22, "runs": runs}),
        "plot.predictions": (sf.plot.predictions, {"result": draws, "runs": runs}),
        "plot.allocation": (sf.plot.allocation, {"result": sf.allocate(draws, [1e21, 1e22])}),
        "plot.isoflop": (sf.plot.isoflop, {"result": found, "runs": runs}),
        "plot.region": (sf.plot.region, {"result": near, "fit": fit}),
        "plot.profile": (sf.plot.profile, {"result": profile}),
        "plot.projected": (sf.plot.projected, {"result": fit, "runs": runs}),
        "plot.diagnosis": (sf.plot.diagnosis, {"result": diagnosed}),
        "plot.holdout": (sf.plot.holdout, {"result": held}),
        "plot.comparison": (sf.plot.comparison, {"result": compared}),
        "plot.next_runs": (sf.plot.next_runs, {"result": planned}),
        "plot.pairs": (sf.plot.pairs, {"result": draws}),
    }  # fmt: skip
    return {name: Call(*items) for name, items in given.items()}


@cache
def attacks() -> tuple[tuple[str, str, str], ...]:
    """Every call, argument and value, by name."""
    return tuple(
        (name, argument, value)
        for name, call in calls().items()
        for argument in call.arguments
        for value in VALUES
    )


def arguments(seed: int) -> Outcome:
    """One argument of a public call replaced by what it is not meant for."""
    name, argument, value = attacks()[seed]
    call = calls()[name]

    def answer() -> str:
        return repr(call.function(**{**call.given, argument: VALUES[value]}))

    outcome = tried("arguments", seed, (name, argument, value), answer)
    if outcome.answer is not None and "nan" in outcome.answer and "nan" not in expected(name):
        outcome.faults.append(f"an answer of {outcome.answer[:120]!r}")
    plt.close("all")
    outcome.answer = None
    return outcome


@cache
def expected(name: str) -> str:
    """What a public call answers when it is called as it is meant."""
    call = calls()[name]
    return repr(call.function(**call.given))
