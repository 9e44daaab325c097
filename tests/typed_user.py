"""What a user writes, for type checkers: every call of the top level, and what results offer.

Not run: ``make types`` reads it, so that an editor can complete and explain each of these.
"""

import pandas as pd

import scalefit as sf
from scalefit.laws import Amplitude, Exponent, Law, Offset


@sf.law
def plain(N: float, *, E: Offset, A: Amplitude, alpha: Exponent) -> float:
    return float(E) + float(A) * N ** -float(alpha)


@sf.law(source="my notes", response="loss")
def sourced(N: float, *, E: Offset, A: Amplitude, alpha: Exponent) -> float:
    return float(E) + float(A) * N ** -float(alpha)


laws: list[Law] = [plain, sourced, sf.laws.find("chinchilla")]
table: pd.DataFrame = sf.simulate(sf.simulation.isoflop_design([1e18, 1e19]), noise=0.004)
runs = sf.read("runs.csv", keep="C > 1e18", N="params_b")
print(runs.notes[0].code.upper(), runs.frame.columns, runs.rows, len(runs), runs["N"].mean())

fit = sf.fit(runs, plain, robust="huber", certify=True, progress=False)
alpha: float = fit.params["alpha"]
print(fit.status.name, fit.status is sf.Status.CONVERGED, fit.notes[0].severity.upper())
print(fit.objective_value + 1, fit.nobs + 1, fit.residual_rms + 1, fit.domain["N"][0] + 1)
print(fit.summary(), fit.verdict.words, fit.certificate.closed, fit.diagnostics.minima[0].value + 1)
print(fit.to_frame().columns, fit.predict(N=1e9, D=1e10).mean(), fit.to_json().encode())

draws = sf.bootstrap(fit, runs, 1000, method="rows", seed=1)
print(draws.conf_int().loc["alpha"], draws.usable.sum(), draws.params["alpha"].mean())
posterior: sf.Ensemble = sf.posterior(fit, runs, n_draws=500)
covariance = sf.covariance(fit, runs)
print(covariance.to_frame().columns, covariance.conf_int().columns)
profile = sf.profile(fit, runs, "alpha")
print(profile.low + profile.high, profile.closed[0], profile.values.mean())

best = sf.allocate(draws, [1e23, 1e24], cost="6ND", limits={"N": (None, 7e10)})
print(best.N, best.D, best.loss, best.summary(), best.to_frame().columns)
print(sf.near_optimal(fit, 1e24, within=0.01).to_frame().columns)
print(sf.deadweight(fit, 7e9, 2e12).needed, sf.inverse_predict(fit, 2.0, N=1e9).value)
print(sf.compute_multiplier(fit, fit, 1e23).value, sf.crossing(fit, fit).notes)
print(sf.optimal_columns(fit, "lr", within={"lr": (1e-4, 1e-2)}, N=1e9, D=1e10).notes)
print(sf.optimal_mixture(fit, tokens=1e12).notes)

sweeps = sf.isoflop(runs, method="parabola")
print(sweeps.notes, sf.bias(fit, sweeps, runs, 1e24).summary())
print(sf.check(runs).identifies, sf.next_runs(fit, runs, target=1e24, budget=1e21).runs.columns)
held = sf.holdout(runs, "chinchilla", hold=2)
print(held.folds.columns, held.fit.params)
compared = sf.compare(runs, ["chinchilla", plain])
print(compared.best.upper(), compared.to_frame().columns)
print(sf.compare_published(fit, runs, "besiroglu").summary(), sf.published("chinchilla").params)
print(sf.diagnose(fit, runs).left_out.columns)
print(sf.fit_many(table, by="corpus").to_frame().columns)
print(sf.report(fit, runs, draws, best, path="report.html").answer)
print(sf.plot.surface(fit, runs).get_xlabel().upper())

try:
    sf.read("elsewhere.csv")
except sf.errors.DataError as error:
    print(error.column, error.rows, error.remedy.upper())
except sf.ScalefitError as error:
    print(error)
