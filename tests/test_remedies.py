"""Every remedy that a message prints is tried: what it proposes is done, and is accepted."""

import inspect
import json
import multiprocessing
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from catalogue import ROWS, Row
from remedies import as_python, balanced, called, option, proposals, text_option, value_of

import scalefit as sf
from scalefit.approach2.attribution import CAUSES, _require_minima
from scalefit.cli.translation import as_options
from scalefit.data import limits
from scalefit.runtime import forks
from scalefit.skills.latent import _notes
from scalefit.skills.solver import Solved

CASES: dict[str, Callable[[], list[str]]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    """A message, or several, each of whose remedies the function tries before it returns them."""

    def found() -> list[str]:
        messages = function()
        return [messages] if isinstance(messages, str) else list(messages)

    CASES[function.__name__] = found
    return function


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(sf.ScalefitError) as caught:
        call()
    return str(caught.value)


def noted(result: Any, code: str) -> str:
    return next(note.message for note in result.notes if note.code == code)


@cache
def runs() -> pd.DataFrame:
    frame = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.003, seed=1)
    return frame.assign(corpus=frame.index % 9, pair=frame.index % 2, seed=frame.index % 3)


@cache
def fit() -> sf.Fit:
    return sf.fit(runs())


@cache
def draws() -> sf.Ensemble:
    return sf.bootstrap(fit(), runs(), n_draws=40, progress=False)


@cache
def curve() -> pd.DataFrame:
    """Runs over compute alone, under a header that is no column of any law of one column."""
    C = np.geomspace(1e17, 1e22, 20)
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(20))
    return pd.DataFrame({"C": C, "loss": (1.6 + 95.0 * C**-0.0941) * noise})


@cache
def of_compute() -> sf.Fit:
    return sf.fit(curve(), "power_offset", x="C")


@cache
def rising() -> pd.DataFrame:
    x = np.geomspace(1e3, 1e9, 24)
    noise = np.exp(1e-4 * np.random.default_rng(0).standard_normal(24))
    return pd.DataFrame({"C": x, "loss": (1.41 - 3.74 * x**-0.154) * noise})


@cache
def labelled() -> sf.Fit:
    frame = runs().assign(format=np.array(["bf16", "fp8", "a/b"])[runs().index % 3])
    frame["bits"] = frame.index // 3 % 2
    return sf.fit(frame, groups={"A": "format", "B": ("format", "bits")})


# Files


@case
def columns_that_a_header_names_in_a_word() -> list[str]:
    """A law that has no name is passed as it is, and a batch in sequences has their length."""
    law = sf.laws.mixture_of("web", "code")
    shares = np.random.default_rng(0).dirichlet([2.0, 1.5, 1.0], 12)[:, :2]
    design = pd.DataFrame(shares, columns=["web", "code"])
    truth = {"c": 2.4, "k": 1.1, "t_web": -1.6, "t_code": 0.1}
    losses = sf.simulate(design, law, truth, noise=0.002)["loss"]
    named = {"web": "web_share", "code": "share_of_code"}
    table = design.rename(columns=named).assign(val_loss_code=losses, val_loss_web=losses)
    mixed = refused(lambda: sf.fit(table, law))
    call = balanced(mixed, "scalefit.fit(")
    assert value_of(call, runs=table, law=law).params["c"] == pytest.approx(2.4, rel=0.1)
    assert all(f"{name}={header!r}" in call for name, header in named.items())
    sweep = runs().assign(lr=1e-3, global_batch=np.arange(len(runs())) % 5 + 1)
    batch = refused(lambda: sf.LossTable.from_frame(sweep).require(["batch"]))
    assert option(batch, "batch") == ("global_batch", 2048)
    read = sf.LossTable.from_frame(sweep, batch=option(batch, "batch"))
    np.testing.assert_array_equal(read.column("batch"), 2048.0 * sweep["global_batch"])
    return [mixed, batch]


@case
def names_that_no_law_has() -> list[str]:
    made = refused(lambda: sf.laws.find("mixture_of_3"))
    assert called(made, "scalefit.laws.mixture_of(").columns == ("web", "code")
    held = refused(lambda: sf.laws.find("moe"))
    assert len(called(held, "scalefit.laws.table(")) == len(sf.laws.BUILTIN)
    assert called(held, "scalefit.laws.search(")
    return [made, held]


@case
def skills_of_families() -> list[str]:
    names = ["arc", "mmlu"]
    scored = runs().assign(maker=np.resize(["x", "y"], len(runs())), arc=0.5)
    scored["mmlu"] = 0.3 + 0.01 * np.arange(len(scored)) % 0.4

    def fitted(frame: pd.DataFrame, **options: Any) -> Any:
        return sf.skills.fit_skills(frame, names, family="maker", starts=1, **options)

    wrong = scored.assign(mmlu=100 * scored["mmlu"])
    percent = refused(lambda: fitted(wrong, skills=1))
    # What is a percentage is divided, the other column is none.
    divided = value_of(percent.partition("by 100: ")[2].rstrip("."), runs=wrong, responses=["mmlu"])
    fit_of = fitted(wrong.assign(mmlu=divided["mmlu"]), skills=1)
    many = refused(lambda: fitted(scored, skills=3))
    fitted(scored, skills=int(re.findall(r"skills=(\d)", many)[0]))
    given = refused(lambda: fit_of.predict(N=1e9))
    assert value_of(f"fit.{balanced(given, 'predict(')}", fit=fit_of).shape == (1, 2)
    several = refused(lambda: fitted(scored.drop(columns="mmlu"), skills=1))
    return [percent, many, given, several]


@case
def what_is_said_of_a_search_for_skills_is_done() -> list[str]:
    names = ["arc", "mmlu"]
    scored = runs().head(8).assign(maker=[*"xyxyxyxy"], arc=0.5, mmlu=np.linspace(0.3, 0.6, 8))
    ended = Solved(np.ones((2, 2)), np.zeros(2), np.zeros((5, 2)), 1.0, (1.0, 2.0), False)
    messages = [note.message for note in _notes(ended, np.array([[1.0, 0.0], [0.5, 0.0]]))]
    for message in messages:
        numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", message)}
        sf.skills.fit_skills(scored, names, family="maker", **{"skills": 1, "starts": 1, **numbers})
    alone = scored.assign(maker=np.arange(len(scored)).astype(str))
    out = refused(lambda: sf.skills.leave_families_out(alone, names, family="maker", skills=1))
    header = text_option(out, "family")
    named = scored.rename(columns={"maker": header})
    options = {"skills": 1, "starts": 1}
    assert sf.skills.leave_families_out(named, names, family=header, **options).mean_abs_error < 1
    many = refused(lambda: sf.skills.fit_components(scored, names, family="maker"))
    components = int(re.findall(r"components=(\d)", many)[0])
    sf.skills.fit_components(scored, names, family="maker", components=components)
    one = refused(lambda: sf.skills.fit_skills(sf.read(runs()), family="corpus"))
    sf.skills.fit_skills(scored, option(one, "responses"), family="maker", **options)
    return [*messages, out, many, one]


@case
def names_of_laws_and_of_their_domains_are_others() -> list[str]:
    shared = refused(lambda: sf.laws.find("learning rate"))
    named = [sf.laws.find(name) for name in shared.partition(": ")[2].partition(".")[0].split(", ")]
    listed = called(shared, "scalefit.laws.table(")
    assert len(named) > 1 and set(named) <= set(listed)
    own = refused(lambda: sf.laws.mixture_of("c"))
    frame = called(own, "runs.rename(", runs=pd.DataFrame({"c": [0.5]}))
    assert sf.laws.mixture_of(*frame.columns).columns == ("c_share",)
    none = refused(lambda: sf.published("chinchilla_n"))
    assert "chinchilla" in set(called(none, "scalefit.results.published_fits(")["law"])
    return [shared, own, none]


@case
def a_column_that_responses_replace_is_named_among_them() -> list[str]:
    both = runs().assign(code=runs()["loss"], web=2 * runs()["loss"])
    message = noted(sf.read(both, responses=["code", "web"]), "column_replaced")
    again = sf.read(both, responses=["code", "web", "loss"])
    assert "column_replaced" not in {note.code for note in again.notes}
    return [message]


@case
def several_responses() -> list[str]:
    both = runs().assign(code=runs()["loss"], web=2 * runs()["loss"]).drop(columns="loss")
    one = refused(lambda: sf.fit(both, responses=["code"]))
    sf.fit(both, loss=text_option(one, "loss"), certify=False)
    taken = both.assign(response="a")
    named = refused(lambda: sf.fit(taken, responses=["code", "web"]))
    renamed = called(named, "runs.rename(", runs=taken)
    sf.fit(renamed, responses=["code", "web"], certify=False)
    spread = both.assign(web=100 * both["web"] * np.resize([0.99, 1.01], len(both)))
    raw = sf.fit(spread, responses=["code", "web"], residual="raw", robust="none", certify=False)
    scale = noted(raw, "dominating_response")
    for residual in re.findall(r"residual='(\w+)'", scale):
        again = sf.fit(spread, responses=["code", "web"], residual=residual, certify=False)
        assert "dominating_response" not in {note.code for note in again.notes}
    copied = sf.fit(both, responses=["code", "web"], certify=False)
    shared = noted(copied, "shared_runs")
    draws = sf.bootstrap(
        copied, both, 10, method="clusters", by=text_option(shared, "by"), progress=False
    )
    assert draws.method == sf.bootstrap(copied, both, 10, progress=False).method
    parabolas = refused(lambda: sf.isoflop(both, responses=["code", "web"]))
    assert "loss='code' instead of responses" in parabolas
    sf.isoflop(both, loss="code")
    lacking = refused(lambda: copied.residuals(both.drop(columns="web")))
    surface = value_of(balanced(lacking, "fit.at("), fit=copied)
    assert len(surface.residuals(both.drop(columns="web"))) == len(both)
    unnamed = refused(lambda: copied.residuals(both, loss="code"))
    chosen = value_of(balanced(unnamed, "fit.at("), fit=copied)
    assert len(chosen.residuals(both, loss="code")) == len(both)
    drawn = refused(lambda: sf.covariance(surface, both))
    sf.bootstrap(copied, both, n_draws=4, progress=False).at(response="code")
    return [one, named, scale, shared, parabolas, lacking, unnamed, drawn]


