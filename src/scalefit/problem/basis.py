"""Basis columns of a separable law, and their derivatives in the nonlinear coordinates.

A law f = f0(theta) + sum_j c_j phi_j(theta) is traced once, each phi_j as the derivative of the law
in c_j, which for a linear parameter is exact and which leaves the other terms out. Coordinates are
the variables of the search: the parameter itself, or its logarithm where its kind is searched so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from scalefit.data.column_names import POSITIVE
from scalefit.laws import Law
from scalefit.problem.separability import Structure
from scalefit.tracing.exponentials import rewritten
from scalefit.tracing.operations import Compiled, Function, Part, joined, trace
from scalefit.tracing.primitives import closed_form

__all__ = ["Basis", "Expansion", "basis_of", "term_of"]


class Expansion(NamedTuple):
    """A term at some coordinates: its rows, and derivatives in the coordinates that it depends on.

    Attributes:
        value: phi, or f0.
        first: by coordinate.
        second: by pair of coordinates (a, b) with a <= b.
    """

    value: Any
    first: dict[int, Any]
    second: dict[tuple[int, int], Any]


class Basis(NamedTuple):
    """Programs of a law's terms: phi of each linear parameter in order, then f0 where there is one.

    Attributes:
        sees: for each term, the coordinates it depends on, as places in ``Structure.nonlinear``.
        values: of the columns and all coordinates; the terms.
        derivatives: of the same; for each term its value, then its first and second derivatives, in
            the order of ``sees`` and of its pairs.
    """

    sees: tuple[tuple[int, ...], ...]
    values: Function
    derivatives: Function


def basis_of(law: Law, structure: Structure, logs: tuple[bool, ...]) -> Basis:
    """The programs of a law, traced once for each structure and choice of coordinates.

    Args:
        law: the law.
        structure: of it.
        logs: whether the coordinate of each nonlinear parameter is its logarithm.
    """
    key = (structure, logs)
    found: Basis | None = law.memo.get(key)
    if found is None:
        found = law.memo[key] = _traced(law, structure, logs)
    return found


def _traced(law: Law, structure: Structure, logs: tuple[bool, ...]) -> Basis:
    place = {name: i for i, name in enumerate(structure.nonlinear)}
    sees = [tuple(place[name] for name in names) for names in structure.depends_on]
    names: list[str | None] = list(structure.linear)
    if structure.remainder is not None:
        names.append(None)
        sees.append(tuple(place[name] for name in structure.remainder))
    terms = [term_of(law, structure, name, logs) for name in names]
    columns = len(law.columns)
    count = columns + len(structure.nonlinear)

    def values(*given: Any) -> list[Any]:
        return [term(*given) for term in terms]

    def derivatives(shapes: Sequence[tuple[int, ...]]) -> list[Part]:
        found: list[Part] = []
        for term, seen in zip(terms, sees, strict=True):
            found += _expanded(term, shapes, [columns + axis for axis in seen])
        return found

    plain = trace(values, count, columns)
    # What derivatives act on is what the terms act on: single rows, or whole columns.
    whole = isinstance(plain, Compiled)
    return Basis(tuple(sees), plain, joined(derivatives, count, whole))


def term_of(
    law: Law, structure: Structure, name: str | None, logs: Sequence[bool]
) -> Callable[..., Any]:
    """phi_j of a linear parameter, or f0 for None, as a function of columns, then coordinates."""
    columns = len(law.columns)
    zeros = dict.fromkeys(structure.linear, 0.0)

    def plain(*given: Any) -> Any:
        theta = {
            other: jnp.exp(value) if log else value
            for other, value, log in zip(structure.nonlinear, given[columns:], logs, strict=True)
        }
        if name is None:
            return jnp.asarray(law(*given[:columns], **{**zeros, **theta}))

        def along(value: Any) -> Any:
            return jnp.asarray(law(*given[:columns], **{**zeros, **theta, name: value}))

        return jax.jvp(along, (jnp.zeros(()),), (jnp.ones(()),))[1]

    positive = [item in POSITIVE for item in law.columns] + [False] * len(structure.nonlinear)
    return rewritten(plain, positive)


def _expanded(
    term: Callable[..., Any], shapes: Sequence[tuple[int, ...]], places: Sequence[int]
) -> list[Part]:
    """Value, first and second derivatives of a term in some of its arguments.

    The derivatives are traced once, along any direction.
    """
    count, axes = len(shapes), len(places)
    value = closed_form(lambda *values: [term(*values)], shapes)
    fixed = jaxpr_as_fun(value)

    def along(values: Sequence[Any], direction: Sequence[Any]) -> Any:
        """Slope of the term in the arguments at ``places``."""

        def at(*moved: Any) -> Any:
            every = list(values)
            for place, item in zip(places, moved, strict=True):
                every[place] = item
            return fixed(*every)[0]

        return jax.jvp(at, tuple(values[place] for place in places), tuple(direction))[1]

    def slope(*given: Any) -> list[Any]:
        return [along(given[:count], given[count:])]

    def bend(*given: Any) -> list[Any]:
        values, first, second = given[:count], given[count : count + axes], given[count + axes :]

        def moved(*here: Any) -> Any:
            every = list(values)
            for place, item in zip(places, here, strict=True):
                every[place] = item
            return along(every, first)

        here = tuple(values[place] for place in places)
        return [jax.jvp(moved, here, tuple(second))[1]]

    arguments, unit = range(count), np.eye(axes).tolist()
    found = [Part(value, arguments)]
    if axes:
        first = closed_form(slope, [*shapes, *[()] * axes])
        second = closed_form(bend, [*shapes, *[()] * (2 * axes)])
        found += [Part(first, [*arguments, *way]) for way in unit]
        found += [
            Part(second, [*arguments, *one, *other])
            for one, other in combinations_with_replacement(unit, 2)
        ]
    return found
