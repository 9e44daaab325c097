"""The lowest objective that scipy finds, from many starts; nothing of the library is in it.

The law is c0 + sum over columns j of c_j x_j^-e_j, coefficients nonnegative, exponents in a box. An
objective, sum of w p(r), becomes the sum of squares g^2/2 of g = sign(r) sqrt(2 w p(r)), which
``least_squares`` minimises.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import least_squares, nnls

# Bounds of an exponent where none are given (documented in docs/laws.md).
BOX = (0.005, 5.0)
COLUMNS = {
    "chinchilla": (("N", "A", "alpha"), ("D", "B", "beta")),
    "chinchilla_tied": (("N", "A", "alpha"), ("D", "B", "alpha")),
    "chinchilla_n": (("N", "A", "alpha"),),
    "chinchilla_d": (("D", "B", "beta"),),
}
STARTS = 3
REWEIGHTED = 4


class Sum:
    """The objective of a table, in coordinates of the size of the loss.

    A point is (c0, c_1 .. c_m, e_1 .. e_k), the columns divided by their geometric means and the
    losses by their median; k is m, or 1 where the exponents are one.
    """

    def __init__(self, runs: pd.DataFrame, law: str, options: Mapping[str, Any]) -> None:
        weight = runs["weight"].to_numpy() if "weight" in runs else np.ones(len(runs))
        used = weight > 0
        loss = runs["loss"].to_numpy()[used]
        self.terms = COLUMNS[law]
        self.unit = float(np.median(loss))
        self.heaviest = float(weight.max())
        self.y, self.w = loss / self.unit, weight[used] / self.heaviest
        logs = [np.log(runs[name].to_numpy()[used]) for name, _, _ in self.terms]
        self.centres = np.array([x.mean() for x in logs])
        self.x = np.stack([x - x.mean() for x in logs])
        self.m = len(self.terms)
        tied = law == "chinchilla_tied" or "tied" in options
        self.k = 1 if tied else self.m
        self.residual = options.get("residual", "log")
        self.robust = options.get("robust", "huber")
        self.asymmetry = 10.0 if self.robust == "asymmetric" else 1.0
        delta = options.get("delta", 1e-3) / (self.unit if self.residual == "raw" else 1.0)
        self.delta = np.inf if self.robust == "none" else delta
        fixed = options.get("fixed", {}).get("E")
        self.floor = None if fixed is None else fixed / self.unit
        bounds = options.get("bounds", {})
        self.box = [bounds.get(name, BOX) for _, _, name in self.terms[: self.k]]

    def point(self, params: Mapping[str, float]) -> np.ndarray:
        """The coordinates of parameters in raw units."""
        exponents = np.array([params[name] for _, _, name in self.terms])
        if self.k == 1:
            exponents[:] = params[self.terms[0][2]]
        sizes = np.array([params[name] for _, name, _ in self.terms])
        sizes = sizes * np.exp(-exponents * self.centres) / self.unit
        return np.concatenate([[params["E"] / self.unit], sizes, exponents[: self.k]])

    def value(self, point: np.ndarray) -> float:
        """The objective as the library states it: a sum over rows, in the unit of the table."""
        r, _ = self.residuals(self.predicted(point)[0])
        total = self.heaviest * float(np.sum(self.w * self.penalty(r)[0]))
        power = 0 if self.residual != "raw" else 1 if self.robust == "l1" else 2
        return total * self.unit**power * (2.0 if self.robust == "none" else 1.0)

    def noise(self) -> float:
        """By how much values may differ from rounding of the losses alone."""
        size = 1e-12 * (self.unit if self.residual == "raw" else 1.0)
        rows = 10 * self.heaviest * float(np.sum(self.w))
        return rows * (size if self.robust == "l1" else size**2)

    def predicted(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictions, shape (rows,), and powers, shape (m, rows)."""
        powers = np.exp(-point[self.m + 1 :][:, None] * self.x)
        c0 = point[0] if self.floor is None else self.floor
        return c0 + point[1 : self.m + 1] @ powers, powers

    def residuals(self, f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals and their derivatives in the prediction."""
        if self.residual == "raw":
            return self.y - f, np.full_like(f, -1.0)
        if self.residual == "relative":
            return (self.y - f) / self.y, -1.0 / self.y
        f = np.maximum(f, 1e-300)
        return np.log(self.y / f), -1.0 / f

    def penalty(self, r: np.ndarray, smooth: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The penalty of each row and its slope; absolute values smoothed where asked."""
        if self.robust == "l1" and smooth is None:
            return np.abs(r), np.sign(r)
        delta = self.delta if smooth is None else smooth
        inner = np.minimum(np.abs(r), delta)
        outer = np.abs(r) - inner
        side = np.where(r < 0, self.asymmetry, 1.0)
        value = 0.5 * inner**2 + np.where(outer > 0, inner * outer, 0.0)
        scale = 1.0 if smooth is None else smooth
        return side * value / scale, side * np.clip(r, -delta, delta) / scale

    def rows(self, point: np.ndarray, smooth: float | None = None) -> np.ndarray:
        """g of each row."""
        r, _ = self.residuals(self.predicted(point)[0])
        return np.sign(r) * np.sqrt(2 * self.w * self.penalty(r, smooth)[0])

    def jacobian(self, point: np.ndarray, smooth: float | None = None) -> np.ndarray:
        """Derivatives of g, shape (rows, coordinates)."""
        f, powers = self.predicted(point)
        r, slope = self.residuals(f)
        value, psi = self.penalty(r, smooth)
        # psi / sqrt(2 p) tends to the root of the curvature at r = 0.
        curved = np.where(r < 0, self.asymmetry, 1.0) / (1.0 if smooth is None else smooth)
        root = np.sqrt(2 * value)
        slope = (
            slope
            * np.sqrt(self.w)
            * np.where(root > 0, np.abs(psi) / np.maximum(root, 1e-300), np.sqrt(curved))
        )
        first = np.zeros_like(f) if self.floor is not None else np.ones_like(f)
        bent = -point[1 : self.m + 1][:, None] * powers * self.x
        columns = [first, *powers, *(bent if self.k == self.m else [bent.sum(axis=0)])]
        return np.stack(columns, axis=1) * slope[:, None]

    def lowest(self, reported: np.ndarray) -> float:
        """The lowest value found from the reported point and from the best cells of a grid."""
        ends = [self.descended(start) for start in (reported, *self.starts())]
        return min(self.value(reported), *ends)

    def starts(self) -> list[np.ndarray]:
        """The best cells of a grid in the exponents, none next to another."""
        count = 10 if self.k == 2 else 40
        axes = [np.geomspace(max(low, 0.01), min(high, 4.0), count) for low, high in self.box]
        cells = []
        for exponents in product(*axes):
            found = self.cell(np.array(exponents))
            if found is not None:
                cells.append((self.value(found), found))
        cells.sort(key=lambda item: item[0])
        chosen: list[np.ndarray] = []
        for _, at in cells:
            powers = at[self.m + 1 :]
            far = (np.abs(np.log(powers / other[self.m + 1 :])).max() > 0.7 for other in chosen)
            if all(far):
                chosen.append(at)
            if len(chosen) == STARTS:
                break
        return chosen

    def cell(self, exponents: np.ndarray) -> np.ndarray | None:
        """Coefficients at given exponents by reweighted nonnegative least squares."""
        powers = np.exp(-exponents[:, None] * self.x)
        columns = [*powers] if self.floor is not None else [np.ones_like(self.y), *powers]
        matrix = np.stack(columns, axis=1)
        target = self.y - (self.floor or 0.0)
        root = np.sqrt(self.w) / (1.0 if self.residual == "raw" else self.y)
        plain = self.robust == "none" and self.residual != "log"
        for _ in range(1 if plain else REWEIGHTED):
            try:
                found, _ = nnls(matrix * root[:, None], target * root, maxiter=300)
            except RuntimeError:
                return None
            c0 = found[:1] if self.floor is None else np.array([self.floor])
            point = np.concatenate([c0, found[-self.m :], exponents])
            r, slope = self.residuals(self.predicted(point)[0])
            small = 1e-3 * np.median(np.abs(r)) + 1e-14
            turn = small if self.robust == "l1" else self.delta
            side = np.where(r < 0, self.asymmetry, 1.0)
            root = np.abs(slope) * np.sqrt(
                self.w * side * np.minimum(1.0, turn / np.maximum(np.abs(r), 1e-300))
            )
            if not np.isfinite(root).all():
                return point
        return point

    def descended(self, start: np.ndarray) -> float:
        """The lowest value that ``least_squares`` meets on its way down."""
        low = np.array([0.0] * (self.m + 1) + [low for low, _ in self.box])
        high = np.array([np.inf] * (self.m + 1) + [high for _, high in self.box])
        if self.floor is not None:
            low[0], high[0] = -np.inf, np.inf
        best, at = self.value(start), start
        steps = (None,) if self.robust != "l1" else (1e-2, 1e-4, 1e-6)
        for smooth in steps:
            inside = np.clip(at, low + 1e-13, np.where(np.isfinite(high), high * (1 - 1e-13), high))
            try:
                found = least_squares(
                    self.rows,
                    inside,
                    self.jacobian,
                    bounds=(low, high),
                    x_scale="jac",
                    ftol=1e-15,
                    xtol=1e-15,
                    gtol=1e-15,
                    max_nfev=60,
                    args=(smooth,),
                ).x
            except (ValueError, np.linalg.LinAlgError):
                continue
            # Its iterates stay inside the box: what is almost at a bound may be at it.
            for point in (found, np.where(found - low < 1e-9, low, found)):
                value = self.value(point)
                if value < best:
                    best, at = value, point
        return best
