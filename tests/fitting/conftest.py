"""The inside of a fit, posed on a table, for tests that look at one stage of it."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest
from scipy.optimize import least_squares

import scalefit as sf
from scalefit.data.grouping import Grouping
from scalefit.fitting import grid
from scalefit.fitting.basis_columns import columns_over
from scalefit.fitting.model import Cells, Model
from scalefit.fitting.polish import Polisher
from scalefit.fitting.prepared_fit import pack
from scalefit.fitting.projection import projected
from scalefit.fitting.ranking import Ranking, rank
from scalefit.fitting.tables import Tables
from scalefit.problem.options import read_groups
from scalefit.problem.prepare import prepare
from scalefit.problem.separability import structure


@dataclass(frozen=True)
class PreparedFit:
    """A problem and its data, as the stages of a fit take them, and the table they came from."""

    problem: Any
    data: Any
    settings: Any
    columns: dict[str, np.ndarray]
    observed: np.ndarray
    weight: np.ndarray
    metric: np.ndarray
    objective: Any

    def axes(self, points):
        return grid.axes(self.problem, self.settings, points)

    @property
    def model(self):
        return Model(self.problem, self.data.columns, self.data.fixed)

    def project(self, axes):
        """Projected squared error of every cell, and the scaled coefficients."""
        cells = Cells(axes, self.problem.axes, self.problem.scattered)
        with np.errstate(all="ignore"):
            columns = columns_over(self.model, self.data, cells, lambda seen: True)
            value, solution = projected(self.model, self.data, self.settings, len(axes), columns)
        found = [item[..., level] for item in solution for level in range(item.shape[-1])]
        return value, [np.broadcast_to(item, value.shape) for item in found]

    def scan(self, axes):
        """The best cell of every tile."""
        with np.errstate(all="ignore"):
            return grid.scan(self.model, self.data, self.settings, axes)

    def search(self, axes, starts):
        """The ranking of the grid, and the cells of its first starts."""
        if not axes:
            ranking = Ranking(np.zeros((1, 0), dtype=int), np.zeros(1), 1)
        else:
            with np.errstate(all="ignore"):
                ranking = rank(self.model, self.data, self.settings, axes, self.scan(axes))
        return ranking, self.solve(grid.points(self.problem, axes, ranking.cells[:starts]))

    def solve(self, coordinates):
        """Points with their best coefficients."""
        with np.errstate(all="ignore"):
            return grid.solved(self.model, self.data, self.settings, coordinates)

    def polish(self, candidates):
        """Where starts end; their coefficients are in raw units."""
        polisher = Polisher(self.problem, self.settings, Tables(self.objective, self.data))
        return polisher(np.zeros(len(candidates.coordinates), dtype=int), candidates)

    def scaled(self, coordinates, coefficients):
        """Coefficients times the size of their columns over the unit of the loss, and back."""
        values = self.model.values(np.asarray(coordinates)).columns
        metric = self.data.metric
        rows = [np.broadcast_to(item, (len(coordinates), len(metric))) for item in values]
        size = np.stack([np.sqrt(item**2 @ metric) for item in rows], axis=1)
        return coefficients * size / self.data.unit

    def parameters(self, end, start):
        """Every parameter by name where one start of a polish ended."""
        return self.problem.parameters(
            end.coefficients[start], end.coordinates[start], self.data.fixed
        )

    @property
    def unit(self):
        """Root mean square loss in the metric, computed apart from the package."""
        return np.sqrt(np.sum(self.metric * self.observed**2))


def pose_on(
    runs,
    law="chinchilla",
    *,
    fixed=None,
    bounds=None,
    tied=(),
    groups=None,
    weight=None,
    **objective,
):
    """The problem and data that fit() would make of the same arguments."""
    law = sf.laws.find(law)
    columns = {name: runs[name].to_numpy() for name in law.columns}
    observed = runs["loss"].to_numpy()
    weight = np.ones(len(observed)) if weight is None else np.asarray(weight, dtype=float)
    found = structure(law, columns)
    table = sf.LossTable.from_frame(runs)
    grouped = {
        name: Grouping.of(table, names, weight > 0)
        for name, names in read_groups(groups or {}, law).items()
    }
    codes = {grouping: grouping.codes(table) for grouping in grouped.values()}
    problem, settings = prepare(
        law, found, columns, fixed=fixed or {}, bounds=bounds or {}, tied=tied, groups=grouped
    )
    how = sf.objective.Objective(**objective)
    metric = weight if how.residual == "raw" else weight / observed**2
    return PreparedFit(
        problem=problem,
        data=pack(problem, how, columns, observed, weight, fixed or {}, list(codes.values())),
        settings=settings,
        columns=columns,
        observed=observed,
        weight=weight,
        metric=metric / metric.sum(),
        objective=how,
    )


@pytest.fixture(scope="session")
def pose():
    return pose_on


@pytest.fixture(scope="session")
def runs():
    """75 runs of an IsoFLOP sweep with noise of half a percent."""
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.005, seed=1)


@dataclass(frozen=True)
class Optimum:
    """Where scipy ended: the objective in the package's convention, and the point."""

    value: float
    point: np.ndarray
    pull: np.ndarray


def scipy_optimum(
    predict, start, observed, *, residual="log", robust="huber", delta=1e-3, bounds=None
):
    """Least squares by scipy, with exact derivatives by complex steps.

    ``predict`` maps a point to the prediction of each row; scipy's Huber cost is the sum that the
    package minimises, and its plain cost is half of it. ``pull`` is the derivative of the
    objective at the optimum.
    """

    def rows(point):
        predicted = predict(point)
        if residual == "log":
            # scipy steps back from where a residual is not a number.
            return np.log(observed) - np.log(np.where(predicted.real > 0, predicted, np.nan))
        return (observed - predicted) / (observed if residual == "relative" else 1.0)

    def slope(point):
        step = 1e-30j * np.eye(len(point))
        return np.stack([rows(point + row).imag / 1e-30 for row in step], axis=1)

    box = np.array(bounds if bounds else [(-np.inf, np.inf)] * len(start), dtype=float).T
    found = least_squares(
        rows,
        start,
        slope,
        bounds=box,
        method="dogbox" if bounds else "trf",
        x_scale="jac",
        loss="huber" if robust == "huber" else "linear",
        f_scale=delta,
        ftol=1e-15,
        xtol=1e-15,
        gtol=1e-15,
        max_nfev=5000,
    )
    factor = 2.0 if robust == "none" else 1.0
    psi = np.clip(rows(found.x), -delta, delta) if robust == "huber" else 2 * rows(found.x)
    return Optimum(factor * found.cost, found.x, psi @ slope(found.x))


@pytest.fixture(scope="session")
def optimum():
    return scipy_optimum


@pytest.fixture(scope="package", autouse=True)
def as_the_engine_runs():
    """Tests here call what runs inside the scope of the engine's own settings."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield
