"""Rows that repeat the inputs of a law, and intervals where rows are not independent."""

import re

import numpy as np
import pandas as pd
import pytest
from remedies import balanced, called, option, value_of

import scalefit as sf
from scalefit.errors import ArgumentError, DataError

TRUTH = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
QUIET = {"n_draws": 4, "progress": False, "global_search": 0.0}


def note_of(result, code="repeated_cells"):
    return next((note for note in result.notes if note.code == code), None)


def cells(rows, noise=0.001, seed=0, shared=0.0):
    """A grid of 4 sizes and 5 numbers of tokens, each as often as there are rows."""
    N, D = np.meshgrid(np.geomspace(5e7, 2e9, 4), np.geomspace(1e9, 1e11, 5))
    grid = pd.DataFrame({"N": N.ravel(), "D": D.ravel()}).merge(rows, how="cross")
    rng = np.random.default_rng(seed)
    own = noise * rng.standard_normal(len(grid))
    common = shared * np.repeat(rng.standard_normal(20), len(rows))
    loss = TRUTH["E"] + TRUTH["A"] / grid["N"] ** TRUTH["alpha"]
    loss += TRUTH["B"] / grid["D"] ** TRUTH["beta"]
    return grid.assign(loss=loss * np.exp(own + common))


def sweep(seed=0, noise=0.001, **others):
    """A learning rate swept in every cell; the best one is 30 N^-0.5 D^0.1."""
    rows = pd.DataFrame({"lr": np.geomspace(5e-4, 3.2e-2, 7)})
    for name, values in others.items():
        rows = rows.merge(pd.DataFrame({name: values}), how="cross")
    runs = cells(rows, noise, seed)
    away = np.log(runs["lr"] / (30 * runs["N"] ** -0.5 * runs["D"] ** 0.1))
    return runs.assign(loss=runs["loss"] * (1 + 0.01 * away**2))


@pytest.fixture(scope="module")
def swept():
    return sweep()


def test_a_sweep_in_every_cell_is_named_and_each_way_out_can_be_gone(swept):
    fit = sf.fit(swept)
    note = note_of(fit)
    assert note.severity == "warning" and note.details["swept"] == ["lr"]
    assert (note.details["cells"], note.details["rows"]) == (20, 140)
    best = value_of(balanced(note.message, "runs.loc["), runs=swept)
    better = sf.fit(best)
    assert better.nobs == 20 and note_of(better) is None
    # The mean over the sweep is above the surface, the best rows are on it.
    assert abs(better.predict(N=5e8, D=1e10) / 2.7852 - 1) < 0.004
    assert fit.predict(N=5e8, D=1e10) > 1.01 * 2.7852
    found = called(note.message, "scalefit.approach2.vertices(", runs=swept)
    assert len(found.to_frame()) == 20
    np.testing.assert_allclose(sf.fit(found.to_frame()).params["alpha"], 0.34, atol=0.06)
    clustered = called(note.message, "covariance(", fit=fit, runs=swept)
    assert clustered.method == "sandwich of N, D" and note_of(clustered) is None


def test_a_fit_of_the_best_learning_rate_is_not_one_of_all_that_were_tried(swept):
    note = note_of(sf.fit(swept, "optimal_learning_rate", robust="none"))
    assert note.severity == "warning" and note.details["swept"] == ["lr"]
    found = called(note.message, "scalefit.approach2.vertices(", runs=swept)
    fit = sf.fit(found.to_frame(), "optimal_learning_rate", robust="none")
    np.testing.assert_allclose([fit.params["a"], fit.params["b"]], [-0.5, 0.1], atol=0.01)
    assert note_of(fit) is None


def test_of_two_swept_columns_both_are_named_and_of_derived_ones_none():
    runs = sweep(batch_size=[64, 256, 1024])
    runs["loss"] *= 1 + 0.01 * np.log(runs["batch_size"] / 256) ** 2
    runs = runs.assign(steps=runs["D"] / runs["batch_size"] / 2048, train=runs["loss"] + 0.01)
    note = note_of(sf.fit(runs))
    assert sorted(note.details["swept"]) == ["batch_size", "lr"]
    found = called(note.message, "scalefit.approach2.vertices(", runs=runs)
    assert "repeats='least'" in note.message and (found.cells["n"] < 21).all()


def test_diverged_runs_do_not_hide_a_sweep(swept):
    diverged = swept.assign(loss=swept["loss"].where(swept["lr"] < 0.03, 9.0))
    assert note_of(sf.fit(diverged)).details["swept"] == ["lr"]


