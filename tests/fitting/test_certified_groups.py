"""Certificates of fits whose coefficients differ by level."""

import numpy as np
import pandas as pd
import pytest
from proofs import boxes_around

import scalefit as sf
from scalefit.certification.certify import certify, prepare_search
from scalefit.fitting import api as pipeline

OBJECTIVES = {
    "squares": {"robust": "none", "residual": "relative"},
    "squares of logs": {"robust": "none"},
    "Huber of logs": {},
    "absolute values": {"robust": "l1", "residual": "relative"},
    "absolute logs": {"robust": "l1"},
    "asymmetric": {"robust": "asymmetric", "residual": "raw"},
}


def table(levels=2, rows=12, *, noise=0.005, seed=0):
    """Rows of each level, one level after the other."""
    rng = np.random.default_rng(seed)
    level = np.repeat(np.arange(levels), rows)
    N = 10 ** rng.uniform(7, 9.5, len(level))
    D = 10 ** rng.uniform(9, 11.5, len(level))
    exact = 1.7 + 0.02 * level + 406 * (1 + 0.2 * level) * N**-0.34 + 411 * D**-0.28
    loss = exact * np.exp(noise * rng.standard_normal(len(level)))
    return pd.DataFrame({"N": N, "D": D, "loss": loss, "kind": [f"k{i}" for i in level]})


def fitted(runs, how, groups=("A",), **more):
    """A fit without its proof, and everything that the proof takes but the value."""
    posed = []

    def capture(*args, codes, **kwargs):
        posed.extend([*args, codes])
        return certify(*args, codes=codes, most_boxes=0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "prove", capture)
        fit = sf.fit(runs, groups=dict.fromkeys(groups, "kind"), certify=True, **how, **more)
    *pose, _, codes = posed
    return fit, (lambda value, **kw: certify(*pose, value, codes=codes, **kw)), pose, codes


PROVED = ["squares", "squares of logs", "Huber of logs", "absolute values"]


@pytest.mark.parametrize("name", PROVED)
def test_an_optimum_is_proved_and_a_value_above_it_refuted(name):
    how = OBJECTIVES[name]
    fit, prove, *_ = fitted(table(2, 8), how)
    found = prove(fit.objective_value)
    assert found, found.reason
    assert found.gap <= 1e-6 and found.boxes < 2000
    false = prove(fit.objective_value * 1.001)
    assert not false and "the objective is lower elsewhere" in false.reason
    at = dict(false.lower)
    assert sf.fit(
        table(2, 8), groups={"A": "kind"}, fixed=at, certify=False, **how
    ).objective_value == pytest.approx(fit.objective_value, rel=1e-3)


@pytest.mark.parametrize("groups", [("E",), ("B",), ("E", "A"), ("E", "A", "B")])
def test_squares_are_proved_by_default_whatever_is_grouped(groups):
    fit = sf.fit(table(3), robust="none", groups=dict.fromkeys(groups, "kind"))
    assert fit.certificate, fit.certificate.reason
    assert "not_certified" not in [note.code for note in fit.notes]


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("above", [1.0, 1.5])
def test_a_bound_is_below_the_objective_everywhere_in_its_box(name, above):
    """Also where points of a box are below the target, which no range may leave out."""
    how, runs = OBJECTIVES[name], table(2, 8, noise=0.02)
    rng = np.random.default_rng(3)
    fit, _, pose, codes = fitted(runs, how, ("E", "A"))
    optimum = np.array([fit.params["alpha"], fit.params["beta"]])
    closest = np.inf
    for size in (0.0, 0.01, 0.1):
        theta = optimum * np.exp(size * rng.standard_normal(2))
        held = dict(zip(("alpha", "beta"), theta, strict=True))
        value = sf.fit(
            runs, groups={"E": "kind", "A": "kind"}, fixed=held, certify=False, **how
        ).objective_value
        with np.errstate(all="ignore"):
            search = prepare_search(*pose, value * above, 1e-6, codes)
            bounds = search.bound(boxes_around(rng, search, theta, 20)).bounds
        bounds = search.goal.unscaled(1.0) * bounds
        assert (bounds <= value * (1 + 1e-10)).all()
        closest = min(closest, ((value - bounds) / value).min())
    # Ranges of predictions are narrowed from one box to the next.
    assert closest < (1e-4 if name.startswith("squares") else 0.5)


def test_columns_of_a_level_are_its_rows_and_exactly_zero_elsewhere():
    runs = table(3, 6)
    fit, _, pose, codes = fitted(runs, OBJECTIVES["squares"], ("E", "A"))
    search = prepare_search(*pose, fit.objective_value, 1e-6, codes)
    boxes = boxes_around(np.random.default_rng(0), search, np.array([0.3, 0.3]), 5)
    gathered, fine = search.relaxation.gather(boxes)
    assert fine.all() and search.relaxation.size == 3 + 2 * 3 + 2
    for level in range(3):
        outside = runs["kind"] != f"k{level}"
        assert (search.relaxation.fixed.middle[level] != 0).tolist() == (~outside).tolist()
        assert not gathered.middle[:, level, :, outside].any()
        assert not gathered.error[:, level, :, outside].any()
        assert (gathered.middle[:, level, 0, ~outside] > 0).all()


def test_a_level_whose_rows_weigh_nothing_has_no_column():
    runs = table(3).assign(weight=1.0)
    runs.loc[runs["kind"] == "k2", "weight"] = 0.0
    fit, prove, *_ = fitted(runs, {"robust": "none"}, weight="weight")
    assert prove(fit.objective_value)


def test_two_divisions_of_the_rows_are_proved():
    runs = table(2, 16)
    runs["other"] = np.where(np.arange(len(runs)) % 2, "x", "y")
    fit = sf.fit(runs, robust="none", groups={"A": "kind", "B": "other"})
    assert fit.certificate, fit.certificate.reason


def test_a_coefficient_free_in_sign_may_not_differ():
    fit = sf.fit(
        table(), robust="none", residual="raw", groups={"E": "kind"}, bounds={"E": (-9e9, np.inf)}
    )
    assert "bounds other than zero" in fit.certificate.reason
    fit = sf.fit(
        table(),
        robust="none",
        residual="raw",
        groups={"E": "kind"},
        bounds={"E": (-np.inf, np.inf)},
    )
    assert "E is free in sign and differs by a column" in fit.certificate.reason


def test_levels_that_share_nothing_agree_with_fits_of_their_own():
    """With the exponents held, the grouped objective is the sum of those of the levels."""
    runs, held = table(2), {"alpha": 0.34, "beta": 0.28}
    how = {"robust": "none", "residual": "raw", "fixed": held}
    whole = sf.fit(runs, groups=dict.fromkeys("EAB", "kind"), **how)
    parts = [sf.fit(part, **how) for _, part in runs.groupby("kind")]
    assert whole.certificate and all(part.certificate for part in parts)
    total = sum(part.objective_value for part in parts)
    assert whole.objective_value == pytest.approx(total)