@case
def tables_of_too_many_rows_are_read_by_pandas():
    messages = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as limit:
        limit.setattr(limits, "MOST_ROWS", 20)
        for kind, write in {
            "csv": lambda path: runs().to_csv(path, index=False),
            "tsv": lambda path: runs().to_csv(path, index=False, sep="\t"),
            "parquet": lambda path: runs().to_parquet(path),
            "jsonl": lambda path: runs().to_json(path, orient="records", lines=True),
        }.items():
            path = Path(folder, f"runs.{kind}")
            write(path)
            message = refused(lambda path=path: sf.read(path))
            table = called(message, "LossTable.from_frame(", pandas=pd)
            assert len(table) == (len(runs()) if kind == "parquet" else 20)
            messages.append(message)
    return messages


@case
def a_table_that_is_not_the_registered_one_is_read_as_ones_own():
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as named:
        runs().to_csv(Path(folder, "mpt_overtrained.csv"), index=False)
        named.setenv("SCALEFIT_DATA", folder)
        message = refused(lambda: sf.datasets.load("mpt_overtrained"))
        assert len(called(message, "scalefit.read(")) == len(runs())
    return message


# Tracked runs


@cache
def tracked() -> Any:
    """Two runs whose end nothing tells of, but for the steps that were planned."""
    history = pd.DataFrame(
        {"run": list("aabb"), "_step": [10, 20, 10, 20], "loss": [4.0, 3.0, 3.9, 2.9]}
    )
    return sf.trackers.wandb(history).with_config({run: {"n_params": 1e8} for run in "ab"})


@case
def runs_of_unknown_end_are_told_how_long_they_were_to_be():
    table = tracked().table("loss", tokens_per_step=1e6)
    message = noted(table, "run_end_unknown")
    assert "planned=, a number" in message
    assert tracked().table("loss", tokens_per_step=1e6, planned=20).notes == ()
    return message


@case
def unfinished_runs_are_kept_on_demand():
    message = refused(lambda: tracked().table("loss", tokens_per_step=1e6, planned=1000))
    kept = option(message, "include")
    assert len(tracked().table("loss", tokens_per_step=1e6, planned=1000, include=kept)) == 2
    return message


@case
def charts_of_averages_are_replaced_by_histories():
    steps = {"Step": [0, 1], "a - loss": [4.0, 3.0]}
    chart = pd.DataFrame({**steps, "a - loss__MIN": [3.9, 2.9], "a - loss__MAX": [4.1, 3.1]})
    message = noted(sf.trackers.wandb(chart), "binned_history")
    assert "run.scan_history()" in message
    history = pd.DataFrame([{"_step": 0, "loss": 4.1}, {"_step": 1, "loss": 2.9}])
    assert sf.trackers.wandb(history).notes == ()
    return message


# Laws that a budget is not divided under


@case
def laws_of_one_column_are_asked_in_that_column():
    def ask(**level):
        message = refused(lambda: sf.allocate(of_compute(), **level))
        return message, called(message, "allocate(", fit=of_compute())

    p = of_compute().params
    dollars = sf.allocation.cost(source="a test", unit="USD")(lambda N, D: 1e-18 * N * D)
    _, best = ask(usd=1e18, cost=dollars)
    assert best["x"] == pytest.approx(1e18, rel=1e-6) and best.unit == "USD"
    message = refused(lambda: sf.allocate(of_compute(), loss=2.9))
    # The inverse in closed form.
    found = called(message, "scalefit.inverse_predict(", fit=of_compute())
    assert found.value == pytest.approx(((2.9 - p["E"]) / p["A"]) ** (-1 / p["alpha"]), rel=1e-9)
    other = refused(lambda: sf.allocate(of_compute(), flops=1e21))
    loss = called(other, "fit.predict(", fit=of_compute())
    assert loss == pytest.approx(of_compute().predict(x=1e21), rel=1e-9)
    return message, other


@case
def laws_of_compute_and_ratio_find_the_best_ratio():
    law, truth = "chinchilla_overtrained", {"E": 1.5, "a": 100.0, "b": 150.0, "eta": 0.12}
    design = pd.DataFrame(
        [(C, M) for C in np.geomspace(1e17, 1e21, 5) for M in (5.0, 20.0, 80.0, 320.0, 640.0)],
        columns=["C", "M"],
    )
    found = sf.fit(sf.simulate(design, law, truth, noise=0.0), law)
    message = refused(lambda: sf.allocate(found, 1e21))
    best = called(message, "allocate(", fit=found)
    # (b / a)^(1 / (2 eta)), the law's docstring; 5.42, just above the lower end of the runs.
    assert best["M"] == pytest.approx((150 / 100) ** (1 / 0.24), rel=1e-5)
    return message


@case
def laws_of_n_or_d_alone_hold_the_other():
    messages = []
    for law, bought in (("chinchilla_n", "N"), ("chinchilla_d", "D")):
        one = sf.fit(runs(), law)
        messages.append(refused(lambda one=one: sf.allocate(one, 1e21)))
        best = called(messages[-1], "allocate(", fit=one)
        (fixed,) = option(messages[-1], "fixed").values()
        assert best[bought] == pytest.approx(1e21 / 6 / fixed, rel=1e-9)
    return messages


@case
def held_on_both_sides_leaves_one_out():
    message = refused(lambda: sf.allocate(fit(), 1e21, fixed={"N": 1e9, "D": 1e10}))
    assert "Leave D out of fixed" in message
    assert sf.allocate(fit(), 1e21, fixed={"N": 1e9}).D == pytest.approx(1e21 / 6e9)
    return message


@case
def costs_of_other_columns_are_replaced():
    message = refused(lambda: sf.allocate(fit(), 1e21, cost=lambda steps: steps))
    assert sf.allocate(fit(), 1e21, cost=text_option(message, "cost")).N > 0
    return message


@case
def laws_without_any_budget_are_predicted_with():
    mix = sf.simulate(
        pd.DataFrame([(a, b) for a in (0.1, 0.3, 0.6) for b in (0.1, 0.2, 0.3)]).set_axis(
            ["share1", "share2"], axis=1
        ),
        "data_mixture",
        {"c": 2.0, "k": 0.5, "t_share1": -1.0, "t_share2": 0.5}
        if "t_share1" in sf.laws.find("data_mixture").names
        else dict(zip(sf.laws.find("data_mixture").names, (2.0, 0.5, -1.0, 0.5), strict=True)),
        noise=0.0,
    )
    found = sf.fit(mix, "data_mixture")
    message = refused(lambda: sf.allocate(found, 1e21))
    assert np.isfinite(called(message, "fit.predict(", fit=found))
    return message


@case
def columns_neither_free_nor_held_are_held_or_freed():
    limited = sf.published("data_constrained", "muennighoff")
    message = refused(lambda: sf.allocate(limited, 1e21))
    assert sf.allocate(limited, 1e21, fixed=option(message, "fixed")).N > 0
    assert sf.allocate(limited, 1e21, free=option(message, "free")).N > 0
    ranged = refused(lambda: sf.allocate(limited, 1e21, free={"U": None}))
    assert sf.allocate(limited, 1e21, free=option(ranged, "free")).N > 0
    return message, ranged


@case
def tokens_are_limited_and_not_listed():
    free = {"N": [1e9, 1e10], "D": [1e9, 1e10]}
    message = refused(lambda: sf.allocate(fit(), 1e21, free=free))
    (name,) = re.search(r"limits=\{'(\w+)': \.\.\.\}", message).groups()
    assert sf.allocate(fit(), 1e21, free={"N": free["N"]}, limits={name: 1e12}).D > 1e9
    assert sf.allocate(fit(), 1e21, fixed={name: 1e10}).N > 0
    return message


@sf.law(source="a test: more parameters always win")
def lopsided(
    N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, a: sf.laws.Exponent, b: sf.laws.Exponent
):
    """E + A N^-a D^-b"""
    return E + A * N**-a * D**-b


@case
def surfaces_without_an_optimum_are_limited():
    truth = {"E": 1.5, "A": 500.0, "a": 0.3, "b": 0.1}
    found = sf.fit(sf.simulate(runs()[["N", "D"]], lopsided, truth, noise=0.001), lopsided)
    message = refused(lambda: sf.allocate(found, 1e21))
    most = option(message, "limits")["N"]
    best = sf.allocate(found, 1e21, limits=option(message, "limits"))
    assert best.N == pytest.approx(most, rel=1e-6)
    return message


@case
def budgets_and_costs_share_a_unit():
    message = refused(lambda: sf.allocate(fit(), usd=1e6))
    assert "Give flops=" in message
    assert sf.allocate(fit(), flops=1e21).N > 0
    return message


@case
def intervals_are_asked_of_ensembles():
    def opened(message, call):
        assert call in message
        return message

    best = sf.allocate(fit(), 1e21)
    messages = [opened(refused(lambda: best.estimate("N")), "allocate(scalefit.bootstrap(fit, ru")]
    assert sf.allocate(draws(), 1e21).estimate("N").se > 0
    region, waste = sf.near_optimal(fit(), 1e21), sf.deadweight(fit(), 1e9, 2e10)
    messages.append(opened(refused(lambda: region.estimate("low")), "near_optimal(scalefit.boot"))
    assert sf.near_optimal(draws(), 1e21).estimate("low").se > 0
    messages.append(opened(refused(lambda: waste.estimate("share")), "deadweight(scalefit.bootst"))
    assert sf.deadweight(draws(), 1e9, 2e10).estimate("share").se > 0
    ratio = sf.compute_multiplier(fit(), fit(), 1e21)
    messages.append(opened(refused(ratio.interval), "bootstrap(fit, runs)"))
    assert sf.compute_multiplier(draws(), draws(), 1e21).interval()[0] > 0
    return messages


@case
def intervals_of_sweeps_are_asked_of_ensembles():
    found = sf.isoflop(runs())
    messages = [
        refused(lambda: sf.approach2.attribute_bias(fit(), found, 1e22).estimate("gap")),
        refused(lambda: sf.bias(fit(), found, runs(), 1e22, n_draws=0).estimate("D")),
        refused(lambda: sf.approach2.design_bias(fit(), runs(), 1e22).estimate("D_error")),
    ]
    assert np.isfinite(sf.approach2.attribute_bias(draws(), found, 1e22).estimate("gap").se)
    given = sf.bias(draws(), found, runs(), 1e22, n_draws=0)
    assert given.estimate("D").se > 0
    assert np.isfinite(sf.approach2.design_bias(draws(), runs(), 1e22).estimate("D_error").se).all()
    return messages


# Fits


MANY_HELD = {
    "groups": {"A": "kind"},
    "bounds": {"A": (600.0, 700.0)},
    "fixed": {"E": 1.69, "B": 410.7, "alpha": 0.34, "beta": 0.28},
}


def of_many():
    """Runs of twelve kinds."""
    frame = runs()
    return frame.assign(kind=np.arange(len(frame)) % 12)


