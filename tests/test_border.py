"""Nonsense is refused at the border by argument, value and remedy, and without a warning."""

import math
import warnings
from functools import cache
from unittest.mock import patch

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from border import Row, check, draws, fit, keywords, runs

import scalefit as sf
from scalefit import arguments
from scalefit.studies import estimate


@pytest.mark.parametrize(
    ("remedy", "values"),
    [
        ("Pass a whole number, as seed=0", {"seed": 0}),
        ("Pass level=0.95.", {"level": 0.95}),
        ("Pass True or False, as certify=True, or leave it out", {"certify": True}),
        ("Pass x={'E': 1.7}, or y=[1, 2]", {"x": {"E": 1.7}, "y": [1, 2]}),
        ("Give pairs (as bounds={'alpha': (0.2, 0.6)})", {"bounds": {"alpha": (0.2, 0.6)}}),
        ("Pass the fit that scalefit.fit returned", {}),
    ],
)
def test_what_a_remedy_prints_is_read_as_python(remedy, values):
    assert keywords(remedy) == values


def test_a_row_fails_where_an_error_or_its_remedy_is_no_use():
    def loud(seed):
        warnings.warn("leaked", stacklevel=1)
        arguments.seed(seed)

    def useless(level):
        arguments.number(level, "level", remedy="Pass level=2", below=1)

    sound = Row("sound", arguments.seed, {"value": -1}, "seed", {"value": 0})
    assert check(sound).value == -1
    with pytest.raises(AssertionError, match="seed"):
        check(Row("another argument", arguments.seed, {"value": -1}, "by", {"value": 0}))
    with pytest.raises(AssertionError, match="says nothing"):
        check(Row("no way", lambda x: arguments.text(x, "x", remedy="Pass"), {"x": 1}, "x"))
    with pytest.raises(UserWarning, match="leaked"):
        check(Row("loud", loud, {"seed": -1}, "seed"))
    with pytest.raises(sf.errors.ArgumentError, match="level=2"):
        check(Row("useless", useless, {"level": 3}, "level"))


def fitted(**options):
    return sf.fit(runs(), **options)


def bootstrapped(**options):
    return sf.bootstrap(
        **{"fit": fit(), "runs": runs(), "n_draws": 8, "progress": False, **options}
    )


def covariance(**options):
    return sf.covariance(**{"fit": fit(), "runs": runs(), **options})


def profiled(**options):
    return sf.profile(**{"fit": fit(), "runs": runs(), "quantity": "alpha", **options})


@cache
def held():
    return sf.fit(runs(), fixed={"alpha": 0.34})


class SampledError(Exception):
    """What a posterior is asked for makes sense."""


def sampled(**options):
    """A posterior, up to where its program would be compiled."""
    place = "scalefit.inference.posterior."
    with patch(place + "_require_sampler"), patch(place + "_sampled", side_effect=SampledError):
        try:
            sf.posterior(**{"fit": fit(), "runs": runs(), **options})
        except SampledError:
            return


def applied(function):
    return draws().apply(function)


def predicted(**options):
    return fit().predict(**{"N": 1e9, "D": 1e10, **options})


def traced(call):
    """A prediction asked for by JAX, which has no numbers to give while it traces."""
    return call(lambda N: fit().predict(N=N, D=1e10))(1e9)


def mixed(domain):
    return sf.laws.mixture_of(domain)


def drawn(**options):
    return draws().predict(**{"N": 1e9, "D": 1e10, **options})


def raises(p):
    raise KeyError("mine\nand more")


def changes(alpha):
    alpha *= 0.0
    return alpha


def branches(alpha):
    return 1.0 if alpha > 0 else 0.0


