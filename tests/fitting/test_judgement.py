"""The verdict on a fit: patterns, outliers, leverage, and the notes that it rests on."""

import json
import re
from dataclasses import replace
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from remedies import called, option
from scipy import stats

import scalefit as sf
from scalefit.errors import DocumentError
from scalefit.fitting.fitted_rows import FittedRows
from scalefit.fitting.outlying_rows import influential_row, left_out_group
from scalefit.fitting.residual_patterns import residual_patterns
from scalefit.simulation import isoflop_design

NEW = ("poor_fit", "systematic_residuals", "lack_of_fit", "high_leverage")


def codes(fit):
    return {note.code: note for note in fit.notes}


def rows_of(slopes, residuals, weight=None):
    """Rows of a linear problem with these slopes, at its least squares."""
    weight = np.ones(len(residuals)) if weight is None else weight / weight.mean()
    scaled = np.sqrt(weight)[:, None] * slopes
    basis, inverse = np.linalg.qr(scaled)
    rest = np.sqrt(weight) * residuals
    rest = rest - basis @ (basis.T @ rest)
    return FittedRows(
        np.arange(len(rest)),
        weight,
        rest,
        rest,
        basis,
        np.linalg.inv(inverse),
        tuple(f"p{i}" for i in range(slopes.shape[1])),
        1.0,
    )


@pytest.fixture(scope="module")
def line():
    """Two levels of a straight line, with noise."""
    x = np.arange(14.0)
    level = (x >= 6).astype(int)
    noise = np.random.default_rng(3).normal(size=14)
    slopes = np.c_[np.ones(14), x, level]
    return x, level, slopes, rows_of(slopes, noise)


def test_neighbours_correlate_as_the_law_leaves_it(line):
    """The z score against its definition with whole matrices."""
    x, level, slopes, rows = line
    (found,) = residual_patterns(rows, {"x": x}, level)
    M = np.eye(14) - slopes @ np.linalg.pinv(slopes)
    A = np.zeros((14, 14))
    for i in range(13):
        if level[i] == level[i + 1]:
            A[i, i + 1] = A[i + 1, i] = 0.5
    r, d = rows.residuals, 11
    mean = np.trace(M @ A) / d
    exact = 2 * (d * np.trace(M @ A @ M @ A) - np.trace(M @ A) ** 2) / (d**2 * (d + 2))
    of_rows = sum((r[i] * r[i + 1]) ** 2 for i in range(13) if i != 5) / (r @ r) ** 2
    assert found.lag1 == pytest.approx(r @ A @ r / (r @ r))
    assert found.lag1_z == pytest.approx((found.lag1 - mean) / np.sqrt(max(exact, of_rows)))


@pytest.mark.parametrize("sign", [1, -1])
def test_few_runs_of_signs_are_counted_exactly(sign):
    """Of seven residuals the chance of so few runs, by all arrangements."""
    x, signs = np.arange(7.0), sign * np.array([1, 1, 1, -1, -1, -1, -1])
    # Neighbours hardly correlate: every other residual is small.
    rest = signs * np.where(x % 2, 1e-3, 1.0)
    rows = rows_of(np.ones((7, 1)), rest)._replace(clipped=rest, basis=np.empty((7, 0)))
    (found,) = residual_patterns(rows, {"x": x}, np.zeros(7, dtype=int))
    up = int((signs > 0).sum())
    counts = []
    for places in combinations(range(7), up):
        at = np.isin(np.arange(7), places)
        counts.append(1 + np.count_nonzero(at[1:] != at[:-1]))
    assert len(counts) == comb(7, up)
    assert found.p_value == pytest.approx(2 * np.mean(np.array(counts) <= 2))


def test_the_order_of_rows_and_copies_of_them_change_no_pattern():
    runs = sf.simulate(isoflop_design(points=7), noise=0.003, seed=2)
    first = sf.fit(runs, robust="none", certify=False).verdict
    shuffled = runs.sample(frac=1.0, random_state=1)
    weighted = runs.assign(weight=2.0)
    for other in (shuffled, weighted):
        again = sf.fit(other, robust="none", certify=False).verdict
        for one, two in zip(first.patterns, again.patterns, strict=True):
            assert (one.column, one.runs_z) == (two.column, two.runs_z)
            assert one.lag1 == pytest.approx(two.lag1, rel=1e-6, abs=1e-9)
        assert again.spread == pytest.approx(first.spread, rel=1e-6)


