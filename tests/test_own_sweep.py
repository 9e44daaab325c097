"""What the runs of ``scalefit_bytes`` say: fits, Approach 2, its bias, runs that were held out."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import scalefit as sf

SWEEP = Path(__file__).parents[1] / "data" / "sweep"
LINES = "held_out == 0"


@pytest.fixture(scope="module")
def frame():
    return sf.datasets.frame("scalefit_bytes")


@pytest.fixture(scope="module")
def runs():
    return sf.datasets.load("scalefit_bytes", keep=LINES)


@pytest.fixture(scope="module")
def fits(runs):
    return {law: sf.fit(runs, law) for law in ("chinchilla", "chinchilla_outer")}


# The table


def lines_of(name):
    text = (SWEEP / f"{name}.jsonl").read_text()
    return {line["run"]: line for line in map(json.loads, text.splitlines())}


def test_every_run_of_the_manifests_is_a_row_in_their_order(frame):
    planned = pd.concat([pd.read_csv(SWEEP / f"{name}.csv") for name in ("main", "target")])
    assert frame["run"].tolist() == planned["run"].tolist()
    for name in ("part", "width", "steps", "batch", "lr", "seed", "budget"):
        assert frame[name].tolist() == planned[name].tolist(), name
    assert set(frame["status"]) == {"finished"}
    measured = lines_of("main") | lines_of("target")
    for name in ("N", "D", "loss", "flops_counted"):
        np.testing.assert_allclose(frame[name], [measured[run][name] for run in frame["run"]], 1e-7)


def test_the_design_is_what_the_datasheet_says(frame):
    lines = frame[frame["part"] == "isoflop"]
    sizes = lines.groupby("budget")["N"].nunique()
    assert sizes.index.tolist() == [1e11, 3.16e11, 1e12, 3.16e12, 1e13] and sizes.min() >= 8
    np.testing.assert_allclose(6 * frame["N"] * frame["D"], frame["budget"], rtol=2e-3)
    seeds = frame[(frame["budget"] == 1e12)].groupby("N")["seed"].apply(sorted)
    assert all(found == [0, 1, 2] for found in seeds)
    over = frame[frame["part"] == "overtrained"]
    assert len(over) == 10 and not set(over["budget"]) & set(sizes.index)
    assert frame["held_out"].eq(frame["part"].isin(["overtrained", "target"])).all()


def test_parameters_and_flops_are_those_of_the_architecture(frame):
    d = frame["width"]
    body = 2 * (12 * d**2 + 2 * d) + d
    assert frame["N_body"].eq(body).all() and frame["N"].eq(body + 128 * d).all()
    assert frame["D"].eq(frame["steps"] * 4 * 64).all()
    # 6 for each weight of a product, 12 for each layer, byte of context and unit of width.
    products = 6 * (24 * d**2 + 128 * d) + 2 * 12 * 64 * d
    np.testing.assert_allclose(frame["flops_counted"], products * frame["D"], rtol=1e-7)
    # Elementwise work is XLA's to count: most where matrices are small.
    assert (frame["flops_measured"] / frame["flops_counted"]).between(1.0, 1.3).all()
    assert (frame["lr"] * 6 * d).between(0.99, 1.01).all()


def test_runs_of_the_pilot_that_return_in_the_sweep_are_the_same(frame):
    """Two trainings of one configuration, hours apart, to the digits of the table."""
    pilot = pd.DataFrame(lines_of("pilot").values())
    both = pilot.merge(frame, on=["width", "steps", "seed", "lr"], suffixes=("_pilot", ""))
    assert len(both) == 6
    np.testing.assert_allclose(both["loss_pilot"], both["loss"], rtol=1e-7)


def test_ten_runs_at_random_repeated(frame):
    again = pd.DataFrame(lines_of("main_repeat").values())
    both = again.merge(frame, on="run", suffixes=("_again", ""))
    assert len(both) == 10
    # Seeds differ by 0.4 %.
    assert np.abs(np.log(both["loss_again"] / both["loss"])).max() < 1e-6


def test_the_rule_of_the_learning_rate_is_the_best_of_five_at_three_widths():
    rates = pd.DataFrame(lines_of("rate").values())
    rates["times"] = rates["lr"] * 6 * rates["width"]
    best = rates.loc[rates.groupby("width")["loss"].idxmin()]
    assert best["width"].tolist() == [16, 48, 128]
    np.testing.assert_allclose(best["times"], 1.0, rtol=0.01)


# The fits


def gaps(point, frame, parts):
    """Log residuals of a law by the logarithms of its terms."""
    return np.log(frame["loss"]) - parts(point, np.log(frame["N"]), np.log(frame["D"]))


def additive(point, N, D):
    e, a, b, alpha, beta = point
    return np.logaddexp(e, np.logaddexp(a - alpha * N, b - beta * D))


def outer(point, N, D):
    e, a, b, alpha, beta, k = point
    return np.logaddexp(e, k * np.logaddexp(a - alpha * N, b - beta * D))


@pytest.mark.parametrize(
    ("law", "parts", "start", "value", "params", "level"),
    [
        (
            "chinchilla",
            additive,
            [0.1, 3.5, 5.5, 0.5, 0.5],
            5.920941e-4,
            {"E": 1.1546, "A": 35.588, "B": 233.73, "alpha": 0.50147, "beta": 0.47010},
            "doubtful",
        ),
        (
            "chinchilla_outer",
            outer,
            [-0.3, 6.0, 8.0, 0.7, 0.6, 0.35],
            2.273473e-4,
            {"E": 0.76770, "S": 0.091727, "alpha": 0.74369, "beta": 0.63856, "k": 0.35042},
            "good",
        ),
    ],
)
def test_fits_are_the_optima_that_scipy_finds(frame, fits, law, parts, start, value, params, level):
    """The default objective by ``least_squares``, from a start nearby, without anything of ours."""
    found = fits[law]
    assert found.objective_value == pytest.approx(value, rel=1e-6)
    for name, number in params.items():
        assert found.params[name] == pytest.approx(number, rel=2e-5), name
    assert found.verdict.level == level
    done = optimize.least_squares(
        gaps,
        start,
        args=(frame.query(LINES), parts),
        jac="3-point",
        loss="huber",
        f_scale=1e-3,
        x_scale="jac",
        max_nfev=2000,
        xtol=1e-15,
        ftol=1e-15,
    )
    assert found.objective_value * (1 - 1e-9) <= done.cost
    assert done.cost == pytest.approx(found.objective_value, rel=1e-4)


def test_the_additive_law_is_proved_global_and_lacks_fit(runs):
    fit = sf.fit(runs, certify=True)
    assert fit.certificate.closed
    (note,) = [note for note in fit.notes if note.code == "lack_of_fit"]
    assert note.details["times"] == pytest.approx(3.4, abs=0.05) and note.details["df"] == 18


def test_noise_between_seeds_is_two_thirds_of_what_the_better_law_leaves(frame, runs, fits):
    logs = np.log(frame.query("budget == 1e12")["loss"]).groupby(frame["N"])
    seeds = np.sqrt(logs.var().mean())
    assert seeds == pytest.approx(0.00414, rel=0.01)
    assert sf.check(runs).noise == pytest.approx(seeds, rel=1e-6)
    left = fits["chinchilla_outer"].residual_rms
    assert left == pytest.approx(0.00648, rel=0.01)


# Approach 2


def vertices(lines, against):
    """By numpy alone: the vertex of a parabola through each line, and a straight line."""
    tops = []
    for budget, line in lines.groupby("budget"):
        curve = np.polyfit(np.log(line[against]), line["loss"], 2)
        tops.append((np.log(budget), -curve[1] / 2 / curve[0]))
    return np.polyfit(*np.transpose(tops), 1)


def test_approach_2_is_what_numpy_makes_of_the_lines(frame, runs):
    lines = frame.query(LINES)
    found = sf.isoflop(runs)
    assert set(found.budgets["status"]) == {"ok"}
    for name, exponent, ours in (
        ("N", 0.48416, found.n_exponent),
        ("D", 0.51582, found.d_exponent),
    ):
        slope, level = vertices(lines, name)
        assert ours == pytest.approx(slope, rel=1e-6) == pytest.approx(exponent, abs=1e-5)
        assert getattr(found.at(1e14), name) == pytest.approx(np.exp(level + slope * np.log(1e14)))


def test_the_bias_report_puts_both_answers_side_by_side(frame, runs, fits):
    found = sf.isoflop(runs)
    _, D = (np.exp(np.polyval(vertices(frame.query(LINES), name), np.log(1e14))) for name in "ND")
    for law, gap in (("chinchilla", 0.0088), ("chinchilla_outer", -0.116)):
        fit = fits[law]
        report = sf.bias(fit, found, runs, 1e14)
        ours = D / sf.allocate(fit, flops=1e14).D - 1
        assert ours == pytest.approx(gap, abs=5e-4)
        assert report.error("D") == pytest.approx(ours, rel=1e-6)
        parts = report.attribution.to_frame()["ln_D"]
        assert parts["gap"] == pytest.approx(np.log1p(ours), rel=1e-6)
        assert parts.drop("gap").abs().idxmax() == "noise_and_misfit"


# Runs that no fit has seen


def missed(fit, rows):
    return np.log(rows["loss"] / fit.predict(N=rows["N"], D=rows["D"]))


def test_over_trained_runs_are_predicted_to_the_noise_by_the_law_that_describes_the_lines(
    frame, fits
):
    over = frame.query("part == 'overtrained'")
    every = sf.datasets.load("scalefit_bytes", keep="part != 'target'")
    for law, rmse, inside in (("chinchilla", 0.01327, 7), ("chinchilla_outer", 0.0043, 10)):
        off = missed(fits[law], over)
        assert np.sqrt(np.mean(off**2)) == pytest.approx(rmse, abs=5e-5)
        held = sf.holdout(every, law, test="part == 'overtrained'").to_frame()
        np.testing.assert_allclose(held["error"], 100 * off, atol=1e-6)
        assert held["inside"].sum() == inside


def test_ten_times_the_largest_budget_the_size_was_right_and_the_loss_was_not(frame, fits):
    target = frame.query("part == 'target'")
    assert target["budget"].eq(1e14).all() and target["N"].is_monotonic_increasing
    bowl = np.polyfit(np.log(target["N"]), target["loss"], 2)
    trained = np.exp(-bowl[1] / 2 / bowl[0])
    assert trained == pytest.approx(369_000, rel=2e-3)
    for law, size, off in (
        ("chinchilla", 384_600, -0.0698),
        ("chinchilla_outer", 336_900, -0.0165),
    ):
        fit = fits[law]
        assert sf.allocate(fit, flops=1e14).N == pytest.approx(size, rel=1e-3)
        assert size == pytest.approx(trained, rel=0.1)
        error = missed(fit, target)
        assert (error < 0).all() and -np.sqrt(np.mean(error**2)) == pytest.approx(off, abs=2e-4)


# The page


@pytest.mark.slow
def test_the_code_of_the_page_runs():
    page = Path(__file__).parents[1] / "docs" / "own_sweep.md"
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        exec(block, names)
    assert names["found"].noise == pytest.approx(0.0041, abs=5e-5)
    assert names["fit"].verdict.level == "doubtful" and names["fit"].certificate.closed
    assert names["best"].law.name == "chinchilla_outer" and names["best"].verdict
    assert names["parabolas"].n_exponent == pytest.approx(0.484, abs=5e-4)
    rows = names["choice"].to_frame().reset_index()
    for row in rows.itertuples():
        best = sf.allocate(sf.fit(names["runs"], row.law), flops=1e14)
        cells = [f"`{row.law}`", f"{row.free}", f"{row.spread:.2%}", f"{row.error:.2%}"]
        cells.append(f"{1000 * round(float(best.N) / 1000):,}")
        assert f"| {' | '.join(cells).replace('%', ' %')} |" in page.read_text()