# What is given to fit as such: the nonsense, and what the error calls the argument. The remedy is
# what the message prints, except where rows say what follows from it.
FIT = [
    *(
        Row(f"{name}={arguments.shown(value)}", fitted, {name: value}, name)
        for name, values in {
            "residual": ("logg", 1, None, ["log"], np.array(["log", "raw"])),
            "robust": ("Huber", None, ["huber"], b"huber"),
            "delta": (
                0,
                -1e-3,
                math.nan,
                math.inf,
                "1e-3",
                None,
                True,
                [1e-3],
                1j,
                10**400,
                1e-300,
            ),
            "seed": (-1, "x", 1.5, None, True, 2.0, [0]),
            "certify": ("no", 0, -1, 1.5, [True], np.array([True])),
            "fixed": (["E"], "E", 0, False, [], [("E", 1.7)], {1: 2.0}),
            "bounds": (1.0, [("alpha", (0.1, 1))], "alpha", {1: (0, 1)}, {None: (0, 1)}),
            "tied": (3, "alpha", {"alpha": "beta"}, {"alpha", "beta"}, False, b"ab", math.nan),
            "groups": ("format", ["A"], [("A", "format")], 0, {1: "format"}),
        }.items()
        for value in values
    ),
    *(
        Row(f"fix at {arguments.shown(value)}", fitted, {"fixed": {"E": value}}, "fixed['E']")
        for value in ("1.7", None, True, 1j, math.nan, math.inf, [1.7], np.array([1.7]), 10**400)
    ),
    *(
        Row(f"bounds {arguments.shown(pair)}", fitted, {"bounds": {"alpha": pair}}, argument)
        for pair, argument in (
            (None, "bounds['alpha']"),
            (0.2, "bounds['alpha']"),
            ((0.1, 1, 2), "bounds['alpha']"),
            ((0.2,), "bounds['alpha']"),
            ((), "bounds['alpha']"),
            (np.eye(2), "bounds['alpha']"),
            ("12", "bounds['alpha']"),
            ({0.1, 1.0}, "bounds['alpha']"),
            ({"lower": 0.1}, "bounds['alpha']"),
            (("0.1", "1"), "bounds['alpha'][0]"),
            ((0.1, "1"), "bounds['alpha'][1]"),
            ((False, True), "bounds['alpha']"),
            ((0.1j, 1), "bounds['alpha'][0]"),
            ((math.nan, 1), "bounds['alpha'][0]"),
            ((0.6, 0.2), "bounds['alpha']"),
            ((0.3, 0.3), "bounds['alpha']"),
            ((math.inf, math.inf), "bounds['alpha']"),
            ((0.1, math.inf), "bounds['alpha']"),
            ((-math.inf, math.inf), "bounds['alpha']"),
            ((0, 1), "bounds['alpha']"),
            ((-1, 1), "bounds['alpha']"),
            ((-2, -1), "bounds['alpha']"),
        )
    ),
    Row(
        "bounds no wider than rounding",
        fitted,
        {"bounds": {"alpha": (0.3, 0.3 + 1e-15)}},
        "bounds['alpha']",
        {"bounds": ..., "fixed": {"alpha": 0.3}},
    ),
    *(
        Row(f"tie {arguments.shown(group)}", fitted, {"tied": [group]}, argument)
        for group, argument in (
            ("alpha", "tied[0]"),
            (("alpha",), "tied[0]"),
            ((), "tied[0]"),
            (("alpha", "alpha"), "tied[0]"),
            (("alpha", "beta", "alpha"), "tied[0]"),
            ([("alpha", "beta")], "tied[0][0]"),
            ((["alpha"], "beta"), "tied[0][0]"),
            (("alpha", 3), "tied[0][1]"),
            ({"alpha", "beta"}, "tied[0]"),
            (3, "tied[0]"),
            (None, "tied[0]"),
        )
    ),
    # The remedy itself, device='cpu', compiles for seconds.
    *(
        Row(
            f"{name}={arguments.shown(device)}",
            call,
            {name: device},
            name,
            {name: None},
        )
        for device in (3, "", "gpux", "cpu:99", b"cpu", True, ["cpu"])
        for call, name in ((fitted, "device"), (bootstrapped, "devices"))
    ),
    Row("tie flat", fitted, {"tied": ("alpha", "beta")}, "tied[0]"),
    *(
        Row(f"groups by {arguments.shown(by)}", fitted, {"groups": {"A": by}}, argument)
        for by, argument in (
            (3, "groups['A']"),
            (None, "groups['A']"),
            ((), "groups['A']"),
            ("", "groups['A']"),
            (("format", 3), "groups['A'][1]"),
            ({"format"}, "groups['A']"),
            (("format", "format"), "groups['A']"),
        )
    ),
    Row("fix unknown", fitted, {"fixed": {"gamma": 1.0}}, "fixed", {"fixed": {"beta": 0.3}}),
    Row("fix misspelt", fitted, {"fixed": {"alpa": 0.3}}, "fixed", {"fixed": {"alpha": 0.3}}),
    Row("bounds unknown", fitted, {"bounds": {"a": (0, 1)}}, "bounds", {"bounds": {"A": (0, 999)}}),
    Row("bounds by level", fitted, {"bounds": {"A[x]": (0, 1)}}, "bounds", {"bounds": {}}),
    Row("tie unknown", fitted, {"tied": [("alpha", "b")]}, "tied", {"tied": [("alpha", "beta")]}),
    Row("groups unknown", fitted, {"groups": {"Z": "format"}}, "groups", {"groups": {}}),
    Row("fix below bounds", fitted, {"fixed": {"E": -1}}, "fixed['E']"),
    Row("fix above bounds", fitted, {"fixed": {"alpha": 7}}, "fixed['alpha']"),
    Row(
        "fix everything",
        fitted,
        {"fixed": dict(sf.simulation.SURFACES["chinchilla"])},
        "fixed",
        {"fixed": {"E": 1.69}},
    ),
    Row(
        "fixed and bounded",
        fitted,
        {"fixed": {"E": 1.7}, "bounds": {"E": (1, 2)}},
        "bounds",
        {"bounds": {}},
    ),
    Row(
        "fixed and tied",
        fitted,
        {"fixed": {"alpha": 0.3}, "tied": [("alpha", "beta")]},
        "tied",
        {"tied": ()},
    ),
    Row(
        "fixed and grouped",
        fitted,
        {"fixed": {"A": 400.0}, "groups": {"A": "format"}},
        "groups",
        {"fixed": {}},
    ),
    Row(
        "tied and grouped",
        fitted,
        {"tied": [("A", "B")], "groups": {"A": "format"}},
        "groups",
        {"tied": ()},
    ),
    Row("tied twice", fitted, {"tied": [("alpha", "beta"), ("beta", "alpha")]}, "tied"),
    Row("tie of kinds", fitted, {"tied": [("A", "alpha")]}, "tied", {"tied": [("A", "B")]}),
    Row(
        "tied without common bounds",
        fitted,
        {"tied": [("alpha", "beta")], "bounds": {"alpha": (0.1, 0.2), "beta": (0.3, 0.4)}},
        "tied",
        {"bounds": {"alpha": (0.1, 0.4), "beta": (0.3, 0.4)}},
    ),
    Row(
        "an exponent grouped",
        fitted,
        {"groups": {"alpha": "format"}},
        "groups",
        {"groups": {"A": "format"}},
    ),
    *(
        Row(
            f"asymmetry={arguments.shown(value)}",
            fitted,
            {"robust": robust, "asymmetry": value},
            "asymmetry",
        )
        for value in (1.0, 0.1, math.nan, math.inf, "10", 1e300, True)
        for robust in ("asymmetric", "huber")
    ),
    Row("delta of an envelope", fitted, {"robust": "asymmetric", "delta": -1}, "delta"),
    Row("delta of no use", fitted, {"robust": "none", "delta": "x"}, "delta"),
    Row("delta of raw losses", fitted, {"residual": "raw", "delta": 1e-12}, "delta"),
    *(
        Row(f"law={arguments.shown(law)}", fitted, {"law": law}, "law")
        for law in (None, 3, ["chinchilla"], sf.Law, runs(), {"N": 1})
    ),
    *(
        Row(f"runs={arguments.shown(table)}", sf.fit, {"runs": table}, "runs", {"runs": runs()})
        for table in (None, 1e9, "", b"runs.csv", runs()["N"], np.ones((9, 3)), [1, 2])
    ),
    Row("option misspelt", fitted, {"resudual": "raw"}, "resudual", {"resudual": ...}),
]


