"""What makes no sense of a budget, a cost, a sweep: refused by argument, mended as is said."""

import inspect
import warnings
from dataclasses import replace
from decimal import Decimal
from functools import cache, wraps

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from border import Row, check, draws, fit, runs

import scalefit as sf
from scalefit import allocation, approach2
from scalefit.allocation import HARDWARE, Hardware, Utilisation

NAN, INF = float("nan"), float("inf")

NO_BUDGETS = {
    "zero": 0,
    "negative": -1e24,
    "nan": NAN,
    "infinity": INF,
    "text": "1e24",
    "bytes": b"1e24",
    "truth": True,
    "nothing": [],
    "no array": np.array([]),
    "complex": 1j,
    "mapping": {"a": 1},
    "set": {1e22},
    "iterator": iter([1e24]),
    "beyond float64": 10**400,
    "date": np.datetime64("2020-01-01"),
    "ragged": [[1e22, 1e23], [1e24]],
    "signalling nan": Decimal("sNaN"),
    "masked": np.ma.array([1e22, 1e24], mask=[False, True]),
    "function": len,
}
SOME = {
    "nan": [1e22, NAN],
    "text": [1e22, "x"],
    "negative": np.array([1e22, -1.0]),
    "none": [1, None],
    "missing": pd.Series([1e22, None]),
}


def once(call):
    """The call, which is not made again with what it took before: many rows are mended alike."""
    taken = set()

    @wraps(call)
    def made(**given):
        # A fit prints its parameters.
        key = repr(given)
        if key not in taken:
            found = call(**given)
            taken.add(key)
            return found
        return None

    return made


def allocate(**given):
    return sf.allocate(**{"fit": fit(), **given})


def spent(**given):
    return allocate(**{"flops": 1e22, **given})


spent.__name__ = "allocate"


@once
def near(**given):
    return sf.near_optimal(**{"fit": fit(), "flops": 1e22, **given})


@cache
def mixed_fit():
    law = sf.laws.mixture_of("web")
    truth = {"c": 2.0, "k": 0.5, "t_web": -2.0}
    shares = pd.DataFrame({"web": np.linspace(0, 1, 9)})
    return sf.fit(sf.simulate(shares, law, truth, noise=0.002), law)


def mixture(**given):
    return sf.optimal_mixture(**{"fit": mixed_fit(), **given})


def responses(**given):
    return mixture(**{"fit": {"web": mixed_fit(), "code": mixed_fit()}, **given})


@once
def wasted(**given):
    return sf.deadweight(**{"fit": fit(), "N": 1e9, "D": 2e10, **given})


@once
def multiplier(**given):
    return sf.compute_multiplier(**{"fit": fit(), "baseline": fit(), "flops": 1e22, **given})


def optimal(**given):
    return sf.allocation.optimum_function(**{"fit": fit(), "what": "N", "flops": 1e22, **given})


@once
def sweeps(**given):
    return sf.isoflop(**{"runs": runs(), **given})


@once
def quality(**given):
    return sf.approach2.flag_runs(**{"runs": runs(), **given})


def envelope(**given):
    return sf.approach2.envelope(**{"curves": curves(), **given})


def vertices(**given):
    return sf.approach2.vertices(**{"runs": runs(), "over": "N", "by": "C", **given})


def power_law(**given):
    return sf.approach2.power_law(**{"flops": [1e18, 1e20], "optimum": [6e7, 6e8], **given})


def shift(**given):
    return sf.approach2.parabola_shift(**{"alpha": 0.34, "beta": 0.28, "width": 16.0, **given})


@once
def attribute(**given):
    return sf.approach2.attribute_bias(**{"fit": fit(), "isoflop": found(), "flops": 1e22, **given})


@once
def bias(**given):
    quick = {"rules": (), "objectives": False, "n_draws": 0}
    return sf.bias(
        **{"fit": fit(), "isoflop": found(), "runs": runs(), "flops": 1e22, **quick, **given}
    )


@once
def design_bias(**given):
    return sf.approach2.design_bias(**{"fit": fit(), "runs": runs(), "flops": 1e22, **given})


@once
def advise(**given):
    return sf.approach2.advise(
        **{"fit": fit(), "flops": 1e22, "tolerance": 0.5, "points": 5, **given}
    )


@cache
def found():
    return sf.isoflop(runs())


@cache
def curves():
    N, D = np.meshgrid(np.geomspace(1e7, 1e10, 8), np.geomspace(1e8, 1e12, 30))
    return sf.simulate(pd.DataFrame({"N": N.ravel(), "D": D.ravel()}), noise=0.0)


@cache
def best():
    return sf.allocate(draws(), 1e22)


@cache
def report():
    options = {"rules": (), "objectives": False, "n_draws": 20}
    return sf.bias(draws(), found(), runs(), 1e22, **options)


@cache
def why():
    return sf.approach2.attribute_bias(draws(), found(), 1e22)


@cache
def designed():
    return sf.approach2.design_bias(draws(), runs(), 1e22)


@cache
def waste():
    return sf.deadweight(draws(), N=1e9, D=2e10)


@cache
def region():
    return sf.near_optimal(draws(), 1e22)


def rows_of(label, call, argument, values, mended=None, level_name="{}", **given):
    """A row for each of several values of an argument."""
    return [
        Row(
            f"{label} {name}", call, {**given, argument: value}, level_name.format(argument), mended
        )
        for name, value in values.items()
    ]


def six(N, D):
    return 6.0 * N * D


GOOD = {"cost": six}


class Unhashable:
    __hash__ = None

    def __eq__(self, other):
        return self is other

    def __call__(self, N, D):
        return 6.0 * N * D


COSTS = {
    "none": None,
    "number": 6.0,
    "mapping": {"6ND": 1},
    "misspelt": "6nd",
    "empty": "",
    "constant": lambda N, D: 1.0,
    "falling": lambda N, D: 1e40 / (N * D),
    "free tokens": lambda N, D: 6e9 * N + 0 * D,
    "negative": lambda N, D: -6 * N * D,
    "zero": lambda N, D: 0.0 * N * D,
    "nan": lambda N, D: N * D * np.nan,
    "infinite": lambda N, D: N * D * np.inf,
    "raises": lambda N, D: 1 / 0,
    "raises a key": lambda N, D: {}["price"],
    "text": lambda N, D: "x",
    "nothing": lambda N, D: None,
    "complex": lambda N, D: 6j * N * D,
    "truth": lambda N, D: N > D,
    "several": lambda N, D: jnp.stack([N, D]),
    "list": lambda N, D: [N, D],
    "another cost": lambda N, D: allocation.lifetime(1e12),
    "if": lambda N, D: 6 * N * D if N > 0 else 1,
    "float": lambda N, D: float(N) * D,
    "variadic": lambda *columns: 6.0,
    "no column": lambda: 6.0,
    "keyword": lambda N, D, *, k: k * N * D,
    "built-in": max,
    "class": dict,
    "unhashable": Unhashable(),
}

NO_LIMITS = {
    "nan": {"N": NAN},
    "zero": {"N": 0},
    "negative": {"N": -1.0},
    "reversed": {"N": (1e12, 1e9)},
    "text": {"N": "70e9"},
    "truth": {"N": True},
    "none": {"N": None},
    "nothing": {"N": (None, None)},
    "three": {"N": (1, 2, 3)},
    "nothing in it": {"N": []},
    "nan in a pair": {"N": (1e9, NAN)},
    "complex": {"N": 1j},
    "infinite": {"N": (INF, INF)},
}

BUDGETS = [
    *rows_of("flops", allocate, "flops", NO_BUDGETS),
    *rows_of("flops with", allocate, "flops", SOME, {"flops": 1e22}, "{}[1]"),
    *rows_of(
        "loss",
        allocate,
        "loss",
        {k: v for k, v in NO_BUDGETS.items() if k not in ("zero", "negative")},
    ),
    *(
        Row(f"{call.__name__} flops {name}", call, {"flops": NO_BUDGETS[name]}, "flops")
        for call in (near, multiplier, optimal, attribute, bias, design_bias, advise)
        for name in ("zero", "nan", "text", "truth", "nothing", "complex", "beyond float64", "set")
    ),
    Row("usd text", allocate, {"usd": "1e6", "cost": allocation.lifetime_usd(70, 215)}, "usd"),
    Row("no target", allocate, {}, "flops", {"flops": 1e22}),
    Row("two targets", allocate, {"flops": 1e22, "loss": 2.0}, "flops", {"loss": None}),
    Row("several budgets", optimal, {"flops": [1e21, 1e22]}, "flops"),
    Row("several budgets fixed", optimal, {"fixed": {"D": [1e10, 2e10]}}, "flops", {"fixed": None}),
    Row("several budgets of a gap", attribute, {"flops": [1e21, 1e22]}, "flops"),
]

FITS = [
    Row(f"{call.__name__} of {type(value).__name__}", call, {"fit": value}, "fit", {"fit": fit()})
    for call in (spent, near, wasted, multiplier, optimal, attribute, bias, design_bias, advise)
    for value in (None, {}, 1e24, "chinchilla", runs(), found())
] + [
    Row("baseline", multiplier, {"baseline": None}, "baseline", {"baseline": fit()}),
    Row("advise of draws", advise, {"fit": draws()}, "fit", {"fit": fit()}),
    Row("optimal of draws", optimal, {"fit": draws()}, "fit", {"fit": fit()}),
    Row(
        "swapped",
        bias,
        {"fit": found(), "isoflop": fit()},
        "fit",
        {"fit": fit(), "isoflop": found()},
    ),
    Row("sweeps", bias, {"isoflop": fit()}, "isoflop", {"isoflop": found()}),
    Row("sweeps of a gap", attribute, {"isoflop": None}, "isoflop", {"isoflop": found()}),
    Row(
        "parameters",
        lambda params: optimal()(params),
        {"params": {}},
        "params",
        {"params": fit().params},
    ),
    Row(
        "no parameters",
        lambda params: optimal()(params),
        {"params": 3},
        "params",
        {"params": fit().params},
    ),
]

QUESTIONS = [
    *rows_of("cost", allocate, "cost", COSTS, GOOD, flops=1e22),
    *(
        Row(f"{call.__name__} cost {name}", call, {"cost": COSTS[name]}, "cost", {"cost": "6ND"})
        for call in (near, wasted, multiplier, optimal)
        for name in ("none", "raises", "nan", "if")
    ),
    *(
        Row(f"{call.__name__} cost", call, {"cost": "6nd"}, "cost")
        for call in (sweeps, quality, envelope, attribute, bias, design_bias, advise)
    ),
    Row("coordinate of no name", vertices, {"over": 3}, "over", {"over": "N"}),
    Row("cells of no name", vertices, {"by": 3}, "by", {"by": "C"}),
    Row("cells of no column", vertices, {"by": []}, "by", {"by": "C"}),
    Row("cells of the coordinate", vertices, {"by": ["N"]}, "by", {"by": "C"}),
    *(
        Row(f"nearest {value}", vertices, {"nearest": value}, "nearest")
        for value in (2, 3.5, "7", True, np.nan)
    ),
    Row("least of all", vertices, {"repeats": "best"}, "repeats"),
    Row("vertices by splines", vertices, {"method": "spline"}, "method"),
    Row("edges", vertices, {"keep_edges": "no"}, "keep_edges"),
    Row("misspelt", vertices, {"within": "C"}, "within", {"within": ...}),
    Row("no optimum", power_law, {"optimum": [6e7, 0]}, "optimum[1]", {"optimum": [6e7, 6e8]}),
    Row("no flops", power_law, {"flops": [-1e18, 1e20]}, "flops[0]", {"flops": [1e18, 1e20]}),
    Row("no slope", power_law, {"exponent": "a"}, "exponent"),
    Row("cost of a run", wasted, {"cost": lambda N, D: 6 * N * D - 1e21}, "cost", GOOD),
    *rows_of(
        "fixed", allocate, "fixed", {"list": [("N", 1e9)], "number": 1e9, "text": "N"}, flops=1e22
    ),
    *(
        Row(f"held {name}", allocate, {"flops": 1e22, "fixed": {"N": value}}, "fixed['N']")
        for name, value in NO_BUDGETS.items()
        if name not in ("zero", "negative")
    ),
    Row(
        "held unknown", allocate, {"flops": 1e22, "fixed": {"X": 1}}, "fixed", {"fixed": {"N": 1e9}}
    ),
    Row("held key", allocate, {"flops": 1e22, "fixed": {1: 1}}, "fixed"),
    Row(
        "held and free",
        allocate,
        {"flops": 1e22, "fixed": {"N": 1e9}, "free": {"N": (1e8, 1e9)}},
        "fixed",
        {"fixed": {}},
    ),
    Row(
        "held shapes",
        allocate,
        {"flops": [1e21, 1e22], "fixed": {"N": [1e8, 1e9, 1e10]}},
        "fixed['N']",
        {"fixed": {"N": 1e9}},
    ),
    Row("held of a run", wasted, {"fixed": {"N": 1e9}}, "fixed", {"fixed": None}),
    Row(
        "held of a baseline",
        multiplier,
        {"fixed_baseline": {"X": 1.0}},
        "fixed_baseline",
        {"fixed_baseline": None},
    ),
    Row(
        "held of a baseline text",
        multiplier,
        {"fixed_baseline": {"N": "1e9"}},
        "fixed_baseline['N']",
        {"fixed_baseline": None},
    ),
    *rows_of("free", allocate, "free", {"list": ["N"], "number": 1e9, "text": "N"}, flops=1e22),
    *(
        Row(f"free {name}", allocate, {"flops": 1e22, "free": {"N": value}}, "free['N']")
        for name, value in {
            "reversed": (1e12, 1e9),
            "nan": (NAN, 1e9),
            "nothing": [],
            "text": "x",
            "texts": ("1e9", "1e12"),
            "iterator": iter([1e9]),
            "set": {1e9},
            "number": 1e9,
            "table": [[1e9, 1e10]],
            "negative": (-2.0, -1.0),
        }.items()
    ),
    Row(
        "free choices",
        allocate,
        {"flops": 1e22, "free": {"N": [1e9, NAN]}},
        "free['N'][1]",
        {"free": {"N": [1e9]}},
    ),
    Row(
        "free choices text",
        allocate,
        {"flops": 1e22, "free": {"N": [1e9, "x"]}},
        "free['N'][1]",
        {"free": {"N": [1e9]}},
    ),
    Row(
        "free unknown",
        allocate,
        {"flops": 1e22, "free": {"X": (1, 2)}},
        "free",
        {"free": {"N": (1e8, 1e9)}},
    ),
    Row("free key", allocate, {"flops": 1e22, "free": {1: (1, 2)}}, "free"),
    Row(
        "free without end",
        lambda free: sf.allocate(sf.published("data_constrained", "muennighoff"), 1e22, free=free),
        {"free": {"U": (1e9, None)}},
        "free['U']",
        {"free": {"U": (1e9, 1e12)}},
    ),
    *(
        Row(
            f"limits {name}",
            allocate,
            {"flops": 1e22, "limits": value},
            "limits['N']",
            {"limits": {"N": 1e9}},
        )
        for name, value in NO_LIMITS.items()
    ),
    *(
        Row(f"limits {name}", allocate, {"flops": 1e22, "limits": value}, "limits")
        for name, value in {
            "list": [("N", 1e9)],
            "number": 1e9,
            "of itself": {"N/N": 2.0},
            "of nothing": {"": 2.0},
            "of half a ratio": {"D/": 2.0},
            "of three": {"D/N/D": 2.0},
            "of a number": {5: 2.0},
            "raises": {lambda N: 1 / 0: 1.0},
            "nan": {lambda N: N * np.nan: 1.0},
            "negative": {lambda N: -N: 1.0},
            "text": {lambda N: "x": 1.0},
            "if": {lambda N: N if N > 1 else 1.0: 1.0},
            "variadic": {lambda *columns: 1.0: 1.0},
            "no column": {lambda: 1.0: 1.0},
            "built-in": {max: 1.0},
        }.items()
    ),
    Row(
        "limits unknown",
        allocate,
        {"flops": 1e22, "limits": {"X/N": 20.0}},
        "limits",
        {"fixed": {"X": 1e9}},
    ),
    Row(
        "limits function of unknown",
        allocate,
        {"flops": 1e22, "limits": {lambda N, X: N * X: 1e18}},
        "limits",
        {"fixed": {"X": 1e9}},
    ),
    Row("what", optimal, {"what": "M"}, "what"),
    Row("what none", optimal, {"what": None}, "what"),
    *rows_of(
        "overhead",
        near,
        "overhead",
        {
            "zero": 0,
            "negative": -0.1,
            "nan": NAN,
            "infinity": INF,
            "text": "5 %",
            "several": [0.1, 0.2],
            "truth": True,
        },
    ),
    *rows_of("within", near, "within", {"zero": 0, "negative": -0.1, "text": "x", "complex": 1j}),
    Row("both criteria", near, {"within": 0.01, "overhead": 0.1}, "within"),
    *(
        Row(f"run {name} {label}", wasted, {name: value}, name)
        for name in ("N", "D")
        for label, value in {**NO_BUDGETS, "named": "7B"}.items()
        if label != "masked"
    ),
    Row("runs of two shapes", wasted, {"N": [1e9, 2e9, 3e9], "D": [1e10, 2e10]}, "D", {"D": 2e10}),
    Row("paired", multiplier, {"paired": "yes"}, "paired", {"paired": False}),
]

LEVELS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "nan": NAN,
    "text": "0.9",
    "none": None,
    "truth": True,
    "several": [0.5, 0.9],
    "complex": 1j,
}


def level_of(call):
    return lambda level: call()(level)


RESULTS = [
    *(
        Row(f"{name} {label}", level_of(call), {"level": level}, "level")
        for name, call in {
            "interval of an optimum": lambda: best().estimate("N").interval,
            "table of an optimum": lambda: best().to_frame,
            "report of an optimum": lambda: best().summary,
            "table of one optimum": lambda: sf.allocate(fit(), 1e22).to_frame,
            "report of one optimum": lambda: sf.allocate(fit(), 1e22).summary,
            "table of a gap": lambda: why().to_frame,
            "table of one gap": lambda: sf.approach2.attribute_bias(fit(), found(), 1e22).to_frame,
            "report of a gap": lambda: why().summary,
            "table of a bias": lambda: report().to_frame,
            "report of a bias": lambda: report().summary,
            "interval of an exponent": lambda: found().n_law.interval,
            "table of sweeps": lambda: found().to_frame,
            "report of sweeps": lambda: found().summary,
            "report of an answer of sweeps": lambda: found().at(1e22).summary,
            "report of a design": lambda: designed().summary,
        }.items()
        for label, level in LEVELS.items()
    ),
    *(
        Row(f"{name} of {label}", lambda name, call=call: call()(name), {"name": value}, "name")
        for name, call in {
            "estimate of an optimum": lambda: best().estimate,
            "end of a region": lambda: region().estimate,
            "estimate of waste": lambda: waste().estimate,
            "estimate of a bias": lambda: report().estimate,
            "resampled bias": lambda: report().resampled,
            "error of a bias": lambda: report().error,
            "estimate of a design": lambda: designed().estimate,
        }.items()
        for label, value in {"nothing": None, "another": "lost", "a list": ["N"]}.items()
    ),
    Row("column", lambda column: best()[column], {"column": "P"}, "column", {"column": "N"}),
    Row("column none", lambda column: best()[column], {"column": None}, "column", {"column": "N"}),
    Row("cause", lambda cause: why().estimate(cause), {"cause": "luck"}, "cause"),
    Row("answer", lambda answer: why().estimate("gap", answer), {"answer": "M"}, "answer"),
    *(
        Row(
            f"{name} at {label}",
            lambda flops, call=call: call()(flops),
            {"flops": NO_BUDGETS[label]},
            "flops",
        )
        for name, call in {
            "sweeps": lambda: found().at,
            "envelope": lambda: envelope().at,
            "power law": lambda: found().n_law.at,
            "band": lambda: found().n_law.band,
        }.items()
        for label in ("zero", "negative", "nan", "text", "complex", "set")
    ),
    *(
        Row(
            f"{call} {label}",
            lambda hardware, call=call: getattr(waste(), call)(hardware),
            {"hardware": value},
            "hardware",
        )
        for call in ("hours", "usd")
        for label, value in {"misspelt": "H1000", "number": 5, "mapping": {}}.items()
    ),
    *(
        Row(
            f"share {label}",
            lambda utilisation: waste().hours("H100 SXM bf16", utilisation),
            {"utilisation": value},
            "utilisation",
        )
        for label, value in {
            "zero": 0,
            "above one": 1.1,
            "nan": NAN,
            "text": "x",
            "percent": 50,
        }.items()
    ),
]


def hardware(**given):
    return Hardware(
        **{
            "name": "mine",
            "dtype": "bf16",
            "peak_flops": 1e15,
            "bandwidth": 2e12,
            "usd_per_hour": 3.0,
            **given,
        }
    )


def kinetics(**given):
    return allocation.kinetics(
        **{
            "requests": 1e9,
            "prompt": 200,
            "generation": 4000,
            "group": 4,
            "intensity": 295.0,
            **given,
        }
    )


def dollars(**given):
    return allocation.lifetime_usd(**{"input_tokens": 70, "output_tokens": 215, **given})


def made(**given):
    return allocation.Cost(**{"name": "mine", "function": six, "source": "a test", **given})


POSITIVE = {
    "zero": 0.0,
    "negative": -1.0,
    "nan": NAN,
    "infinity": INF,
    "text": "x",
    "none": None,
    "complex": 1j,
    "truth": True,
}
COUNTS = {name: value for name, value in POSITIVE.items() if name != "zero"}

PRICES = [
    *(
        row
        for name in ("peak_flops", "bandwidth", "usd_per_hour")
        for row in rows_of(name, hardware, name, POSITIVE)
    ),
    *(
        row
        for name in ("name", "dtype")
        for row in rows_of(name, hardware, name, {"none": None, "empty": "", "number": 5})
    ),
    Row("sparse peak", hardware, {"name": "H100", "peak_flops": 1979e12}, "peak_flops"),
    *(
        row
        for name in ("train", "prefill", "decode")
        for row in rows_of(name, Utilisation, name, POSITIVE)
    ),
    *rows_of("price", HARDWARE["H100 SXM bf16"].at_price, "usd_per_hour", POSITIVE),
    Row("flops of hours", lambda flops: hardware().hours(flops), {"flops": "x"}, "flops"),
    Row("flops of dollars", lambda flops: hardware().usd(flops), {"flops": None}, "flops"),
    Row("hardware", allocation.usd_per_flop, {"hardware": "H1000"}, "hardware"),
    Row("hardware none", allocation.usd_per_flop, {"hardware": None}, "hardware"),
    *rows_of("k", lambda k: allocation.product(k, source="a test"), "k", POSITIVE),
    *rows_of("tokens", allocation.lifetime, "tokens", COUNTS),
    *(
        row
        for name in ("input_tokens", "output_tokens", "requests")
        for row in rows_of(name, dollars, name, COUNTS)
    ),
    *(
        row
        for name in ("train", "serve")
        for row in rows_of(name, dollars, name, {"misspelt": "H1000", "none": None})
    ),
    Row("shares", dollars, {"utilisation": 0.5}, "utilisation", {"utilisation": Utilisation()}),
    *(
        row
        for name in ("requests", "prompt", "generation", "trials", "intensity")
        for row in rows_of(name, kinetics, name, COUNTS)
    ),
    *(row for name in ("group", "aspect") for row in rows_of(name, kinetics, name, POSITIVE)),
    Row("convention", allocation.counted, {"convention": "hoffmann"}, "convention"),
    *(
        Row(f"{name} {label}", allocation.counted, {"convention": "kaplan", name: value}, name)
        for name in ("aspect", "seq")
        for label, value in POSITIVE.items()
    ),
    Row("vocab", allocation.counted, {"convention": "kaplan", "vocab": -1}, "vocab"),
    Row(
        "tied", allocation.counted, {"convention": "kaplan", "tied": "no"}, "tied", {"tied": False}
    ),
    *rows_of("name of a cost", made, "name", {"none": None, "empty": ""}),
    *rows_of("source of a cost", made, "source", {"none": None, "empty": "", "number": 3}),
    Row("unit of a cost", made, {"unit": "EUR"}, "unit"),
    Row("function of a cost", made, {"function": 6.0}, "function"),
    Row("variadic cost", made, {"function": lambda *columns: 1.0}, "function"),
    *rows_of(
        "per_product", made, "per_product", {k: v for k, v in POSITIVE.items() if k != "none"}
    ),
    *rows_of("per_model", made, "per_model", COUNTS),
    Row(
        "unit of a decorated cost", sf.allocation.cost, {"source": "a test", "unit": "EUR"}, "unit"
    ),
    Row("source of a decorated cost", sf.allocation.cost, {"source": None}, "source"),
    Row(
        "columns of a cost",
        lambda columns: made().evaluate(columns),
        {"columns": {"N": 1.0}},
        "columns",
        {"columns": {"N": 1.0, "D": 1.0}},
    ),
    Row(
        "column of a cost",
        lambda columns: made().evaluate(columns),
        {"columns": {"N": "x", "D": 1.0}},
        "columns['N']",
        {"columns": {"N": 1.0, "D": 1.0}},
    ),
    Row(
        "shapes of a cost",
        lambda columns: made().evaluate(columns),
        {"columns": {"N": [1.0, 2.0], "D": [1.0, 2.0, 3.0]}},
        "columns['D']",
        {"columns": {"N": 1.0, "D": 1.0}},
    ),
    *(
        Row(
            f"tokens {name}",
            lambda **given: allocation.COSTS["6ND"].tokens(**{"budget": 1e22, "N": 1e9, **given}),
            {name: "x"},
            name,
        )
        for name in ("budget", "N")
    ),
]

PARAMS = {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28}
CLOSED = {
    allocation.best_size: {"flops": 1e22, "k": 6.0},
    allocation.best_loss: {"flops": 1e22, "k": 6.0},
    allocation.least_flops: {"loss": 2.5, "k": 6.0},
    allocation.wedge: {"N": 1e9, "D": 2e10},
    allocation.implied_inference_tokens: {"N": 1e9, "D": 2e10},
    allocation.deadweight_share: {"N": 1e9, "D": 2e10},
    allocation.lifetime_optimum: {"loss": 2.5, "tokens": 1e12},
}


def closed_form_rows():
    for function, options in CLOSED.items():
        given, name = {"params": PARAMS, **options}, function.__name__
        good = {"params": PARAMS}
        for label, params in {"none": None, "empty": {}, "no A": {**PARAMS, "A": ...}}.items():
            kept = params and {key: value for key, value in params.items() if value is not ...}
            yield Row(f"{name} params {label}", function, {**given, "params": kept}, "params", good)
        yield Row(
            f"{name} A", function, {**given, "params": {**PARAMS, "A": "x"}}, "params['A']", good
        )
        for argument in options:
            for label in (
                "text",
                "none",
                "complex",
                *(() if argument == "loss" else ("negative",)),
            ):
                value = POSITIVE[label]
                yield Row(
                    f"{name} {argument} {label}", function, {**given, argument: value}, argument
                )
    for function in (allocation.overhead, allocation.least_feasible_size):
        names = [*inspect.signature(function).parameters]
        for argument in names:
            given = dict.fromkeys(names, 0.5)
            for label in ("text", "negative", "zero"):
                value = {**given, argument: POSITIVE[label]}
                yield Row(f"{function.__name__} {argument} {label}", function, value, argument)


SWEEPS = [
    *rows_of(
        "tolerance", sweeps, "tolerance", {k: v for k, v in POSITIVE.items() if k not in ("zero",)}
    ),
    *rows_of(
        "tolerance of quality",
        quality,
        "tolerance",
        {"negative": -1, "text": "wide", "truth": True},
    ),
    *rows_of("tolerance of a design", design_bias, "tolerance", {"negative": -1, "nan": NAN}),
    *(
        Row(f"{call.__name__} by {name}", call, {"by": value}, "by")
        for call in (sweeps, quality, design_bias)
        for name, value in {"number": 5, "list": ["C"], "empty": ""}.items()
    ),
    *rows_of("method", sweeps, "method", {"misspelt": "parabolla", "none": None, "number": 2}),
    *rows_of(
        "edges",
        sweeps,
        "keep_edges",
        {"text": "no", "number": 1, "none": None},
        {"keep_edges": False},
    ),
    *(
        Row(f"{call.__name__} rules {name}", call, {"rules": value}, "rules")
        for call in (sweeps, quality)
        for name, value in {
            "number": 5,
            "truth": True,
            "misspelt": ["few_point"],
            "text": "mad",
            "list": [["few_points", 3]],
            "without a list": ("few_points", 6.0),
            "nothing": [None],
        }.items()
    ),
    *(
        Row(f"threshold {name}", quality, {"rules": [value]}, f"rules['{value[0]}']")
        for name, value in {
            "text": ("few_points", "ten"),
            "negative": ("few_points", -1),
            "nan": ("few_points", NAN),
            "above one": ("weak_curvature", 2.0),
        }.items()
    ),
    *rows_of("method of an envelope", envelope, "method", {"misspelt": "bin", "none": None}),
    *rows_of(
        "bins",
        envelope,
        "bins",
        {"one": 1, "fraction": 10.5, "text": "x", "none": None, "truth": True, "huge": 10**12},
    ),
    *rows_of("run", envelope, "run", {"number": 5, "list": ["N"], "empty": ""}),
    *(row for name in ("alpha", "beta") for row in rows_of(name, shift, name, POSITIVE)),
    *rows_of("width", shift, "width", {**POSITIVE, "one": 1.0}),
    *rows_of(
        "points",
        shift,
        "points",
        {"two": 2, "fraction": 3.5, "text": "x", "none": None, "huge": 10**12},
    ),
    Row("shapes", shift, {"alpha": [0.3, 0.4], "beta": [0.1, 0.2, 0.3]}, "beta", {"beta": 0.28}),
    *rows_of("tolerance of advice", advise, "tolerance", {**POSITIVE, "one": 1.0}),
    *rows_of(
        "points of advice",
        advise,
        "points",
        {"three": 3, "fraction": 9.5, "text": "x", "none": None, "huge": 10**12},
    ),
    *rows_of("wide", advise, "wide", {**POSITIVE, "one": 1.0}),
    *rows_of("noise", advise, "noise", {k: v for k, v in COUNTS.items() if k != "none"}),
    *rows_of(
        "span",
        advise,
        "span",
        {
            "number": 1e20,
            "reversed": (1e21, 1e18),
            "equal": (1e20, 1e20),
            "three": (1e18, 1e19, 1e20),
        },
    ),
    *rows_of(
        "span with",
        advise,
        "span",
        {"text": (1e18, "x"), "nan": (1e18, NAN), "zero": (1e18, 0)},
        level_name="{}[1]",
    ),
    *rows_of("hardware", bias, "hardware", {"misspelt": "abacus", "none": None}),
    *rows_of("utilisation", bias, "utilisation", {"zero": 0, "percent": 50, "text": "half"}),
    *rows_of(
        "n_draws",
        bias,
        "n_draws",
        {"negative": -1, "fraction": 1.5, "text": "x", "none": None, "truth": True, "huge": 10**12},
        {"n_draws": 0},
    ),
    *rows_of("seed", bias, "seed", {"negative": -1, "fraction": 1.5, "text": "x", "none": None}),
    *rows_of("objectives", bias, "objectives", {"text": "no", "number": 1}, {"objectives": False}),
    Row("isoflop rules none", sweeps, {"rules": None}, "rules", {"rules": ()}),
    Row("no rules", bias, {"rules": None}, "rules", {"rules": ()}),
    Row("rule misspelt", bias, {"rules": ["few_point"]}, "rules", {"rules": ["few_points"]}),
    *(
        Row(
            f"{function.__name__} {name}", function, {**given, name: "x"}, name, {name: given[name]}
        )
        for function, given in (
            (approach2.parabolas, {"x": [1.0, 2.0, 3.0], "y": [2.0, 1.0, 2.0], "weight": None}),
            (approach2.power_law, {"flops": [1e20, 1e21], "optimum": [20.0, 21.0]}),
            (
                approach2.vertex_fits,
                {
                    "flops": [1e20],
                    "N": [[1e8, 1e9, 1e10]],
                    "D": [[1e11, 1e10, 1e9]],
                    "loss": [[3.0, 2.0, 3.0]],
                },
            ),
        )
        for name in given
    ),
    *(
        Row(f"{call.__name__} cost {name}", call, {"cost": COSTS[name]}, "cost", {"cost": "6ND"})
        for call in (sweeps, quality, envelope, design_bias)
        for name in ("raises", "nan", "negative", "zero", "text")
    ),
    Row("cost of another column", sweeps, {"cost": lambda N, Z: N * Z}, "cost", {"cost": "6ND"}),
    *rows_of("steep", shift, "alpha", {"beyond float64": 1e300}),
    *rows_of("far", shift, "width", {"beyond float64": 1e300}),
    Row(
        "usable",
        approach2.power_law,
        {"flops": [1e20, 1e21], "optimum": [20.0, 21.0], "usable": "x"},
        "usable",
    ),
    Row(
        "parameter",
        lambda params: optimal()(params),
        {"params": {**fit().params, "A": "x"}},
        "params['A']",
        {"params": fit().params},
    ),
    Row(
        "shapes of parabolas",
        approach2.parabolas,
        {"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0]},
        "y",
        {"y": [2.0, 1.0, 2.0]},
    ),
]


@pytest.mark.parametrize(
    "row", [*BUDGETS, *FITS, *QUESTIONS, *RESULTS, *PRICES, *closed_form_rows(), *SWEEPS], ids=str
)
def test_nonsense_is_refused_and_mended_by_what_is_said(row):
    check(row)


LEGITIMATE = {
    "integer": 10**22,
    "decimal": Decimal("1e22"),
    "single": np.float32(1e22),
    "array": np.array(1e22),
    "tuple": (1e22,),
    "series": pd.Series([1e22], index=[7]),
    "table": [[1e22]],
    "half": np.float16(6e4),
}


@pytest.mark.parametrize("value", LEGITIMATE.values(), ids=LEGITIMATE)
def test_numbers_of_every_type_are_budgets(value):
    found = allocate(flops=value)
    same = allocate(flops=float(np.asarray(value, dtype=np.float64).ravel()[0]))
    assert found.N.shape == np.shape(value) and found.N.dtype == np.float64
    np.testing.assert_array_equal(np.ravel(found.N), same.N)


def test_what_a_function_of_the_callers_raised_is_shown_and_is_the_cause():
    def bill(N, D):
        raise KeyError("no price\nof this device")

    def memory(N):
        return N if N > 1 else 1.0

    with pytest.raises(
        sf.errors.ArgumentError, match=r"^cost=bill \(test_border_\w+\.py:\d+\) "
    ) as caught:
        allocate(flops=1e22, cost=bill)
    assert "raises KeyError: 'no price" in str(caught.value) and "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(
        sf.errors.ArgumentError,
        match=r"^limits=memory \(.*\), line \d+, an if .* return jnp.where\(N > 1, N, 1.0\)\. ",
    ) as caught:
        allocate(flops=1e22, limits={memory: 20.0})
    assert caught.value.argument == "limits" and caught.value.value is memory
    with pytest.raises(
        sf.errors.ArgumentError, match=r"returned -6e\+18 at N = 1e\+09, D = 1e\+09, and no"
    ):
        allocate(flops=1e22, cost=lambda N, D: -6 * N * D)


def test_costs_and_limits_may_be_written_with_numpy():
    def bill(N, D):
        return np.exp(np.log(6.0) + np.log(np.maximum(N, 1.0))) * D

    def memory(N):
        return np.sqrt(N) * np.sqrt(N)

    def mixed(N, D):
        return 6 * jnp.maximum(N, 1.0) * np.maximum(D, 1.0)

    limited = allocate(flops=1e24, cost=bill, limits={memory: 2e9})
    plain = allocate(flops=1e24, limits={"N": 2e9})
    assert allocate(flops=1e24, cost=bill).N == pytest.approx(allocate(flops=1e24).N, rel=1e-9)
    assert limited.N == pytest.approx(plain.N, rel=1e-9)
    with pytest.raises(sf.errors.ArgumentError, match=r"line \d+, np.maximum\(\) is numpy's, in a"):
        allocate(flops=1e24, cost=mixed)


def test_a_cost_that_raises_is_no_trouble_to_the_next_one():
    prices = iter([ValueError("closed"), 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0])

    def bill(N, D):
        price = next(prices)
        if isinstance(price, Exception):
            raise price
        return price * N * D

    with pytest.raises(sf.errors.ArgumentError, match="ValueError: closed"):
        allocate(flops=1e22, cost=bill)
    assert allocate(flops=1e22, cost=bill).N == pytest.approx(allocate(flops=1e22).N, rel=1e-9)


def test_refusals_name_the_columns_there_are():
    """Where one column is bought, no stand-in of the other is printed."""
    for given, said in (
        (
            {"flops": 1e5, "fixed": {"N": 1e9}},
            "^100000 FLOP buy no D under cost '6ND'. Give a larger",
        ),
        (
            {"flops": 1e24, "fixed": {"N": 1e9}, "limits": {"D": 1e3, "D/N": (20, None)}},
            "^no D meets every limit at 1e[+]24 FLOP: without D <= 1000 it would be",
        ),
        ({"flops": 1e24, "limits": {"N": 1e3}}, "^within the limits no D/N .* would be N = "),
        ({"flops": 1e24, "limits": {"N": (1e20, None)}}, "^within the limits no D/N .* D = "),
    ):
        with pytest.raises(sf.errors.AllocationError, match=said) as caught:
            allocate(**given)
        assert not any(odd in str(caught.value) for odd in ("$", "None and", "nan", "inf "))
    with pytest.raises(sf.errors.AllocationError, match="with N fixed the budget buys D alone"):
        near(fixed={"N": 1e9})
    of_one = sf.fit(runs()[["C", "loss"]], "power_offset", x="C")
    with pytest.raises(
        sf.errors.AllocationError, match=r"allocate\(fit, flops=1e[+]21, cost=..., free="
    ) as caught:
        sf.near_optimal(of_one, 1e21, cost=lambda x: x)
    assert "fixed={}" not in str(caught.value)


@pytest.mark.parametrize("A", [0.0, 1e-300, 1e-20, 1e-12])
@pytest.mark.parametrize("B", [0.0, 1e-300, 1e-20, 400.0])
def test_a_term_that_moves_the_loss_by_rounding_is_no_term(A, B):
    flat = replace(fit(), params={**fit().params, "A": A, "B": B})
    idle = "N" if B == 400.0 else "N or D"
    for call in (spent, near, wasted):
        with pytest.raises(
            sf.errors.AllocationError, match=f"does not depend on {idle} beyond rounding"
        ):
            call(fit=flat)
    if B == 400.0:
        turned = replace(fit(), params={**fit().params, "A": 400.0, "B": A})
        with pytest.raises(sf.errors.AllocationError, match="does not depend on D beyond rounding"):
            sf.deadweight(turned, 1e9, 2e10)


def test_a_flat_fit_of_any_law_is_refused():
    flat = sf.simulate(sf.simulation.isoflop_design(points=6)).assign(loss=2.0)
    for law in ("chinchilla", "chinchilla_tied"):
        for robust in ("none", "huber"):
            with pytest.raises(sf.errors.AllocationError, match="does not depend on N or D"):
                sf.deadweight(sf.fit(flat, law, robust=robust), 1e9, 2e10)


MIXTURES = [
    Row("no fit", mixture, {"fit": 3}, "fit", {"fit": ...}),
    Row("no fits", mixture, {"fit": {}}, "fit", {"fit": ...}),
    Row("fits of numbers", mixture, {"fit": {"web": 3}}, "fit['web']", {"fit": ...}),
    Row("weights of one", mixture, {"weights": {"loss": 1.0}}, "weights", {"weights": ...}),
    Row("a number of weights", responses, {"weights": 3}, "weights"),
    Row("weights of others", responses, {"weights": {"books": 1.0}}, "weights"),
    Row("weights below zero", responses, {"weights": {"web": -1}}, "weights['web']"),
    Row("weights of zero", responses, {"weights": {"web": 0.0}}, "weights"),
    Row("columns of a law without", mixture, {"at": {"N": 1e9}}, "at", {"at": ...}),
    Row("available of others", mixture, {"available": {"wiki": 1e9}, "tokens": 1e10}, "available"),
    Row(
        "available of none", mixture, {"available": {"web": 0}, "tokens": 1e10}, "available['web']"
    ),
    Row("available numbers", mixture, {"available": 1e9, "tokens": 1e10}, "available"),
    Row(
        "epochs of none",
        mixture,
        {"available": {"web": 9e9}, "tokens": 1e10, "epochs": 0},
        "epochs",
    ),
    Row(
        "epochs of others",
        mixture,
        {"available": {"web": 9e9}, "tokens": 1e10, "epochs": {"wiki": 2}},
        "epochs",
    ),
    Row("tokens of none", mixture, {"tokens": -1e9}, "tokens"),
    Row("bounds of numbers", mixture, {"bounds": 0.3}, "bounds", {"bounds": {"web": (0.1, 0.6)}}),
    Row("bounds of one number", mixture, {"bounds": {"web": 0.3}}, "bounds['web']"),
    Row("bounds in percent", mixture, {"bounds": {"web": (10, 60)}}, "bounds['web'][0]"),
    Row("bounds reversed", mixture, {"bounds": {"web": (0.6, 0.1)}}, "bounds['web']"),
    Row("bounds of others", mixture, {"bounds": {"wiki": (0, 1)}}, "bounds"),
    Row("fixed in percent", mixture, {"fixed": {"web": 30}}, "fixed['web']"),
    Row("fixed of others", mixture, {"fixed": {"wiki": 0.3}}, "fixed"),
    Row("natural of some", mixture, {"natural": {"web": 1}}, "natural"),
    Row("natural of others", mixture, {"natural": {"web": 1, "wiki": 1}}, "natural"),
    Row("natural of none", mixture, {"natural": {"web": 0, "rest": 0}}, "natural"),
    Row("natural below zero", mixture, {"natural": {"web": -1, "rest": 1}}, "natural['web']"),
    Row("a pull outwards", mixture, {"pull": -1.0, "natural": {"web": 1, "rest": 1}}, "pull"),
    Row("a pull to nothing", mixture, {"pull": 1.0}, "pull"),
    Row("a rest of numbers", mixture, {"rest": 3}, "rest", {"rest": "code"}),
    Row("no such option", mixture, {"caps": {"web": 1e9}}, "caps", {"caps": ...}),
]


@pytest.mark.parametrize("row", MIXTURES, ids=str)
def test_mixtures_that_make_no_sense_are_refused(row):
    check(row)


def test_answers_beyond_float64_are_none():
    """A budget of 1e-300 times one token is what it is; what overflows is refused."""
    steep = replace(fit(), params={**fit().params, "alpha": 0.01, "beta": 0.01}, domain={})
    for loss in (1.68, 1e5):
        with pytest.raises(sf.errors.AllocationError, match="no budget reaches a loss of"):
            sf.allocate(steep, loss=loss)
    for given in ({"flops": 1e-300}, {"flops": 1e308}, {"loss": 1e9}):
        found = allocate(**given)
        assert {"unit_mismatch", "extrapolation"} <= {note.code for note in found.notes}
        assert np.isfinite([found.N, found.D, found.loss, found.spent]).all()


def test_a_multiplier_that_is_none_is_noted():
    worse = replace(fit(), params={**fit().params, "E": fit().params["E"] + 0.4})
    found = multiplier(baseline=worse, flops=[1e18, 1e24])
    (note,) = (note for note in found.notes if note.code == "loss_not_reached")
    assert np.isinf(found.value).tolist() == [False, True]
    assert note.details["losses"] == 1
    drawn = replace(draws(), fit=worse, params={**draws().params, "E": draws().params["E"] + 0.4})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = multiplier(fit=draws(), baseline=drawn, flops=[1e18, 1e24]).interval()
    assert np.isfinite([low[0], high[0]]).all() and np.isinf([low[1], high[1]]).all()
    assert note.details["lowest"] == pytest.approx(float(allocate(flops=1e24).loss))
    assert "loss_not_reached" not in [note.code for note in multiplier().notes]


@pytest.mark.parametrize("noise", [0.0, 1e-300, 1.0, 1e6, 1e300])
def test_plans_are_made_under_any_noise(noise):
    with np.errstate(all="raise"):
        plans = advise(noise=noise).plans
    assert list(plans) == ["width", "points", "budgets", "runs", "bias", "se"]
    assert np.isinf(plans.loc["Approach 2", "runs"]) == (noise >= 1)


def test_plans_over_any_span_are_silent():
    for span in ((1e-300, 1e100), (1e18, 1e18 * (1 + 1e-12))):
        assert len(advise(span=span, noise=1e-3).plans) == 4
