"""One warm fit of 240 rows against a local optimiser started near the optimum.

``scalefit.fit`` searches the whole box of exponents, polishes several starts and reports evidence.
``scipy.optimize.least_squares`` descends from one good start, with the exact Jacobian. Both must
end at the same objective before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from common import Timing, chinchilla_table, race, run_alone, table
from scipy.optimize import least_squares

import scalefit as sf
from scalefit.certification.certify import certify
from scalefit.fitting.prepared_fit import prepare_fit
from scalefit.laws import find

DELTA = 1e-3
START = {"E": 1.7, "A": 400.0, "B": 1000.0, "alpha": 0.34, "beta": 0.34}
TOLERANCE = 1e-12
SAME_OBJECTIVE = 1e-9

# scipy's words for the two penalties, and its cost in units of scalefit's objective: scipy halves
# the plain sum of squares, scalefit does not.
PENALTIES = {"huber": ("huber", 1.0), "none": ("linear", 2.0)}

OTHERS = ("l1", "asymmetric")
OTHER_ROUNDS = 11

HEADER = ("objective", "program", "time (quartiles)", "ratio to scipy", "objective reached")


class Reference:
    """The log residual of Chinchilla in (E, ln A, ln B, alpha, beta), with its Jacobian."""

    def __init__(self, runs: sf.LossTable) -> None:
        self.N, self.D, self.loss = (np.log(runs.column(name)) for name in ("N", "D", "loss"))
        self.start = np.array(
            [START["E"], np.log(START["A"]), np.log(START["B"]), START["alpha"], START["beta"]]
        )

    def _terms(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        E, a, b, alpha, beta = point
        model, data = np.exp(a - alpha * self.N), np.exp(b - beta * self.D)
        return model, data, E + model + data

    def residual(self, point: np.ndarray) -> np.ndarray:
        """Residuals ln L - ln f, shape (rows,)."""
        return self.loss - np.log(self._terms(point)[2])

    def jacobian(self, point: np.ndarray) -> np.ndarray:
        """Derivative of the residual, shape (rows, 5)."""
        model, data, value = self._terms(point)
        columns = [np.ones_like(value), model, data, -model * self.N, -data * self.D]
        return -np.stack(columns, axis=1) / value[:, None]

    def solve(self, loss: str) -> Any:
        """Result of scipy from the start."""
        return least_squares(
            self.residual,
            self.start,
            jac=self.jacobian,
            loss=loss,
            f_scale=DELTA,
            x_scale="jac",
            ftol=TOLERANCE,
            xtol=TOLERANCE,
            gtol=TOLERANCE,
        )


def compare(runs: sf.LossTable, frame: Any, robust: str, rounds: int) -> list[tuple[str, ...]]:
    """Rows of the table for one penalty.

    Raises:
        SystemExit: the two programs do not reach the same objective.
    """
    loss, factor = PENALTIES[robust]
    reference = Reference(runs)
    scipy_value = factor * reference.solve(loss).cost
    value = sf.fit(runs, robust=robust).objective_value
    if abs(value - scipy_value) > SAME_OBJECTIVE * scipy_value:
        raise SystemExit(
            f"{robust}: scalefit reached {value!r}, scipy {scipy_value!r}: nothing to time"
        )
    calls: dict[str, Callable[[], Any]] = {
        "scipy, one start": partial(reference.solve, loss),
        "scalefit, LossTable": partial(sf.fit, runs, robust=robust),
        "scalefit, DataFrame": partial(sf.fit, frame, robust=robust),
    }
    if robust == "none":  # proved global by default
        calls["scalefit, LossTable, no proof"] = partial(sf.fit, runs, robust=robust, certify=False)
        calls["the proof alone"] = proof(runs)
    reached = {"scipy, one start": scipy_value}
    times = race(calls, rounds)
    base = times["scipy, one start"]
    return [
        (robust, name, time.text, _ratio(time, base), f"{reached.get(name, value):.12g}")
        for name, time in times.items()
    ]


def proof(runs: sf.LossTable) -> Callable[[], Any]:
    """The proof that the squared fit is global, ready to be called."""
    law, objective = find("chinchilla"), sf.objective.Objective("log", "none")
    prepared = prepare_fit(runs, law, objective)
    value = sf.fit(runs, robust="none", certify=False).objective_value
    call = partial(
        certify,
        prepared.problem,
        prepared.settings,
        objective,
        prepared.columns,
        prepared.observed,
        runs.weight,
        {},
        value,
    )
    if not call():
        raise SystemExit("the squared fit is not proved: nothing to time")
    return call


def others(runs: sf.LossTable, rounds: int) -> list[tuple[str, ...]]:
    """Rows of the table for penalties that scipy does not have."""
    calls = {robust: partial(sf.fit, runs, robust=robust) for robust in OTHERS}
    reached = {robust: call().objective_value for robust, call in calls.items()}
    return [
        (robust, "scalefit, LossTable", time.text, "", f"{reached[robust]:.12g}")
        for robust, time in race(calls, rounds).items()
    ]


def _ratio(time: Timing, base: Timing) -> str:
    return f"{time.median / base.median:.2f}"


def section(quick: bool) -> str:
    """The benchmark as Markdown."""
    rounds = 5 if quick else 51
    runs, frame, name = chinchilla_table()
    rows = [row for robust in PENALTIES for row in compare(runs, frame, robust, rounds)]
    rows += others(runs, min(rounds, OTHER_ROUNDS))
    return "\n\n".join(
        [
            "## One warm fit",
            f"{name}. Log residual, Huber with delta {DELTA:g} or plain squares; medians of "
            f"{rounds} rounds. scipy descends from one good start; scalefit is given none, "
            "searches the whole box and polishes several starts. Objectives agree to "
            f"{SAME_OBJECTIVE:g} or the run fails. Squared fits are proved global unless told "
            "otherwise. scipy has neither the sum of absolute residuals nor the lower envelope.",
            table(HEADER, rows),
        ]
    )


def main() -> None:
    """Print the machine and the table."""
    run_alone(section, __doc__)


if __name__ == "__main__":
    main()