@case
def bounds_are_widened_as_said():
    limited = [
        (runs(), "chinchilla", {"bounds": {"alpha": (0.5, 1.0)}}),
        (runs(), "chinchilla", {"bounds": {"beta": (0.01, 0.2)}}),
        (runs(), "chinchilla", {"bounds": {"alpha": (0.5, 1.0)}, "tied": [("alpha", "beta")]}),
        (runs(), "chinchilla", {"bounds": {"E": (2.0, 9.0)}}),
        (rising(), "power_offset", {"x": "C"}),
        (rising(), "power", {"x": "C"}),
        (of_many(), "chinchilla", MANY_HELD),
    ]
    messages = []
    for table, law, options in limited:
        fixed = sf.fit(table, law, **options)
        message = noted(fixed, "at_bound")
        wider = options.get("bounds", {}) | option(message, "bounds")
        free = sf.fit(table, law, **{**options, "bounds": wider})
        assert free.objective_value < fixed.objective_value
        messages.append(message)
    return messages


@case
def responses_that_rise_are_fitted_as_said():
    x = np.geomspace(1.0, 1e4, 20)
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(20))
    grown = pd.DataFrame({"C": x, "loss": 0.3 * x**0.5 * noise})
    assert "response_rises" not in [note.code for note in of_compute().notes]
    # Accuracies less what guessing reaches, the first below zero.
    passed = pd.DataFrame({"C": x, "accuracy": 0.1 * np.log(x) - 0.03 + 0.001 * noise})
    raw = {"residual": "raw", "robust": "none"}
    kinds = ("power_offset", "logarithmic", "signed_power")
    messages = []
    # The one levels off, another grows as a power: each has a remedy that fits it.
    for table, place, truth, response in (
        (rising(), 0, {"alpha": 0.154}, {}),
        (passed, 1, {"b": 0.1}, {"loss": "accuracy"}),
        (grown, 2, {"b": 0.5}, {}),
    ):
        for law in ("power", "power_offset"):
            every = [raw, {"residual": "raw", "delta": 0.01}]
            for options in [{}, *every] if table is not passed else every:
                found = sf.fit(table, law, x="C", **response, **options)
                messages.append(noted(found, "response_rises"))
                others = [called(messages[-1], f"fit(runs, {kind!r}", runs=table) for kind in kinds]
                assert {fit.objective for fit in others} == {found.objective}
                assert min(others, key=lambda fit: fit.residual_rms) is others[place]
                for name, value in truth.items():
                    assert others[place].params[name] == pytest.approx(value, rel=0.02)
    return messages


def own_law(message: str) -> sf.laws.Law:
    """A power law of the user's own, declared as a message says."""
    kind = value_of(balanced(message, "Annotated["), Annotated=Annotated, **vars(sf.laws))

    def signed(x, *, A, alpha):
        return A * x**-alpha

    signed.__annotations__ = {"A": sf.laws.Amplitude, "alpha": kind}
    return sf.law(source="mine")(signed)


@case
def exponents_of_either_sign_are_declared_as_said():
    x = np.geomspace(1.0, 1e4, 20)
    grown = pd.DataFrame({"C": x, "loss": 0.3 * x**0.5})
    fixed = refused(lambda: sf.fit(grown, "power", x="C", fixed={"alpha": -0.5}))
    assert sf.fit(grown, own_law(fixed), x="C", fixed={"alpha": -0.5}).params["A"] == (
        pytest.approx(0.3, rel=1e-9)
    )
    bounded = refused(lambda: sf.fit(grown, "power", x="C", bounds={"alpha": (-1.0, 1.0)}))
    assert sf.fit(grown, own_law(bounded), x="C").params["alpha"] == pytest.approx(-0.5, rel=1e-6)
    falling = grown.assign(C=1 / grown["C"])
    assert sf.fit(falling, "power", x="C", bounds=option(bounded, "bounds")).status.usable

    def declare():
        @sf.law(source="mine")
        def signed(
            x, *, A: sf.laws.Amplitude, alpha: Annotated[sf.laws.Exponent, sf.laws.Bounds(-1, 1)]
        ):
            """A x^-alpha"""
            return A * x**-alpha

    declared = refused(declare)
    assert sf.fit(grown, own_law(declared), x="C").params["alpha"] == pytest.approx(-0.5, rel=1e-6)
    return fixed, bounded, declared


@case
def laws_that_cancel_are_written_as_said():
    def rare(solved):
        @sf.law(source="mine", response="passed")
        def passed(
            x: sf.laws.Positive,
            *,
            b: Annotated[sf.laws.Exponent, sf.laws.Bounds(0.1, 2.0)],
            s: Annotated[jax.Array, sf.laws.scale_of("x"), sf.laws.Bounds(1e8, 1e16)],
        ) -> sf.laws.Share:
            return solved((x / s) ** b)

        return passed

    x = np.geomspace(1, 1e4, 12)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    table = pd.DataFrame({"x": x, "passed": -np.expm1(-((1e-13 * x) ** 0.8)) * noise})
    message = noted(sf.fit(table, rare(lambda h: 1 - jnp.exp(-h))), "law_rounds")
    assert "-expm1(-x) for 1 - exp(-x)" in message
    kept = sf.fit(table, rare(lambda h: -jnp.expm1(-h)))
    assert kept.status is sf.Status.CONVERGED
    assert "law_rounds" not in {note.code for note in kept.notes}
    return message


@case
def too_few_runs_have_parameters_fixed():
    messages = []
    for law, columns in (
        ("chinchilla", {}),
        ("chinchilla_outer", {}),
        ("power", {"x": "C"}),
        ("power_offset", {"x": "C"}),
        ("farseer", {}),
    ):
        for count in range(1, len(sf.laws.find(law).names)):
            few = runs().iloc[[0, 8, 16, 22, 28, 13, 3, 26]].head(count)
            message = refused(lambda few=few, law=law, more=columns: sf.fit(few, law, **more))
            if "fix what is known" in message:
                fixed = sf.fit(few, law, fixed=option(message, "fixed"), certify=False, **columns)
                assert fixed.n_free == count
            messages.append(message)
    return messages


@case
def columns_that_do_not_vary_have_a_law_of_the_other():
    messages = []
    for name, value in (("N", 1e9), ("D", 1e10)):
        still = runs().assign(**{name: value})
        messages.append(refused(lambda still=still: sf.fit(still)))
        assert called(messages[-1], "fit(", runs=still).status.usable
    ladder = runs().assign(D=20 * runs()["N"])
    messages.append(refused(lambda: sf.fit(ladder)))
    assert called(messages[-1], "fit(", runs=ladder).nobs == len(ladder)
    return messages


@case
def ranges_without_an_end_are_bounded():
    @sf.law(source="a test")
    def shifted(N, D, *, E: sf.laws.Offset, A: sf.laws.Amplitude, k: sf.laws.Coefficient):
        return E + A * (D / N) ** k

    message = refused(lambda: sf.fit(runs(), shifted))
    assert "bounds={'k': (lower, upper)}" in message
    assert sf.fit(runs(), shifted, bounds={"k": (-1.0, 1.0)}).nobs == len(runs())
    return message


@case
def losses_without_a_logarithm_are_fitted_raw():
    shifted = runs().assign(loss=runs()["loss"] - 4.0)
    message = refused(lambda: sf.fit(shifted))
    free = {"E": (-9.0, 9.0)}
    found = sf.fit(shifted, residual=text_option(message, "residual"), bounds=free)
    assert found.params["E"] < 0
    return message


@case
def envelopes_stand_beside_a_huber_fit():
    message = noted(sf.fit(runs(), robust="asymmetric", asymmetry=4.0), "lower_envelope")
    assert sf.fit(runs(), robust=text_option(message, "robust")).status.usable
    return message


@sf.law(source="a test: its scale inside the power")
def scaled(N, *, Nc: Annotated[Any, sf.laws.scale_of("N")], alpha: sf.laws.Exponent):
    """(Nc / N)^alpha"""
    return (Nc / N) ** alpha


@case
def laws_without_linear_parameters_are_rewritten():
    N = np.geomspace(1e6, 1e10, 12)
    table = pd.DataFrame({"N": N, "loss": (8.8e9 / N) ** 0.3})
    message = noted(sf.fit(table, scaled), "not_separable")
    again = sf.fit(table, "power", x="N")
    assert "not_separable" not in [note.code for note in again.notes]
    assert again.params["alpha"] == pytest.approx(0.3, rel=1e-9)
    return message


@case
def scales_of_columns_with_zeros_get_bounds():
    own = Annotated[Any, sf.laws.scale_of("s"), sf.laws.Bounds(0.1, 100.0)]

    @sf.law(source="mine")
    def of_s(s, *, A: sf.laws.Amplitude, s0: Annotated[Any, sf.laws.scale_of("s")]):
        """A / (1 + (s / s0)^2)"""
        return A / (1 + (s / s0) ** 2)

    @sf.law(source="mine")
    def bounded(s, *, A: sf.laws.Amplitude, s0: own):
        """A / (1 + (s / s0)^2)"""
        return A / (1 + (s / s0) ** 2)

    s = np.linspace(0.0, 9.0, 20)
    table = pd.DataFrame({"s": s, "loss": 2 / (1 + (s / 3) ** 2)})
    message = refused(lambda: sf.fit(table, of_s))
    assert sf.fit(table, bounded).params["s0"] == pytest.approx(3.0, rel=1e-6)
    return message


