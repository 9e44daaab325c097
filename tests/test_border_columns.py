"""Nonsense for optimal columns, schedules, verifiers and published coefficients."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from border import Row, check, fit, runs

import scalefit as sf
from scalefit import laws

PUBLISHED = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
LR = np.r_[np.linspace(0, 3e-4, 11), np.full(40, 3e-4), np.full(50, 1e-4)]


@cache
def bowl():
    """A fit of two columns, least at x = 2 and y = 3."""
    x, y = (item.ravel() for item in np.meshgrid([1.0, 2.0, 4.0], [1.0, 3.0, 9.0]))
    loss = 2 + 0.1 * np.log(x / 2) ** 2 + 0.2 * np.log(y / 3) ** 2

    @sf.law(source="a test")
    def paraboloid(
        x: laws.Positive,
        y: laws.Positive,
        *,
        a: laws.Offset,
        b: laws.Coefficient,
        c: laws.Coefficient,
        p: laws.Coefficient,
        q: laws.Coefficient,
    ):
        """a + b ln x + c ln^2 x + p ln y + q ln^2 y"""
        u, v = np.log(x), np.log(y)
        return a + b * u + c * u**2 + p * v + q * v**2

    return sf.fit(pd.DataFrame({"x": x, "y": y, "loss": loss}), paraboloid, certify=False)


def optimal(**given):
    return sf.optimal_columns(**{"fit": bowl(), "over": "x", "y": 3.0, **given})


def beside(**given):
    return sf.compare_published(**{"fit": fit(), "runs": runs(), "published": PUBLISHED, **given})


def scheduled(**given):
    return laws.schedule_columns(**{"lr": LR, "steps": [60, 100], **given})


def resampled(**given):
    return laws.resampled(**{"samples": [1, 10], "rates": [0.2, 0.9], "soundness": 0.9, **given})


def best(**given):
    return laws.best_attempts(**{"rates": [0.2], "soundness": 0.9, "fluke": -1, **given})


def verified(**given):
    return laws.verified_coverage(**{"coverage": [0.2, 0.3], "soundness": 0.9, **given})


OPTIMA = [
    Row("over none", optimal, {"over": []}, "over", {"over": "x"}),
    Row("over another", optimal, {"over": "lr"}, "over", {"over": "x"}),
    Row("over one twice", optimal, {"over": ["x", "x"]}, "over", {"over": "x"}),
    Row("a column of none", optimal, {"y": []}, "y", {"y": 3.0}),
    Row("a column of nan", optimal, {"y": np.nan}, "y", {"y": 3.0}),
    Row("a column of text", optimal, {"y": "3"}, "y", {"y": 3.0}),
    Row("a column that is chosen", optimal, {"x": 1.0}, "x", {"x": ...}),
    Row("a column that is chosen and given", optimal, {"over": ["x", "y"]}, "y", {"over": "x"}),
    Row("within numbers", optimal, {"within": 3}, "within", {"within": None}),
    Row("within one number", optimal, {"within": {"x": 3}}, "within['x']", {"within": None}),
    Row("within reversed", optimal, {"within": {"x": (4, 1)}}, "within", {"within": None}),
    Row("within of others", optimal, {"within": {"y": (1, 4)}}, "within", {"within": None}),
    Row("within zero", optimal, {"within": {"x": (-1, 4)}}, "within", {"within": {"x": (0.1, 4)}}),
]

COMPARED = [
    Row("numbers", beside, {"published": 3}, "published", {"published": "hoffmann"}),
    Row("some", beside, {"published": {"E": 1.69}}, "published", {"published": PUBLISHED}),
    Row(
        "one too many",
        beside,
        {"published": {**PUBLISHED, "gamma": 0.3}},
        "published",
        {"published": PUBLISHED},
    ),
    Row(
        "nan",
        beside,
        {"published": {**PUBLISHED, "E": np.nan}},
        "published['E']",
        {"published": PUBLISHED},
    ),
    Row("units of numbers", beside, {"units": 3}, "units", {"units": {"N": 1.0}}),
    Row("units of others", beside, {"units": {"x": 3}}, "units", {"units": {"N": 1.0}}),
    Row("units of none", beside, {"units": {"N": 0}}, "units['N']", {"units": {"N": 1.0}}),
]

MADE = [
    Row("no learning rate", scheduled, {"lr": []}, "lr", {"lr": LR}),
    Row("one learning rate", scheduled, {"lr": 3e-4}, "lr", {"lr": LR}),
    Row("learning rates below zero", scheduled, {"lr": -LR}, "lr[1]", {"lr": LR}),
    Row("learning rates of zero", scheduled, {"lr": 0 * LR}, "lr", {"lr": LR}),
    Row("no steps", scheduled, {"steps": []}, "steps", {"steps": [60, 100]}),
    Row("half a step", scheduled, {"steps": [60.5]}, "steps", {"steps": [60, 100]}),
    Row("a step beyond", scheduled, {"steps": [101]}, "steps[0]", {"steps": [60, 100]}),
    Row("a step in the warm-up", scheduled, {"steps": [3]}, "steps[0]", {"steps": [60, 100]}),
    Row("a memory of all", scheduled, {"lam": 1}, "lam"),
    Row("half a node", scheduled, {"nodes": 2.5}, "nodes"),
    Row("too many nodes", scheduled, {"nodes": 65}, "nodes"),
    Row("a late warm-up", scheduled, {"warmup": 1000}, "warmup", {"warmup": 10}),
    Row("a law of no nodes", laws.multi_power, {"nodes": 0}, "nodes"),
    Row("attempts below zero", resampled, {"samples": -1}, "samples"),
    Row("rates of none", resampled, {"rates": []}, "rates"),
    Row("rates in percent", resampled, {"rates": [20, 90]}, "rates[0]"),
    Row("rates of a table", resampled, {"rates": [[0.2, 0.9], [0.1, 0.3]]}, "rates"),
    Row("shares in percent", resampled, {"shares": [58, 42]}, "shares[0]"),
    Row("shares of half", resampled, {"shares": [0.2, 0.3]}, "shares"),
    Row("soundness in percent", resampled, {"soundness": 90}, "soundness", {"soundness": 0.9}),
    Row("a fluke worth something", best, {"fluke": 1}, "fluke"),
    Row("attempts without end", best, {"most": 10**12}, "most"),
    Row("coverage in percent", verified, {"coverage": [20, 30]}, "coverage[0]"),
    Row("coverage that falls", verified, {"coverage": [0.5, 0.4]}, "coverage"),
    Row("coverage of none", verified, {"coverage": []}, "coverage"),
    Row("coverage of one number", verified, {"coverage": 0.3}, "coverage"),
    Row("a search for nothing", laws.search, {"words": ""}, "words", {"words": "batch"}),
]


@pytest.mark.parametrize("row", [*OPTIMA, *COMPARED, *MADE], ids=str)
def test_nonsense_is_refused_and_mended_by_what_is_said(row):
    check(row)