# What is passed where a fit is wanted.
NO_FITS = (None, {}, "chinchilla", sf.Fit, runs(), sf.laws.find("chinchilla"), 3)

MENDED = {"function": lambda alpha: np.where(alpha > 0, 1.0, 0.0) * alpha}
MANY = 999_999_999_999

UNCERTAINTY = [
    *(
        Row(f"{call.__name__}({name}={arguments.shown(value)})", call, {name: value}, name)
        for call, options in (
            (
                bootstrapped,
                {
                    "n_draws": (0, 1, -1, 1.5, 20.0, "10", None, True, math.nan, MANY, 10**400),
                    "seed": (-1, "x", None, 1.5),
                    "global_search": (2, -1, math.nan, "x", None, True),
                    "progress": (None, "no", 1),
                    "method": ("row", None, 1, ["rows"]),
                },
            ),
            (covariance, {"method": ("x", True, 1)}),
            (profiled, {"level": (0, 1, 2, "0.9", None, math.nan), "method": ("x", 0)}),
            (
                profiled,
                {
                    "quantity": (
                        "gamma",
                        None,
                        3,
                        ["alpha"],
                        lambda p: 1.0,
                        lambda p: p["E"] * math.nan,
                    )
                },
            ),
            (profiled, {"quantity": (raises, branches, lambda p: "x", lambda p: np.log(p["E"]))}),
            (
                profiled,
                {"quantity": (lambda gamma: gamma, lambda p: None, lambda E: jnp.stack([E, E]))},
            ),
            (
                profiled,
                {"quantity": (jnp.sign, lambda alpha: alpha.item(), lambda alpha: float(alpha))},
            ),
            (
                lambda **o: sf.covariance(fit(), runs()).draws(**o),
                {"n_draws": (0, 1, -1, 1.5, "x", MANY), "seed": (-1, None)},
            ),
            *(
                (ask, {"level": (0, 1, -1, 2, math.nan, math.inf, "0.9", None, True, [0.9], 1j)})
                for ask in (
                    lambda **o: draws().conf_int(**o),
                    lambda **o: draws().summary(**o),
                    lambda **o: draws().apply(lambda alpha: alpha).interval(**o),
                    lambda **o: draws().apply(lambda alpha: alpha).to_frame(**o),
                    lambda **o: sf.covariance(fit(), runs()).conf_int(**o),
                )
            ),
            (
                applied,
                {
                    "function": (
                        None,
                        3,
                        "alpha",
                        raises,
                        lambda p: "x",
                        lambda p: None,
                        lambda p: {},
                    )
                },
            ),
            (applied, {"function": (lambda gamma: gamma, lambda p: [[1], [2, 3]], lambda p: 1j)}),
            (applied, {"function": (lambda alpha: alpha * math.nan,)}),
            *(
                (
                    ask,
                    {
                        "N": ("7B", "1e9", b"1", None, math.nan, 1j, True, {"a": 1}),
                        "D": (np.datetime64("2020-01-01"), np.array([True]), [[1, 2], [3]]),
                    },
                )
                for ask in (predicted, drawn)
            ),
            (drawn, {"kind": ("x", None, ["mean"])}),
        )
        for name, values in options.items()
        for value in values
    ),
    *(
        Row(
            f"apply {arguments.shown(function)}",
            applied,
            {"function": function},
            "function",
            MENDED,
        )
        for function in (branches, changes, lambda p: 1.0, lambda p: np.zeros(7))
    ),
    Row(
        "apply unknown",
        applied,
        {"function": lambda alpha, zeta: alpha},
        "function",
        {"function": lambda alpha, beta: alpha},
    ),
    Row(
        "profile unknown",
        profiled,
        {"quantity": lambda alpha, zeta: alpha},
        "quantity",
        {"quantity": lambda alpha, beta: alpha},
    ),
    Row("predict mixed", predicted, {"N": [1e9, "x"]}, "N[1]"),
    Row("predict masked", predicted, {"N": np.ma.array([1e9], mask=[True])}, "N"),
    Row("predict shapes", predicted, {"N": [1e9, 2e9], "D": [1e10] * 3}, "D", {"D": 1e10}),
    Row("predict nothing", fit().predict, {}, "N", {"N": 1e9, "D": 1e10}),
    Row("predict half", fit().predict, {"N": 1e9}, "D", {"D": 1e10}),
    Row("predict misspelt", predicted, {"d": 1e10}, "d", {"d": ...}),
    Row("predict a list", fit().predict, {"runs": [1e9]}, "runs", {"runs": runs()}),
    Row(
        "predict too much",
        drawn,
        {"N": np.full((10**5, 1), 1e9), "D": np.full(10**5, 1e10)},
        "N",
        {"N": 1e9},
    ),
    Row("predict misspelt of a table", fit().predict, {"runs": runs(), "n": "N"}, "n", {"n": ...}),
    Row(
        "residuals misspelt", fit().residuals, {"runs": runs(), "los": "loss"}, "los", {"los": ...}
    ),
    Row("predict traced", traced, {"call": jax.jit}, "N", {"call": lambda ask: ask}),
    Row("mixture of numbers", mixed, {"domain": 3}, "domains[0]", {"domain": "web"}),
    Row("residuals of nothing", fit().residuals, {"runs": None}, "runs", {"runs": runs()}),
    Row("evaluate text", fit().evaluate, {"N": "7B", "D": 1e10}, "N"),
    Row("extrapolation of nothing", fit().extrapolation, {"columns": None}, "columns"),
    Row(
        "extrapolation of half",
        fit().extrapolation,
        {"columns": {"N": 1e9}},
        "D",
        {"columns": {"N": 1e9, "D": 1e10}},
    ),
    Row("clusters of nothing", bootstrapped, {"method": "clusters"}, "by"),
    Row("clusters of single runs", bootstrapped, {"by": "corpus"}, "by"),
    Row("clusters that are no name", bootstrapped, {"method": "clusters", "by": 3}, "by"),
    Row("clusters of no column", covariance, {"by": []}, "by"),
    Row("clusters of a number", covariance, {"by": ["corpus", 3]}, "by[1]", {"by": "corpus"}),
    Row("independent clusters", covariance, {"method": "jacobian", "by": "corpus"}, "by"),
    *(
        Row(f"posterior {name}={arguments.shown(value)}", sampled, {name: value}, name)
        for name, values in {
            "fit": (None, runs(), draws()),
            "n_draws": (0, 3, 1.5, "x", True, MANY),
            "chains": (0, 1.5, None),
            "seed": (-1, "x", 2**63),
        }.items()
        for value in values
    ),
    Row("fixed and profiled", profiled, {"fit": held()}, "quantity", {"quantity": "beta"}),
    *(
        Row(f"misspelt {call.__name__}", call, {"metod": "rows"}, "metod", {"metod": ...})
        for call in (bootstrapped, covariance, profiled)
    ),
    *(
        Row(
            f"{call.__name__} of {arguments.shown(value)}",
            call,
            {"fit": value},
            "fit",
            {"fit": fit()},
        )
        for call in (bootstrapped, covariance, profiled)
        for value in (*NO_FITS, draws())
    ),
    *(
        Row(f"{call.__name__} without a table", call, {"runs": value}, "runs", {"runs": runs()})
        for call in (bootstrapped, covariance, profiled)
        for value in (None, fit())
    ),
]


