"""fit_components(): principal components of benchmarks over compute, family by family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.errors import DataError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent
from scalefit.skills.scores import Scores, as_labels, read_scores
from scalefit.skills.solver import sigmoid

__all__ = ["Components", "fit_components"]

# Rounds in which empty scores are filled with what components give them, and the change at rest.
MOST_ROUNDS, AT_REST = 500, 1e-8


@dataclass(frozen=True, eq=False, repr=False)
class Components(Described):
    """Principal components of benchmarks, and how compute raises them in each family.

    Attributes:
        responses: headers of the benchmarks.
        loadings: a row for each benchmark and a column for each component; columns are orthonormal.
        mean: of each benchmark.
        explained: share of the variance that each component explains.
        models: components of the models.
        compute: training compute of the models, FLOP.
        family: family of each model.
        families: a row for each family: ``intercept 1`` and on, and ``slope 1`` and on, of the
            components over ln C; the slopes are those of all families where they share them.
        notes: soft problems.
    """

    responses: tuple[str, ...]
    loadings: pd.DataFrame
    mean: pd.Series
    explained: pd.Series
    models: pd.DataFrame
    compute: pd.Series
    family: pd.Series
    families: pd.DataFrame
    notes: tuple[Note, ...] = ()

    def components(self, compute: Any, family: Any) -> np.ndarray:
        """Components at a compute, FLOP, in a family, shape (models, components).

        Raises:
            ArgumentError: compute is no positive number.
            DataError: the family was not fitted.
        """
        remedy = "Pass FLOP, as compute=1e23"
        flops = arguments.numbers(compute, "compute", above=0, remedy=remedy)
        given = {"compute": np.log(flops), "family": np.array(family, dtype=object)}
        arguments.broadcast_shape(given, remedy=remedy)
        logs, names = (np.ravel(item) for item in np.broadcast_arrays(*given.values()))
        place = self.families.index.get_indexer(pd.Index(as_labels(names)))
        if (place < 0).any():
            raise DataError(
                f"the family {names[int(np.argmax(place < 0))]!r} was not fitted",
                column=str(self.families.index.name),
                remedy=f"Families: {', '.join(self.families.index)}",
            )
        d = self.loadings.shape[1]
        found = self.families.to_numpy()[place]
        return np.asarray(found[:, :d] + found[:, d:] * logs[:, None])

    def predict(self, compute: Any, family: Any) -> np.ndarray:
        """Benchmarks at a compute, FLOP, in a family, shape (models, benchmarks).

        Raises:
            ArgumentError: as for :meth:`components`.
            DataError: as for :meth:`components`.
        """
        latent = self.components(compute, family)
        return np.asarray(self.mean.to_numpy() + latent @ self.loadings.to_numpy().T)

    def metric(self, scores: Sequence[float] | pd.Series, floor: float = 0.0) -> pd.Series:
        """A downstream metric over the components, floor + h sigma(w . components + b).

        Args:
            scores: the metric of each model, in their order; NaN where there is none.
            floor: its value of guessing.

        Returns:
            ``h``, ``b``, and a weight for each component.

        Raises:
            ArgumentError: they are no numbers, or as many as there are models.
            DataError: fewer of them than parameters.
        """
        from scipy.optimize import least_squares

        remedy = "Pass the metric of each model, 0 to 1, as scores=runs['agent']"
        y = arguments.numbers(scores, "scores", missing=True, least=0, most=1, remedy=remedy)
        guess = "Pass the score of guessing, as floor=0.25"
        floor = arguments.number(floor, "floor", least=0, below=1, remedy=guess)
        if y.shape != (len(self.models),):
            raise arguments.refused("scores", scores, f"{len(self.models)} numbers", remedy)
        there = np.isfinite(y)
        z = self.models.to_numpy()[there]
        count = z.shape[1] + 2
        if len(z) <= count:
            raise DataError(
                f"{len(z)} models have the metric, and it has {count} parameters",
                remedy="Take fewer components, or more models",
            )

        sd = z.std(axis=0)
        if not sd.all():
            raise DataError(
                f"the models with the metric do not differ in {self.loadings.columns[sd == 0][0]}",
                remedy="Take fewer components, or more models",
            )
        basis = np.column_stack([np.ones(len(z)), z / sd])

        def residual(point: np.ndarray) -> np.ndarray:
            return np.asarray(floor + point[0] * sigmoid(basis @ point[1:]) - y[there])

        def jacobian(point: np.ndarray) -> np.ndarray:
            share = sigmoid(basis @ point[1:])
            slope = point[0] * share * (1 - share)
            return np.column_stack([share, slope[:, None] * basis])

        lower = np.r_[0.0, np.full(basis.shape[1], -np.inf)]
        upper = np.r_[1.0 - floor, np.full(basis.shape[1], np.inf)]
        start = np.r_[0.9 * (1.0 - floor), np.zeros(basis.shape[1])]
        found = least_squares(residual, start, jacobian, bounds=(lower, upper), x_scale="jac").x
        weights = found[2:] / sd
        return pd.Series([found[0], found[1], *weights], ["h", "b", *self.loadings.columns])

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each benchmark: mean and loadings.

        Args:
            level: there are no intervals.
        """
        return self.loadings.assign(mean=self.mean)

    def describe(self, level: float = 0.95) -> Description:
        """What the components are, and what they explain."""
        frame = self.to_frame()
        rows = Column("benchmark", list(frame.index), "text")
        shares = ", ".join(f"{name} {percent(share)}" for name, share in self.explained.items())
        return Description(
            f"Principal components of {len(self.responses)} benchmarks",
            f"{len(self.loadings.columns)} components of {len(self.models)} models explain "
            f"{percent(float(self.explained.sum()))} of the variance",
            "components = intercept(family) + slope ln C",
            facts={"explained": shares, "families": str(len(self.families))},
            tables=[Table([rows, *(Column(str(name), frame[name]) for name in frame)])],
            notes=self.notes,
        )

    def __repr__(self) -> str:
        count = len(self.families)
        return (
            f"<Components: {len(self.loadings.columns)} of {len(self.responses)}, {count} families>"
        )


