"""A law prepared for one fit: which coefficients and coordinates are free, and how they compose.

Fixing, tying and grouping act here, on the separable form, so that little further right knows of
them: tied linear parameters share a coefficient (their terms add), tied nonlinear ones share an
axis, fixed linear terms move to the known part f0, and a grouped linear parameter has one
coefficient for each level of a division of the rows. A :class:`Problem` is hashable and says
what is free; numbers (bounds, fixed values, data) are passed beside it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from scalefit import arguments
from scalefit.arguments import shown
from scalefit.data.grouping import Grouping, level_name
from scalefit.errors import ArgumentError, LawError
from scalefit.frozen import Frozen
from scalefit.laws import Law
from scalefit.laws.kinds import OWN_BOUNDS
from scalefit.objective import Measure
from scalefit.problem.separability import Structure

__all__ = ["BoundKind", "Data", "Problem", "Settings", "prepare"]

# A regular grid has cells at every combination: up to this many axes it is dense enough, and up to
# this many coordinates in one column the column can be evaluated on all of them.
MOST_AXES = 4
MOST_LINKED = 2

# Bounds this close, relative to their size, are a value: a grid between them has one point.
ROUNDING = 2**-46

BoundKind = Literal["none", "zero", "finite"]
"""A bound at zero holds in any scaling of a coefficient; a finite one does not."""


class Data(NamedTuple):
    """Rows of a table as the search and the polish see them.

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
        """Whether cells are scattered points: a regular grid of so many coordinates is too coarse,
        or sees nothing factorised.
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
        sees = dict(zip(self.structure.linear, self.structure.sees, strict=True))
        return {seen for name in names for seen in sees[name]}

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


def read_fixed(fixed: Any) -> dict[str, float]:
    """Fixed values by parameter.

    Raises:
        ArgumentError: not a mapping of names to numbers.
    """
    remedy = "Pass numbers by name, as fixed={'E': 1.7}"
    return {
        name: arguments.number(value, f"fixed[{name!r}]", remedy=remedy)
        for name, value in arguments.mapping(fixed, "fixed", remedy=remedy).items()
    }


def read_bounds(bounds: Any) -> dict[str, tuple[float, float]]:
    """Bounds by parameter.

    Raises:
        ArgumentError: not a mapping of names to pairs of numbers, of which the first is the lower
            by more than rounding.
    """
    remedy = "Pass pairs (lower, upper) by name, as bounds={'alpha': (0.2, 0.6)}"
    found = {}
    for name, pair in arguments.mapping(bounds, "bounds", remedy=remedy).items():
        argument = f"bounds[{name!r}]"
        ends = arguments.numbers(pair, argument, infinite=True, remedy=remedy)
        if ends.shape != (2,):
            raise arguments.refused(argument, pair, "a pair of numbers", remedy)
        low, high = ends.tolist()
        if not low < high:
            raise ArgumentError(
                f"{argument}={shown((low, high))} is empty: no number lies between",
                argument=argument,
                value=pair,
                remedy=f"{remedy}, or fix a parameter, as fixed={{'E': 1.7}}",
            )
        if high - low <= ROUNDING * max(abs(low), abs(high)) < math.inf:
            raise ArgumentError(
                f"{argument}={shown((low, high))} is no wider than rounding",
                argument=argument,
                value=pair,
                remedy=f"Fix the parameter, as fixed={{{name!r}: {low:g}}}",
            )
        found[name] = (low, high)
    return found


def read_groups(groups: Any, law: Law) -> dict[str, tuple[str, ...]]:
    """Columns that each grouped parameter differs by, those the law declares included.

    Raises:
        ArgumentError: not a mapping of names to a column or several.
    """
    found = {param.name: param.by for param in law.params if param.by}
    remedy = "Pass a column or several by parameter, as groups={'A': 'format'}"
    for name, columns in arguments.mapping(groups, "groups", remedy=remedy).items():
        argument = f"groups[{name!r}]"
        several = arguments.names(columns, argument, remedy=remedy)
        if not several or len(set(several)) < len(several):
            raise arguments.refused(argument, columns, "one column or several different", remedy)
        found[name] = several
    return found


def read_ties(tied: Any) -> list[tuple[str, ...]]:
    """Groups of tied parameters.

    Raises:
        ArgumentError: not a sequence of groups of two or more different names.
    """
    remedy = "Pass groups of two or more names, as tied=[('alpha', 'beta')]"
    if not isinstance(tied, Sequence) or isinstance(tied, str | bytes | bytearray):
        raise arguments.refused("tied", tied, "a list of groups of names", remedy)
    found = []
    for place, group in enumerate(tied):
        argument = f"tied[{place}]"
        names = arguments.names(group, argument, remedy=remedy)
        if isinstance(group, str) or len(set(names)) < max(2, len(names)):
            raise arguments.refused(argument, group, "a group of different names", remedy)
        found.append(names)
    return found


def prepare(
    law: Law,
    structure: Structure,
    columns: Mapping[str, np.ndarray],
    *,
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    tied: Sequence[Sequence[str]],
    groups: Mapping[str, Grouping] = Frozen({}),
) -> tuple[Problem, Settings]:
    """The problem that a law, fixed values, bounds, ties and groups pose on a table.

    Raises:
        ArgumentError: an unknown parameter, a range without an end to search, a value outside its
            bounds, a tie between different kinds or with a fixed parameter, a grouped parameter
            that is not a free linear coefficient of its own, nothing left to fit.
        LawError: the law itself declares a parameter in a range that cannot be searched.
    """
    ranges = _ranges(law, columns, bounds)
    _check_fixed(law, ranges, fixed, bounds)
    _check_grouped(law, structure, groups, fixed, tied)
    free = _groups(law, structure, fixed, tied)
    if not free:
        raise ArgumentError(
            f"fixed holds every parameter of {law.name!r}: nothing is left to fit",
            argument="fixed",
            value=dict(fixed),
            remedy="Leave one out; what the fixed law predicts is law.evaluate(columns, fixed)",
        )
    linear = tuple(group for group in free if group[0] in structure.linear)
    nonlinear = tuple(group for group in free if group[0] in structure.nonlinear)
    spacing = {param.name: param.kind.spacing for param in law.params}
    limits = {group: _intersection(group, ranges) for group in free}
    for group in nonlinear:
        low, high = limits[group]
        if not (math.isfinite(low) and math.isfinite(high)):
            raise _endless(law, columns, group, (low, high), bounds)
        if spacing[group[0]] == "log" and low <= 0:
            most = high if high > 0 else 1.0
            raise ArgumentError(
                f"bounds[{group[0]!r}] begins at {low:g}, and the parameter is searched in its "
                "logarithm",
                argument=f"bounds[{group[0]!r}]",
                value=(low, high),
                remedy=f"Pass a positive lower end, as bounds={{{group[0]!r}: "
                f"({1e-3 * most:g}, {most:g})}}, or use {OWN_BOUNDS.format(low=low, high=high)}",
            )
    logarithmic = tuple(spacing[group[0]] == "log" for group in nonlinear)
    inside = [
        tuple(map(math.log, limits[group])) if log else limits[group]
        for group, log in zip(nonlinear, logarithmic, strict=True)
    ]
    divisions = list(dict.fromkeys(groups.values()))
    levels = [groups[group[0]].levels if group[0] in groups else () for group in linear]
    problem = Problem(
        law=law,
        structure=structure,
        linear=linear,
        nonlinear=nonlinear,
        fixed=tuple(name for name in law.names if name in fixed),
        limits=tuple(
            (_bound_kind(low), _bound_kind(high))
            for low, high in (limits[group] for group in linear)
        ),
        logarithmic=logarithmic,
        widths=tuple(max(1, len(names)) for names in levels),
        levels=tuple(levels),
        divisions=tuple(
            divisions.index(groups[group[0]]) if group[0] in groups else None for group in linear
        ),
    )
    given = [limits[linear[owner]] for owner in problem.owners]
    lower, upper = np.array(given + inside, dtype=np.float64).reshape(-1, 2).T
    given += [limits[group] for group in nonlinear]
    return problem, Settings(lower, upper, np.array(given, dtype=np.float64).reshape(-1, 2))


def _endless(
    law: Law,
    columns: Mapping[str, np.ndarray],
    group: Sequence[str],
    found: tuple[float, float],
    bounds: Mapping[str, tuple[float, float]],
) -> ArgumentError | LawError:
    """What is said of a range without an end, whether it was given or the law declares it."""
    name = next((item for item in group if item in bounds), None)
    low, high = found
    if name is None:
        return LawError(
            f"parameter {group[0]!r} of {law.name!r} enters nonlinearly, so its bounds must be "
            f"finite, not ({low:g}, {high:g}). Pass bounds={{{group[0]!r}: (lower, upper)}} or "
            "annotate it with Annotated[..., Bounds(lower, upper)]"
        )
    own = next(param.bounds(columns) for param in law.params if param.name == name)
    low = next(end for end in (low, own[0], min(-1e3, 2 * high)) if math.isfinite(end))
    high = next(end for end in (high, own[1], max(1e3, 2 * low)) if math.isfinite(end))
    return ArgumentError(
        f"bounds[{name!r}]={shown(bounds[name])} has no end, and the parameter enters nonlinearly",
        argument=f"bounds[{name!r}]",
        value=bounds[name],
        remedy=f"Pass finite ones, as bounds={{{name!r}: ({low:g}, {high:g})}}",
    )


def _ranges(
    law: Law, columns: Mapping[str, np.ndarray], bounds: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    for name in bounds:
        _require_known(law, name, "bounds")
    return {param.name: bounds.get(param.name) or param.bounds(columns) for param in law.params}


def _check_fixed(
    law: Law,
    ranges: Mapping[str, tuple[float, float]],
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
) -> None:
    for name, value in fixed.items():
        _require_known(law, name, "fixed")
        if name in bounds:
            raise _twice("bounds", name, "fixed", bounds)
        low, high = ranges[name]
        if not low <= value <= high:
            inside = min(max(value, low), high)
            raise ArgumentError(
                f"fixed[{name!r}]={value:g} is outside the bounds of the parameter, {low:g} to "
                f"{high:g}",
                argument=f"fixed[{name!r}]",
                value=value,
                remedy=f"Use a value inside them, as fixed={{{name!r}: {inside:g}}}, or "
                f"{OWN_BOUNDS.format(low=min(2 * value, -1.0), high=max(2 * value, 1.0))}",
            )


def _check_grouped(
    law: Law,
    structure: Structure,
    groups: Mapping[str, Grouping],
    fixed: Mapping[str, float],
    tied: Sequence[Sequence[str]],
) -> None:
    together = {name for group in tied for name in group}
    for name in groups:
        _require_known(law, name, "groups")
        if name not in structure.linear:
            raise ArgumentError(
                f"groups names {name!r} of {law.name!r}, which enters nonlinearly and cannot "
                f"differ by {' and '.join(groups[name].columns)}",
                argument="groups",
                value=name,
                remedy=f"Only linear coefficients ({', '.join(structure.linear)}) can: fit each "
                "level on its own instead",
            )
        if name in fixed or name in together:
            raise _twice("groups", name, "fixed" if name in fixed else "tied", groups)


def _twice(argument: str, name: str, also: str, value: object) -> ArgumentError:
    """What is said of a parameter of which two options say different things."""
    return ArgumentError(
        f"{argument} names {name!r}, which is {also} as well",
        argument=argument,
        value=value,
        remedy="Choose one of the two",
    )


def _require_known(law: Law, name: str, argument: str) -> None:
    if name not in law.names:
        close = difflib.get_close_matches(name, law.names, n=1)
        raise ArgumentError(
            f"{argument} names {name!r}, which is not a parameter of {law.name!r}",
            argument=argument,
            value=name,
            remedy=(f"Did you mean {close[0]!r}? " if close else "")
            + f"Its parameters: {', '.join(law.names)}",
        )


def _groups(
    law: Law, structure: Structure, fixed: Mapping[str, float], tied: Sequence[Sequence[str]]
) -> list[tuple[str, ...]]:
    """Free parameters, tied ones together, in the law's order."""
    group_of: dict[str, tuple[str, ...]] = {}
    for names in tied:
        for name in names:
            _require_known(law, name, "tied")
            if name in fixed:
                raise _twice("tied", name, "fixed", tied)
            if name in group_of:
                raise ArgumentError(
                    f"tied names {name!r} in two groups",
                    argument="tied",
                    value=tied,
                    remedy="Merge them into one group: "
                    f"tied={[tuple(dict.fromkeys((*group_of[name], *names)))]}",
                )
        if len({name in structure.linear for name in names}) > 1:
            raise ArgumentError(
                f"tied names {', '.join(names)} together, of which some are linear coefficients "
                "and some are not",
                argument="tied",
                value=tied,
                remedy="Tie parameters of one kind, as exponents, or fix them",
            )
        ordered = tuple(name for name in law.names if name in names)
        group_of.update(dict.fromkeys(ordered, ordered))
    groups = [group_of.get(name, (name,)) for name in law.names if name not in fixed]
    return list(dict.fromkeys(groups))


def _intersection(
    group: Sequence[str], ranges: Mapping[str, tuple[float, float]]
) -> tuple[float, float]:
    low = max(ranges[name][0] for name in group)
    high = min(ranges[name][1] for name in group)
    if not low < high:
        each = "; ".join(f"{name} {ranges[name][0]:g} to {ranges[name][1]:g}" for name in group)
        raise ArgumentError(
            f"tied names {', '.join(group)} together, which have no common bounds ({each})",
            argument="tied",
            value=group,
            remedy="Give them common ones with bounds=, or untie them",
        )
    return low, high


def _bound_kind(value: float) -> BoundKind:
    if not math.isfinite(value):
        return "none"
    return "zero" if value == 0 else "finite"
