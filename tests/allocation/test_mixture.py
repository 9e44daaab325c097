"""The optimal mixture: against grids, closed forms and the conditions of an optimum."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import scalefit as sf
from scalefit.allocation.mixture_notes import hull_distance
from scalefit.allocation.mixture_objective import MixtureObjective, Target, domains_of
from scalefit.allocation.mixture_result import GAIN
from scalefit.allocation.simplex_search import inside, minimise
from scalefit.errors import AllocationError
from scalefit.laws import Coefficient, Offset, Share, additive_mixture_of, mixture_of

LAW = sf.laws.mixture_of("web", "code")
SLOPES = {
    "web": {"c": 1.8, "k": 1.2, "t_web": -1.9, "t_code": -0.3},
    "code": {"c": 0.9, "k": 1.5, "t_web": 0.2, "t_code": -3.0},
    "books": {"c": 2.1, "k": 0.8, "t_web": 0.5, "t_code": 0.9},
}
SHARES = [(i / 8, j / 8) for i in range(9) for j in range(9 - i)]
DOMAINS = ("web", "code", "rest")
EQUAL = {"web": 1.0, "code": 1.0, "rest": 1.0}

SCALED = sf.laws.additive_mixture_of("a", "b", "c")
SIZE = {"E": 1.2, "K": 0.5, "A": 60.0, "B": 400.0, "alpha": 0.25, "beta": 0.28}
AT = {"N": 1e9, "D": 2e10}


@sf.law(source="a test")
def tilted(a: Share, b: Share, *, E: Offset, s: Coefficient, t: Coefficient, q: Coefficient):
    """L = E + s a + t b + q (a^2 + b^2)"""
    return E + s * a + t * b + q * (a * a + b * b)


@cache
def mixtures():
    """The three losses of mixtures of three domains, one table."""
    found = pd.DataFrame(SHARES, columns=["web", "code"])
    for seed, (name, truth) in enumerate(SLOPES.items()):
        simulated = sf.simulate(found[["web", "code"]], LAW, truth, noise=0.002, seed=seed)
        found[f"{name}_loss"] = simulated["loss"].to_numpy()
    return found


@cache
def fits():
    return {name: sf.fit(mixtures(), LAW, loss=f"{name}_loss") for name in SLOPES}


@cache
def draws():
    return {
        name: sf.bootstrap(item, mixtures(), n_draws=40, seed=3, progress=False)
        for name, item in fits().items()
    }


def known(law, params, **columns):
    """A fit that has these parameters exactly: of a table without noise."""
    rng = np.random.default_rng(0)
    domains = [name for name in law.columns if name not in "ND"]
    # Of one domain more, which a law that does not know that shares add up to one leaves out.
    shares = rng.dirichlet(np.full(len(domains) + (law is tilted), 0.7), 60)
    runs = pd.DataFrame(shares[:, : len(domains)], columns=domains)
    for name, values in columns.items():
        runs[name] = rng.choice(values, 60)
    fixed = {name: value for name, value in params.items() if name != "E"}
    return sf.fit(runs.assign(loss=law.evaluate(runs, params)), law, fixed=fixed)


@cache
def scaled(g=0.4):
    worth = {"c_b": 0.5, "c_c": 0.2, "g_a": g, "g_b": g, "g_c": g}
    return known(SCALED, SIZE | worth, N=[2e8, 8e8, 4e9], D=[5e9, 3e10, 2e11])


def mean_loss(shares, given=None):
    """Equal mean of the three losses at shares of shape (..., 3)."""
    given = given or fits()
    at = {"web": shares[..., 0], "code": shares[..., 1]}
    return np.mean([item.evaluate(**at) for item in given.values()], axis=0)


def require_conditions(found, loss, pull=0.0, natural=None):
    """The gradient is level over shares between their limits, and points out of the others."""
    names = list(found.shares)
    h = np.array([found.shares[name] for name in names])
    assert h.sum() == pytest.approx(1.0, abs=1e-12)
    low, high = np.array([found.limits[name] for name in names]).T
    assert (h >= low).all() and (h <= high).all()

    def total(h):
        kept = h[h > 0]
        pulled = (kept * np.log(kept / natural[h > 0])).sum() if pull else 0.0
        return loss(h) + pull * pulled

    # Along every exchange of two shares that the limits allow, the value does not fall.
    best, step = total(h), 1e-4
    for i in range(len(h)):
        for j in range(len(h)):
            moved = h.copy()
            moved[i] += step
            moved[j] -= step
            if i != j and (moved >= low - 1e-15).all() and (moved <= high + 1e-15).all():
                assert total(moved) >= best - 1e-12, (names[i], names[j])


LIMITS = [
    {},
    {"available": {"code": 1e9}, "tokens": 2e10},
    {"bounds": {"web": (0.5, None), "code": (None, 0.3)}},
    {"fixed": {"code": 0.1}},
    {"natural": EQUAL, "pull": 0.05},
    {"natural": EQUAL, "pull": 0.02, "available": {"rest": 1e9}, "tokens": 2e10},
]


@pytest.mark.parametrize("options", LIMITS, ids=lambda options: "+".join(options) or "free")
def test_no_mixture_of_a_grid_is_better(options):
    found = sf.optimal_mixture(fits(), **options)
    pull, natural = options.get("pull", 0.0), np.full(3, 1 / 3)
    require_conditions(found, mean_loss, pull, natural)
    steps = np.arange(201) / 200
    web, code = (item.ravel() for item in np.meshgrid(steps, steps))
    grid = np.stack([web, code, 1 - web - code], axis=1)
    low, high = np.array(list(found.limits.values())).T
    grid = grid[((grid >= low - 1e-12) & (grid <= high + 1e-12)).all(axis=1)]
    grid = np.abs(grid)
    with np.errstate(all="ignore"):
        pulled = np.where(grid > 0, grid * np.log(grid / natural), 0.0).sum(axis=1)
    values = mean_loss(grid) + pull * pulled
    h = np.array(list(found.shares.values()))
    own = mean_loss(h) + pull * sum(x * np.log(3 * x) for x in h if x > 0)
    assert own <= values.min() + 1e-12
    assert own > values.min() - 1e-3
    assert found.loss == pytest.approx(mean_loss(h), rel=1e-12)
    assert found.convex


def test_shares_of_the_additive_law_have_a_closed_form_that_no_size_moves():
    fit, g = scaled(), 0.4
    # The greatest sum of c h^g: h in proportion to c^(1 / (1 - g)).
    worth = np.array([1.0, 0.5, 0.2]) ** (1 / (1 - g))
    expected = worth / worth.sum()
    for at in (AT, {"N": 7e10, "D": 1e12}):
        found = sf.optimal_mixture(fit, at=at)
        np.testing.assert_allclose(list(found.shares.values()), expected, rtol=1e-6)
    # A cap on the first: what it leaves is shared by the others in the same proportions.
    capped = sf.optimal_mixture(fit, at=AT, available={"a": 1e9}, epochs=4)
    assert capped["a"] == pytest.approx(4 * 1e9 / 2e10)
    assert capped["b"] / capped["c"] == pytest.approx(expected[1] / expected[2], rel=1e-5)
    assert capped.held("a") == "cap" and capped.price["a"] > 0
    more = sf.optimal_mixture(fit, at=AT, available={"a": 1.002e9}, epochs=4)
    rise = more["a"] - capped["a"]
    assert (capped.loss - more.loss) / rise == pytest.approx(capped.price["a"], rel=0.01)


def test_the_joint_laws_optimum_moves_with_size():
    law = sf.laws.joint_mixture_of("a", "b")
    params = SIZE | {"c_b": 0.5, "g_a": 0.5, "g_b": 0.5, "a_b": 3.0, "b_b": 0.3}
    params |= {"g_A": 1.5, "g_B": 1.2}
    fit = known(law, params, N=[1e7, 1e8, 1e9], D=[1e8, 1e9, 1e10])
    shares = []
    for at in ({"N": 1e7, "D": 1e10}, {"N": 1e9, "D": 1e8}):
        found = sf.optimal_mixture(fit, at=at)
        line = np.linspace(0, 1, 20_001)
        values = fit.evaluate(**at, a=line, b=1 - line)
        assert found["a"] == pytest.approx(line[values.argmin()], abs=1e-4)
        shares.append(found["a"])
    assert abs(shares[0] - shares[1]) > 0.05


def test_a_pull_alone_against_a_slope_is_a_tempered_natural_mixture():
    fit = known(tilted, {"E": 2.0, "s": -0.3, "t": 0.2, "q": 0.0})
    natural, pull = np.array([0.2, 0.5, 0.3]), 0.4
    found = sf.optimal_mixture(
        fit, natural=dict(zip("abc", natural, strict=True)), pull=pull, rest="c"
    )
    expected = natural * np.exp(-np.array([-0.3, 0.2, 0.0]) / pull)
    np.testing.assert_allclose(list(found.shares.values()), expected / expected.sum(), rtol=1e-6)
    without = sf.optimal_mixture(fit, natural={"a": 1, "b": 1, "c": 0}, pull=pull, rest="c")
    assert without["c"] == 0


def test_a_law_that_is_not_convex_is_searched_from_many_starts():
    fit = known(tilted, {"E": 2.0, "s": 0.0, "t": 0.1, "q": -0.5})
    found = sf.optimal_mixture(fit)
    assert not found.convex and dict(found.shares) == {"a": 1.0, "b": 0.0, "rest": 0.0}
    (note,) = [note for note in found.notes if note.code == "several_mixtures"]
    assert note.details["b"] == 1.0 and note.details["higher"] == pytest.approx(0.1, rel=1e-6)
    capped = sf.optimal_mixture(fit, bounds={"a": (0, 0.5)})
    assert dict(capped.shares) == {"a": 0.0, "b": 1.0, "rest": 0.0}


def test_draws_are_optima_of_their_own_and_judge_the_mixture_of_the_fit():
    options = {"natural": EQUAL, "available": {"code": 2e9}, "tokens": 2e10, "runs": mixtures()}
    found = sf.optimal_mixture(draws(), **options)
    point = sf.optimal_mixture(fits(), **options)
    assert dict(found.shares) == dict(point.shares) and found.loss == point.loss
    h = np.array(list(found.shares.values()))
    for i in (0, 17, 39):
        params = {name: {p: v[i] for p, v in item.drawn.items()} for name, item in draws().items()}

        def loss(shares, params=params):
            at = {"web": shares[..., 0], "code": shares[..., 1]}
            return np.mean([LAW.evaluate(at, own) for own in params.values()], axis=0)

        own = np.array([found.draws[name][i] for name in DOMAINS])
        line = np.linspace(0, 0.4, 4001)
        grid = np.stack(
            [np.repeat(np.linspace(0, 0.6, 61), 61), np.tile(np.linspace(0, 0.4, 61), 61)], 1
        )
        assert loss(own) <= loss(np.column_stack([grid, 1 - grid.sum(axis=1)])).min() + 1e-12
        edge = np.column_stack([1 - line, line, 0 * line])
        assert loss(own) <= loss(edge).min() + 1e-12
        assert found.draws["loss"][i] == pytest.approx(loss(h), rel=1e-12)
        assert found.draws["regret"][i] == pytest.approx(max(loss(h) - loss(own), 0), abs=1e-12)
        gain = found.draws["gain over natural"][i]
        assert gain == pytest.approx(loss(np.full(3, 1 / 3)) - loss(h), rel=1e-9)
    frame = found.to_frame()
    assert list(frame.index) == list(DOMAINS) and (frame["share_low"] <= frame["share_high"]).all()
    assert found.at_limit("code") == np.mean(
        (found.draws["code"] >= 0.4 - 1e-6) | (found.draws["code"] <= 1e-6)
    )
    assert "draws at a limit" in found.summary() and "responses_unpaired" not in str(found.notes)


def test_draws_of_other_resamples_are_taken_as_independent():
    other = sf.bootstrap(fits()["code"], mixtures(), n_draws=30, seed=8, progress=False)
    found = sf.optimal_mixture({"web": draws()["web"], "code": other})
    assert "responses_unpaired" in [note.code for note in found.notes]
    assert len(found.draws["loss"]) <= 30
    with pytest.raises(AllocationError, match="one recipe is an ensemble"):
        sf.optimal_mixture({"web": draws()["web"], "code": fits()["code"]})


def test_weights_choose_the_responses():
    one = sf.optimal_mixture(fits(), weights={"web": 2.0})
    alone = sf.optimal_mixture(fits()["web"])
    assert one.loss == pytest.approx(alone.loss, rel=1e-12)
    assert dict(one.shares) == pytest.approx(dict(alone.shares), abs=1e-9)
    assert one["web"] == 1.0 and dict(one.weights) == {"web": 1.0, "code": 0.0, "books": 0.0}
    assert one.losses["code"] == pytest.approx(float(fits()["code"].evaluate(web=1.0, code=0.0)))


def test_one_fit_of_several_responses_is_one_fit_for_each():
    """Whose t are the same, so that sharing them is right."""
    law = sf.laws.mixture_of("web", "code")
    shares = np.random.default_rng(3).dirichlet([1.5, 1.5, 1.0], 15)[:, :2]
    design = pd.DataFrame(shares, columns=["web", "code"])
    truth = {"c": 1.0, "k": 1.0, "t_web": -1.6, "t_code": -1.9}
    table = design.assign(
        one=sf.simulate(design, law, truth, noise=0.002)["loss"],
        two=sf.simulate(design, law, {**truth, "k": 2.0}, noise=0.002, seed=1)["loss"],
    )
    draws = sf.covariance(sf.fit(table, law, responses=["one", "two"]), table).draws(20)
    given = {"weights": {"one": 1, "two": 3}, "runs": table}
    whole = sf.optimal_mixture(draws, **given)
    each = sf.optimal_mixture({name: draws.at(response=name) for name in ("one", "two")}, **given)
    assert whole.shares == each.shares and dict(whole.weights) == {"one": 0.25, "two": 0.75}
    assert whole.estimate("web").interval(0.95) == each.estimate("web").interval(0.95)
    assert "responses_unpaired" not in str(whole.notes)


def test_other_mixtures_cost_tokens():
    fit = scaled()
    found = sf.optimal_mixture(fit, at=AT, natural={"a": 5, "b": 3, "c": 2})
    times = found.multipliers["natural"]
    h = dict(found.mixtures["natural"])
    assert h == {"a": 0.5, "b": 0.3, "c": 0.2} and times > 1
    there = fit.evaluate(N=1e9, D=2e10 * times, **h)
    assert there == pytest.approx(found.loss, rel=1e-9)
    far = sf.optimal_mixture(fit, at=AT, natural={"a": 1, "b": 0, "c": 99})
    assert far.multipliers["natural"] == np.inf and "no number of them" in far.summary()
    odd = sf.optimal_mixture(fit, at={"N": 1e9, "D": 2e21})
    assert {"unit_mismatch", "extrapolation"} <= {note.code for note in odd.notes}
    assert np.isnan(sf.optimal_mixture(fits(), natural=EQUAL).multipliers["natural"])


def test_the_best_mixture_tried_is_within_the_limits_where_one_is():
    table = mixtures()
    found = sf.optimal_mixture(fits(), runs=table)
    shares = np.column_stack([table["web"], table["code"], 1 - table["web"] - table["code"]])
    losses = mean_loss(shares)
    assert found.gains["best tried"] == pytest.approx(losses.min() - found.loss, abs=1e-12)
    capped = sf.optimal_mixture(fits(), runs=table, bounds={"code": (None, 0.3)})
    kept = losses[table["code"] <= 0.3]
    assert capped.gains["best tried"] == pytest.approx(kept.min() - capped.loss, abs=1e-12)


def test_mixtures_tried_are_compared_at_a_size_and_tokens():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.dirichlet(np.ones(3), 20), columns=list("abc"))
    table = table.assign(N=8e8, D=3e10, loss=3.0)
    found = sf.optimal_mixture(scaled(), at=AT, runs=table)
    losses = scaled().evaluate(**{name: table[name] for name in "abc"}, **AT)
    assert found.gains["best tried"] == pytest.approx(losses.min() - found.loss, abs=1e-12)
    far = sf.optimal_mixture(scaled(), at=AT | {"D": 1e13}, runs=table)
    note = next(note for note in far.notes if note.code == "extrapolation")
    assert set(note.details) >= {"D"} and not set(note.details) & set("abc")


def test_the_optimum_is_not_uncertain_against_itself():
    corner = mixtures().assign(web=0.0, code=1.0).head(1)
    found = sf.optimal_mixture(draws()["web"], fixed={"code": 1.0}, runs=corner)
    assert found.gains["best tried"] == 0 and set(found.draws[GAIN.format("best tried")]) == {0.0}
    assert "gain_uncertain" not in {note.code for note in found.notes}


def test_unique_tokens_in_thousands_of_millions_are_noted():
    found = sf.optimal_mixture(scaled(), at=AT, available={"b": 5})
    note = next(note for note in found.notes if note.code == "unit_mismatch")
    assert note.details == {"b": pytest.approx(4 * 5 / 2e10)}
    right = sf.optimal_mixture(scaled(), at=AT, available={"b": 5e9})
    assert "unit_mismatch" not in {note.code for note in right.notes}


def test_an_optimum_that_is_no_blend_of_the_mixtures_tried_is_noted():
    corners = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]])
    assert hull_distance(np.full(3, 1 / 3), corners) == pytest.approx(0.0, abs=1e-12)
    # A tenth of the tokens of the first domain is in no blend.
    assert hull_distance(np.array([0.7, 0.15, 0.15]), corners) == pytest.approx(0.1)
    near = mixtures()
    near = near[(near["web"] <= 0.3) & (near["code"].between(0.2, 0.5))]
    codes = [note.code for note in sf.optimal_mixture(fits(), runs=near).notes]
    assert "mixture_outside_runs" in codes
    codes = [note.code for note in sf.optimal_mixture(fits(), runs=mixtures()).notes]
    assert "mixture_outside_runs" not in codes


def test_what_cannot_be_mixed_is_refused():
    with pytest.raises(AllocationError, match=r"largest shares add up to 0\.8"):
        sf.optimal_mixture(fits(), available=dict.fromkeys(DOMAINS, 1e9), tokens=15e9)
    with pytest.raises(AllocationError, match=r"smallest shares add up to 1\.2"):
        sf.optimal_mixture(fits(), bounds=dict.fromkeys(DOMAINS, (0.4, None)))
    with pytest.raises(AllocationError, match="outside the limits of its share"):
        sf.optimal_mixture(fits(), fixed={"code": 0.5}, bounds={"code": (0, 0.2)})
    with pytest.raises(AllocationError, match="has shares of two domains"):
        sf.optimal_mixture(sf.published("chinchilla", "besiroglu"))
    with pytest.raises(AllocationError, match="same domains"):
        sf.optimal_mixture({"web": fits()["web"], "other": scaled()})


def test_one_mixture_that_is_left_is_returned():
    found = sf.optimal_mixture(fits(), fixed={"web": 0.5, "code": 0.2, "rest": 0.3})
    assert dict(found.shares) == {"web": 0.5, "code": 0.2, "rest": 0.3}
    tight = sf.optimal_mixture(fits(), bounds={"web": (0, 0.5), "code": (0, 0.3), "rest": (0, 0.2)})
    assert dict(tight.shares) == pytest.approx({"web": 0.5, "code": 0.3, "rest": 0.2})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_search_is_no_worse_than_slsqp(seed):
    """Convex problems of up to nine domains, with caps, floors and a pull."""
    rng = np.random.default_rng(seed)
    for trial in range(20):
        names = [f"d{i}" for i in range(int(rng.integers(2, 10)))]
        size, rest = len(names), names[-1]
        low = np.where(rng.random(size) < 0.2, rng.uniform(0, 0.5 / size, size), 0.0)
        high = np.where(rng.random(size) < 0.4, low + rng.uniform(0, 1.2 / size, size), 1.0)
        high[0] = 1.0
        if trial % 2:
            law, at = sf.laws.mixture_of(*names[:-1]), {}
            params = {"c": 1.0, "k": 1.0} | {f"t_{n}": rng.normal() * 4 for n in names[:-1]}
        else:
            law, at = sf.laws.additive_mixture_of(*names), AT
            params = SIZE | {f"c_{n}": 10 ** rng.uniform(-2, 1) for n in names[1:]}
            params |= {f"g_{n}": rng.uniform(0.1, 1.0) for n in names}
        target = Target("loss", law, 1.0, at, domains_of(law, rest))
        natural, pull = rng.dirichlet(np.ones(size)), rng.choice([0.0, 0.1])
        objective = MixtureObjective((target,), natural, pull)

        def value(h, objective=objective, params=params):
            return objective.value(h, [params])

        def parts(h, objective=objective, params=params):
            return objective.derivatives(h, [params])

        found = minimise(parts, value, low, high, inside(low, high)[None])
        assert found.converged.all()
        h = found.shares[0]
        assert (h >= low).all() and (h <= high).all() and h.sum() == pytest.approx(1, abs=1e-11)
        other = minimize(
            lambda h, value=value: value(np.maximum(h, 0)[None])[0],
            inside(low, high),
            jac=lambda h, parts=parts: parts(np.maximum(h, 1e-12)[None])[1][0],
            method="SLSQP",
            bounds=list(zip(np.maximum(low, 1e-12), np.maximum(high, 1e-12), strict=True)),
            constraints={"type": "eq", "fun": lambda h: h.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        if abs(other.x.sum() - 1) < 1e-9:
            assert found.value[0] <= other.fun + 1e-9


def test_a_tiny_share_that_is_worth_much_is_no_zero():
    """At g = 0.05 a share of 1e-8 does 40 % of what the whole does."""
    params = SIZE | {"c_b": 1e-3, "c_c": 0.2, "g_a": 0.9, "g_b": 0.05, "g_c": 0.9}
    target = Target("loss", SCALED, 1.0, AT, domains_of(SCALED, None))
    objective = MixtureObjective((target,))
    low, high = np.zeros(3), np.ones(3)
    found = minimise(
        lambda h: objective.derivatives(h, [params]),
        lambda h: objective.value(h, [params]),
        low,
        high,
        inside(low, high)[None],
    )
    line = 10 ** np.linspace(-14, -1, 2001)
    for c in (0.0, found.shares[0, 2]):
        rivals = np.column_stack([1 - line - c, line, np.full_like(line, c)])
        assert found.value[0] <= objective.value(rivals, [params]).min() + 1e-13


def test_the_domain_that_one_law_leaves_out_may_be_a_column_of_another():
    """The least mean of an exponential law of two shares and a scaled one of all three."""
    scaled, left_out = additive_mixture_of("a", "b", "c"), mixture_of("a", "b")
    rng = np.random.default_rng(6)
    runs = pd.DataFrame(rng.dirichlet(np.ones(3), 40), columns=["a", "b", "c"])
    runs["N"], runs["D"] = (
        np.tile([1e8, 1e9, 3e9, 1e10], 10),
        np.repeat([1e9, 1e10, 5e10, 5e11], 10),
    )
    truth = {"E": 1.5, "K": 0.3, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28}
    truth |= {"c_b": 0.8, "c_c": 0.5, "g_a": 0.5, "g_b": 0.5, "g_c": 0.5}
    slopes = {"c": 1.8, "k": 0.9, "t_a": -0.8, "t_b": -1.5}
    one = sf.fit(sf.simulate(runs, scaled, truth), scaled)
    two = sf.fit(sf.simulate(runs, left_out, slopes), left_out)
    step = np.linspace(0, 1, 401)
    a, b = (item.ravel() for item in np.meshgrid(step, step))
    a, b = a[a + b <= 1], b[a + b <= 1]
    at = {"N": 1e9, "D": 1e10}
    mean = scaled.evaluate({**at, "a": a, "b": b, "c": np.maximum(1 - a - b, 0)}, one.params)
    mean = (mean + left_out.evaluate({"a": a, "b": b}, two.params)) / 2
    for fits in ({"one": one, "two": two}, {"two": two, "one": one}):
        found = sf.optimal_mixture(fits, at=at, rest="c")
        assert found.loss == pytest.approx(mean.min(), abs=1e-5)
        assert [found["a"], found["b"]] == pytest.approx(
            [a[mean.argmin()], b[mean.argmin()]], abs=0.004
        )


@pytest.mark.parametrize("rest", ["loss", "regret"])
def test_no_domain_has_the_name_of_a_quantity_of_the_result(rest):
    law = mixture_of("a", "b")
    grid = pd.DataFrame(
        [(i / 4, j / 4) for i in range(5) for j in range(5 - i)], columns=["a", "b"]
    )
    fit = sf.fit(sf.simulate(grid, law, {"c": 1.8, "k": 0.9, "t_a": -0.8, "t_b": -1.5}), law)
    with pytest.raises(AllocationError, match=f"called {rest!r}"):
        sf.optimal_mixture(fit, rest=rest)