@case
def laws_are_written_as_said():
    def plain(N, *, A: sf.laws.Amplitude, alpha: sf.laws.Exponent):
        return A * N**-alpha

    messages = [refused(lambda: sf.fit(runs(), plain))]
    assert sf.fit(runs(), sf.law(source="...")(plain)).nobs == len(runs())

    def bare(N, A: sf.laws.Amplitude):
        return A * N

    messages.append(refused(lambda: sf.law(source="mine")(bare)))
    scope: dict[str, Any] = {"Offset": sf.laws.Offset}
    header = balanced(messages[-1], "def mine(").replace(", ...", "")
    exec(f"{header}:\n    return E + 0 * N + 0 * D", scope)
    assert sf.law(source="mine")(scope["mine"]).columns == ("N", "D")

    def unparted(N, A):
        return A * N

    messages.append(refused(lambda: sf.law(source="mine")(unparted)))

    def unkind(N, *, A):
        return A * N

    messages.append(refused(lambda: sf.law(source="mine")(unkind)))
    unkind.__annotations__["A"] = value_of(
        balanced(messages[-1], "Annotated["), Array=Any, Annotated=Annotated, **vars(sf.laws)
    )
    assert sf.law(source="mine")(unkind).names == ("A",)

    @sf.law(source="mine")
    def wild(N, *, A: sf.laws.Amplitude, k: Annotated[Any, sf.laws.Kind("rate", 1.0, 1e6)]):
        """A exp(k N)"""
        import jax.numpy as jnp

        return A * jnp.exp(k * N)

    narrowed = Annotated[Any, sf.laws.Kind("rate", 1.0, 1e6), sf.laws.Bounds(-2.0, -0.1)]

    @sf.law(source="mine")
    def tame(N, *, A: sf.laws.Amplitude, k: narrowed):
        """A exp(k N)"""
        import jax.numpy as jnp

        return A * jnp.exp(k * N)

    small = pd.DataFrame({"N": np.linspace(1, 5, 12), "loss": np.exp(-0.5 * np.linspace(1, 5, 12))})
    messages.append(refused(lambda: sf.fit(small, wild)))
    assert sf.fit(small, tame).params["k"] == pytest.approx(-0.5, rel=1e-6)

    @sf.law(source="mine")
    def steep(N, *, A: sf.laws.Amplitude, k: Annotated[Any, sf.laws.Kind("rate", -1.0, 500.0)]):
        """A exp(k N)"""
        import jax.numpy as jnp

        return A * jnp.exp(k * N)

    messages.append(refused(lambda: sf.fit(small, steep)))
    fitted = sf.fit(small, steep, bounds=option(messages[-1], "bounds"))
    assert fitted.params["k"] == pytest.approx(-0.5, rel=1e-6)
    return messages


@case
def signatures_are_written_as_said():
    def own(loss, *, E: sf.laws.Offset):
        return E * loss

    messages = [refused(lambda: sf.law(source="mine")(own))]
    assert called(messages[-1], "law(")(own).response == "accuracy"

    def fixed(N, *, E: sf.laws.Offset = 1.7, A: sf.laws.Amplitude, a: sf.laws.Exponent):
        return E + A * N**-a

    messages.append(refused(lambda: sf.law(source="mine")(fixed)))
    fixed.__kwdefaults__ = None
    assert sf.fit(runs(), sf.law(source="mine")(fixed), fixed={"E": 1.7}).params["E"] == 1.7

    def tupled(N, *, A: sf.laws.Amplitude, a: Annotated[sf.laws.Exponent, (0.1, 1.0)]):
        return A * N**-a

    messages.append(refused(lambda: sf.law(source="mine")(tupled)))
    lower, upper = 0.1, 1.0
    bounds = called(messages[-1], "Bounds(", lower=lower, upper=upper, **vars(sf.laws))
    tupled.__annotations__["a"] = Annotated[sf.laws.Exponent, bounds]
    assert sf.law(source="mine")(tupled).params[1].kind.upper == 1.0
    assert called(messages[-1], "By(", **vars(sf.laws)).columns == ("format",)

    def seeded(seed, *, A: sf.laws.Amplitude):
        return A * seed

    messages.append(refused(lambda: sf.law(source="mine")(seeded)))

    def renamed(seed_, *, A: sf.laws.Amplitude, a: sf.laws.Exponent):
        return A * seed_**-a

    column = text_option(messages[-1], "seed_")
    table = runs().drop(columns="seed").rename(columns={"N": "seed"})
    assert sf.fit(table, sf.law(source="mine")(renamed), seed_=column).nobs == len(table)
    return messages


# Tables and predictions


@case
def predictions_name_the_columns_of_the_law():
    message = refused(lambda: of_compute().predict(D=1e21))
    assert "x is its column 'C'" in message
    assert np.isfinite(value_of("fit." + balanced(message, "predict("), fit=of_compute()))
    both = refused(lambda: labelled().predict(N=1e9))
    assert np.isfinite(value_of("fit." + balanced(both, "predict("), fit=labelled()))
    return message, both


@case
def surfaces_are_chosen_as_said():
    message = refused(lambda: sf.allocate(labelled(), 1e21))
    one = called(message, "fit.at(", fit=labelled())
    assert sf.allocate(one, 1e21).N > 0
    which = refused(lambda: labelled().at(format="fp8"))
    levels = value_of(f"dict({re.search(r'Say which: (.*?)[.] Levels', which)[1]})")
    assert labelled().at(**levels).params["A"] > 0
    return message, which


@case
def rows_are_left_out_as_said():
    gap = runs().assign(val_loss=runs()["loss"].where(runs().index != 3)).drop(columns="loss")
    missing = refused(lambda: sf.fit(gap, loss="val_loss"))
    assert sf.fit(gap, loss="val_loss", keep=text_option(missing, "keep")).nobs == len(gap) - 1
    assert sf.fit(gap, loss="val_loss", missing=text_option(missing, "missing")).nobs == 29
    how = refused(lambda: sf.fit(gap, loss="val_loss", missing="dorp"))
    assert text_option(how.partition("Pass ")[2], "missing") == "drop"
    endless = runs().assign(loss=runs()["loss"].where(runs().index != 3, np.inf))
    diverged = refused(lambda: sf.fit(endless))
    assert sf.fit(endless, keep=text_option(diverged, "keep")).nobs == len(runs()) - 1
    far = runs().assign(U=np.where(runs().index == 3, np.inf, 1e12))
    infinite = refused(lambda: sf.fit(far, "data_constrained", certify=False))
    table = sf.LossTable.from_frame(far, keep=text_option(infinite, "keep"))
    assert len(table.column("U")) == len(runs()) - 1
    small = runs().assign(U=1e-200 * np.arange(1, 31))
    unit = refused(lambda: sf.LossTable.from_frame(small).column("U"))
    mended = called(unit, "runs.assign(", runs=small)
    assert sf.LossTable.from_frame(mended).column("U").min() > 0.01
    unlabelled = runs().assign(corpus=runs()["corpus"].where(runs().index != 3))
    by = refused(lambda: sf.fit(unlabelled, groups={"A": "corpus"}))
    assert sf.fit(unlabelled, groups={"A": "corpus"}, keep=text_option(by, "keep")).nobs == 29
    rule = refused(lambda: sf.fit(runs(), keep=[3]))
    assert sf.fit(runs(), keep=text_option(rule, "keep")).status.usable
    assert called(rule, "frame[", frame=runs()).shape[1] == runs().shape[1]
    levels = refused(lambda: sf.fit(pd.concat({"run": runs()}, axis=1)))
    assert sf.fit(called(levels, "frame.droplevel(", frame=pd.concat({"run": runs()}, axis=1)))
    dated = refused(lambda: sf.fit(runs(), keep="x" * 20_000))
    assert called(dated, "frame[", frame=runs()).shape[1] == runs().shape[1]
    return missing, how, diverged, infinite, unit, by, rule, levels, dated


@case
def columns_are_named_as_said():
    twice = runs().rename(columns={"loss": "eval_loss"}).assign(val_loss=runs()["loss"])
    message = refused(lambda: sf.fit(twice))
    assert sf.fit(twice, loss=text_option(message, "loss")).status.usable
    absent = refused(lambda: sf.fit(curve(), "power_offset"))
    assert text_option(absent, "x") == "..."
    assert sf.fit(curve(), "power_offset", x="C").status.usable
    two = runs().rename(columns={"C": "flops"}).assign(budget=1e20)
    noted_ = noted(sf.fit(two), "ambiguous_column")
    name, header = re.search(r"(\w+)='(\w+)'", noted_).groups()
    assert sf.fit(two, **{name: header}).status.usable
    lacking = refused(lambda: sf.fit(runs().drop(columns="D")))
    filled = called(lacking, "runs.assign(", runs=runs().drop(columns="D"))
    assert sf.fit(filled).params["beta"] == pytest.approx(fit().params["beta"], rel=1e-6)
    array = runs()[["N", "D", "loss"]].to_numpy()
    frame = refused(lambda: sf.LossTable.from_frame(array))
    assert sf.fit(called(frame, "pandas.DataFrame(", pandas=pd, runs=array)).nobs == 30
    wide = pd.DataFrame({"D": [1e9, 2e9], "7e7": [3.5, 3.4], "1.6e8": [3.3, 3.1], "1e9": 3.0})
    melt = refused(lambda: sf.fit(wide))
    assert len(sf.read(called(melt, "runs.melt(", runs=wide))) == 6
    short = {"N": pd.Series([1, 2]), "D": [1, 2], "loss": pd.Series([3.0, 2.0], index=[1, 2])}
    labels = refused(lambda: sf.read(short))
    pairs = {name: pd.Series(values) for name, values in short.items()}
    assert len(called(labels, "pandas.concat(", pandas=pd, runs=pairs)) == 3
    assert len(sf.read(called(labels, "{name:", runs=short))) == 2
    header = refused(lambda: sf.fit(runs(), N=3.5))
    assert text_option(header, "N") == "..."
    assert sf.fit(runs(), N="N").nobs == 30
    return message, absent, noted_, lacking, frame, melt, labels, header


@case
def documents_of_other_laws_are_read_with_them():
    truth = {"E": 1.5, "A": 500.0, "a": 0.3, "b": 0.1}
    found = sf.fit(sf.simulate(runs()[["N", "D"]], lopsided, truth, noise=0.001), lopsided)
    message = refused(lambda: sf.Fit.from_json(found.to_json()))
    call = balanced(message, "Fit.from_json(").replace("...", "mine")
    assert value_of(call, text=found.to_json(), mine=lopsided).params == found.params
    return message


# Uncertainty


@case
def clusters_are_given_as_said():
    messages = [refused(lambda: sf.bootstrap(fit(), runs(), n_draws=20, method="clusters"))]
    assert len(sf.bootstrap(fit(), runs(), n_draws=20, method="clusters", by="corpus")) == 20
    messages.append(refused(lambda: sf.bootstrap(fit(), runs(), n_draws=20, by="corpus")))
    for method in re.findall(r"'(\w+)'", messages[-1].partition("Use method=")[2]):
        assert len(sf.bootstrap(fit(), runs(), n_draws=20, method=method, by="corpus")) == 20
    messages.append(refused(lambda: sf.covariance(fit(), runs(), method="jacobian", by="corpus")))
    assert (
        sf.covariance(fit(), runs(), method="sandwich", by="corpus").conf_int().notna().all().all()
    )
    messages.append(refused(lambda: sf.covariance(fit(), runs(), by="pair")))
    assert sf.covariance(fit(), runs(), method="jacobian").conf_int().notna().all().all()
    return messages


@case
def few_clusters_are_compared_where_that_is_possible():
    three, two = (
        noted(sf.bootstrap(fit(), runs(), n_draws=20, method="wild", by=by), "few_clusters")
        for by in ("seed", "pair")
    )
    assert called(three, "covariance(", fit=fit(), runs=runs()).df == 2
    # Of two clusters there is no standard error to compare with.
    assert "covariance(" not in two
    return three, two