def test_a_pair_that_hides_itself_is_found():
    """Two rows at the end of a line, equally far off: squares bend to them, and each looks fine."""
    rng = np.random.default_rng(0)
    x = np.r_[np.linspace(0, 1, 20), 3.0, 3.05]
    y = x + 0.05 * rng.normal(size=22) + np.where(x > 2, 4.0, 0.0)
    slopes = np.c_[np.ones(22), x]
    rows = rows_of(slopes, y)
    group, share = left_out_group(rows)
    kept = np.delete(np.arange(22), group)
    assert set(group) == {20, 21}
    without = np.linalg.lstsq(slopes[kept], y[kept], rcond=None)[1][0]
    assert share == pytest.approx(1 - without / (rows.residuals @ rows.residuals))
    # By its own residual another row looks farther off.
    looks = rows.residuals**2 / (1 - rows.leverage)
    assert looks.argmax() not in (20, 21)
    clean = rows_of(slopes, x + 0.05 * rng.normal(size=22))
    assert len(left_out_group(clean)[0]) == 0


def test_what_a_group_takes_off_is_that_of_a_fit_without_it():
    """The share of a group is what least squares without its rows leave less."""
    rng = np.random.default_rng(4)
    slopes = np.column_stack([np.ones(40), rng.normal(size=(40, 2))])
    noise = rng.normal(size=40)
    noise[[3, 17]] += 40.0
    rest = noise - slopes @ np.linalg.lstsq(slopes, noise)[0]
    group, share = left_out_group(rows_of(slopes, rest))
    assert sorted(group) == [3, 17]
    kept = np.delete(np.arange(40), group)
    left = np.linalg.lstsq(slopes[kept], noise[kept])[1][0]
    assert share == pytest.approx(1 - left / (rest @ rest), rel=1e-9)


def test_the_influence_of_a_run_is_what_leaving_it_out_does():
    rng = np.random.default_rng(1)
    slopes = np.c_[np.ones(15), np.r_[np.linspace(0, 1, 14), 4.0]]
    y = slopes @ [1.0, 2.0] + rng.normal(size=15)
    found, chance = influential_row(rows_of(slopes, y), rows_of(slopes, y).residuals, np.arange(15))
    whole = np.linalg.lstsq(slopes, y, rcond=None)[0]
    unscaled = np.sqrt(np.diagonal(np.linalg.inv(slopes.T @ slopes)))
    moves = []
    for i in range(15):
        kept = np.arange(15) != i
        params, squares, *_ = np.linalg.lstsq(slopes[kept], y[kept], rcond=None)
        moves.append(np.abs(whole - params) / (np.sqrt(squares[0] / 12) * unscaled))
    assert found.row == str(int(np.max(moves, axis=1).argmax()))
    assert found.shift == pytest.approx(np.max(moves))
    assert 0 < chance <= 1


@pytest.fixture(scope="module")
def bent():
    """A learning curve in the shape of few-shot birds: flat, then falling from 2e7 examples on."""
    x = np.geomspace(4e6, 1e9, 29)
    loss = 0.25 + 0.75 * (1 + (x / 3e7) ** 1.5) ** -0.4
    noise = 0.004 * np.random.default_rng(5).normal(size=29)
    return pd.DataFrame({"examples": x, "loss": loss * np.exp(noise)})


def test_a_bend_is_a_pattern_and_names_a_law_that_bends(bent):
    fit = sf.fit(bent, "power_offset", x="examples")
    note = codes(fit)["systematic_residuals"]
    assert fit.verdict.level in ("doubtful", "poor") and "a pattern along x" in fit.verdict.words
    assert note.details["columns"] == ["x"] and note.details["lag1"] > 0.5
    better = called(note.message, "fit(runs, 'broken_power'", runs=bent)
    assert better.law.name == "broken_power" and better.verdict.level == "good"
    assert better.verdict.spread < 0.3 * fit.verdict.spread


def test_the_code_of_the_page_runs():
    page = Path(__file__).parents[2] / "docs" / "model_checking.md"
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        exec(block, names)
    assert names["straight"].verdict.level in ("doubtful", "poor")
    assert names["bent"].verdict.level == "good"


def test_the_surface_of_another_law_is_a_pattern():
    """Terms that interact, on a grid: Chinchilla's law cannot follow."""
    N, D = np.meshgrid(np.geomspace(1e8, 1e10, 8), np.geomspace(1e9, 1e12, 9))
    runs = pd.DataFrame({"N": N.ravel(), "D": D.ravel()})
    law = sf.laws.find("chinchilla_outer")
    truth = {"E": 1.5, "S": 1.2, "w": 0.5, "alpha": 0.9, "beta": 0.9, "k": 0.35}
    noise = 0.001 * np.random.default_rng(2).normal(size=len(runs))
    runs["loss"] = law.evaluate(runs, truth) * np.exp(noise)
    fit = sf.fit(runs)
    note = codes(fit)["systematic_residuals"]
    assert called(note.message, "fit(runs, 'chinchilla_outer'", runs=runs).verdict.level == "good"


def test_pooled_groups_are_named_with_a_call_that_tells_them_apart():
    base = sf.simulate(isoflop_design(points=9), noise=0.003, seed=1)
    other = sf.simulate(isoflop_design(points=9), noise=0.003, seed=2)
    for more, code in ((0.06, "systematic_residuals"), (0.8, "poor_fit")):
        runs = pd.concat(
            [base.assign(corpus="c4"), other.assign(loss=other["loss"] + more, corpus="pile")],
            ignore_index=True,
        )
        note = codes(sf.fit(runs))[code]
        assert "corpus" in note.message
        apart = called(note.message, "fit(runs, 'chinchilla', groups=", runs=runs)
        assert apart.groups["E"].columns == ("corpus",) and apart.verdict.spread < 0.02
        (rule,) = re.findall(r'keep="(.*?)"', note.message)
        one = sf.fit(runs, keep=rule)
        assert one.verdict.level == "good" and one.nobs == len(base)
        assert option(note.message, "groups") == {"E": "corpus"}
    # A name for sizes is no group of its own.
    small = base.assign(kind=np.where(base["N"] < base["N"].median(), "small", "large"))
    assert sf.fit(small).verdict.level == "good"


def test_a_label_of_what_is_wrong_with_runs_is_no_group():
    """A flag explains residuals because it was made of them."""
    runs = sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.002, seed=1)
    off = np.arange(len(runs)) % 3 == 0
    runs["loss"] *= np.where(off, 1.04, 1.0)
    for header, named in (("oa_reason", False), ("corpus", True)):
        labelled = runs.assign(**{header: np.where(off, "high", "none")})
        said = " ".join(note.message for note in sf.fit(labelled, certify=False).notes)
        assert (header in said) is named


def test_diverged_runs_are_a_cause_with_a_rule_that_leaves_them_out():
    runs = sf.simulate(isoflop_design(), noise=0.003, seed=1)
    bad = runs.index[::8]
    runs.loc[bad, "loss"] = 7.0 + np.arange(len(bad)) / 10
    note = codes(sf.fit(runs))["poor_fit"]
    assert f"{len(bad)} of {len(runs)} rows lie far above" in note.message
    kept = called(note.message, "fit(runs, 'chinchilla', keep=", runs=runs)
    assert kept.nobs == len(runs) - len(bad) and kept.verdict.level == "good"


def test_steps_of_a_learning_rate_are_poor_and_say_so(data_folder):
    runs = pd.read_csv(data_folder / "steplaw_dense.csv")
    fit = sf.fit(runs)
    note = codes(fit)["poor_fit"]
    assert fit.verdict.level == "poor" and fit.verdict.explained < 0.5
    assert "does not describe these runs" in fit.verdict.words
    assert "diverged" in note.message and "lr, batch_size" in note.message
    best = called(note.message, "runs.loc[runs.groupby(", runs=runs)
    assert len(best) == 17
    assert sf.fit(best).verdict.level == "good"


