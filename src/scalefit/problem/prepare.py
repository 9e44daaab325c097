"""From a law and the options of a fit to what is free: a :class:`Problem` and its bounds."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from scalefit.arguments import shown
from scalefit.data.grouping import Grouping
from scalefit.errors import ArgumentError, LawError
from scalefit.frozen import Frozen
from scalefit.laws import Law
from scalefit.laws.kinds import OWN_BOUNDS
from scalefit.problem.problem import BoundKind, Problem, Settings
from scalefit.problem.separability import Structure

__all__ = ["prepare"]


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
    limits = {group: _intersection(group, ranges) for group in free}
    spacing = {param.name: param.kind.spacing for param in law.params}
    # Bounds of a kind that is searched in its logarithm are positive: so are those in common.
    logarithmic = tuple(any(spacing[name] == "log" for name in group) for group in nonlinear)
    for group, log in zip(nonlinear, logarithmic, strict=True):
        _check_searchable(law, columns, group, limits[group], bounds, log)
    # Coordinates are searched between the logarithms of their bounds where their kind says so.
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


def _check_searchable(
    law: Law,
    columns: Mapping[str, np.ndarray],
    group: Sequence[str],
    limits: tuple[float, float],
    bounds: Mapping[str, tuple[float, float]],
    log: bool,
) -> None:
    """Refuse bounds of a nonlinear parameter between which no grid can lie."""
    low, high = limits
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _endless(law, columns, group, limits, bounds)
    if log and low <= 0:
        most = high if high > 0 else 1.0
        raise ArgumentError(
            f"bounds[{group[0]!r}] begins at {low:g}, and the parameter is searched in its "
            "logarithm",
            argument=f"bounds[{group[0]!r}]",
            value=limits,
            remedy=f"Pass a positive lower end, as bounds={{{group[0]!r}: "
            f"({1e-3 * most:g}, {most:g})}}, or use {OWN_BOUNDS.format(low=low, high=high)}",
        )


def _endless(
    law: Law,
    columns: Mapping[str, np.ndarray],
    group: Sequence[str],
    found: tuple[float, float],
    bounds: Mapping[str, tuple[float, float]],
) -> ArgumentError | LawError:
    """The error for an infinite range, whether it was passed or declared by the law."""
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
            use = f"a value inside them, as fixed={{{name!r}: {min(max(value, low), high):g}}}"
            if law.name == "power" and name == "alpha" and value < 0:
                signed = f"law='signed_power', fixed={{'b': {-value:g}}}"
                use = f"the law of an exponent of either sign, as {signed}"
            raise ArgumentError(
                f"fixed[{name!r}]={value:g} is outside the bounds of the parameter, {low:g} to "
                f"{high:g}",
                argument=f"fixed[{name!r}]",
                value=value,
                remedy=f"Use {use}, or "
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
    """The error for a parameter that two exclusive options name."""
    return ArgumentError(
        f"{argument} names {name!r}, which is {also} as well",
        argument=argument,
        value=value,
        remedy="Choose one of the two",
    )


def _require_known(law: Law, name: str, argument: str) -> None:
    if name not in law.names:
        whole = name.partition("[")[0]
        if whole in law.names:
            raise ArgumentError(
                f"{argument} names {name!r}, one level of {whole}, and holds for all of its levels",
                argument=argument,
                value=name,
                remedy=f"Name {whole!r}, for all of them",
            )
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
