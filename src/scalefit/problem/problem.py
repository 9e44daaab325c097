"""What is free in one fit of a law: linear coefficients and nonlinear coordinates.

Fixing, tying and grouping act on the separable form, so that the later stages need not know of
them: tied linear parameters share a coefficient (their terms add), tied nonlinear ones share an
axis, fixed linear terms move to the known part f0, and a grouped linear parameter has one
coefficient for each level of a division of the rows. A :class:`Problem` is hashable and says
what is free; numbers (bounds, fixed values, data) are passed beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from scalefit.data.grouping import level_name
from scalefit.laws import Law
from scalefit.objective import Measure
from scalefit.problem.separability import Structure

__all__ = ["BoundKind", "Data", "Problem", "Settings"]

# A regular grid has cells at every combination: up to this many axes it is dense enough, and up to
# this many coordinates in one column the column can be evaluated on all of them.
MOST_AXES = 4
MOST_LINKED = 2

BoundKind = Literal["none", "zero", "finite"]
"""A bound at zero holds in any scaling of a coefficient; a finite one does not."""


class Data(NamedTuple):
    """Rows of a table as the search and the polish take them.

    Attributes:
        columns: the law's data columns, each of shape (rows,), raw units.
        response: observed loss divided by ``unit``, shape (rows,).
        weight: row weights in the objective, shape (rows,).
        metric: weights in which columns are centred and scaled and the grid is ranked; sum one.
        unit: metric root mean square of the loss; the unit of everything inside.
        fixed: values of the fixed parameters, in the order of ``Problem.fixed``.
        measure: the objective in numbers.
        codes: level of each row in each division of the rows, each (rows,).
        places: rows of each level, each (slots, rows of a slot), filled up; a level of far more
            rows than others has several slots.
        present: 1 where a place is a row, 0 where it is filled up, each as in ``places``.
        slots: level of each slot, ascending, each (slots,).
    """

    columns: tuple[Any, ...]
    response: Any
    weight: Any
    metric: Any
    unit: Any
    fixed: Any
    measure: Measure
    codes: tuple[Any, ...] = ()
    places: tuple[Any, ...] = ()
    present: tuple[Any, ...] = ()
    slots: tuple[Any, ...] = ()


class Settings(NamedTuple):
    """Bounds of one fit, in the order of ``Problem.names``.

    Attributes:
        lower: of coefficients and coordinates, shape (p,).
        upper: shape (p,).
        ends: lower and upper bounds of the parameters themselves, as they were given, shape (p, 2).
            The exponential of the logarithm of a bound need not be that bound.
    """

    lower: Any
    upper: Any
    ends: Any

    def nearer_bound(self, point: np.ndarray) -> np.ndarray:
        """The bound as it was given, of the two that is nearer, for each parameter of a point.

        Args:
            point: coefficients, then coordinates, shape (..., p).
        """
        upper = self.upper - point < point - self.lower
        return np.where(upper, self.ends[..., 1], self.ends[..., 0])


@dataclass(frozen=True)
class Problem:
    """Free and fixed parameters of a law, in separable form.

    Attributes:
        law: the law.
        structure: its separable structure.
        linear: free linear parameters; each a group of tied parameter names.
        nonlinear: free nonlinear coordinates; each a group of tied parameter names.
        fixed: names of the fixed parameters.
        limits: (lower, upper) kind of bound for each free linear parameter.
        logarithmic: whether each free nonlinear coordinate is searched in its logarithm.
        widths: number of coefficients of each free linear parameter.
        levels: for each free linear parameter, the levels it has a coefficient for; none where it
            has one for all rows. Their names change no program.
        divisions: for each free linear parameter, which division of the rows those levels are of.
    """

    law: Law
    structure: Structure
    linear: tuple[tuple[str, ...], ...]
    nonlinear: tuple[tuple[str, ...], ...]
    fixed: tuple[str, ...]
    limits: tuple[tuple[BoundKind, BoundKind], ...]
    logarithmic: tuple[bool, ...]
    widths: tuple[int, ...]
    levels: tuple[tuple[str, ...], ...] = field(compare=False)
    divisions: tuple[int | None, ...]

    @property
    def size(self) -> int:
        """Number of free parameters: coefficients of every level, then coordinates."""
        return len(self.owners) + len(self.nonlinear)

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """Index of the linear parameter that each coefficient belongs to."""
        return tuple(i for i, width in enumerate(self.widths) for _ in range(width))

    @cached_property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """Names of each coefficient, then of each coordinate; several where tied."""
        coefficients = [
            tuple(level_name(name, level) for name in group) if level else group
            for group, levels in zip(self.linear, self.levels, strict=True)
            for level in levels or ("",)
        ]
        return (*coefficients, *self.nonlinear)

    @cached_property
    def constant(self) -> int | None:
        """Index of the linear parameter that is the constant term, if it is free and not tied."""
        for index, group in enumerate(self.linear):
            if group == (self.structure.constant,):
                return index
        return None

    @cached_property
    def in_logarithm(self) -> tuple[bool, ...]:
        """Whether the coordinate of each nonlinear parameter of the structure is its logarithm.

        Tied parameters have one coordinate, also where their kinds are searched differently.
        """
        found = {param.name: param.kind.spacing == "log" for param in self.law.params}
        for group, log in zip(self.nonlinear, self.logarithmic, strict=True):
            found.update(dict.fromkeys(group, log))
        return tuple(found[name] for name in self.structure.nonlinear)

    @cached_property
    def axes_seen(self) -> tuple[tuple[int, ...], ...]:
        """For each linear parameter, the free nonlinear coordinates its term depends on."""
        return tuple(self._axes(self._seen_by(group)) for group in self.linear)

    @cached_property
    def axes_known(self) -> tuple[int, ...] | None:
        """Free coordinates that the known part f0 depends on; None when f0 is zero."""
        fixed_linear = [name for name in self.fixed if name in self.structure.linear]
        if not fixed_linear and self.structure.remainder is None:
            return None
        return self._axes(self._seen_by(fixed_linear) | set(self.structure.remainder or ()))

    @cached_property
    def linked(self) -> tuple[tuple[int, ...], ...]:
        """Coordinates in blocks: two are in one block if a column depends on both, or a chain."""
        blocks: list[set[int]] = []
        every = [*self.axes_seen, self.axes_known or ()]
        for seen in [*every, *((axis,) for axis in range(len(self.nonlinear)))]:
            touching = [block for block in blocks if block & set(seen)]
            blocks = [block for block in blocks if block not in touching]
            blocks += [set(seen).union(*touching)] if seen else []
        return tuple(sorted(tuple(sorted(block)) for block in blocks))

    @cached_property
    def scattered(self) -> bool:
        """Whether cells are scattered points: a regular grid would be too coarse, or could not be
        factorised.
        """
        return len(self.nonlinear) > MOST_AXES or any(
            len(block) > MOST_LINKED for block in self.linked
        )

    @cached_property
    def axes(self) -> tuple[tuple[int, ...], ...]:
        """Coordinates of each axis of cells: one each, or a block where cells are scattered."""
        each = tuple((axis,) for axis in range(len(self.nonlinear)))
        return self.linked if self.scattered else each

    def _seen_by(self, names: Sequence[str]) -> set[str]:
        depends = dict(zip(self.structure.linear, self.structure.depends_on, strict=True))
        return {seen for name in names for seen in depends[name]}

    def _axes(self, seen: set[str]) -> tuple[int, ...]:
        return tuple(i for i, group in enumerate(self.nonlinear) if seen & set(group))

    def parameters(
        self,
        coefficients: Sequence[float],
        coordinates: Sequence[float],
        fixed: Sequence[float],
        held: Sequence[float] | None = None,
    ) -> dict[str, float]:
        """Every parameter by name, on the host, in the law's order.

        Args:
            coefficients: free linear coefficients, raw units.
            coordinates: free nonlinear coordinates.
            fixed: values of the fixed parameters.
            held: for each free parameter the bound that holds it, nan where none does.
        """
        found = dict(zip(self.fixed, map(float, fixed), strict=True))
        logarithmic = (*(False for _ in self.owners), *self.logarithmic)
        values = (*coefficients, *coordinates)
        bounds = [math.nan] * self.size if held is None else held
        for value, bound, group, log in zip(values, bounds, self.names, logarithmic, strict=True):
            free = math.exp(value) if log else float(value)
            found.update(dict.fromkeys(group, free if math.isnan(bound) else float(bound)))
        return {name: found[name] for name in self.ordered}

    def point(self, params: Mapping[str, float]) -> np.ndarray:
        """The inverse: coefficients in raw units, then coordinates, of parameters by name.

        Shape (p,).
        """
        first = np.array([params[group[0]] for group in self.names])
        logarithmic = np.array([*(False for _ in self.owners), *self.logarithmic], dtype=bool)
        return np.where(logarithmic, np.log(np.where(logarithmic, first, 1.0)), first)

    @cached_property
    def ordered(self) -> tuple[str, ...]:
        """Names of every parameter, fixed ones included, in the law's order."""
        levels = {
            name: levels
            for group, levels in zip(self.linear, self.levels, strict=True)
            for name in group
        }
        return tuple(
            level_name(name, level) if level else name
            for name in self.law.names
            for level in levels.get(name, ()) or ("",)
        )