def test_noise_of_replicates_is_not_held_against_a_law():
    """Five runs of each cell that differ by 6 %: the law is right, and the runs are noisy."""
    N, D = np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e12, 5))
    grid = pd.DataFrame({"N": N.ravel(), "D": D.ravel()})
    some = [sf.simulate(grid, noise=0.06, seed=i) for i in range(2)]
    assert "poor_fit" not in codes(sf.fit(pd.concat(some, ignore_index=True)))
    assert "poor_fit" in codes(sf.fit(some[0]))


def replicated(law, truth, noise=0.003):
    """Scattered runs of a law, every fourth of them with two more seeds."""
    rng = np.random.default_rng(4)
    ends = np.log([[1e8, 1e10], [1e9, 1e12]])
    N, D = np.exp(rng.uniform(*ends[:, :, None], (2, 40)))
    runs = pd.DataFrame({"N": N, "D": D})
    runs = pd.concat([runs, runs[::4], runs[::4]], ignore_index=True)
    loss = sf.laws.find(law).evaluate(runs, truth)
    return runs.assign(loss=loss * np.exp(noise * rng.normal(size=len(runs))))


def test_residuals_larger_than_the_noise_of_replicates_are_a_lack_of_fit():
    """Fisher's F test, computed here from the definition; and a wider law that passes it."""
    truth = {"E": 1.5, "S": 1.2, "w": 0.5, "alpha": 0.9, "beta": 0.9, "k": 0.35}
    runs = replicated("chinchilla_outer", truth, noise=0.001)
    fit = sf.fit(runs, robust="none")
    note = codes(fit)["lack_of_fit"]
    rest = pd.Series(fit.residuals(runs)).groupby([runs["N"], runs["D"]])
    within, cells = float((rest.obj - rest.transform("mean")).pow(2).sum()), rest.ngroups
    freedom = len(runs) - cells
    between = float(rest.obj.pow(2).sum()) - within
    assert note.details["df"] == freedom == 20
    assert note.details["noise"] == pytest.approx(np.sqrt(within / freedom))
    chance = stats.f.sf(between / (cells - 5) / (within / freedom), cells - 5, freedom)
    means = rest.agg(["mean", "size"]).query("size > 1")
    repeated = float((means["size"] * means["mean"] ** 2).sum()) / len(means)
    alone = stats.f.sf(repeated / (within / freedom), len(means), freedom)
    assert max(chance, alone) < 1e-3
    assert note.details["p_value"] == pytest.approx(max(chance, alone))
    assert fit.verdict.level == "doubtful" and "the noise of replicates" in fit.verdict.words
    wider = called(note.message, "fit(runs, 'chinchilla_outer'", runs=runs)
    assert "lack_of_fit" not in codes(wider) and wider.verdict.level == "good"
    # Noise that falls with the size, of which only the largest were repeated, is no lack of fit.
    truth = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    once = sf.simulate(isoflop_design(points=9), noise=0.0)
    largest = once[once["C"] == once["C"].max()]
    uneven = pd.concat([once, largest, largest], ignore_index=True)
    size = 0.02 * (uneven["C"] / uneven["C"].min()) ** -0.3
    uneven["loss"] *= np.exp(size * np.random.default_rng(2).normal(size=len(uneven)))
    assert "lack_of_fit" not in codes(sf.fit(uneven, robust="none"))
    # Without the replicates nothing tells the noise, and copies of a row are no replicates.
    alone = runs.drop_duplicates(["N", "D"])
    assert "lack_of_fit" not in codes(sf.fit(alone, robust="none"))
    twice = pd.concat([alone, alone], ignore_index=True)
    assert "lack_of_fit" not in codes(sf.fit(twice, robust="none"))