@case
def runs_that_determine_something_alone_take_the_jacobian():
    messages = []
    for by in (None, "corpus"):
        alone = runs().assign(corpus=np.where(runs().index < 20, 0, runs().index))
        alone = alone.iloc[[*range(0, 20, 2), 25]].assign(corpus=[*range(10), 99])
        alone["kind"] = ["usual"] * 10 + ["other"]
        found = sf.fit(alone, groups={"A": "kind"})
        messages.append(noted(sf.covariance(found, alone, by=by), "determined_alone"))
        assert ("without by=" in messages[-1]) == (by is not None)
        method = text_option(messages[-1], "method")
        assert sf.covariance(found, alone, method=method).df > 0
    return messages


@case
def all_replicates_are_searched_on_demand():
    messages = []
    for law, noise, code in (
        ("chinchilla_outer", 0.003, "few_searched"),
        ("chinchilla_nonembedding", 0.02, "other_minima"),
    ):
        table = sf.simulate(sf.simulation.isoflop_design(points=6), noise=noise, seed=0)
        found = sf.fit(table, law, robust="none", certify=False)
        messages.append(noted(sf.bootstrap(found, table, n_draws=60), code))
        searched = float(re.search(r"global_search=([\d.]+) searches all", messages[-1])[1])
        every = sf.bootstrap(found, table, n_draws=60, global_search=searched)
        assert every.replicates.global_search.all()
    return messages


@case
def lower_envelopes_have_no_posterior():
    pytest.importorskip("blackjax")
    lower = sf.fit(runs(), robust="asymmetric")
    message = refused(lambda: sf.posterior(lower, runs(), n_draws=100, chains=1))
    for robust in re.findall(r"'(\w+)'", message.partition("robust=")[2]):
        assert sf.fit(runs(), robust=robust).status.usable
    assert len(sf.bootstrap(lower, runs(), n_draws=20)) == 20
    return message


@case
def columns_that_hold_no_numbers_are_replaced():
    dated = runs().assign(N=pd.Timestamp("2024-01-01"), params=runs()["N"])
    message = refused(lambda: sf.fit(dated, N="N"))
    assert text_option(message, "N") == "..."
    assert sf.fit(dated, N="params").nobs == len(dated)
    return message


@case
def strata_of_laws_without_budgets_are_named():
    one = sf.fit(curve().assign(corpus=curve().index % 4), "power_offset", x="C")
    table = curve().assign(corpus=curve().index % 4)
    message = refused(lambda: sf.bootstrap(one, table, n_draws=20, method="strata", x="C"))
    by = text_option(message, "by")
    assert len(sf.bootstrap(one, table, n_draws=20, method="strata", by=by, x="C")) == 20
    return message


@case
def profiles_of_absolute_residuals_use_another_objective():
    absolute = sf.fit(runs(), robust="l1")
    message = refused(lambda: sf.profile(absolute, runs(), "alpha"))
    small = sf.fit(runs(), robust=text_option(message, "robust"), delta=1e-4)
    assert sf.profile(small, runs(), "alpha").closed == (True, True)
    return message


@case
def posteriors_have_an_end_where_a_term_is_bounded():
    pytest.importorskip("blackjax")
    none = runs().assign(loss=2 + 400 * runs()["D"] ** -0.3 + 0.02 * np.log(runs()["N"]))
    found = sf.fit(none, certify=False)
    assert found.params["A"] == 0.0
    message = refused(lambda: sf.posterior(found, none, n_draws=100, chains=1))
    bounded = sf.fit(none, bounds=option(message, "bounds"), certify=False)
    assert len(sf.posterior(bounded, none, n_draws=100, chains=1)) == 100
    return message


# Sweeps


@case
def sweeps_are_grouped_as_said():
    one = runs()[runs()["C"] < 2e17]
    messages = [refused(lambda: sf.isoflop(one))]
    with pytest.raises(sf.ScalefitError):
        sf.isoflop(one, tolerance=0.1)
    assert called(messages[-1], "scalefit.fit(", runs=runs()).status.usable
    spread = runs().assign(C=runs()["C"] * np.exp(0.02 * (runs().index % 6)), budget=runs()["C"])
    wide = sf.isoflop(spread, by="budget", C="C")
    narrow = sf.isoflop(runs(), tolerance=0.01)
    assert wide.n_law.budgets == narrow.n_law.budgets == 5
    messages.append(refused(lambda: sf.approach2.design_bias(fit(), one, 1e22)))
    assert len(sf.approach2.design_bias(fit(), runs(), 1e22).target) == 1
    return messages


@case
def wide_budgets_are_named_or_narrowed():
    spread = sf.simulation.isoflop_design(points=6)
    factor = np.exp(0.045 * (spread.index % 6 - 2.5))
    runs_ = sf.simulate(spread.assign(D=spread["D"] * factor, C=spread["C"] * factor), noise=0.001)
    runs_["sweep"] = spread["C"]
    message = noted(sf.isoflop(runs_), "isoflop_wide_budget")
    assert sf.isoflop(runs_, by="sweep").n_law.budgets == 5
    lower = sf.isoflop(sf.simulate(spread, noise=0.001), tolerance=0.001)
    assert "isoflop_wide_budget" not in [note.code for note in lower.notes]
    return message


@case
def parabolas_are_asked_for_where_they_are_judged():
    others = [
        name
        for name in inspect.get_annotations(sf.isoflop, eval_str=True)["method"].__args__
        if name != "parabola"
    ]
    found = sf.isoflop(runs(), method=others[0])
    message = refused(lambda: sf.approach2.attribute_bias(fit(), found, 1e22))
    again = sf.isoflop(runs(), method=text_option(message.partition("Use")[2], "method"))
    assert np.isfinite(sf.approach2.attribute_bias(fit(), again, 1e22).gap["ln_D"])
    budgets = refused(lambda: sf.approach2.attribute_bias(fit(), again, [1e22, 1e23]))
    flops = float(re.search(r"flops=([\de+.]+)", budgets)[1])
    assert np.isfinite(sf.approach2.attribute_bias(fit(), again, flops).gap["ln_D"])
    return message, budgets


@case
def budgets_that_say_nothing_are_left_out():
    flops = sf.isoflop(runs()).budgets["budget"].to_numpy()
    states = np.full((1 + len(CAUSES), 4), np.nan)
    message = refused(lambda: _require_minima(states, flops))
    assert called(message, "isoflop(", runs=runs()).n_law.budgets == len(flops) - 1
    return message


@case
def costs_that_buy_no_size_are_products():
    found = sf.isoflop(runs())
    message = refused(lambda: sf.bias(fit(), found, runs(), 1e22, cost=lambda N, D: 6 * N * D + N))
    cost = called(message, "scalefit.allocation.product(", k=7.0)
    made = sf.bias(fit(), found, runs(), 1e22, cost=cost, n_draws=0, objectives=False)
    assert made.deadweight >= 0
    return message


@case
def advice_is_given_what_it_lacks():
    exact = sf.fit(sf.simulate(sf.simulation.isoflop_design(), noise=0.0))
    silent = replace(exact, domain={}, residual_rms=0.0)
    messages = [refused(lambda: sf.approach2.advise(silent, 1e23, noise=0.003))]
    assert len(sf.approach2.advise(silent, 1e23, noise=0.003, span=(1e17, 1e21)).plans)
    unknown = replace(silent, residual_rms=np.nan)
    messages.append(refused(lambda: sf.approach2.advise(unknown, 1e23, span=(1e17, 1e21))))
    return messages


@case
def curves_of_one_run_are_named():
    one = pd.DataFrame({"N": 1e8, "D": np.geomspace(1e9, 1e10, 20)})
    message = refused(lambda: sf.approach2.envelope(sf.simulate(one, noise=0.0)))
    sizes = np.geomspace(1e7, 1e9, 6)
    many = pd.DataFrame(
        [(N, D, i) for i, N in enumerate(sizes) for D in N * np.geomspace(2, 500, 60)]
    )
    curves = sf.simulate(many.set_axis(["N", "D", "name"], axis=1), noise=0.0)
    assert sf.approach2.envelope(curves, run="name").n_law.exponent > 0
    return message


# Costs, hardware, pictures


@case
def flat_optima_have_a_region():
    flat = replace(fit(), params={**fit().params, "alpha": 0.01, "beta": 0.01})
    message = noted(sf.allocate(flat, 1e21), "flat_optimum")
    region = sf.near_optimal(fit(), 1e21, overhead=0.02)
    assert region.low < sf.allocate(fit(), 1e21).N < region.high
    return message


@case
def pictures_of_allocations_have_several_budgets():
    import matplotlib.pyplot as plt

    message = refused(lambda: sf.plot.allocation(sf.allocate(fit(), 1e21)))
    flops = value_of(balanced(message, "np.geomspace("))
    sf.plot.allocation(sf.allocate(fit(), flops))
    plt.close("all")
    return message


@case
def sources_of_laws_are_given_by_keyword():
    def plain(N, *, A: sf.laws.Amplitude, alpha: sf.laws.Exponent):
        return A * N**-alpha

    message = refused(lambda: sf.law("my notebook"))
    assert called(message, "scalefit.law(")(plain).source == "my notebook"
    return message


@case
def pictures_of_regions_have_one_budget():
    import matplotlib.pyplot as plt

    regions = sf.near_optimal(fit(), [1e21, 1e22])
    message = refused(lambda: sf.plot.region(regions, fit=fit()))
    sf.plot.region(called(message, "near_optimal(", fit=fit()), fit=fit())
    plt.close("all")
    return message


# Shapes


@cache
def shape_table() -> pd.DataFrame:
    return pd.DataFrame({"d_model": [512, 768], "n_layer": [8, 12], "n_head": [8, 12]})


@case
def columns_of_shapes_are_named_or_passed():
    fill = sf.shapes.fill
    lacking = shape_table().drop(columns="d_model")
    messages = [refused(lambda: fill(lacking, vocab=1000))]
    found = fill(lacking.assign(d=[512, 768]), vocab=1000, width="d")
    width = int(re.search(r"width=(\d+)", messages[0])[1])
    assert found["N"].is_monotonic_increasing and len(fill(lacking, vocab=1000, width=width)) == 2
    twice = shape_table().assign(hidden_size=[512, 768])
    messages.append(refused(lambda: fill(twice, vocab=1000)))
    assert len(fill(twice, vocab=1000, width=text_option(messages[-1], "width"))) == 2
    counted = shape_table().assign(tokens=1e9, D=1e9)
    messages.append(refused(lambda: fill(counted, vocab=1000)))
    tokens = text_option(messages[-1], "tokens")
    assert "C" in fill(counted, vocab=1000, tokens=tokens)
    return messages