def studied(**options):
    return sf.studies.simulation_study(
        **{"settings": {"points": 4}, "seeds": 2, "progress": False, **options}
    )


def estimated(**options):
    losses = np.outer([1.0, 1.01], runs()["loss"])
    return estimate(**{"design": runs()[["N", "D", "C"]], "losses": losses, **options})


def simulated(**options):
    return sf.simulate(**{"design": runs()[["N", "D"]], **options})


def published(**options):
    return sf.published(**{"law": "chinchilla", "configuration": "besiroglu", **options})


def surface(name, value):
    return {**sf.simulation.SURFACES["chinchilla"], name: value}


SMALL = {"N": [1e8], "ratio": [20.0]}
MANY_RUNS = 10**15

SIMULATIONS = [
    *(
        Row(f"{call.__name__}({name}={arguments.shown(value)})", call, {name: value}, name)
        for call, options in (
            (
                studied,
                {
                    "settings": (None, 3, [], {"points": []}, {1: 2}, "points"),
                    "seeds": (0, -1, 1.5, "x", None, [], [0.5], [[1]], True, MANY),
                    "methods": ("approach4", [], None, 3, ""),
                    "flops": (0, -1, "1e24", math.nan, [1e24]),
                    "slow_seeds": (0, 1.5, None),
                    "progress": (None, 1),
                    "residual": ("logg",),
                    "robust": (None,),
                    "delta": (0, "x"),
                },
            ),
            (
                estimated,
                {
                    "methods": ("approach4", [], None, 3, ""),
                    "flops": (0, "x"),
                    "seeds": ("x", [1], 3),
                    "objective": ("raw", {}),
                },
            ),
            (
                simulated,
                {
                    "seed": (-1, "x", None, 1.5),
                    "noise": (-1, math.nan, "x", None, True, [0.1], 1j),
                    "params": ("chinchila", None, 3, ["E"], {1: 2}),
                    "law": (None, 3),
                },
            ),
            (sf.simulate, {"design": (None, "x", {"N": [1]}, fit())}),
            (
                sf.simulation.isoflop_design,
                {
                    "budgets": (
                        0,
                        -1,
                        [],
                        [-1],
                        [math.nan],
                        "x",
                        None,
                        2.5,
                        [[1e19]],
                        [0],
                        MANY_RUNS,
                    ),
                    "points": (0, -1, 1.5, "x", None, MANY_RUNS),
                    "width": (0.5, -1, math.nan, "x", None, math.inf, 1e300),
                    "offset": (0, -1, math.nan, "x", 1e300),
                    "drift": (0, -1, math.nan, "x"),
                    "surface": ("flat", None, 3, {1: 2}),
                },
            ),
            (sf.simulation.Noise, {"scale": (-1.0, math.nan, "x", None, True, math.inf)}),
            (
                lambda **options: sf.simulation.Noise(0.1, **options),
                {
                    "df": (2.0, math.nan, "x", None),
                    "icc": (-0.1, 1.1, "x", None, True),
                    "additive": ("no", 1, None),
                    "cluster": (3, "", ["C"]),
                },
            ),
            (
                lambda **options: sf.simulation.grid_design(
                    **{"N": [1e8, 1e9], "D": [1e10], **options}
                ),
                {name: ([], [-1.0], "x", None, [[1e8]], [math.inf]) for name in ("N", "D")},
            ),
            (
                lambda **options: sf.simulation.ratio_design(**{"N": [1e8, 1e9], **options}),
                {name: ([], 0.0, "x", None, math.nan) for name in ("N", "ratio")},
            ),
            (
                published,
                {"law": (None, 3, ["chinchilla"]), "configuration": ("besirglu", 3, "")},
            ),
        )
        for name, values in options.items()
        for value in values
        if not (isinstance(value, list) and value and name in ("N", "D", "budgets"))
    ),
    *(
        Row(
            f"a surface of {name} zero",
            sf.simulation.isoflop_design,
            {"surface": surface(name, 0.0)},
            argument,
        )
        for name in ("A", "B", "alpha", "beta")
        for argument in [f"surface[{name!r}]"]
    ),
    Row(
        "a wide grid",
        sf.simulation.grid_design,
        {"N": np.ones(10**6), "D": np.ones(10**6)},
        "N",
        {"N": 1.0},
    ),
    Row(
        "many ratios",
        sf.simulation.ratio_design,
        {"N": np.ones(10**6), "ratio": np.ones(10**6)},
        "N",
        SMALL,
    ),
    Row("endless noise", simulated, {"noise": 1e300}, "noise"),
    Row(
        "endless additive noise",
        simulated,
        {"noise": sf.simulation.Noise(1e308, additive=True)},
        "noise",
    ),
    Row(
        "endless parameters",
        simulated,
        {"params": surface("alpha", -300.0)},
        "params",
        {"params": ...},
    ),
    Row("one of several", published, {"configuration": None}, "configuration"),
    Row("one of budgets", sf.simulation.isoflop_design, {"budgets": [1e19, -1]}, "budgets[1]"),
    Row("one of sizes", sf.simulation.grid_design, {"N": [1e8, "x"], "D": [1e10]}, "N[1]"),
    Row("one of seeds", estimated, {"seeds": [1, -1]}, "seeds[1]", {"seeds": [1, 2]}),
    Row("one of methods", estimated, {"methods": ["surface", "x"]}, "methods[1]"),
    Row("losses of none", estimated, {"losses": "x"}, "losses", {"losses": np.ones((1, 30)) * 2}),
    Row(
        "losses of others",
        estimated,
        {"losses": np.ones((2, 3))},
        "losses",
        {"losses": np.outer([1.0, 1.01], runs()["loss"])},
    ),
    Row("a design of none", estimated, {"design": None}, "design", {"design": runs()[["N", "D"]]}),
    Row(
        "half a surface",
        sf.simulation.isoflop_design,
        {"surface": {"E": 1.0}},
        "surface",
        {"surface": ...},
    ),
    Row("a surface of text", sf.simulation.isoflop_design, {"surface": {"E": "x"}}, "surface['E']"),
    Row("half the parameters", simulated, {"params": {"E": 1.0}}, "params", {"params": ...}),
    Row("a parameter of text", simulated, {"params": {"E": "x"}}, "params['E']"),
    Row(
        "a design of text",
        simulated,
        {"design": pd.DataFrame({"N": [1e9, "x"], "D": 1e10})},
        "design['N'][1]",
        {"design": ...},
    ),
    *(
        Row(
            f"study {label}", studied, {"settings": settings}, argument, {"settings": {"points": 4}}
        )
        for label, settings, argument in (
            ("of an unknown setting", {"pionts": 4}, "settings"),
            ("of noise twice", {"noise": sf.simulation.Noise(0.1), "additive": True}, "settings"),
            ("of an unknown surface", {"surface": "flat"}, "surface"),
            ("of half a surface", {"surface": {"E": 1.0}}, "surface"),
            ("of no noise", {"noise": "x"}, "scale"),
            ("of no points", {"points": 0}, "points"),
        )
    ),
    *(
        Row(
            f"a design that {label}",
            studied,
            {"settings": {}, "design": design},
            "design",
            {"design": sf.simulation.isoflop_design, "settings": {"points": 4}},
        )
        for label, design in (
            ("is none", None),
            ("raises", lambda: 1 / 0),
            ("is no table", lambda: 3),
            ("lacks a column", lambda: pd.DataFrame({"N": [1e8]})),
        )
    ),
]