def test_the_law_that_made_replicates_lacks_nothing():
    truth = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    assert sf.fit(replicated("chinchilla", truth)).verdict.level == "good"


def test_one_run_that_decides_alone_is_named():
    runs = sf.simulate(isoflop_design(points=5), noise=0.003, seed=1)
    runs["corpus"] = ["b", *["a"] * (len(runs) - 1)]
    fit = sf.fit(runs, groups={"E": "corpus"}, robust="none", certify=False)
    note = codes(fit)["high_leverage"]
    assert note.details["parameter"] == "E[b]" and note.details["row"] == "0"
    assert fit.verdict.influence.leverage == pytest.approx(1.0)
    assert "row 0 decides E[b]" in fit.verdict.words


def test_levels_of_what_cannot_be_judged():
    runs = sf.simulate(isoflop_design(points=5), noise=0.003, seed=1)
    assert sf.published("chinchilla", "besiroglu").verdict.level == "none"
    exact = sf.fit(sf.simulate(isoflop_design(points=5), noise=0.0)).verdict
    assert exact and exact.level == "good" and "to rounding" in exact.words
    few = sf.fit(runs.iloc[::4]).verdict
    assert few.level == "doubtful" and "too few runs" in few.words and not few.patterns
    envelope = sf.fit(runs, robust="asymmetric").verdict
    assert envelope.level == "doubtful" and "lower envelope" in envelope.words
    rising = runs.assign(loss=8 - runs["loss"])
    assert sf.fit(rising).verdict.level == "poor"


def test_the_spread_is_that_of_the_noise():
    noise = 0.004
    fits = [sf.fit(sf.simulate(isoflop_design(), noise=noise, seed=i)) for i in range(6)]
    assert np.mean([fit.verdict.spread for fit in fits]) == pytest.approx(noise, rel=0.1)
    assert all(fit.verdict.level == "good" for fit in fits)
    assert all(fit.verdict.explained > 0.999 for fit in fits)


def test_a_verdict_survives_json_and_old_documents_have_none(bent):
    fit = sf.fit(bent, "power_offset", x="examples")
    document = json.loads(fit.to_json())
    assert sf.Fit.from_json(fit.to_json()).verdict == fit.verdict
    assert "verdict" in fit.summary() and fit.verdict.words.split(":")[0] in fit.summary().replace(
        "\n             ", " "
    )
    old = {**document, "schema": 2}
    del old["verdict"]
    assert sf.Fit.from_json(json.dumps(old)) == replace(
        fit, verdict=sf.published("chinchilla", "besiroglu").verdict
    )
    wrong = {**document, "verdict": {**document["verdict"], "level": "splendid"}}
    with pytest.raises(DocumentError, match=r"verdict\.level"):
        sf.Fit.from_json(json.dumps(wrong))
    frame = fit.verdict.to_frame()
    assert frame["column"].tolist() == ["x"]
    assert "lag-1" in fit.verdict.summary() and "<table" in fit.verdict._repr_html_()


def test_the_next_step_of_a_fit_is_one_that_its_warnings_leave():
    size = np.geomspace(1e8, 1e10, 12)
    ratio = 20 * (1 + 0.012 * np.cos(7.0 * np.arange(12)))
    table = sf.simulate(pd.DataFrame({"N": size, "D": ratio * size}), noise=0.003, seed=1)
    fit = sf.fit(table[["N", "D", "loss"]])
    assert "one_ratio" in {note.code for note in fit.notes}
    headline = fit.describe().headline
    assert "allocate" not in headline
    assert "runs at other D/N" in headline
    N, D = (item.ravel() for item in np.meshgrid(np.geomspace(1e7, 1e9, 6), [1e9, 1e10, 1e11]))
    rates = pd.DataFrame({"N": N, "D": D, "lr": 2.0 * N**-0.4 * D**0.1})
    rates["lr"] *= np.exp(0.05 * np.random.default_rng(0).standard_normal(len(rates)))
    rate = sf.fit(rates, "optimal_learning_rate", loss="lr")
    assert "Next" in rate.describe().headline
    assert "allocate" not in rate.describe().headline
