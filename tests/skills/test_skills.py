"""Latent skills of model families, against simulated tables whose truth is known, and scipy."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares, minimize

import scalefit as sf
from scalefit.errors import ArgumentError, DataError
from scalefit.skills import fit_components, fit_skills, leave_families_out
from scalefit.skills.rotation import identified
from scalefit.skills.solver import Product, _objective, _penalties, solve

NAMES = [f"bench{k}" for k in range(8)]
FLOORS = dict.fromkeys(NAMES[:4], 0.25)


def simulated(noise=0.0, families=9, sizes=5, seed=0):
    """Models of two skills, and their scores without noise by a formula written out here."""
    rng = np.random.default_rng(seed)
    N = np.tile(np.geomspace(1e8, 5e10, sizes), families)
    D = np.repeat(rng.uniform(3e11, 1e13, families), sizes) * rng.uniform(0.7, 1.4, len(N))
    code = np.repeat(np.arange(families), sizes)
    x = np.stack([np.log(N), np.log(D), np.log(N) * np.log(D)], axis=1)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    a = rng.normal(size=(families, 2))
    latent = a[code] + z @ np.array([[0.8, 0.1], [0.2, 0.5], [0.1, 0.1]])
    loadings = rng.uniform(0.1, 1.3, (len(NAMES), 2))
    loadings[::2, 1], loadings[1::2, 0] = 0.0, 0.1
    floors = np.array([FLOORS.get(name, 0.0) for name in NAMES])
    inner = rng.uniform(-1, 0.5, len(NAMES)) + latent @ loadings.T
    scores = floors + (1 - floors) / (1 + np.exp(-inner))
    seen = np.clip(scores + noise * rng.standard_normal(scores.shape), 0, 1)
    runs = pd.DataFrame(seen, columns=NAMES).assign(N=N, D=D)
    return runs.assign(maker=[f"f{k}" for k in code]), scores


OPTIONS = {"family": "maker", "skills": 2, "floors": FLOORS}


@pytest.fixture(scope="module")
def exact():
    runs, scores = simulated()
    return runs, scores, fit_skills(runs, NAMES, penalty=1e-5, starts=2, **OPTIONS)


def test_scores_and_skills_of_a_simulated_table_are_recovered(exact):
    runs, scores, found = exact
    assert found.predict(runs) == pytest.approx(scores, abs=2e-3)
    assert found.predict(N=runs["N"], D=runs["D"], maker=runs["maker"]) == pytest.approx(
        found.predict(runs), rel=1e-12
    )
    # Skills: mean zero, variance one, uncorrelated; they are those of the table.
    of_models = found.models.to_numpy()
    assert of_models.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert of_models.T @ of_models / len(runs) == pytest.approx(np.eye(2), abs=1e-6)
    assert found.skills(runs).to_numpy() == pytest.approx(of_models, abs=1e-9)
    # Scores are what the reported numbers say, by the formula itself.
    inner = found.intercepts.to_numpy() + of_models @ found.loadings.to_numpy().T
    floors = found.floors.to_numpy()
    assert floors + (1 - floors) / (1 + np.exp(-inner)) == pytest.approx(scores, abs=2e-3)


def test_the_minimum_is_that_of_another_optimiser():
    """The objective written out with its residuals, minimised by scipy from another start."""
    runs, _ = simulated(noise=0.03, families=4, sizes=3)
    y, d = runs[NAMES[:4]].to_numpy(), 1
    design = np.eye(4)[np.repeat(np.arange(4), 3)]
    product = Product(y, design, np.full(4, 0.25), d, 0.2, 0.05)
    found = solve(product, 3, 0)

    def value(point):
        L, b, T = point[:4], point[4:8], point[8:]
        rest = np.abs(y - 0.25 - 0.75 / (1 + np.exp(-(b + np.outer(design @ T, L)))))
        huber = np.where(rest <= 0.05, rest**2 / 0.1, rest - 0.025).sum()
        return huber + 0.1 * (L @ L + T @ T) + 0.5e-6 * b @ b

    ends = [
        minimize(value, np.random.default_rng(k).normal(size=12), options={"gtol": 1e-9}).fun
        for k in range(4)
    ]
    assert found.value == pytest.approx(min(ends), rel=1e-8)
    assert found.values == pytest.approx([found.value] * 3, rel=1e-6)


def test_the_gradient_is_that_of_differences():
    rng = np.random.default_rng(1)
    y = rng.uniform(0.3, 0.9, (7, 3))
    y[2, 1] = np.nan
    product = Product(y, rng.normal(size=(7, 4)), np.array([0.2, 0.0, 0.1]), 2, 0.3, 0.05)
    point = rng.normal(size=3 * 3 + 4 * 2)
    penalties = _penalties(product, point.size)
    gradient = _objective(product, penalties, point)[1]
    step = 1e-6
    for k in range(point.size):
        ahead, behind = (
            _objective(product, penalties, point + s * step * np.eye(point.size)[k])[0]
            for s in (1, -1)
        )
        assert gradient[k] == pytest.approx((ahead - behind) / (2 * step), abs=1e-6)


def test_reported_skills_do_not_depend_on_how_they_were_found():
    rng = np.random.default_rng(2)
    latent, loadings = rng.normal(size=(30, 3)), rng.normal(size=(9, 3))
    mixed = rng.normal(size=(3, 3))
    one = identified(latent, loadings)
    other = identified(latent @ mixed, loadings @ np.linalg.inv(mixed).T)
    first = loadings @ np.linalg.inv(one).T
    second = loadings @ np.linalg.inv(mixed).T @ np.linalg.inv(other).T
    assert np.abs(first.sum(axis=0)) == pytest.approx(first.sum(axis=0))
    assert second == pytest.approx(first, abs=1e-4)


def test_families_are_left_out_but_for_their_smallest(exact):
    runs, _, _ = exact
    noisy, _ = simulated(noise=0.01)
    found = leave_families_out(noisy, NAMES, penalty=0.01, delta=0.05, **OPTIONS)
    assert len(found.by_fold) == 9
    assert found.to_frame()["models"].tolist() == [4] * 9
    held = found.held_out
    smallest = runs.sort_values("N").groupby("maker").head(1).index
    assert not set(held["model"]) & {str(row) for row in smallest}
    assert held["observed"].tolist() == [
        noisy.loc[int(row), name]
        for row, name in zip(held["model"], held["benchmark"], strict=True)
    ]
    assert found.mean_abs_error == pytest.approx(held["error"].abs().mean())
    # The noise is 0.01, and a family's place rests on one model.
    assert found.mean_abs_error < 0.04
    pairs = noisy.assign(name=noisy["maker"].replace({"f1": "f0"}))
    together = leave_families_out(pairs, NAMES, together="name", penalty=0.01, **OPTIONS)
    assert len(together.by_fold) == 8
    assert set(together.held_out.query("fold == 'f0'")["family"]) == {"f0", "f1"}
    again = fit_skills(noisy.drop(index=[1, 2, 3, 4]), NAMES, penalty=0.01, starts=1, **OPTIONS)
    fold = held[held["fold"] == "f0"]
    assert again.predict(noisy.loc[1:4]).ravel() == pytest.approx(fold["predicted"].to_numpy())


def test_missing_scores_are_left_out():
    runs, scores = simulated()
    holes = runs.copy()
    holes.loc[::3, NAMES[0]] = np.nan
    found = fit_skills(holes, NAMES, penalty=1e-5, starts=1, **OPTIONS)
    assert found.nobs == holes[NAMES].notna().sum().sum()
    assert found.predict(runs) == pytest.approx(scores, abs=0.01)
    table = sf.read(holes, responses={"score": NAMES})
    same = fit_skills(table, penalty=1e-5, starts=1, **OPTIONS)
    assert same.objective_value == found.objective_value


def test_a_skill_that_nothing_needs_is_noted():
    runs, _ = simulated(noise=0.01)
    found = fit_skills(runs, NAMES, family="maker", skills=8, floors=FLOORS, penalty=0.3, starts=1)
    (note,) = (note for note in found.notes if note.code == "skills_unused")
    assert note.details["unused"] >= 4


def test_components_are_those_of_a_decomposition_and_lines_those_of_a_regression():
    runs, _ = simulated(noise=0.01)
    found = fit_components(runs, NAMES, family="maker", components=2)
    centred = runs[NAMES].to_numpy() - runs[NAMES].to_numpy().mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    assert np.abs(found.loadings.to_numpy()) == pytest.approx(np.abs(vectors[:, :-3:-1]), abs=1e-9)
    assert found.explained.to_numpy() == pytest.approx(values[:-3:-1] / values.sum())
    logs = np.log(6 * runs["N"] * runs["D"]).to_numpy()
    basis = np.column_stack([pd.get_dummies(runs["maker"]).to_numpy(dtype=float), logs])
    lines, *_ = np.linalg.lstsq(basis, found.models.to_numpy(), rcond=None)
    assert found.families.iloc[0].to_numpy() == pytest.approx(np.r_[lines[0], lines[-1]], rel=1e-6)
    expected = found.mean.to_numpy() + basis @ lines @ found.loadings.to_numpy().T
    assert found.predict(np.exp(logs), runs["maker"]) == pytest.approx(expected, rel=1e-6)
    own = fit_components(runs, NAMES, family="maker", components=1, slopes="family")
    slope, level = np.polyfit(logs[:5], own.models.iloc[:5, 0], 1)
    assert own.families.iloc[0].to_numpy() == pytest.approx([level, slope])


def test_a_metric_over_components_is_that_of_scipy():
    runs, _ = simulated(noise=0.01)
    found = fit_components(runs, NAMES, family="maker", components=2)
    z = found.models.to_numpy()
    target = 0.1 + 0.6 / (1 + np.exp(-(0.3 + z @ [2.0, 1.0])))
    target[3] = np.nan
    assert found.metric(target, floor=0.1).to_numpy() == pytest.approx(
        [0.6, 0.3, 2.0, 1.0], rel=1e-4
    )
    noisy = target + 0.02 * np.random.default_rng(0).standard_normal(len(z))
    there = np.isfinite(noisy)

    def rest(point):
        inner = point[1] + z[there] @ point[2:]
        return 0.1 + point[0] / (1 + np.exp(-inner)) - noisy[there]

    other = least_squares(rest, [0.5, 0.0, 1.0, 1.0])
    assert found.metric(noisy, floor=0.1).to_numpy() == pytest.approx(other.x, rel=1e-3)


def test_what_makes_no_sense_is_refused(exact):
    runs, _, found = exact
    with pytest.raises(DataError, match=r"is no share of one.*Divide percentages by 100"):
        fit_skills(runs.assign(bench1=50.0), NAMES, **OPTIONS)
    with pytest.raises(DataError, match="9 skills are more than the 8 benchmarks"):
        fit_skills(runs, NAMES, family="maker", skills=9)
    with pytest.raises(ArgumentError, match="key of floors"):
        fit_skills(runs, NAMES, family="maker", floors={"arc": 0.25})
    with pytest.raises(ArgumentError, match="floors\\['bench0'\\]=1"):
        fit_skills(runs, NAMES, family="maker", floors={"bench0": 1.0})
    with pytest.raises(DataError, match="no column 'makers'"):
        fit_skills(runs, NAMES, family="makers")
    with pytest.raises(DataError, match="the table is of one response"):
        fit_skills(runs, family="maker")
    with pytest.raises(DataError, match="no model of the family 'new' was fitted"):
        found.predict(N=1e9, D=1e12, maker="new")
    with pytest.raises(ArgumentError, match="skills are predicted from N, D, maker"):
        found.predict(N=1e9, D=1e12)
    with pytest.raises(DataError, match="nothing can be held out"):
        leave_families_out(runs, NAMES, family="maker", seen=5)
    with pytest.raises(DataError, match="9 components are more"):
        fit_components(runs, NAMES, family="maker", components=9)


def test_results_are_pickled_and_describe_themselves(exact):
    runs, _, found = exact
    out = leave_families_out(runs, NAMES, penalty=0.1, **OPTIONS)
    components = fit_components(runs, NAMES, family="maker")
    for item in (found, out, components):
        same = pickle.loads(pickle.dumps(item))
        assert same.summary() == item.summary()
        pd.testing.assert_frame_equal(same.to_frame(), item.to_frame())
    assert "2 latent skills of 9 families" in found.summary()


def test_few_models_give_fewer_skills(exact):
    runs, _, _ = exact
    two = fit_skills(runs.head(2), NAMES, family="maker", skills=3, starts=2)
    assert two.loadings.shape == (8, 3)
    assert two.predict(runs.head(2)) == pytest.approx(runs.loc[:1, NAMES].to_numpy(), abs=0.1)
    with pytest.raises(DataError, match="there is one model only"):
        fit_skills(runs.head(1), NAMES, family="maker")
    with pytest.raises(DataError, match="one model only"):
        leave_families_out(runs.head(5), NAMES, **OPTIONS)
    with pytest.raises(DataError, match="no benchmark differs between the 3 models"):
        fit_components(runs.assign(**dict.fromkeys(NAMES, 0.5)).head(3), NAMES, family="maker")


def test_a_benchmark_that_a_fold_has_not_seen_is_not_judged():
    runs, _ = simulated(noise=0.01, families=4, sizes=3)
    runs.loc[[0, *range(3, 12)], "bench0"] = np.nan
    options = {**OPTIONS, "penalty": 0.1}
    found = leave_families_out(runs, NAMES, **options)
    assert found.held_out["error"].notna().all()
    assert not (found.held_out["benchmark"] == "bench0").any()
    assert len(found.by_fold.columns) == 7
    (note,) = (note for note in found.notes if note.code == "scores_unseen")
    assert note.details["scores"] == 2
    without = leave_families_out(
        runs, NAMES[1:], **{**options, "floors": dict.fromkeys(NAMES[1:4], 0.25)}
    )
    assert found.by_fold.loc["f0"].to_numpy() == pytest.approx(
        without.by_fold.loc["f0"].to_numpy(), abs=1e-6
    )


def test_floors_above_most_scores_are_noted(exact):
    runs, _, _ = exact
    found = fit_skills(runs, NAMES, family="maker", floors={"bench5": 0.99}, starts=1)
    (note,) = (note for note in found.notes if note.code == "floors_above_scores")
    assert note.details["benchmarks"] == ["bench5"]


def test_what_is_predicted_from_is_checked(exact):
    runs, _, found = exact
    for wrong in (0.0, -1e9):
        with pytest.raises(ArgumentError, match=r"N=.*is not a positive number"):
            found.predict(N=wrong, D=1e12, maker="f0")
    with pytest.raises(ArgumentError, match="D of shape"):
        found.predict(N=[1e9, 1e10], D=[1e12] * 3, maker="f0")
    with pytest.raises(DataError, match=r"is no share.*Leave it empty.*clip"):
        fit_skills(runs.assign(bench1=-0.1), NAMES, **OPTIONS)
    lines = fit_components(runs, NAMES, family="maker", components=1)
    with pytest.raises(ArgumentError, match="family of shape"):
        lines.predict([1e21, 1e22], ["f0", "f1", "f2"])
    assert lines.predict(1e21, ["f0", "f1"]).shape == (2, 8)
    with pytest.raises(ArgumentError, match=r"scores\[0\]=.*most 1"):
        lines.metric(100 * runs["bench0"])
    with pytest.raises(ArgumentError, match="floor=1"):
        lines.metric(runs["bench0"], floor=1.0)


def test_equal_scores_of_two_benchmarks_are_no_repeated_rows(exact):
    runs, _, _ = exact
    table = sf.read(runs.assign(bench1=0.5, bench2=0.5), responses=NAMES)
    assert "duplicate_rows" not in {note.code for note in table.notes}
    twice = pd.concat([runs, runs.iloc[:1]])
    (note,) = (n for n in sf.read(twice, responses=NAMES).notes if n.code == "duplicate_rows")
    assert len(note.details["rows"]) == 8


def test_numbered_families_are_found_again():
    """A column of 1.0 and 2.5 is read as the labels 1 and 2.5, by fits and by what they predict."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"N": [1e9, 7e9, 2e9, 3e10], "D": 1e12, "family": [1.0, 1.0, 2.5, 2.5]})
    table[["a", "b"]] = rng.uniform(0.3, 0.7, (4, 2))
    found = sf.skills.fit_skills(table, ["a", "b"], skills=1, starts=1)
    every = found.predict(table)
    for family in (1.0, 1, "1"):
        assert found.predict(N=1e9, D=1e12, family=family)[0] == pytest.approx(every[0])
    lines = sf.skills.fit_components(table, ["a", "b"], components=1)
    assert (lines.predict(1e22, 1.0) == lines.predict(1e22, "1")).all()