@cache
def swept():
    return sf.isoflop(runs())


@cache
def report():
    options = {"n_draws": 0, "rules": (), "objectives": False}
    return sf.bias(fit(), swept(), runs(), 1e22, **options)


def no_picture(call, **needs):
    """A picture of what it needs, with other options, that is closed again."""

    def drawn(**options):
        try:
            call(**{**{name: make() for name, make in needs.items()}, **options})
        finally:
            plt.close("all")

    drawn.__name__ = call.__name__
    return drawn


OF_FIT = {"result": fit, "runs": runs}
BUDGETS = [1e20, 1e22, 1e24]
LEVELS = (2, "0.9", None)
NO_AXES = (plt, [])
PICTURES = (
    (sf.plot.surface, OF_FIT, {"level": LEVELS, "ax": NO_AXES, "result": NO_FITS[:5]}),
    (sf.plot.predictions, OF_FIT, {"level": LEVELS, "ax": NO_AXES, "result": NO_FITS[:5]}),
    (sf.plot.projected, OF_FIT, {"ax": NO_AXES, "result": (None, draws())}),
    (
        sf.plot.allocation,
        {"result": lambda: sf.allocate(draws(), BUDGETS)},
        {"result": (None, fit(), BUDGETS), "level": LEVELS, "ax": (*NO_AXES, [1, 2])},
    ),
    (
        sf.plot.region,
        {"result": lambda: sf.near_optimal(fit(), 1e22, overhead=0.05), "fit": fit},
        {"result": (None, fit()), "fit": (None, {}), "ax": NO_AXES},
    ),
    (
        sf.plot.pareto,
        {"result": fit, "loss": lambda: 2.2},
        {"result": (None, draws()), "served": (0, "x", [], -1.0), "ax": NO_AXES},
    ),
    (
        sf.plot.isoflop,
        {"result": swept, "runs": runs},
        {"result": (None, fit(), runs()), "ax": NO_AXES},
    ),
    (
        sf.plot.attribution,
        {"result": lambda: sf.approach2.attribute_bias(fit(), swept(), 1e22)},
        {"result": (None, fit()), "level": LEVELS, "ax": NO_AXES},
    ),
    (
        sf.plot.bias,
        {"result": report},
        {"result": (None, fit()), "level": LEVELS, "ax": (*NO_AXES, [1, 2])},
    ),
    (
        sf.plot.profile,
        {"result": lambda: sf.profile(fit(), runs(), "alpha")},
        {"result": (None, fit()), "ax": NO_AXES},
    ),
    (
        sf.plot.pairs,
        {"result": draws},
        {"result": (None, fit(), runs(), {}), "params": ("gamma", [], 3, ["gamma"], "", {})},
    ),
)
PLOTS = [
    Row(
        f"plot.{call.__name__}({name}={arguments.shown(value)})",
        no_picture(call, **needs),
        {name: value},
        name,
    )
    for call, needs, options in PICTURES
    for name, values in options.items()
    for value in values
]


@pytest.mark.parametrize("row", [*FIT, *UNCERTAINTY, *SIMULATIONS, *PLOTS], ids=str)
def test_nonsense_is_refused_and_mended_as_it_says(row):
    check(row)


def test_what_a_function_of_the_callers_raises_is_the_cause_of_the_error():
    for ask, argument in ((applied, "function"), (profiled, "quantity")):
        with pytest.raises(sf.errors.ArgumentError) as caught:
            ask(**{argument: raises})
        line = raises.__code__.co_firstlineno
        assert f"{argument}=raises (test_border.py:{line}) raises KeyError: 'mine" in str(
            caught.value
        )
        assert isinstance(caught.value.__cause__, KeyError)