def test_rows_of_several_corpora_ask_for_groups():
    runs = cells(pd.DataFrame({"corpus": ["web", "code", "books"]}), noise=0.002)
    runs["loss"] *= runs["corpus"].map({"web": 1.0, "code": 0.95, "books": 1.04})
    note = note_of(sf.fit(runs))
    assert note.severity == "warning" and note.details["swept"] == ["corpus"]
    assert "vertices" not in note.message and "idxmin" not in note.message
    assert note_of(sf.fit(runs, groups=option(note.message, "groups"))) is None
    rule = re.search(r'keep="(.*?)"', note.message)[1]
    assert rule == "corpus == 'books'" and sf.fit(runs, keep=rule).nobs == 20


def test_replicates_are_told_of_at_most():
    for seed in range(5):
        runs = cells(pd.DataFrame({"seed": range(5)}), noise=0.004, seed=seed)
        fit = sf.fit(runs)
        note = note_of(fit)
        assert note.severity == "info" and note.details["swept"] == []
        assert "as replicates do" in note.message
        np.testing.assert_allclose(note.details["spread"], 0.004, rtol=0.25)
        assert note_of(sf.covariance(fit, runs)) is None
        # Under another name, and without any.
        for other in (runs.rename(columns={"seed": "copy"}), runs.drop(columns="seed")):
            assert note_of(sf.fit(other)).severity == "info"
    assert note_of(sf.fit(runs.groupby(["N", "D"], as_index=False)["loss"].mean())) is None


def test_rows_that_differ_for_no_reason_that_is_there_are_a_warning():
    note = note_of(sf.fit(cells(pd.DataFrame({"copy": range(5)}), noise=0.05)))
    assert note.severity == "warning" and "no column that says why" in note.message


def test_the_narrowing_is_moultons():
    """Half of the variance is common to the five rows of a cell: sqrt(1 + 4 / 2) = 1.73."""
    found = []
    for seed in range(8):
        runs = cells(pd.DataFrame({"copy": range(5)}), noise=0.01, shared=0.01, seed=seed)
        found.append(note_of(sf.fit(runs, robust="none")).details["narrowing"])
    np.testing.assert_allclose(np.mean(found), 3**0.5, atol=0.2)


@pytest.mark.slow
def test_errors_by_rows_are_as_much_too_narrow_as_the_note_says():
    """The scatter of parameters over tables, against the errors that each table gives by rows."""
    found, errors, said = [], [], []
    for seed in range(40):
        runs = cells(pd.DataFrame({"copy": range(5)}), noise=0.005, shared=0.01, seed=seed)
        fit = sf.fit(runs, robust="none", certify=False)
        alone = sf.covariance(fit, runs, by="index")
        found.append([fit.params[name] for name in ("alpha", "beta")])
        errors.append(alone.standard_errors[["alpha", "beta"]])
        said.append(note_of(fit).details["narrowing"])
    narrow = np.std(found, axis=0, ddof=1) / np.mean(errors, axis=0)
    # Four fifths of the variance is shared: sqrt(1 + 4 * 0.8) = 2.05.
    np.testing.assert_allclose(np.mean(said), 4.2**0.5, rtol=0.1)
    np.testing.assert_allclose(narrow, np.mean(said), rtol=0.3)


def test_rows_whose_labels_repeat_are_found_without_them(swept):
    halves = pd.concat([swept[:70].reset_index(drop=True), swept[70:].reset_index(drop=True)])
    message = note_of(sf.fit(halves)).message
    call = "runs.sort_values('loss').drop_duplicates(['N', 'D'])"
    assert call in message
    least = swept.groupby(["N", "D"])["loss"].min()
    assert sorted(value_of(call, runs=halves)["loss"]) == sorted(least)


@pytest.fixture(scope="module")
def coarse():
    """A sweep whose placing in a cell moves all its losses: cells share most of the noise."""
    runs = sweep()
    moved = np.random.default_rng(1).standard_normal(20)
    code = runs.groupby(["N", "D"]).ngroup()
    return runs.assign(loss=runs["loss"] * np.exp(0.12 * moved[code]))


def refusal(call):
    with pytest.raises(sf.ScalefitError) as caught:
        call()
    return str(caught.value)


def test_intervals_by_rows_are_refused_where_they_are_far_too_narrow(coarse):
    fit = sf.fit(coarse)
    assert note_of(fit).details["narrowing"] > 2
    assert "method='clusters', by=['N', 'D'])" in " ".join(fit.summary().split())
    known = {"fit": fit, "runs": coarse}
    for function, start, arguments in (
        (sf.covariance, "covariance(", {}),
        (sf.profile, "profile(", {"quantity": "alpha"}),
    ):
        message = refusal(lambda f=function, a=arguments: f(fit, coarse, **a))
        named, alone = message.split(" To take each row ")
        clustered, rows = called(named, start, **known), called(alone, start, **known)
        assert clustered.method == "sandwich of N, D" and rows.method == "sandwich of index"
        assert clustered.df == 19 and rows.df == 135
    for method, kind in (("rows", "clusters"), ("wild", "wild")):
        kinds = (f"{kind} of N, D", f"{kind} of index")
        message = refusal(lambda m=method: sf.bootstrap(fit, coarse, method=m, **QUIET))
        for part in message.split(" To take each row "):
            call = balanced(part, "bootstrap(").removesuffix(")")
            found = value_of(f"{call}, **options)", options=QUIET, **known)
            assert found.method in kinds