def fit_components(
    runs: Any,
    responses: Sequence[str] | None = None,
    *,
    family: str = "family",
    components: int = 3,
    slopes: str = "shared",
    **columns: Any,
) -> Components:
    """Principal components of benchmarks as lines over ln C, an intercept for each family.

    Empty scores are filled with what the components give them, until they rest there.

    Args:
        runs: a row for each model, with its compute C (or N and D, and C = 6ND), its family and
            its scores, as for :func:`fit_skills`.
        responses: headers of the benchmarks.
        family: header of the column of families.
        components: number of components.
        slopes: ``shared`` by all families, or ``family``: of each, where it has several computes.
        **columns: headers and units of the quantities, ``keep`` and ``missing``.

    Returns:
        Components of the models, their lines; ``predict`` and ``metric``.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: the table is malformed, or has fewer benchmarks or models than components.

    Source:
        Ruan et al. 2024, arXiv 2405.10938, eqs. 3 to 5: components over ln C with coefficients of
        the family, a metric as a sigmoid of components; read second-hand. Shared slopes and the
        projection back are those of the baseline in the code of arXiv 2412.06540.
    """
    remedy = "Pass a number of components, as components=3"
    d = arguments.whole(components, "components", least=1, remedy=remedy)
    arguments.choice(slopes, "slopes", ("shared", "family"))
    scores = read_scores(runs, responses, columns)
    if d > min(scores.values.shape):
        raise DataError(
            f"{d} components are more than {min(scores.values.shape)} benchmarks or models",
            column=scores.responses[0],
            remedy=f"Pass components={min(scores.values.shape)} or fewer",
        )
    _require_variance(scores, family)
    values, mean, right, variance = _principal(scores.values, d)
    latent = (values - mean) @ right.T
    if "C" in scores.table.sources:
        compute = scores.column("C")
    else:
        compute = 6 * scores.column("N") * scores.column("D")
    labels = scores.labels(family).astype(str)
    names = [f"component {k + 1}" for k in range(d)]
    rows = pd.Index(scores.rows, name="model")
    several = pd.Index(scores.responses, name="benchmark")
    return Components(
        responses=scores.responses,
        loadings=pd.DataFrame(right.T, several, names),
        mean=pd.Series(mean, several),
        explained=pd.Series(variance, names),
        models=pd.DataFrame(latent, rows, names),
        compute=pd.Series(compute, rows),
        family=pd.Series(labels, rows, name=family),
        families=_lines(latent, np.log(compute), labels, slopes == "family", family),
        notes=scores.table.notes,
    )


def _require_variance(scores: Scores, family: str) -> None:
    """Refuse models that score alike, or one alone.

    Raises:
        DataError: no benchmark varies.
    """
    if not np.nanstd(scores.values, axis=0).any():
        raise DataError(
            f"no benchmark differs between the {len(scores.rows)} models: there is no variance to "
            "explain",
            column=family,
            remedy="Pass models that differ",
        )


def _principal(scores: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores without gaps, their means, d right singular vectors, and shares of the variance."""
    gaps = np.isnan(scores)
    values = np.where(gaps, np.nanmean(scores, axis=0), scores)
    for _ in range(MOST_ROUNDS):
        mean = values.mean(axis=0)
        _, size, right = np.linalg.svd(values - mean, full_matrices=False)
        right = right[:d]
        filled = mean + (values - mean) @ right.T @ right
        change = np.abs((filled - values)[gaps]).max(initial=0.0)
        values = np.where(gaps, filled, scores)
        if change < AT_REST:
            break
    signs = np.where(right.sum(axis=1) < 0, -1.0, 1.0)
    return values, mean, right * signs[:, None], (size[:d] ** 2) / np.sum(size**2)


def _lines(
    latent: np.ndarray, log_c: np.ndarray, labels: np.ndarray, own: bool, family: str
) -> pd.DataFrame:
    """Intercepts and slopes of the components over ln C, by least squares."""
    names, code = np.unique(labels, return_inverse=True)
    count = np.bincount(code)
    centre = np.bincount(code, log_c) / count
    means = np.stack([np.bincount(code, item) / count for item in latent.T], axis=1)
    x, z = log_c - centre[code], latent - means[code]
    shared = (x @ z) / max(float(x @ x), 1e-300)
    slopes = np.tile(shared, (len(names), 1))
    if own:
        squares = np.bincount(code, x**2)
        each = np.stack([np.bincount(code, x * item) for item in z.T], axis=1)
        varied = squares > 1e-12
        slopes[varied] = each[varied] / squares[varied, None]
    d = latent.shape[1]
    headers = [f"{what} {k + 1}" for what in ("intercept", "slope") for k in range(d)]
    lines = np.column_stack([means - slopes * centre[:, None], slopes])
    return pd.DataFrame(lines, pd.Index(names, name=family), headers)