@case
def rows_and_columns_of_shapes_are_left_out():
    there = shape_table().assign(N=1.0)
    messages = [refused(lambda: sf.shapes.fill(there, vocab=1000))]
    frame = called(messages[0], "runs.drop(columns=", runs=there)
    assert len(sf.shapes.fill(frame, vocab=1000)) == 2
    odd = shape_table().assign(n_head=[7, 12])
    messages.append(refused(lambda: sf.shapes.fill(odd, vocab=1000)))
    frame = called(messages[1], "runs.drop(index=", runs=odd)
    assert len(sf.shapes.fill(frame, vocab=1000)) == 1
    return messages


@case
def shapes_have_intervals_of_ensembles():
    rules = {"vocab": 32000, "head_size": 64}
    found = sf.shapes.nearest(fit(), 1e19, **rules)
    message = refused(lambda: found.estimate("loss"))
    assert "nearest(scalefit.bootstrap(fit, runs), " in message
    assert (sf.shapes.nearest(draws(), 1e19, **rules).estimate("loss").se > 0).all()
    return message


@case
def parameters_of_shapes_are_counted_as_their_flops():
    rules = {"vocab": 50304, "head_size": 64, "convention": "matmul"}
    message = noted(sf.shapes.nearest(fit(), 1e18, **rules), "free_parameters")
    for name in ("size", "convention"):
        value = re.findall(rf"\b{name}='(.*?)'", message)[-1]
        found = sf.shapes.nearest(fit(), 1e18, **{**rules, name: value})
        assert "free_parameters" not in {note.code for note in found.notes}
    return message


def mixed(**given: Any) -> Any:
    """The best of mixtures of three domains."""
    return sf.optimal_mixture(**{"fit": mixtures()[0], **given})


@cache
def mixtures() -> tuple[sf.Fit, pd.DataFrame]:
    law = sf.laws.mixture_of("web", "code")
    shares = [(i / 4, j / 4) for i in range(5) for j in range(5 - i)]
    table = sf.simulate(
        pd.DataFrame(shares, columns=["web", "code"]),
        law,
        {"c": 2.0, "k": 0.5, "t_web": -1.0, "t_code": -2.0},
        noise=0.001,
    )
    return sf.fit(table, law), table


@case
def mixtures_are_of_laws_with_shares():
    message = refused(lambda: sf.optimal_mixture(fit()))
    law = value_of(balanced(message, "scalefit.laws.mixture_of("))
    assert sf.optimal_mixture(sf.fit(mixtures()[1], law)).shares["code"] > 0
    return message


@case
def columns_beside_the_shares_are_given():
    runs = pd.DataFrame(np.random.default_rng(0).dirichlet(np.ones(2), 30), columns=list("ab"))
    sizes = {"N": np.geomspace(1e8, 1e10, 30), "D": np.tile([1e9, 1e10, 1e11], 10)}
    law = sf.laws.additive_mixture_of("a", "b")
    held = {"K": 0.5, "alpha": 0.3, "beta": 0.3, "c_b": 0.5, "g_a": 0.5, "g_b": 0.5}
    truth = {"E": 1.5, "A": 60.0, "B": 300.0, **held}
    table = sf.simulate(runs.assign(**sizes), law, truth, noise=0.001)
    sized = sf.fit(table, law, fixed=held)
    message = refused(lambda: sf.optimal_mixture(sized))
    assert sf.optimal_mixture(sized, at=option(message, "at")).shares["a"] > 0
    return message


@case
def scarce_tokens_are_of_a_run_of_some_tokens():
    unknown = refused(lambda: mixed(available={"code": 1e9}))
    tokens = float(re.findall(r"tokens=(\S+)", unknown)[0])
    assert mixed(available={"code": 1e10}, tokens=tokens).held("code") == "cap"
    every = dict.fromkeys(("web", "code", "rest"), 1e9)
    scarce = refused(lambda: mixed(available=every, tokens=2e10))
    part = float(re.findall(r"Train on (\S+) times", scarce)[0])
    more = float(re.findall(r"allow (\S+) times", scarce)[0])
    assert mixed(available=every, tokens=2e10 * part * 0.9999).loss > 0
    assert mixed(available=every, tokens=2e10, epochs=4 * more * 1.0001).loss > 0
    return unknown, scarce


@case
def a_domain_that_is_left_out_has_a_name_of_its_own():
    message = refused(lambda: mixed(rest="web"))
    assert text_option(message, "rest") in mixed(rest=text_option(message, "rest")).shares
    return message


@case
def shares_have_intervals_of_ensembles():
    found, table = mixtures()
    message = refused(lambda: mixed().estimate("web"))
    assert "optimal_mixture(scalefit.bootstrap(fit, runs), " in message
    drawn = sf.bootstrap(found, table, n_draws=8, progress=False)
    assert sf.optimal_mixture(drawn).estimate("web").se >= 0
    return message


# Patterns of messages that propose nothing to type: echoes of what was given, and calls within the
# package that a user does not make.
@case
def laws_of_one_column_are_compared_over_the_same_one():
    flat = {name: sf.fit(runs(), "power_offset", x=name) for name in ("C", "N")}
    other = refused(lambda: sf.compute_multiplier(flat["C"], flat["N"], 1e20))
    several = refused(lambda: sf.crossing(fit(), flat["C"]))
    for message in (other, several):
        column = text_option(message, "x")
        pair = [sf.fit(runs(), law, x=column) for law in ("power_offset", "power")]
        assert sf.compute_multiplier(*pair, 1e20).value > 0
    found = sf.crossing(*pair)
    same = called(several, "compute_multiplier(", fit=fit(), baseline=fit(), flops=1e20)
    assert float(same.value) == pytest.approx(1.0)
    absent = refused(lambda: found.estimate(99))
    assert (
        called(absent, "crossing(", first=pair[0], second=pair[1], low=1e10, high=1e30).value.size
        >= found.value.size
    )
    return [other, several, absent]


@case
def runs_that_bend_a_cell_are_left_out_by_their_rule():
    x = np.tile(np.geomspace(1e-4, 1e-2, 7), 3)
    cell = np.repeat([0, 1, 2], 7)
    loss = 2.5 + 0.1 * cell + 0.05 * np.log(x / 1e-3) ** 2
    loss = loss * np.exp(1e-4 * np.random.default_rng(0).standard_normal(21))
    loss[2] += 0.3
    swept = pd.DataFrame({"lr": x, "cell": cell, "loss": loss})
    message = noted(sf.approach2.vertices(swept, over="lr", by="cell"), "vertices_bent")
    rules = option(message, "rules")
    assert len(sf.approach2.vertices(swept, over="lr", by="cell", rules=rules).removed) == 1
    return message


@case
def designs_are_checked_with_losses_of_a_surface():
    plan = runs()[["N", "D"]]
    message = refused(lambda: sf.check(plan))
    assert called(message, "scalefit.check(", runs=plan).identifies
    return message


@case
def columns_that_move_together_are_told_apart_by_what_is_fixed():
    @sf.law(source="mine")
    def shaped(
        N: sf.laws.Positive,
        width: sf.laws.Positive,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        alpha: sf.laws.Exponent,
        B: sf.laws.Amplitude,
        beta: sf.laws.Exponent,
    ) -> Any:
        return E + A * N**-alpha + B * width**-beta

    rng = np.random.default_rng(0)
    N = np.geomspace(1e8, 1e10, 30)
    width = N**0.5 * np.exp(0.002 * rng.standard_normal(30))
    table = pd.DataFrame({"N": N, "width": width})
    table["loss"] = shaped.evaluate(
        table, {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 30.0, "beta": 0.5}
    ) * np.exp(0.003 * rng.standard_normal(30))
    message = noted(sf.check(table, shaped), "collinear_columns")
    fixed = option(message, "fixed")
    assert sf.fit(table, shaped, fixed=fixed).status.usable
    return message


@case
def next_runs_are_planned_from_draws_where_a_fit_does_not_do():
    plan = {"target": 1e22, "budget": 1e20, "count": 1}
    few = replace(draws(), usable=np.arange(len(draws())) < 4)
    sparse = refused(lambda: sf.next_runs(few, **plan))
    assert sf.next_runs(called(sparse, "scalefit.bootstrap(", fit=fit(), runs=runs()), **plan).spent
    grouped = sf.fit(runs(), groups={"E": "pair"})
    levels = refused(lambda: sf.next_runs(grouped, runs(), **plan))
    piece = balanced(levels, "next_runs(").removeprefix("next_runs(").rpartition(", ...")[0]
    piece = piece.replace("pair=...", "pair=0")
    assert sf.next_runs(value_of(piece, fit=grouped, runs=runs()), **plan).spent > 0
    held = sf.fit(runs(), bounds={"E": (0.0, 1.0)})
    assert held.diagnostics.at_bound
    bound = noted(sf.next_runs(held, runs(), **plan), "conditional_on_bound")
    assert called(bound, "scalefit.bootstrap(", fit=held, runs=runs()).failed < 1000
    far = noted(sf.next_runs(fit(), runs(), target=1e24, budget=1e22), "runs_outside")
    # N and D begin where those of the runs do, and this budget ends inside theirs.
    near = sf.next_runs(fit(), runs(), target=1e24, budget=1e20, limits={"D/N": (5.0, 200.0)})
    assert "limits=" in far and "runs_outside" not in {note.code for note in near.notes}
    small = runs().iloc[::5]
    little = sf.fit(small.iloc[:7])
    unknown = noted(sf.next_runs(little, small.iloc[:7], **plan), "noise_hardly_known")
    known = sf.next_runs(little, small.iloc[:7], noise=0.003, **plan)
    assert "noise=" in unknown
    assert "noise_hardly_known" not in {note.code for note in known.notes}
    return [sparse, levels, bound, far, unknown]


@case
def one_budget_has_a_best_size():
    sweep = runs()[runs()["C"] == runs()["C"].max()]
    message = noted(sf.check(sweep), "single_budget")
    assert len(called(message, "scalefit.approach2.vertices(", runs=sweep).to_frame()) == 1
    return message


@case
def known_errors_are_positive_and_in_the_unit_of_the_losses():
    squares = {"robust": "none"}
    size = refused(lambda: sf.fit(runs(), sigma=1e20, **squares))
    assert sf.fit(runs(), sigma=0.01, **squares).status.usable and "sigma=0.01" in size
    table = runs().assign(error=0.01)
    table.loc[table.index[3], "error"] = 0.0
    sign = refused(lambda: sf.fit(table, sigma="error", **squares))
    assert sf.fit(table, sigma="error", keep=text_option(sign, "keep"), **squares).nobs == 29
    known = sf.fit(runs(), sigma=0.01, **squares)
    drawn = refused(lambda: sf.posterior(known, runs()))
    assert len(called(drawn, "covariance(", fit=known, runs=runs()).standard_errors) == 5
    assert called(drawn, "bootstrap(", fit=known, runs=runs()).failed < 100
    return [size, sign, drawn]


@case
def comparisons_hold_out_more_runs():
    few = sf.compare(curve(), ["power", "power_offset"], x="C", test="C > 4e21")
    message = noted(few, "few_held_out")
    more = sf.compare(curve(), ["power", "power_offset"], x="C", hold=3)
    assert "hold=3" in message and len(more.held_out) > len(few.held_out)
    narrow = curve().assign(C=np.linspace(1000, 1100, 20))
    every = refused(lambda: sf.compare(narrow, ["power", "power_offset"], x="C"))
    named = text_option(every, "test")
    assert len(sf.compare(narrow, ["power", "power_offset"], x="C", test=named).held_out) == 4
    return [message, every]


@case
def what_a_diagnosis_shows_is_compared_or_divided_otherwise():
    table = sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.001, seed=1)
    table = table[["N", "D", "loss"]]
    x, y = (np.log10(table[name] / table[name].median()) for name in ("N", "D"))
    table["loss"] *= np.exp(0.006 * (x * y**2 - x))
    found = sf.diagnose(sf.fit(table), table)
    pattern = noted(found, "residual_pattern")
    piece = balanced(pattern, "scalefit.compare(").replace("[...]", "['chinchilla', 'kaplan']")
    assert value_of(piece, runs=table).best
    joined = noted(found, "blocks_joined")
    halves = table.assign(half=np.arange(len(table)) % 2)
    assert "by=" in joined and len(sf.diagnose(sf.fit(halves), halves, by="half").left_out)
    known = sf.published("chinchilla", "besiroglu")
    published = refused(lambda: sf.diagnose(known, runs()))
    assert called(published, "diagnose(", fit=sf.fit, runs=runs()).largest_swing is not None
    assert called(published, "scalefit.plot.predictions(", fit=known, runs=runs())
    return [pattern, joined, published]


@case
def laws_held_where_the_search_ends_have_wider_bounds():
    @sf.law(source="mine")
    def narrow(
        N: sf.laws.Positive,
        D: sf.laws.Positive,
        *,
        E: sf.laws.Offset,
        A: sf.laws.Amplitude,
        alpha: Annotated[sf.laws.Exponent, sf.laws.Bounds(0.05, 0.3)],
        B: sf.laws.Amplitude,
        beta: sf.laws.Exponent,
    ) -> Any:
        return E + A * N**-alpha + B * D**-beta

    message = noted(sf.compare(runs(), [narrow, "chinchilla_n"]), "held_at_search_bound")
    wider = {"narrow": {"law": narrow, "bounds": {"alpha": (0.05, 1.0)}}, "chinchilla_n": {}}
    found = sf.compare(runs(), wider)
    assert "bounds=" in message
    assert "held_at_search_bound" not in {note.code for note in found.notes}
    return message


@case
def what_has_no_effect_is_fixed_before_runs_are_planned():
    table = runs()[["N", "D"]]
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(len(table)))
    table = table.assign(loss=(1.7 + 400.0 * table["D"] ** -0.28) * noise * table["N"] ** 0.01)
    plan = {"target": {"N": 1e9, "D": 1e11}, "budget": 1e20, "count": 1}
    idle = sf.fit(table)
    message = refused(lambda: sf.next_runs(idle, table, **plan))
    named = message.partition(" has no effect")[0].split(", ")
    held = sf.fit(table, fixed={name: idle.params[name] for name in named})
    assert sf.next_runs(held, table, **plan).spent > 0
    return message


NOT_PROPOSED = (
    "describe no shape",
    "replicates need losses or weights",
    "the fitted loss does not depend on",
    "is not one of",
    "is neither an option of fit",
    "the condition number is",
    "is no number of",
    "many of the columns",
)

SLOW = {
    "next_runs_are_planned_from_draws_where_a_fit_does_not_do",
    "what_a_diagnosis_shows_is_compared_or_divided_otherwise",
    "intervals_of_sweeps_are_asked_of_ensembles",
    "posteriors_have_an_end_where_a_term_is_bounded",
    "too_few_runs_have_parameters_fixed",
    "what_is_said_of_a_search_for_skills_is_done",
}


@case
def regions_around_no_least_cost_are_asked_within_a_share():
    def memory(N):
        return 2.0 * N

    given = {"E": 1.5, "A": 400.0, "B": 400.0, "alpha": 0.3, "beta": 0.3, "gamma": 4e4}
    base = sf.fit(runs(), "chinchilla_nonembedding", certify=False)
    surface = replace(base, params=given, notes=())
    asked = {"flops": 1e22, "limits": {memory: 2e6}}
    message = refused(lambda: sf.near_optimal(surface, overhead=0.05, **asked))
    assert "within=0.01" in message
    assert sf.near_optimal(surface, within=0.01, **asked).high > 0
    return message


@case
def conventions_are_counted_alike():
    counted = runs().assign(C=1.4 * runs()["C"])
    why = sf.approach2.attribute_bias(sf.fit(counted), sf.isoflop(counted), 1e22)
    message = noted(why, "convention_decides")
    cost = called(message, "scalefit.allocation.measured(", runs=counted)
    alike = sf.approach2.attribute_bias(sf.fit(counted), sf.isoflop(counted), 1e22, cost=cost)
    assert "convention_decides" not in [note.code for note in alike.notes]
    return message


@case
def curves_are_enveloped():
    N, step = np.meshgrid(np.geomspace(3e7, 1e9, 8), np.arange(1, 61))
    curves = pd.DataFrame({"N": N.ravel(), "D": 1e9 * step.ravel()})
    curves = sf.simulate(curves, noise=0.01, seed=2)
    both = pd.concat([runs(), curves.assign(C=6 * curves["N"] * curves["D"])], ignore_index=True)
    message = noted(sf.isoflop(both), "trajectories")
    assert called(message, "scalefit.approach2.envelope(", runs=curves).n_exponent > 0
    N, step = np.meshgrid(np.geomspace(5e7, 5e8, 6), np.arange(1, 128))
    few = pd.DataFrame({"N": N.ravel(), "D": 3.48e7 * step.ravel()})
    few = sf.simulate(few, noise=0.01, seed=2).drop(columns="C", errors="ignore")
    other = refused(lambda: sf.isoflop(few))
    assert called(other, "scalefit.fit(", runs=few).status.usable
    assert called(other, "scalefit.approach2.envelope(", runs=few).n_exponent > 0
    return [message, other]


@cache
def swept() -> pd.DataFrame:
    """A learning rate and a batch size swept in every cell of a grid."""
    N, D = np.meshgrid(np.geomspace(5e7, 2e9, 4), np.geomspace(1e9, 1e11, 4))
    grid = pd.DataFrame({"N": N.ravel(), "D": D.ravel()})
    for name, values in (("lr", np.geomspace(1e-3, 1.6e-2, 5)), ("batch", [64, 256, 1024])):
        grid = grid.merge(pd.DataFrame({name: values}), how="cross")
    away = np.log(grid[["lr", "batch"]] / [4e-3, 256]) ** 2 @ [0.01, 0.006]
    return sf.simulate(grid, noise=0.001, seed=5).assign(loss=lambda t: t["loss"] * (1 + away))


@case
def sweeps_in_every_cell_are_reduced_or_clustered():
    surface, rate = sf.fit(swept()), sf.fit(swept(), "optimal_learning_rate")
    messages = [noted(item, "repeated_cells") for item in (surface, rate)]
    for message in messages:
        best = value_of(balanced(message, "runs.loc["), runs=swept())
        assert len(best) == 16
        found = called(message, "scalefit.approach2.vertices(", runs=swept())
        assert "vertices_mixed" not in [note.code for note in found.notes]
        known = {"fit": surface, "runs": swept()}
        assert called(message, "covariance(", **known).method == "sandwich of N, D"
    assert sf.fit(best, "optimal_learning_rate").nobs == 16
    sweeps = swept().assign(sweep=swept().groupby("D").ngroup())
    sweeps["D"] = 1e20 * 4.0 ** sweeps["sweep"] / (6 * sweeps["N"])
    sweeps = sf.simulate(sweeps.drop(columns="loss"), noise=0.001, seed=5)
    sweeps["loss"] *= 1 + 0.01 * np.log(sweeps["lr"] / 4e-3) ** 2
    message = noted(sf.isoflop(sweeps), "repeated_cells")
    assert len(value_of(balanced(message, "runs.loc["), runs=sweeps)) == 16
    return [*messages, message]


@case
def intervals_of_curves_name_their_runs():
    N, step = np.meshgrid(np.geomspace(3e7, 1e9, 8), np.arange(1, 61), indexing="ij")
    curves = pd.DataFrame({"N": N.ravel(), "D": 1e9 * step.ravel()})
    curves = sf.simulate(curves, noise=0.0)
    curves["loss"] *= np.exp(0.01 * np.sin(step / 5 + np.log(N) ** 2)).ravel()
    known = {"fit": sf.fit(curves), "runs": curves}
    message = refused(lambda: sf.covariance(known["fit"], curves))
    named, alone = message.split(" To take each row ")
    assert called(named, "covariance(", **known).df == 7
    assert called(alone, "covariance(", **known).df == len(curves) - 5
    return message


@case
def vertices_are_of_what_can_be_swept():
    message = noted(sf.approach2.vertices(swept(), over="lr", by=["N", "D"]), "vertices_mixed")
    cells = {"over": "lr", "by": ["N", "D"]}
    for again in (
        sf.approach2.vertices(swept(), **cells, repeats=text_option(message, "repeats")),
        sf.approach2.vertices(swept(), over="lr", by=option(message, "by")),
    ):
        assert "vertices_mixed" not in [note.code for note in again.notes]
    zero = swept().assign(lr=swept()["lr"].where(swept().index > 1, 0.0))
    other = refused(lambda: sf.approach2.vertices(zero, **cells))
    rule = text_option(other, "keep")
    assert sf.approach2.vertices(zero, **cells, keep=rule).cells["n"].sum() == len(zero) - 2
    by = ["N", "D", "batch", "lr"]
    none = refused(lambda: sf.approach2.vertices(swept().assign(x=1.0), over="x", by=by))
    assert len(value_of(balanced(none, "runs.loc["), runs=swept(), by=["N", "D"])) == 16
    return [message, other, none]


