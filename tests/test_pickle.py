"""Public objects are copied, pickled and sent to other processes."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cloudpickle
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import Amplitude, Exponent, Offset, pickling


@sf.law(source="a test")
def mine(N, D, *, E: Offset, A: Amplitude, g: Exponent):
    """E + A (N D)^-g"""
    return E + A * (N * D) ** -g


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.004, seed=1)


def mixtures():
    """Draws of a fit of mixtures of two domains."""
    law, truth = sf.laws.mixture_of("web"), {"c": 2.0, "k": 0.5, "t_web": -2.0}
    shares = pd.DataFrame({"web": np.linspace(0, 1, 9)})
    runs = sf.simulate(shares, law, truth, noise=0.002)
    return sf.bootstrap(sf.fit(runs, law), runs, n_draws=8, progress=False)


@pytest.fixture(scope="module")
def made(runs):
    fit = sf.fit(runs, robust="none", certify=True)
    draws = sf.bootstrap(fit, runs, 8, progress=False)
    found = sf.isoflop(runs)
    scored = runs.assign(maker=np.resize(["x", "y"], len(runs)), a=0.5, b=runs["loss"] / 10)
    of_skills = {"family": "maker", "skills": 1, "starts": 1}
    return {
        "runs": sf.LossTable.from_frame(runs, keep="C > 5e17"),
        "fit": fit,
        "own fit": sf.fit(runs.assign(half=np.arange(len(runs)) % 2), mine, groups={"A": "half"}),
        "published": sf.published("chinchilla", "besiroglu"),
        "params": fit.params,
        "objective": fit.objective,
        "diagnostics": fit.diagnostics,
        "certificate": fit.certificate,
        "verdict": fit.verdict,
        "note": sf.Note("odd", "info", "odd", {"rows": [1, 2], "inner": {"a": 1}}),
        "laws": sf.laws.table(),
        "draws": draws,
        "many fits": sf.fit_many([runs, runs[:0]], robust="l1", intervals=True, progress=False),
        "loss": draws.estimate_loss(N=1e9, D=2e10),
        "covariance": sf.covariance(fit, runs),
        "profile": sf.profile(fit, runs, "alpha"),
        "best": sf.allocate(draws, 1e22),
        "crossing": sf.crossing(*(sf.fit(runs, law, x="N") for law in ("power_offset", "power"))),
        "optimum": sf.optimal_columns(sf.fit(runs, "chinchilla_n"), "N"),
        "region": sf.near_optimal(fit, 1e22),
        "mixture": sf.optimal_mixture(mixtures(), natural={"web": 1, "rest": 3}),
        "deadweight": sf.deadweight(fit, 1e9, 1e11),
        "shapes": sf.shapes.nearest(draws, 1e20, vocab=32000, head_size=64),
        "study": sf.studies.simulation_study(
            {"noise": [0.01]}, 2, methods="approach2", progress=False
        ),
        "isoflop": found,
        "next runs": sf.next_runs(fit, runs, target=1e22, budget=1e20, count=2),
        "check": sf.check(runs),
        "diagnosis": sf.diagnose(fit, runs),
        "holdout": sf.holdout(runs),
        "comparison": sf.compare(runs, ["chinchilla", "chinchilla_n"]),
        "beside published": sf.compare_published(fit, runs, "hoffmann"),
        "bias": sf.bias(fit, found, runs, 1e22, rules=(), objectives=False, n_draws=5),
        "report": sf.report(fit),
        "skills": sf.skills.fit_skills(scored, ["a", "b"], **of_skills),
        "families out": sf.skills.leave_families_out(scored, ["a", "b"], **of_skills),
        "components": sf.skills.fit_components(scored, ["a", "b"], family="maker", components=1),
    }


RESULTS = (
    *("runs", "fit", "own fit", "published", "params", "objective", "diagnostics", "certificate"),
    *("verdict", "note", "laws", "draws", "many fits", "loss", "covariance", "profile", "best"),
    *(
        "crossing",
        "optimum",
        "region",
        "mixture",
        "deadweight",
        "shapes",
        "study",
        "isoflop",
        "next runs",
    ),
    *("check", "diagnosis", "holdout", "comparison", "beside published", "bias", "report"),
    *("skills", "families out", "components"),
)


def frame_of(found):
    return found.to_frame() if hasattr(found, "to_frame") else pd.DataFrame([repr(found)])


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_is_copied_and_pickled(made, name):
    assert tuple(made) == RESULTS
    sent = [pickle.loads(module.dumps(made[name])) for module in (pickle, cloudpickle)]
    for other in (*sent, copy.deepcopy(made[name])):
        assert type(other) is type(made[name]) and repr(other) == repr(made[name])
        pd.testing.assert_frame_equal(frame_of(other), frame_of(made[name]))


@pytest.mark.parametrize("name", ["fit", "own fit", "params", "objective", "diagnostics", "note"])
def test_equal_results_have_one_hash(made, name):
    other = pickle.loads(pickle.dumps(made[name]))
    assert other == made[name] and hash(other) == hash(made[name])


TEXT = {"remedy": "Do that"}
ERRORS = [
    sf.errors.ScalefitError("That"),
    sf.errors.DataError("That", **TEXT, column="N", rows=[1, ("a", 2)]),
    sf.errors.ArgumentError("That", **TEXT, argument="seed", value=np.float64(2.5)),
    sf.errors.DocumentError("That", **TEXT, field="params", value=None),
    sf.errors.MissingExtraError("That", extra="bayes", otherwise="do without"),
    *(kind("That") for kind in (sf.errors.LawError, sf.errors.FitError, sf.errors.AllocationError)),
    sf.NoteWarning(sf.Note("odd", "info", "odd", {"rows": [1, 2]})),
]


def kinds_below(kind):
    return {kind}.union(*map(kinds_below, kind.__subclasses__()))


def test_every_error_is_pickled_with_its_attributes():
    known = {item.__name__ for item in kinds_below(sf.ScalefitError)} | {"NoteWarning"}
    assert {type(error).__name__ for error in ERRORS} == known
    for error in ERRORS:
        error.add_note("of a worker")
        for module in (pickle, cloudpickle):
            other = pickle.loads(module.dumps(error))
            assert type(other) is type(error) and str(other) == str(error)
            assert vars(other) == vars(error)


def test_an_error_about_what_cannot_be_pickled_holds_its_text():
    with pytest.raises(sf.errors.ArgumentError) as caught:
        sf.fit(pd.DataFrame({"N": [1.0]}), seed=(number for number in "1"))
    assert "generator" in pickle.loads(pickle.dumps(caught.value)).value


def refused(seed):
    return sf.fit(pd.DataFrame({"N": [1.0], "D": 1.0, "loss": 1.0}), seed=seed)


def predicted(fit, N, D):
    return fit.predict(N=N, D=D), fit.law is sf.laws.chinchilla, fit.law


def test_a_fit_goes_to_another_process(made):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        loss, known, law = pool.submit(predicted, made["fit"], 1e9, 2e10).result()
        # An error in it is the caller's, and leaves the pool whole.
        with pytest.raises(sf.errors.ArgumentError) as caught:
            pool.submit(refused, "x").result()
        assert caught.value.value == "x" and caught.value.argument == "seed"
        assert pool.submit(abs, -1).result() == 1
    assert loss == made["fit"].predict(N=1e9, D=2e10)
    assert known and law is sf.laws.chinchilla


MADE = (
    sf.laws.mixture_of("web", "code"),
    sf.laws.additive_mixture_of("web", "code"),
    sf.laws.joint_mixture_of("web", "code"),
    sf.laws.multi_power(),
)


def test_a_law_is_pickled_by_its_name():
    for law in (mine, *sf.laws.BUILTIN.values(), *MADE):
        assert pickle.loads(pickle.dumps(law)) is law
        assert copy.deepcopy(law) is law and copy.copy(law) is law


def test_a_law_without_a_name_in_a_module_says_where_to_define_it():
    @sf.law(source="a test")
    def inner(N, *, E: Offset, A: Amplitude, g: Exponent):
        """E + A N^-g"""
        return E + A * N**-g

    with pytest.raises(sf.errors.LawError, match="top of a module that can be imported"):
        pickle.dumps(inner)
    assert copy.deepcopy({"law": inner})["law"] is inner
    gone = pickle.dumps(mine).replace(b"mine", b"gone")
    with pytest.raises(sf.errors.LawError, match="has no law 'gone'"):
        pickle.loads(gone)


def own_law():
    """A law in no module, and a cost, each with a number of its surroundings."""
    power = 2

    @sf.law(source="a test")
    def inner(N, *, E: Offset, A: Amplitude, g: Exponent):
        """E + A N^-2g"""
        return E + A * N ** -(power * g)

    return inner, sf.allocation.Cost("own", lambda N, D: power * N * D, "a test")


def test_cloudpickle_takes_a_law_with_its_code(runs, monkeypatch):
    law, cost = own_law()
    fit = sf.fit(runs, law)
    sent = cloudpickle.dumps((fit, law, cost))
    # Where it comes from it is known.
    again, back, _ = pickle.loads(sent)
    assert back is law and again == fit
    # Another process knows neither, and has one law of all that bring it.
    monkeypatch.setattr(pickling, "_KNOWN", type(pickling._KNOWN)())
    other, first, price = pickle.loads(sent)
    assert first is other.law is pickle.loads(sent)[1] is not law
    assert sf.fit(runs, first).params == fit.params and price(2.0, 3.0) == cost(2.0, 3.0)
    # And returns it as what it was.
    returned = cloudpickle.dumps(sf.fit(runs, first))
    monkeypatch.undo()
    assert pickle.loads(returned) == fit


def test_what_stands_in_main_goes_with_its_code(monkeypatch):
    """By joblib, whose workers have another __main__, though pickle finds it in ours."""
    import __main__

    law, cost = own_law()
    for name, item in (("inner", law), ("own", cost)):
        monkeypatch.setattr(item.function, "__module__", "__main__")
        monkeypatch.setattr(item.function, "__qualname__", name)
        monkeypatch.setattr(__main__, name, item, raising=False)
    assert pickle.loads(pickle.dumps(law)) is law
    assert pickle.loads(pickle.dumps(cost)) is cost
    sent = cloudpickle.dumps((law, cost))
    monkeypatch.setattr(pickling, "_KNOWN", type(pickling._KNOWN)())
    monkeypatch.delattr(__main__, "inner")
    monkeypatch.delattr(__main__, "own")
    other, price = pickle.loads(sent)
    assert other(2.0, E=1.0, A=1.0, g=1.0) == law(2.0, E=1.0, A=1.0, g=1.0)
    assert price(2.0, 3.0) == 12
