"""Several responses of each run: a wide table fitted at once, coefficients for each response."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

import scalefit as sf
from scalefit.documents.reproduction import calls
from scalefit.errors import ArgumentError, DataError

CODE, WEB = "loss_code", "loss_web"
BOTH = [CODE, WEB]
TRUE = {CODE: {"E": 1.1, "A": 300.0, "B": 250.0}, WEB: {"E": 1.9, "A": 420.0, "B": 400.0}}
SHARED = {"alpha": 0.34, "beta": 0.28}


def wide(own=0.002, common=0.003, points=6):
    """Sweeps with two losses, which share a part of their noise."""
    runs = sf.simulation.isoflop_design(points=points)
    rng = np.random.default_rng(3)
    shock = common * rng.standard_normal(len(runs))
    law = sf.laws.find("chinchilla")
    for name, params in TRUE.items():
        noise = shock + own * rng.standard_normal(len(runs))
        runs[name] = law.evaluate(runs, {**params, **SHARED}) * np.exp(noise)
    return runs


RUNS = wide()


@pytest.fixture(scope="module")
def fit():
    return sf.fit(RUNS, responses=BOTH, robust="none")


def test_the_fit_is_that_of_the_stacked_problem(fit):
    """Against scipy on the residuals of both losses at once, in logarithms of the parameters."""
    N, D = RUNS["N"].to_numpy(), RUNS["D"].to_numpy()
    observed = np.log(RUNS[BOTH].to_numpy().T)

    def residuals(point):
        E, A, B, shared = np.exp(point[:2]), np.exp(point[2:4]), np.exp(point[4:6]), point[6:]
        terms = A[:, None] * N ** -shared[0] + B[:, None] * D ** -shared[1]
        return (observed - np.log(E[:, None] + terms)).ravel()

    start = np.log([1.1, 1.9, 300.0, 420.0, 250.0, 400.0])
    options = {"jac": "3-point", "x_scale": "jac", "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    found = least_squares(residuals, np.append(start, [0.34, 0.28]), **options)
    assert fit.objective_value == pytest.approx(2 * found.cost, rel=1e-10)
    expected = dict(zip(["E", "A", "B"], np.exp(found.x[:6]).reshape(3, 2), strict=True))
    for name, values in expected.items():
        for response, value in zip(BOTH, values, strict=True):
            assert fit[f"{name}[{response}]"] == pytest.approx(value, rel=1e-5)
    assert (fit["alpha"], fit["beta"]) == pytest.approx(found.x[6:], rel=1e-6)


def test_a_long_table_made_by_hand_gives_the_same(fit):
    long = RUNS.melt(id_vars=["N", "D"], value_vars=BOTH, var_name="domain", value_name="loss")
    groups = dict.fromkeys("EAB", "domain")
    other = sf.fit(long, groups=groups, robust="none", certify=False)
    assert dict(other.params) == pytest.approx(dict(fit.params), rel=1e-9)
    assert fit.nobs == len(long)
    assert fit.responses == tuple(BOTH)


def test_other_coefficients_can_be_shared_and_differ_by_other_columns_too():
    runs = RUNS.assign(corpus=np.resize(["a", "b"], len(RUNS)))
    named = sf.fit(
        runs,
        responses=BOTH,
        groups={"E": ("response", "corpus"), "A": "response", "B": "response"},
        certify=False,
    )
    assert {name for name in named.params if name.startswith("E")} == {
        f"E[{response}/{corpus}]" for response in BOTH for corpus in "ab"
    }
    assert named.predict(runs).shape == (len(runs), 2)
    pooled = sf.fit(runs, responses=BOTH, groups={}, certify=False)
    assert set(pooled.params) == set("EAB") | {"alpha", "beta"}
    assert pooled.predict(runs).shape == (len(runs),)
    fixed = sf.fit(runs, responses=BOTH, fixed={"E": 1.0}, certify=False)
    assert set(fixed.groups) == {"A", "B"}


def test_an_empty_cell_leaves_out_that_response_alone():
    runs = RUNS.copy()
    runs.loc[3, CODE] = np.nan
    found = sf.fit(runs, responses=BOTH, certify=False)
    assert [(item.row, item.rule) for item in found.dropped] == [(f"3/{CODE}", f"missing {CODE}")]
    assert found.nobs == 2 * len(runs) - 1
    assert f"1 by 'missing {CODE}'" in found.summary()
    table = sf.read(runs, responses=BOTH)
    assert list(table["row"][table["response"] == WEB]) == [str(row) for row in runs.index]
    with pytest.raises(DataError, match="'N' is missing"):
        sf.fit(RUNS.assign(N=RUNS["N"].where(RUNS.index > 0)), responses=BOTH)


def test_options_of_the_table_hold_for_every_response():
    bits = RUNS.assign(params_b=RUNS["N"] / 1e9, w=1.0).drop(columns=["N", "C"])
    bits[BOTH] = bits[BOTH] / np.log(2)
    bits[CODE] = [f"{value:.17g}" for value in bits[CODE]]
    options = {"loss_unit": "bits", "N": ("params_b", 1e9), "weight": "w", "certify": False}
    found = sf.fit(bits, responses=BOTH, keep="response != 'loss_web' or D > 1e9", **options)
    rule = (RUNS["D"] > 1e9).to_numpy()
    assert found.nobs == len(RUNS) + rule.sum()
    same = sf.fit(RUNS.assign(loss_web=RUNS[WEB].where(rule)), responses=BOTH, certify=False)
    assert dict(found.params) == pytest.approx(dict(same.params), rel=1e-6)
    assert found.loss_unit == "nats/token"
    assert (
        sf.read(
            RUNS.rename(columns={CODE: "code_bpb", WEB: "web_bpb"}),
            responses=["code_bpb", "web_bpb"],
        ).loss_unit
        == "bits/byte"
    )


def test_predictions_of_one_response_and_of_all(fit):
    new = RUNS[["N", "D"]].head(4)
    every = fit.predict(new)
    for place, response in enumerate(BOTH):
        one = fit.at(response=response)
        assert one.predict(new) == pytest.approx(every[:, place], rel=1e-14)
        assert fit.predict(N=new["N"], D=new["D"], response=response) == pytest.approx(
            every[:, place], rel=1e-14
        )
        # A wide table is one of that response from here on.
        expected = np.log(RUNS[response] / one.predict(RUNS))
        assert one.residuals(RUNS) == pytest.approx(expected.to_numpy(), rel=1e-9)
    assert fit.residuals(RUNS).shape == (fit.nobs,)
    assert sf.allocate(fit.at(response=CODE), flops=1e21).N > 0


def test_it_goes_through_json_and_pickle(fit):
    for other in (sf.Fit.from_json(fit.to_json()), pickle.loads(pickle.dumps(fit))):
        assert other.responses == fit.responses
        assert other.groups == fit.groups
        assert other.residuals(RUNS) == pytest.approx(fit.residuals(RUNS))
    table = sf.read(RUNS, responses=BOTH)
    assert pickle.loads(pickle.dumps(table)).responses == table.responses


def test_the_responses_of_a_run_are_resampled_together(fit):
    draws = sf.bootstrap(fit, RUNS, n_draws=20, progress=False)
    same = sf.bootstrap(fit, RUNS, n_draws=20, method="clusters", by="row", progress=False)
    assert draws.method == "clusters of row"
    for name, values in draws.params.items():
        np.testing.assert_array_equal(values, same.params[name])
    assert sf.bootstrap(fit, RUNS, n_draws=20, method="wild", progress=False).method == (
        "wild of row"
    )


def test_a_copy_of_a_response_adds_no_certainty():
    """Twice the same residuals: the errors of what is shared are those of one response."""
    twice = RUNS.assign(copied=2.0 * RUNS[CODE])
    both = sf.fit(twice, responses=[CODE, "copied"], robust="none", certify=False)
    one = sf.fit(twice, loss=CODE, robust="none", certify=False)
    found, alone = sf.covariance(both, twice), sf.covariance(one, twice)
    for name in ("alpha", "beta"):
        assert found.standard_errors[name] == pytest.approx(alone.standard_errors[name], rel=1e-6)
    (note,) = (note for note in both.notes if note.code == "shared_runs")
    assert note.details["narrowing"] == pytest.approx(2**0.5, rel=0.02)
    assert note.details["by"] == "row"
    # It is about intervals by rows: neither the optimum nor draws of whole runs are worse for it.
    level = found.draws(20).at(response=CODE)
    for surface in (both.at(response=CODE), level):
        notes = sf.allocate(surface, flops=1e22).notes
        assert not {"fit_warnings", "shared_runs"} & {item.code for item in notes}
    # What is proposed for one level can be called.
    assert "scalefit.bootstrap(fit, runs)" in both.summary().partition("for intervals")[0]
    assert "for intervals" not in both.at(response=CODE).summary()


def test_runs_are_held_out_with_all_their_responses():
    held = sf.holdout(RUNS, responses=BOTH, intervals=False)
    rows = held.runs["row"] if hasattr(held, "runs") else held._runs.frame["row"]
    run, response = zip(*(str(row).split("/") for row in rows), strict=True)
    assert sorted(run) == sorted([*set(run)] * 2)
    assert set(response) == set(BOTH)


def test_shared_pooled_and_alone_are_compared():
    found = sf.compare(
        sf.read(RUNS, responses=BOTH), ["chinchilla"], groups="response", replicates=0
    )
    assert set(found.laws) == {"pooled", "shared", "alone"}
    assert found.fits["shared"]["alpha"] == pytest.approx(
        sf.fit(RUNS, responses=BOTH, certify=False)["alpha"]
    )
    alone = sf.fit(RUNS, loss=CODE, certify=False)
    assert found.fits["alone"][CODE]["alpha"] == pytest.approx(alone["alpha"], rel=1e-9)
    assert set(found.fits["pooled"].params) == {"E", "A", "B", "alpha", "beta"}


def test_a_law_of_another_response():
    """Accuracies under their own name, from a fit and from a table that is read before."""
    law = sf.laws.find("accuracy_of_compute")
    rng = np.random.default_rng(0)
    design = pd.DataFrame({name: np.geomspace(1e18, 1e22, 12) for name in law.columns})
    params = {item.name: item.kind.example for item in law.params}
    exact = law.evaluate(design, params)
    runs = design.assign(arc=exact, mmlu=np.clip(exact * (1 + 0.01 * rng.random(12)), 0, 1))
    table = sf.read(runs, responses={law.response: ["arc", "mmlu"]})
    assert table.column(law.response)[:12] == pytest.approx(exact)
    with pytest.raises(ArgumentError, match="responses are of 'loss'"):
        sf.fit(runs, law, responses={"loss": ["arc", "mmlu"]})


def test_raw_residuals_of_different_scales_are_noted():
    scaled = RUNS.assign(loss_web=100 * RUNS[WEB])
    options = {"residual": "raw", "robust": "none", "certify": False}
    found = sf.fit(scaled, responses=BOTH, **options)
    (note,) = (note for note in found.notes if note.code == "dominating_response")
    rest = found.residuals(scaled).reshape(2, -1)
    assert note.details["response"] == WEB
    assert note.details["share"] == pytest.approx((rest[1] ** 2).sum() / (rest**2).sum())
    assert "dominating_response" not in {
        note.code for note in sf.fit(RUNS, responses=BOTH, **options).notes
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"responses": [CODE, "los_web"]}, "Did you mean 'loss_web'"),
        ({"responses": [CODE, CODE]}, "names 'loss_code' twice"),
        (
            {"responses": [CODE]},
            "one column only.*Pass it as the response itself, loss='loss_code'",
        ),
        ({"responses": CODE}, "one column only"),
        ({"responses": []}, "names no column"),
        ({"responses": 3}, "is not a header"),
        ({"responses": {"a": BOTH, "b": BOTH}}, "of one quantity"),
        ({"responses": BOTH, "loss": CODE}, "both say what is predicted"),
        ({"responses": [CODE, "D"]}, "'D', a column that 'chinchilla' predicts from"),
        ({"responses": BOTH, "N": WEB}, "given for N, and is one of the responses"),
    ],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(sf.ScalefitError, match=said):
        sf.fit(RUNS, **options)


def test_columns_that_the_long_table_needs_are_refused():
    with pytest.raises(DataError, match=r"runs.rename\(columns=\{'response': 'response_'\}\)"):
        sf.fit(RUNS.assign(response="a"), responses=BOTH)
    found = sf.fit(RUNS.assign(loss=1.0), responses=BOTH, certify=False)
    assert "column_replaced" in {note.code for note in found.notes}
    table = sf.read(RUNS, responses=BOTH)
    assert sf.fit(table, responses=BOTH, certify=False).responses == tuple(BOTH)
    with pytest.raises(ArgumentError, match="cannot be given for a LossTable"):
        sf.fit(table, responses=BOTH[::-1])


def test_a_report_has_the_calls_that_make_the_fit_again(fit):
    assert "loss_web" in str(sf.report(fit, RUNS))
    names = {"frame": RUNS}
    exec(calls(fit, sf.read(RUNS, responses=BOTH), None, ()), names)
    assert dict(names["fit"].params) == pytest.approx(dict(fit.params), rel=1e-6)


def test_predictions_of_a_table_for_one_response_by_name(fit):
    table = sf.read(RUNS, responses=BOTH)
    for runs in (RUNS, RUNS[["N", "D"]]):
        found = fit.predict(runs, response=WEB)
        np.testing.assert_array_equal(found, fit.predict(RUNS)[:, 1])
    one = fit.at(response=WEB)
    np.testing.assert_array_equal(one.residuals(table), one.residuals(RUNS))
    assert len(one.residuals(table)) == len(RUNS)


def test_a_table_that_lacks_a_response_is_refused(fit):
    lacking = RUNS.drop(columns=WEB)
    for call in (fit.residuals, lambda runs: sf.covariance(fit, runs)):
        with pytest.raises(DataError, match=r"lacks loss_web.*fit.at.response='loss_code'"):
            call(lacking)
    for call in (fit.residuals, lambda runs, **given: sf.covariance(fit, runs, **given)):
        with pytest.raises(DataError, match=r"does not say of which.*fit.at.response='loss_code'"):
            call(RUNS, loss=CODE)
    with pytest.raises(DataError, match=r"no run has a value of loss_web. Leave it out"):
        sf.fit(RUNS.assign(loss_web=np.nan), responses=BOTH)


def test_the_surface_of_one_response_goes_with_its_runs_but_not_with_their_noise(fit):
    one = fit.at(response=CODE)
    sweeps = sf.isoflop(RUNS, loss=CODE)
    assert sf.bias(one, sweeps, RUNS, 1e21, n_draws=0, objectives=False).optimum.N > 0
    with pytest.raises(DataError, match=r"fit to all 60 rows.*at\(response='loss_code'\)"):
        sf.bootstrap(one, RUNS)
    options = {"target": 1e22, "budget": 1e20, "count": 2}
    with pytest.raises(DataError, match=r"draws\(\).at\(response='loss_code'\)"):
        sf.next_runs(one, RUNS, **options)
    draws = sf.covariance(fit, RUNS).draws().at(response=CODE)
    given, without = (sf.next_runs(draws, runs, **options) for runs in (RUNS, None))
    pd.testing.assert_frame_equal(given.runs, without.runs)


def test_parabolas_are_of_one_response():
    with pytest.raises(DataError, match=r"2 responses, loss_code, loss_web, and parabolas are of"):
        sf.isoflop(RUNS, responses=BOTH)
    with pytest.raises(DataError, match="2 responses"):
        sf.approach2.vertices(RUNS, over="N", by=["C"], responses=BOTH)
    found = sf.isoflop(RUNS, responses=BOTH, keep=f"response == {CODE!r}")
    assert found.d_exponent == pytest.approx(sf.isoflop(RUNS, loss=CODE).d_exponent, rel=1e-12)


def test_headers_come_from_an_index_and_messages_name_the_response():
    assert sf.read(RUNS, responses=RUNS.columns[3:]).responses.headers == tuple(BOTH)
    with pytest.raises(DataError, match="a value of response: write response == 'loss_code'"):
        sf.read(RUNS, responses=BOTH, keep="loss_code < 4")
    with pytest.raises(ArgumentError, match=r"one level of E.*Name 'E'"):
        sf.fit(RUNS, responses=BOTH, fixed={"E[loss_code]": 1.1})


def test_known_errors_of_each_response_are_a_column_of_the_long_table():
    """As the page of several responses says; against weights of one over their squares."""
    spread = RUNS.assign(loss_web=100 * RUNS[WEB])
    table = sf.read(spread, responses=BOTH).to_frame()
    table["se"] = table["response"].map({CODE: 0.01, WEB: 1.5}).astype(float)
    options = {"residual": "raw", "robust": "none", "groups": dict.fromkeys("EAB", "response")}
    found = sf.fit(table, sigma="se", certify=False, **options)
    same = sf.fit(table.assign(weight=table["se"] ** -2), certify=False, **options)
    assert dict(found.params) == pytest.approx(dict(same.params), rel=1e-6)
    assert found.objective_value == pytest.approx(same.objective_value, rel=1e-9)
    assert sf.covariance(found, table, by="row").standard_errors["alpha"] > 0