@case
def runs_that_bend_a_parabola_are_left_out():
    design = sf.simulation.isoflop_design([1e18, 3e18, 1e19, 3e19], points=6, width=4.0)
    bent = sf.simulate(design, noise=0.0003, seed=3)
    bent.loc[8, "loss"] += 0.3
    message = noted(sf.isoflop(bent), "isoflop_bent")
    assert sf.isoflop(bent, rules=option(message, "rules")).removed.index.to_list() == [8]
    return message


@case
def reports_are_resampled():
    sweeps = sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.003, seed=1)
    surface, found = sf.fit(sweeps), sf.isoflop(sweeps)
    options = {"rules": (), "objectives": False}
    report = sf.bias(surface, found, sweeps, 1e22, n_draws=0, **options)
    message = refused(lambda: report.resampled("D"))
    assert "n_draws=400" in message
    again = sf.bias(surface, found, sweeps, 1e22, n_draws=20, **options)
    assert len(again.resampled("D").draws) == 20
    return message


@case
def perplexities_are_taken_logarithms_of():
    perplexities = runs().assign(loss=np.exp(runs()["loss"]))
    message = noted(sf.LossTable.from_frame(perplexities), "loss_unit")
    mended = sf.LossTable.from_frame(perplexities, loss_unit=text_option(message, "loss_unit"))
    np.testing.assert_allclose(mended["loss"], runs()["loss"])
    assert not sf.LossTable.from_frame(perplexities, keep=text_option(message, "keep")).notes
    return message


@case
def losses_and_weights_are_kept_as_said():
    tiny = runs().assign(loss=runs()["loss"] * 1e-300)
    messages = [refused(lambda: sf.fit(tiny))]
    mended = called(messages[-1], "runs.assign(", runs=tiny)
    assert sf.fit(mended).params["alpha"] == pytest.approx(fit().params["alpha"], rel=1e-6)
    far = runs().assign(loss=runs()["loss"].where(runs().index != 5, 1e300))
    messages.append(refused(lambda: sf.fit(far)))
    assert sf.fit(far, keep=text_option(messages[-1], "keep")).nobs == len(far) - 1
    weighed = runs().assign(weight=np.where(runs().index == 5, 1e-200, 1.0))
    messages.append(refused(lambda: sf.fit(weighed)))
    assert sf.fit(weighed, keep=text_option(messages[-1], "keep")).nobs == len(far) - 1
    return messages


@case
def deltas_are_chosen_as_said():
    messages = []
    for delta, code in ((1.0, "delta_unused"), (1e-8, "delta_tiny")):
        messages.append(noted(sf.fit(runs(), delta=delta), code))
        proposed = float(re.search(r"delta=(\S+)$", messages[-1])[1])
        assert not [n for n in sf.fit(runs(), delta=proposed).notes if "delta" in n.code]
    return messages


@case
def predictions_below_zero_are_fitted_raw():
    bounds = {"E": (-5, -1), "A": (0, 1e-3), "B": (0, 1e-3)}
    message = refused(lambda: sf.fit(runs(), bounds=bounds))
    assert sf.fit(runs(), bounds=bounds, residual=text_option(message, "residual")).status.usable
    return message


@case
def a_proof_that_gives_up_goes_on_with_more_boxes():
    message = noted(sf.fit(runs(), robust="none", certify=150), "not_certified")
    more = re.search(r"certify=([\d_]+) goes on", message)[1]
    assert sf.fit(runs(), robust="none", certify=value_of(more)).certificate
    return message


@case
def processes_are_started_afresh_where_a_fork_has_no_threads():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forks, "_orphaned", True)
        message = refused(lambda: sf.fit(runs(), device="cpu"))
        # What compiles nothing works.
        assert sf.fit(runs()).objective_value == fit().objective_value
    start = called(message, "multiprocessing.get_context(", multiprocessing=multiprocessing)
    assert start.get_start_method() == "spawn"
    return message


@case
def headers_with_a_unit_are_read_in_another_as_said():
    named = runs()[["N", "D", "loss"]].rename(columns={"N": "params_b"})
    message = noted(sf.fit(named.assign(params_b=named["params_b"] / 1e9)), "header_unit")
    counted = sf.fit(named, N=option(message, "N"))
    assert counted.params == sf.fit(named.rename(columns={"params_b": "N"})).params
    return message


@case
def headers_that_name_a_perplexity_are_read_as_one():
    table = runs()[["N", "D"]].assign(ppl=np.exp(runs()["loss"]))
    message = noted(sf.fit(table, loss="ppl"), "loss_unit")
    found = sf.fit(table, loss="ppl", loss_unit=text_option(message, "loss_unit"))
    assert found.params["E"] == pytest.approx(fit().params["E"], rel=1e-6)
    return message


@case
def of_several_tables_in_a_file_one_is_chosen():
    pytest.importorskip("openpyxl")
    records = runs()[["N", "D", "loss"]].to_dict("records")
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "runs.xlsx"
        with pd.ExcelWriter(book) as writer:
            for sheet in "ab":
                runs()[["N", "D", "loss"]].to_excel(writer, sheet_name=sheet, index=False)
        sheets = refused(lambda: sf.read(book))
        assert len(called(sheets, "LossTable.from_frame(", pandas=pd).frame) == len(runs())
        lists = Path(folder) / "runs.json"
        lists.write_text(json.dumps({"first": records, "second": records}))
        several = refused(lambda: sf.read(lists))
        document = json.loads(lists.read_text())
        assert len(called(several, "scalefit.read(", document=document).frame) == len(runs())
    return [sheets, several]


@case
def runs_are_held_out_by_a_column_that_differs():
    same = runs().assign(cluster="a100")
    message = refused(lambda: sf.holdout(same, by="cluster", scheme="groups"))
    assert len(sf.holdout(same, by=text_option(message, "by")).errors)
    kinds = runs().assign(kind=["a", "b", "c"] * 10)
    labels = refused(lambda: sf.holdout(kinds, by="kind"))
    scheme = text_option(labels.partition("in turn: ")[2], "scheme")
    assert len(sf.holdout(kinds, by="kind", scheme=scheme).errors)
    return [message, labels]


@case
def levels_are_on_both_sides_of_a_fold():
    options = {"groups": {"E": "corpus"}, "intervals": False}
    found = sf.holdout(runs(), by="corpus", scheme="groups", **options)
    message = noted(found, "unseen_levels")
    assert not len(found.errors)
    assert len(sf.holdout(runs(), by=text_option(message, "by"), **options).errors)
    return message


@case
def checkpoints_of_a_run_are_held_out_together():
    parts = []
    for k, N in enumerate(np.geomspace(2e7, 2e9, 8)):
        part = pd.DataFrame({"N": N, "D": np.linspace(1, 20, 20) * 1e8 * (k + 2)})
        shared = np.cumsum(np.random.default_rng(k).standard_normal(20)) * 0.002
        loss = (1.8 + 400 * N**-0.34 + 410 * part["D"] ** -0.28) * np.exp(shared)
        parts.append(part.assign(loss=loss, run=f"run{k}"))
    table = pd.concat(parts, ignore_index=True)
    message = noted(sf.holdout(table, test="D > 8e9", intervals=False), "leaky_folds")
    options = {name: text_option(message, name) for name in ("by", "scheme")}
    whole = sf.holdout(table, **options, intervals=False)
    assert "leaky_folds" not in {note.code for note in whole.notes}
    return message


@case
def published_coefficients_are_beside_a_fit_in_their_units():
    millions = runs().assign(size=runs()["N"] / 1e6).drop(columns="N")
    small = sf.fit(millions, N="size", robust="none")
    message = refused(lambda: sf.compare_published(small, millions, "hoffmann"))
    units = option(message, "units")
    found = sf.compare_published(small, millions, "hoffmann", units=units)
    raw = sf.fit(millions, N=("size", 1e6), robust="none")
    counted = sf.compare_published(raw, millions, "hoffmann")
    assert found.value == pytest.approx(counted.value, rel=1e-9)
    per_byte = {"loss_unit": "bits_per_byte"}
    bits = sf.fit(runs(), **per_byte)
    unit = refused(lambda: sf.compare_published(bits, runs(), "hoffmann", **per_byte))
    factors = option(unit, "units")
    by_hand = sf.compare_published(bits, runs(), "hoffmann", units=factors, **per_byte)
    per_token = {**per_byte, "bytes_per_token": 1 / factors["loss"]}
    nats = sf.fit(runs(), **per_token)
    counted = sf.compare_published(nats, runs(), "hoffmann", **per_token)
    assert by_hand.value == pytest.approx(counted.value, rel=1e-6)
    return [message, unit]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
def test_remedies_work(name):
    messages = CASES[name]()
    assert messages
    for message in messages:
        # What a message proposes can be typed at the command line too, where it is an option there.
        assert not as_python(as_options(message)), as_options(message)


@pytest.mark.slow
def test_every_message_that_proposes_something_is_tried():
    messages = [message for found in CASES.values() for message in found()]
    untried = {
        place: pattern
        for place, pattern in proposals().items()
        if not any(re.fullmatch(pattern, message, re.DOTALL) for message in messages)
        and not any(re.escape(text) in pattern for text in NOT_PROPOSED)
    }
    assert not untried


def surface(row: Row) -> sf.Fit:
    """The law of a row of the catalogue as if it had been fitted, of grouped ones one level."""
    law, design = sf.laws.find(row.law), row.design()
    shared = {name.partition("[")[0]: value for name, value in reversed(row.truth.items())}
    domain = {name: (design[name].min(), design[name].max()) for name in law.columns}
    return replace(fit(), law=law, params={name: shared[name] for name in law.names}, domain=domain)


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.law) for row in ROWS if sf.laws.find(row.law).response == "loss"],
)
def test_a_budget_of_any_law_leads_to_an_answer_by_what_is_said(row):
    """Refusals are followed, one after the other, until there is an allocation or a loss."""
    told, fixed = surface(row), {}
    for _ in range(len(told.law.columns)):
        try:
            best = sf.allocate(told, 1e21, fixed=fixed)
        except sf.errors.AllocationError as error:
            message = str(error)
        else:
            break
        if "fit.predict(" in message:
            assert np.isfinite(called(message, "fit.predict(", fit=told))
            return
        if "allocate(" in message:
            best = called(message, "allocate(", fit=told)
            break
        if "limits=" in message:
            best = sf.allocate(told, 1e21, fixed=fixed, limits=option(message, "limits"))
            break
        fixed |= option(message, "fixed")
    assert np.isfinite(best.loss) and all(value > 0 for value in best.columns.values())
