"""What a fit says about being proved global."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from hidden_tables import hidden_table

import scalefit as sf
from scalefit.certification import branch_bound, certify
from scalefit.fitting import api as pipeline


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.005, seed=1)


@pytest.fixture(scope="module")
def squared(runs):
    return sf.fit(runs, robust="none")


def said(result):
    """A report as one line."""
    return re.sub(r"\s+", " ", result.summary())


@pytest.mark.parametrize("residual", ["log", "relative", "raw"])
def test_squared_fits_are_proved_without_asking(runs, residual):
    proof = sf.fit(runs, residual=residual, robust="none").certificate
    assert proof and proof.closed is True
    assert 0 <= proof.gap <= 1e-6
    assert proof.boxes > 1
    assert proof.reason == "" and dict(proof.region) == {}


@pytest.mark.parametrize("residual", ["log", "raw"])
def test_huber_losses_are_proved_where_it_is_asked_for(runs, residual):
    unasked = sf.fit(runs, residual=residual)
    assert unasked.certificate.reason == "not attempted: certify=True asks for it"
    assert unasked.certificate.boxes == 0 and unasked.certificate.gap == np.inf
    assert "certify=True asks for it" in said(unasked.certificate)
    fit = sf.fit(runs, residual=residual, certify=True)
    assert fit.certificate, fit.certificate.reason
    assert fit.certificate.gap <= 1e-6
    assert fit.objective.robust == "huber"
    # A proof that is not there is no news.
    assert unasked.notes == fit.notes == ()
    assert unasked.objective_value == fit.objective_value


@pytest.mark.parametrize("robust", ["none", "huber"])
def test_nothing_is_attempted_where_it_is_refused(runs, robust, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("attempted")

    monkeypatch.setattr(pipeline, "prove", never)
    fit = sf.fit(runs, robust=robust, certify=False)
    assert not fit.certificate
    assert fit.certificate.reason == "not attempted: certify=False"
    assert fit.notes == ()


def test_proving_changes_nothing_else(runs, squared):
    plain = sf.fit(runs, robust="none", certify=False)
    assert dict(plain.params) == dict(squared.params)
    assert plain.objective_value == squared.objective_value
    assert plain.diagnostics == squared.diagnostics


def test_coefficients_of_many_levels_are_not_covered(runs):
    levels = [f"level {number % 25}" for number in range(len(runs))]
    fit = sf.fit(runs.assign(kind=levels), robust="none", groups={"A": "kind"})
    assert not fit.certificate
    why = "53 columns at the corners of a box are more than 50"
    assert why in fit.certificate.reason
    assert why in said(fit.certificate)
    assert "not_certified" not in [note.code for note in fit.notes]


@pytest.mark.parametrize("robust", ["none", "huber"])
def test_a_certificate_survives_json(runs, robust):
    fit = sf.fit(runs, robust=robust)
    again = sf.Fit.from_json(fit.to_json()).certificate
    assert again == fit.certificate
    assert bool(again) is (robust == "none")


def test_a_document_without_its_certificate_is_refused(squared):
    document = json.loads(squared.to_json())
    del document["certificate"]
    with pytest.raises(sf.errors.DocumentError, match="certificate is missing"):
        sf.Fit.from_json(json.dumps(document))


def test_the_report_says_how_far_it_is_proved(squared):
    found = re.search(r"optimum global to (\S+) of the objective, by (\d+) boxes", said(squared))
    assert float(found[1]) == pytest.approx(squared.certificate.gap, rel=0.5)
    assert int(found[2]) == squared.certificate.boxes


@pytest.mark.parametrize("residual", ["log", "raw"])
def test_a_fit_with_hardly_any_residual_is_proved_to_rounding_and_says_so(residual):
    table = sf.simulate(sf.simulation.isoflop_design(), noise=1e-8, seed=1)
    fit = sf.fit(table, residual=residual, robust="none")
    assert fit.certificate and fit.certificate.boxes > 0
    # Predictions are known to some thousand units in the last place, 1e-12, either way.
    assert 1e-5 < fit.certificate.rounding == fit.certificate.gap < 1e-3
    assert re.search(r"global to rounding, which is \de-0\d of the objective", said(fit))
    assert sf.Fit.from_json(fit.to_json()).certificate == fit.certificate


def test_a_proof_that_runs_out_of_boxes_is_a_note_with_its_gap_and_region(runs, monkeypatch):
    monkeypatch.setattr(pipeline, "UNASKED", pipeline.UNASKED._replace(boxes=0))
    fit = sf.fit(runs, robust="none")
    proof = fit.certificate
    assert not proof and proof.boxes > 0
    assert proof.gap > 1e-6
    assert f"still open after {proof.boxes}" in proof.reason
    (note,) = (item for item in fit.notes if item.code == "not_certified")
    assert note.severity == "info"
    assert note.details["gap"] == proof.gap
    assert note.details["boxes"] == proof.boxes
    for name in ("alpha", "beta"):
        low, high = proof.region[name]
        assert low <= fit.params[name] <= high
        assert f"{name} {low:.4g} to {high:.4g}" in note.message
    assert proof.gap == 1.0 and "How much lower the objective could be is not known" in note.message
    assert f"still open after {proof.boxes}" in said(fit.certificate)
    again = sf.Fit.from_json(fit.to_json())
    assert again.certificate == proof
    assert dict(again.notes[-1].details)["gap"] == note.details["gap"]


def test_who_asks_for_a_proof_waits_for_it(runs, squared, monkeypatch):
    monkeypatch.setattr(pipeline, "UNASKED", pipeline.UNASKED._replace(boxes=0))
    fit = sf.fit(runs, robust="none", certify=True)
    assert fit.certificate == squared.certificate


def test_a_gap_is_true_of_a_fit_that_is_not_the_best(runs, squared, monkeypatch):
    """Where the search is spoilt, the proof names a lower point."""
    honest = pipeline.prove

    def worse(*args, **kwargs):
        *others, value = args
        return honest(*others, value * 1.01, **kwargs)

    monkeypatch.setattr(pipeline, "prove", worse)
    fit = sf.fit(runs, robust="none", certify=True)
    assert not fit.certificate
    assert "lower elsewhere" in fit.certificate.reason
    assert fit.certificate.gap >= 0.0098
    for name, value in fit.certificate.lower.items():
        assert value == pytest.approx(squared.params[name], abs=0.1)
    assert set(fit.certificate.lower) == {"alpha", "beta"}
    assert "not_certified" in {note.code for note in fit.notes}


@pytest.fixture
def spoilt(monkeypatch):
    """A search that comes back with its highest end only."""
    honest = pipeline.search

    def worst(*args):
        searched, polished = honest(*args)
        return searched, polished.take([np.argmax(polished.value)])

    monkeypatch.setattr(pipeline, "search", worst)


@pytest.fixture(scope="module")
def side_by_side():
    """Few steep runs, with two minima of squares 3 % apart."""
    return hidden_table(23)


OPTIONS = {"residual": "raw", "robust": "none"}


def test_a_fit_goes_where_its_proof_came_upon_a_lower_point(side_by_side, spoilt):
    alone = sf.fit(side_by_side, **OPTIONS, certify=False)
    proved = sf.fit(side_by_side, **OPTIONS)
    assert alone.objective_value > 1.02 * proved.objective_value
    assert proved.certificate and proved.status is sf.Status.CONVERGED
    # Where it was before is the second minimum.
    assert proved.diagnostics.minima[1].value == pytest.approx(alone.objective_value, rel=1e-9)


@pytest.mark.parametrize("robust", ["huber", "none"])
def test_rows_of_hardly_any_weight_count_in_the_proof_too(robust):
    """Left out, they made other points seem lower than the fit by what they are off by."""
    runs = sf.simulate(sf.simulation.isoflop_design(points=8), noise=0.3, seed=2)
    runs["w"] = 10.0 ** np.random.default_rng(2).uniform(-6, 6, len(runs))
    fit = sf.fit(runs, weight="w", robust=robust, certify=True)
    assert fit.status is sf.Status.CONVERGED
    assert fit.certificate, fit.certificate.reason


@pytest.mark.slow
def test_a_sum_of_absolute_residuals_is_not_led_back_by_rows_far_off():
    """Smoothed by the mean residual, which is that of a few rows, it has another minimum."""
    spoiled = sf.simulate(sf.simulation.isoflop_design(), seed=1)
    spoiled.loc[spoiled["N"].nsmallest(7).index, "loss"] *= 2
    fit = sf.fit(spoiled, robust="l1", certify=True)
    assert fit.certificate and fit.status is sf.Status.CONVERGED
    # By a fit whose bounds hold it there: alpha from 0.78 to 0.80.
    assert fit.objective_value == pytest.approx(3.933796189, rel=1e-9)


def test_a_fit_that_is_known_not_to_be_the_best_has_not_converged(
    side_by_side, spoilt, monkeypatch
):
    """Should the way to the lower point lead back, the status says so, and no answer is usable."""
    honest = pipeline.polish_from

    def astray(*args):
        end = honest(*args)
        return end._replace(value=end.value + 1.0)

    monkeypatch.setattr(pipeline, "polish_from", astray)
    fit = sf.fit(side_by_side, **OPTIONS)
    assert fit.certificate.lower and not fit.status.usable
    (note,) = (note for note in fit.notes if note.code == "not_certified")
    assert note.severity == "warning" and "lower elsewhere" in note.message
    assert "stalled" in " ".join(note.message for note in sf.allocate(fit, 1e20).notes)


def test_who_gives_a_number_of_boxes_gets_so_many(runs, squared):
    few = sf.fit(runs, robust="none", certify=150)
    assert not few.certificate and few.certificate.boxes <= 150
    rest = re.search(
        r"\d+ boxes are still open after (\d+)(, and they multiply)?: certify=(\S+) goes on$",
        few.certificate.reason,
    )
    assert int(rest[1]) == few.certificate.boxes and rest[3] == "1_000"
    more = sf.fit(runs, robust="none", certify=int(rest[3]))
    assert more.certificate == squared.certificate


@pytest.fixture(scope="module")
def bent():
    """Residuals of a fifth of the loss, which take many boxes."""
    table = sf.simulate(sf.simulation.isoflop_design(), noise=0.5, seed=1)
    return {"runs": table, "residual": "raw", "delta": 0.01}


@pytest.mark.parametrize("asked", [None, True])
def test_what_a_proof_may_cost_is_limited_and_more_can_be_asked_for(asked, bent, monkeypatch):
    how = bent if asked else {"runs": bent["runs"], "robust": "none"}
    name = "ASKED" if asked else "UNASKED"
    assert getattr(pipeline, name).work < np.inf
    whole = sf.fit(**how, certify=2_000)
    monkeypatch.setattr(pipeline, name, getattr(pipeline, name)._replace(work=1e5))
    little = sf.fit(**how, certify=asked)
    assert not little.certificate and little.certificate.boxes < whole.certificate.boxes
    assert "goes on" in little.certificate.reason
    # No clock is looked at, and a number of boxes is without another limit.
    assert sf.fit(**how, certify=asked).certificate == little.certificate
    assert sf.fit(**how, certify=2_000).certificate == whole.certificate


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "noise"), [(12, 0.5), (250, 0.5)])
@pytest.mark.parametrize("robust", ["none", "huber"])
def test_no_proof_costs_much_more_than_is_allowed(rows, noise, robust, monkeypatch):
    rng = np.random.default_rng(rows)
    N, D = np.exp(rng.uniform(np.log(1e7), np.log(1e10), (2, rows)))
    loss = (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(noise * rng.standard_t(1.5, rows))
    table = pd.DataFrame({"N": N, "D": 20 * D, "loss": np.clip(loss, 1e-2, 1e2)})
    spent = []
    honest = branch_bound.Search.run

    def run(self, *limits):
        found = honest(self, *limits)
        spent.append(self.relaxation.work)
        return found

    monkeypatch.setattr(branch_bound.Search, "run", run)
    residual = "log" if robust == "none" else "raw"
    sf.fit(table, residual=residual, robust=robust, delta=0.01, certify=True)
    assert 0 < sum(spent) < 2.5 * certify.MOST_WORK


@pytest.mark.parametrize("value", ["no", 0, -5, 1.5, [1]])
def test_a_proof_is_asked_for_by_a_truth_value_or_a_number(runs, value):
    with pytest.raises(
        sf.errors.ArgumentError, match=r"certify.* Pass True, False, None or a number"
    ):
        sf.fit(runs, certify=value)