def test_methods_without_clusters_warn_where_the_others_refuse(coarse):
    fit = sf.fit(coarse)
    for found in (
        sf.covariance(fit, coarse, "jacobian"),
        sf.profile(fit, coarse, "alpha", method="jacobian"),
        sf.bootstrap(fit, coarse, method="residuals", **QUIET),
        sf.bootstrap(fit, coarse, method="strata", **QUIET),
    ):
        assert note_of(found).severity == "warning"


def test_intervals_by_rows_that_are_a_little_too_narrow_only_warn():
    runs = cells(pd.DataFrame({"lr": np.geomspace(1e-3, 1.6e-2, 5)}), noise=0.002, seed=3)
    runs["loss"] *= 1 + 0.01 * np.log(runs["lr"] / 4e-3) ** 2
    fit = sf.fit(runs)
    assert note_of(fit).details["narrowing"] < 2
    assert note_of(sf.covariance(fit, runs)).severity == "warning"
    assert note_of(sf.bootstrap(fit, runs, **QUIET)).severity == "warning"
    assert note_of(sf.covariance(fit, runs.assign(cell=runs["N"] + runs["D"]), by="cell")) is None


def test_each_row_as_its_own_cluster_is_the_plain_sandwich():
    frame = sf.simulate(sf.simulation.isoflop_design(), noise=0.003)
    for runs in (frame, sf.LossTable.from_frame(frame), frame.set_index(frame["loss"].astype(str))):
        fit = sf.fit(runs)
        plain, rows = sf.covariance(fit, runs), sf.covariance(fit, runs, by="index")
        np.testing.assert_allclose(rows.standard_errors, plain.standard_errors, rtol=1e-9)
    # A column of that name is taken for what it holds.
    named = frame.assign(index=frame.index % 10)
    assert sf.covariance(sf.fit(named), named, by="index").df == 9


def test_combinations_of_columns_are_clusters(swept):
    fit = sf.fit(swept)
    one = swept.assign(cell=swept.groupby(["N", "D"]).ngroup())
    by_cell = sf.covariance(fit, one, by="cell")
    by_both = sf.covariance(fit, swept, by=["N", "D"])
    np.testing.assert_allclose(by_both.matrix, by_cell.matrix, rtol=1e-9)
    assert by_both.df == 19
    draws = sf.bootstrap(fit, swept, method="clusters", by=("N", "D"), **QUIET)
    assert draws.method == "clusters of N, D" and draws.tails.df == 19
    assert sf.profile(fit, swept, "E", by=["N"]).method == "sandwich of N"
    for wrong in ([], [3], 3, [""]):
        with pytest.raises(ArgumentError, match="by"):
            sf.covariance(fit, swept, by=wrong)
    with pytest.raises(DataError, match="'M'"):
        sf.covariance(fit, swept, by=["N", "M"])


def test_two_curves_are_too_few_clusters_to_ask_for():
    N, step = np.meshgrid([1e8, 1e9], np.arange(1, 41), indexing="ij")
    design = pd.DataFrame({"N": N.ravel(), "D": 1e9 * step.ravel()})
    runs = sf.simulate(design, noise=0.0)
    runs["loss"] *= np.exp(0.01 * np.sin(step / 3).ravel())
    fit = sf.fit(runs, fixed={"alpha": 0.34})
    assert note_of(fit, "trajectories").details["narrowing"] > 2
    assert "by=" not in note_of(fit, "trajectories").message
    assert note_of(sf.covariance(fit, runs), "trajectories").severity == "warning"


def test_of_the_real_tables_those_of_sweeps_repeat_cells(data_folder):
    def found(name, law="chinchilla", **options):
        note = note_of(sf.fit(sf.read(data_folder / f"{name}.csv", missing="drop"), law, **options))
        return None if note is None else note.details["swept"]

    assert found("steplaw_dense") == ["lr", "batch_size"]
    assert found("gadre") == ["train_dataset"]
    assert found("gadre", groups={"E": "train_dataset"}) is None
    for name in ("chinchilla_epoch", "farseer", "llama3_isoflops", "marin_dclm", "mpt_overtrained"):
        assert found(name) is None
