"""The stack of rows from which a dense objective forms its derivatives, and where each stands.

Columns of all coefficients and their derivatives stand one above the other in one array, so that
inner products are few large matrix products instead of many small ones.
"""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise

import numpy as np

from scalefit.fitting.model import Model

__all__ = ["StackLayout"]


class StackLayout:
    """Which row of a stack is what: columns, their derivatives, and those of the known part.

    The order is: column of each coefficient; first derivatives; first derivatives of the known
    part; second derivatives; second derivatives of the known part; the known part.

    Attributes:
        k: number of coefficients.
        d_coefficient, d_axis: of each first derivative, its coefficient and its axis.
        known_axis: axis of each first derivative of the known part.
        s_coefficient: coefficient of each second derivative.
        s_a, s_b: the two first derivatives of the same column that belong to a second one.
        at: slices of the stack by kind of row.
        lead: number of rows that first derivatives of a prediction are made of.
        gather: sums second derivatives of all terms into a symmetric matrix, (pairs, q * q).
    """

    def __init__(self, model: Model) -> None:
        problem = model.problem
        basis, known = model.term_coordinates()
        self.k, q = len(problem.owners), len(problem.nonlinear)
        first = [(c, a) for c, owner in enumerate(problem.owners) for a in basis[owner]]
        second = [
            (c, *pair)
            for c, owner in enumerate(problem.owners)
            for pair in combinations_with_replacement(basis[owner], 2)
        ]
        known_first = list(known or ())
        known_second = list(combinations_with_replacement(known or (), 2))
        place = {pair: i for i, pair in enumerate(first)}
        self.d_coefficient = np.array([c for c, _ in first], dtype=int)
        self.d_axis = np.array([a for _, a in first], dtype=int)
        self.known_axis = np.array(known_first, dtype=int)
        self.s_coefficient = np.array([c for c, _, _ in second], dtype=int)
        self.s_a = np.array([place[c, a] for c, a, _ in second], dtype=int)
        self.s_b = np.array([place[c, b] for c, _, b in second], dtype=int)
        self.has_known = known is not None
        counts = {
            "columns": self.k,
            "d": len(first),
            "known_d": len(known_first),
            "s": len(second),
            "known_s": len(known_second),
            "known": int(self.has_known),
        }
        ends = pairwise(np.cumsum([0, *counts.values()]).tolist())
        self.at = {name: slice(a, b) for name, (a, b) in zip(counts, ends, strict=True)}
        self.lead = self.at["known_d"].stop
        pairs = [(a, b) for _, a, b in second] + known_second
        self.gather = np.zeros((len(pairs), q * q))
        for i, (a, b) in enumerate(pairs):
            self.gather[i, a * q + b] = self.gather[i, b * q + a] = 1.0
