"""Absolute residuals against linear programmes and exact optimality conditions."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, lsq_linear, minimize

import scalefit as sf
from scalefit.data.table import as_table
from scalefit.fitting.multistart import refit
from scalefit.fitting.prepared_fit import prepare_again

TRUTH = sf.simulation.SURFACES["chinchilla"]
TABLES = {
    "quiet": {"noise": 1e-3, "seed": 0},
    "ordinary": {"noise": 5e-3, "seed": 1},
    "loud": {"noise": 2e-2, "seed": 2},
    "very loud": {"noise": 5e-2, "seed": 11},
}


def programme(runs, alpha, beta, weight=None, limits=(0, None)):
    """Least sum of w abs(L - E - A N^-alpha - B D^-beta) over E, A, B, by linear programming.

    Columns are taken at N = 1e8 and D = 1e10; the coefficients come back in raw units.
    """
    N, D, loss = (runs[name].to_numpy() for name in ("N", "D", "loss"))
    weight = np.ones(len(loss)) if weight is None else weight
    columns = np.stack([np.ones(len(loss)), (N / 1e8) ** -alpha, (D / 1e10) ** -beta], axis=1)
    rows = np.eye(len(loss))
    found = linprog(
        np.r_[np.zeros(3), weight, weight],
        A_eq=np.hstack([columns, rows, -rows]),
        b_eq=loss,
        bounds=[limits] * 3 + [(0, None)] * (2 * len(loss)),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert found.status == 0
    E, A, B = found.x[:3]
    return found.fun, {"E": E, "A": A * 1e8**alpha, "B": B * 1e10**beta}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("exponents", [(0.34, 0.28), (0.3, 0.35), (0.6, 0.2)], ids=str)
def test_at_fixed_exponents_the_optimum_is_that_of_a_linear_programme(table, exponents):
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES[table])
    value, params = programme(runs, *exponents)
    fixed = dict(zip(("alpha", "beta"), exponents, strict=True))
    fit = sf.fit(runs, residual="raw", robust="l1", fixed=fixed)
    assert fit.status is sf.Status.CONVERGED
    assert fit.objective_value == pytest.approx(value, rel=1e-9)
    for name, expected in params.items():
        assert fit.params[name] == pytest.approx(expected, rel=1e-7)


def test_weights_count_in_the_linear_programme_too():
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES["ordinary"])
    weight = np.arange(75) % 4 + 0.5
    value, params = programme(runs, 0.34, 0.28, weight)
    fixed = {"alpha": 0.34, "beta": 0.28}
    fit = sf.fit(runs.assign(weight=weight), residual="raw", robust="l1", fixed=fixed)
    assert fit.objective_value == pytest.approx(value, rel=1e-9)
    for name, expected in params.items():
        assert fit.params[name] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("table", TABLES)
def test_over_exponents_no_search_on_linear_programmes_beats_the_fit(table):
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES[table])
    fit = sf.fit(runs, residual="raw", robust="l1")

    def profiled(logs):
        return programme(runs, *np.exp(np.clip(logs, -4, 1)))[0]

    found = np.log([fit.params["alpha"], fit.params["beta"]])
    assert profiled(found) == pytest.approx(fit.objective_value, rel=1e-9)
    rng = np.random.default_rng(3)
    starts = [np.log([0.34, 0.28]), *(np.log(rng.uniform(0.1, 0.8, (3, 2))))]
    best = min((minimize(profiled, at, method="Nelder-Mead") for at in starts), key=lambda m: m.fun)
    again = minimize(
        profiled, best.x, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}
    )
    assert fit.objective_value <= again.fun * (1 + 1e-9)
    assert again.fun == pytest.approx(fit.objective_value, rel=1e-5)
    # On a pattern around the optimum, down to steps that linear programmes can still resolve.
    for size in (1e-2, 1e-3, 1e-4, 1e-5):
        for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
            step = size * np.array([np.cos(angle), np.sin(angle)])
            assert profiled(found + step) >= fit.objective_value * (1 - 1e-10)


def rows_and_slope(runs, params, residual):
    """Residuals and their derivatives in E, A, B, alpha and beta, scaled to be of like size."""
    N, D, loss = (runs[name].to_numpy() for name in ("N", "D", "loss"))
    one, two = params["A"] * N ** -params["alpha"], params["B"] * D ** -params["beta"]
    predicted = params["E"] + one + two
    slope = np.stack([np.ones(len(N)), one, two, -one * np.log(N / 1e8), -two * np.log(D / 1e10)])
    if residual == "log":
        return np.log(loss) - np.log(predicted), -slope / predicted
    divisor = loss if residual == "relative" else 1.0
    return (loss - predicted) / divisor, -slope / divisor


@pytest.mark.parametrize("residual", ["log", "relative", "raw"])
@pytest.mark.parametrize("table", TABLES)
def test_the_optimum_passes_through_rows_whose_multipliers_balance_the_signs(table, residual):
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES[table])
    fit = sf.fit(runs, residual=residual, robust="l1")
    rows, slope = rows_and_slope(runs, fit.params, residual)
    assert fit.objective_value == np.sum(np.abs(fit.residuals(runs)))
    on = np.abs(rows) < 1e-9 * np.abs(rows).mean()
    near = np.abs(rows) < 1e-6 * np.abs(rows).mean()
    assert (on == near).all()
    assert 3 <= on.sum() <= 5
    pull = slope[:, ~on] @ np.sign(rows[~on])
    multipliers, *_ = np.linalg.lstsq(slope[:, on], -pull, rcond=None)
    left = slope[:, on] @ multipliers + pull
    assert np.abs(left).max() < 1e-8 * np.abs(slope).sum(axis=1).max()
    assert np.abs(multipliers).max() < 1
    assert fit.diagnostics.gradient_cosine < 1e-8
    assert 0 <= fit.diagnostics.duality_gap < 1e-9


def test_huber_losses_of_small_delta_tend_to_it():
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES["ordinary"])
    limit = sf.fit(runs, robust="l1")
    for delta in (1e-5, 1e-6, 1e-7):
        fit = sf.fit(runs, delta=delta)
        # H / delta lies below abs(r), by delta / 2 at most.
        assert (
            0
            <= limit.objective_value - fit.objective_value / delta
            <= len(runs) * delta / 2 * (1 + 1e-6)
        )
        for name, value in limit.params.items():
            assert fit.params[name] == pytest.approx(value, rel=1e4 * delta)


def test_units_of_the_loss_do_not_matter():
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES["ordinary"])
    here = sf.fit(runs, residual="raw", robust="l1")
    there = sf.fit(runs.assign(loss=1e-6 * runs["loss"]), residual="raw", robust="l1")
    assert there.objective_value == pytest.approx(1e-6 * here.objective_value, rel=1e-9)
    assert there.params["A"] == pytest.approx(1e-6 * here.params["A"], rel=1e-8)
    assert there.params["beta"] == pytest.approx(here.params["beta"], rel=1e-9)


def test_few_bad_runs_do_not_move_it():
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.0)
    wrong = runs.copy()
    wrong.loc[[3, 17, 40, 66], "loss"] *= 1.7
    for residual in ("log", "relative", "raw"):
        fit = sf.fit(wrong, residual=residual, robust="l1")
        for name, value in TRUTH.items():
            assert fit.params[name] == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("residual", ["log", "raw"])
def test_a_law_that_passes_through_every_row_is_exact(residual):
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.0)
    fit = sf.fit(runs, residual=residual, robust="l1")
    assert fit.status is sf.Status.EXACT
    for name, value in TRUTH.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-9)


def test_bounds_hold_exactly():
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES["ordinary"])
    fit = sf.fit(runs, robust="l1", bounds={"alpha": (0.4, 1.0), "E": (0.0, 1.5)})
    assert {name: fit.params[name] for name in fit.diagnostics.at_bound} == {"E": 1.5, "alpha": 0.4}
    assert fit.diagnostics.gradient_cosine < 1e-8


def test_delta_plays_no_part():
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES["ordinary"])
    one, other = (sf.fit(runs, robust="l1", delta=delta) for delta in (1e-3, 0.1))
    assert one.objective.delta is None
    assert one.params == other.params


# Tables on which kinks are hard to reach


def swept(rng):
    """A surface and the losses on a sweep of it, without noise."""
    params = {
        "E": rng.uniform(0.5, 2.5),
        "A": rng.uniform(100, 900),
        "B": rng.uniform(100, 900),
        "alpha": rng.uniform(0.2, 0.5),
        "beta": rng.uniform(0.2, 0.5),
    }
    return sf.simulate(sf.simulation.isoflop_design(), params=params, noise=0.0)


def scattered(count, seed, noise=5e-3):
    """Sizes and tokens drawn log-uniformly, and a surface with noise."""
    rng = np.random.default_rng(seed)
    N, D = 10.0 ** rng.uniform([[7], [9]], [[10], [12]], (2, count))
    return sf.simulate(pd.DataFrame({"N": N, "D": D}), noise=noise, seed=seed)


def hard_tables():
    """Tables by what is hard about them; each is given with its options."""
    rng = np.random.default_rng(8)
    plain = sf.simulate(sf.simulation.isoflop_design(), noise=5e-3, seed=4)
    heavy = np.where(np.arange(75) == 7, 1e8, 1.0)
    two_scales = sf.simulate(sf.simulation.isoflop_design(), noise=1e-8, seed=2)
    two_scales.loc[rng.choice(75, 12, replace=False), "loss"] *= 1.3
    sizes = plain[plain["N"].isin(np.sort(plain["N"].unique())[[3, 40]])]
    two_sizes = pd.concat([sizes, scattered(20, 6).assign(N=sizes["N"].max())], ignore_index=True)
    two_sizes.loc[:9, "N"] = sizes["N"].min()
    rising = scattered(40, 9).assign(loss=lambda runs: 2 + 0.05 * np.log10(runs["N"] * 1e-7))
    rising["loss"] += 0.02 * rng.normal(size=40)
    return {
        "coarsely rounded": (plain.assign(loss=plain["loss"].round(1)), {}),
        "in steps": (plain.assign(loss=np.where(plain["N"] > 5e8, 2.0, 3.0)), {}),
        "duplicates": (pd.concat([plain, plain[::2], plain[:20]], ignore_index=True), {}),
        "one heavy row": (plain.assign(weight=heavy), {}),
        "wide weights": (plain.assign(weight=10.0 ** rng.uniform(-6, 6, 75)), {}),
        "two scales": (two_scales, {}),
        "two sizes": (two_sizes, {}),
        "rising": (rising, {}),
        "loud": (scattered(60, 3, noise=0.3), {}),
        "bounds": (plain, {"bounds": {"alpha": (0.4, 1.0), "E": (0.0, 1.5)}}),
        "one exponent": (plain, {"law": "chinchilla_tied"}),
    }


HARD = hard_tables()


def balanced(runs, fit):
    """The largest share by which multipliers within [-1, 1] fail to balance a free parameter.

    Multipliers of rows that are passed through are chosen by bounded least squares.
    """
    weight = runs["weight"].to_numpy() if "weight" in runs else np.ones(len(runs))
    tied = fit.law.name == "chinchilla_tied"
    params = dict(fit.params) | ({"beta": fit.params["alpha"]} if tied else {})
    rows, slope = rows_and_slope(runs, params, fit.objective.residual)
    slope = weight * slope
    if tied:
        slope = np.vstack([slope[:3], slope[3:].sum(axis=0)])
    held = [name in fit.diagnostics.at_bound for name in ("E", "A", "B", "alpha", "beta")][
        : len(slope)
    ]
    slope = slope[~np.array(held)]
    slope = slope[np.abs(slope).max(axis=1) > 0]
    slope /= np.abs(slope).sum(axis=1, keepdims=True)
    on = np.abs(rows) < 3e-14
    pull = slope[:, ~on] @ np.sign(rows[~on])
    # Rows as rare as the free parameters count by as much as all others.
    found = lsq_linear(slope[:, on], -pull, bounds=(-1, 1), tol=1e-15, lsmr_tol=1e-15)
    return np.abs(slope[:, on] @ found.x + pull).max(), int(on.sum())


@pytest.mark.parametrize("residual", ["log", "relative", "raw"])
@pytest.mark.parametrize("table", HARD)
def test_hard_tables_end_at_kinks_that_balance(table, residual):
    runs, options = HARD[table]
    fit = sf.fit(runs, residual=residual, robust="l1", **options)
    assert fit.status is sf.Status.CONVERGED
    assert fit.diagnostics.newton_decrement < 1e-14
    assert 0 <= fit.diagnostics.duality_gap < 1e-11
    # Their number depends on rounding: 96 or 316 for one table, by the versions of numpy and SciPy.
    assert fit.diagnostics.iterations < 400
    left, on = balanced(runs, fit)
    assert left < 1e-9
    assert on >= 1


@pytest.mark.parametrize(
    "decimals",
    [3, 4, *(pytest.param(decimals, marks=pytest.mark.slow) for decimals in range(5, 10)), 10, 11],
)
def test_rounded_losses_without_noise_end_at_kinks_or_exact(decimals):
    rng = np.random.default_rng(decimals)
    for residual in 2 * ("log", "relative", "raw"):
        runs = swept(rng)
        runs["loss"] = runs["loss"].round(decimals)
        fit = sf.fit(runs, residual=residual, robust="l1")
        # Rounding to ten decimals leaves residuals of about 1e-11 of the loss.
        if fit.status is sf.Status.EXACT:
            assert decimals >= 10
            continue
        assert fit.status is sf.Status.CONVERGED
        # Where residuals are 1e-11 and rounding 1e-16, not every start tells the kinks apart.
        assert fit.diagnostics.agreeing == fit.diagnostics.starts or decimals == 10
        assert fit.diagnostics.newton_decrement < 1e-14
        left, on = balanced(runs, fit)
        assert left < 1e-9
        assert on == 5


@pytest.mark.parametrize("rows", [10, 30, 100, 329, 1000])
def test_it_takes_a_few_tens_of_iterations_however_many_rows(rows):
    runs = scattered(rows, 1)
    fit = sf.fit(runs, residual="raw", robust="l1")
    assert fit.status is sf.Status.CONVERGED
    assert fit.diagnostics.iterations < 60
    value, _ = programme(runs, fit.params["alpha"], fit.params["beta"])
    assert fit.objective_value == pytest.approx(value, rel=1e-9)
    assert fit.objective_value <= value * (1 + 1e-12)


def test_refits_of_replicates_end_at_kinks_too():
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES["ordinary"])
    fit = sf.fit(runs, robust="l1")
    posed = prepare_again(fit, as_table(runs))
    rng = np.random.default_rng(0)
    weight = rng.multinomial(75, np.full(75, 1 / 75), size=40).astype(float)
    found = refit(posed.problem, fit.objective, posed.settings, posed.data, weight=weight, starts=4)
    assert (found.newton_decrement < 1e-14).all()
    assert (found.gradient_cosine < 1e-9).all()
    for i in (0, 7, 23):
        own = sf.fit(runs.assign(weight=weight[i]), robust="l1")
        assert found.value[i] == pytest.approx(own.objective_value, rel=1e-9)


def test_steps_at_kinks_count_only_where_they_are_an_optimum():
    # Loss against tokens alone, by hand: E + B / D at D = 1, 2, 4, with multipliers that would
    # have to be larger than one wherever the largest run of five is passed through.
    runs = pd.DataFrame({"D": [1.0, 2.0, 4.0, 8.0, 16.0], "loss": [3.0, 2.0, 1.5, 1.25, 9.0]})
    fit = sf.fit(runs, "chinchilla_d", residual="raw", robust="l1", fixed={"beta": 1.0})
    assert fit.params["E"] == pytest.approx(1.0, abs=1e-12)
    assert fit.params["B"] == pytest.approx(2.0, abs=1e-12)
    assert fit.objective_value == pytest.approx(9.0 - 1.125, abs=1e-12)


# The lower envelope


def envelope(rows, delta, asymmetry):
    """Asymmetric Huber loss and its derivative."""
    side = np.where(rows < 0, asymmetry, 1.0)
    size = np.abs(rows)
    value = np.where(size <= delta, rows**2 / 2, delta * (size - delta / 2))
    return np.sum(side * value), side * np.clip(rows, -delta, delta)


@pytest.mark.parametrize("residual", ["log", "relative", "raw"])
@pytest.mark.parametrize(("delta", "asymmetry"), [(1e-3, 10.0), (1e-2, 3.0), (5.0, 10.0)])
def test_lower_envelope_is_stationary_and_minimal(residual, delta, asymmetry):
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES["ordinary"])
    fit = sf.fit(runs, residual=residual, robust="asymmetric", delta=delta, asymmetry=asymmetry)
    rows, slope = rows_and_slope(runs, fit.params, residual)
    value, psi = envelope(rows, delta, asymmetry)
    assert fit.objective_value == pytest.approx(value, rel=1e-12)
    assert np.abs(slope @ psi).max() < 1e-11 * (np.abs(slope) @ np.abs(psi)).max()
    assert fit.status is sf.Status.CONVERGED

    def at(point):
        E, one, two, alpha, beta = point
        params = {"E": E, "A": one * 1e8**alpha, "B": two * 1e10**beta}
        rows, slope = rows_and_slope(runs, params | {"alpha": alpha, "beta": beta}, residual)
        slope[1], slope[2] = slope[1] / one, slope[2] / two
        value, psi = envelope(rows, delta, asymmetry)
        # scipy's tolerances are absolute.
        return value / fit.objective_value, slope @ psi / fit.objective_value

    rng = np.random.default_rng(1)
    for _ in range(3):
        start = np.array([1.69, 0.77, 0.65, 0.34, 0.28]) * rng.uniform(0.8, 1.2, 5)
        other = minimize(at, start, jac=True, method="BFGS", options={"gtol": 1e-9})
        assert other.fun >= 1 - 1e-10


def test_lower_envelope_finds_the_surface_under_runs_that_were_not_tuned():
    rng = np.random.default_rng(5)
    exact = sf.simulate(sf.simulation.isoflop_design(points=40), noise=0.0)
    loss = exact["loss"] * np.exp(0.03 * rng.exponential(size=len(exact)))
    runs = pd.DataFrame(exact.assign(loss=loss))
    middle, below = (sf.fit(runs, robust=robust) for robust in ("huber", "asymmetric"))
    off = [np.mean(fit.predict(runs) / exact["loss"]) - 1 for fit in (middle, below)]
    assert 0 < off[1] < 0.4 * off[0]


def test_a_large_asymmetry_leaves_hardly_a_run_below():
    runs = sf.simulate(sf.simulation.isoflop_design(), **TABLES["loud"])
    fit = sf.fit(runs, robust="asymmetric", delta=1e-4, asymmetry=1e3)
    assert fit.status is sf.Status.CONVERGED
    assert np.mean(fit.residuals(runs) < -1e-4) < 0.05
