"""Which candidates are restrictions of others, and what test that allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from scalefit.frozen import Frozen
from scalefit.validation.candidates import FittedCandidate

__all__ = ["NESTED", "Nesting", "Regularity", "nesting"]

Regularity = Literal["regular", "boundary", "unidentified"]
"""Of a constraint: inside the bounds; on a bound; leaving parameters without meaning."""


class Nesting(NamedTuple):
    """A law as a restriction of another one.

    Attributes:
        constraint: what holds in the smaller law, as ``k = 1``.
        parameters: parameters of the larger law that it is about.
        regularity: ``regular``; ``boundary`` where the constraint lies on a bound, so that the
            statistic is zero half of the time; ``unidentified`` where the larger law has parameters
            that mean nothing in the smaller one, so that no table of a distribution holds.
    """

    constraint: str
    parameters: tuple[str, ...]
    regularity: Regularity


NESTED: Mapping[tuple[str, str], Nesting] = Frozen(
    {
        ("chinchilla", "chinchilla_outer"): Nesting("k = 1", ("k",), "regular"),
        ("chinchilla_tied", "chinchilla"): Nesting("alpha = beta", ("alpha", "beta"), "regular"),
        ("chinchilla_n", "chinchilla"): Nesting("B = 0", ("B",), "unidentified"),
        ("chinchilla_d", "chinchilla"): Nesting("A = 0", ("A",), "unidentified"),
        ("chinchilla_n", "chinchilla_tied"): Nesting("B = 0", ("B",), "boundary"),
        ("chinchilla_d", "chinchilla_tied"): Nesting("A = 0", ("A",), "boundary"),
        ("power", "power_offset"): Nesting("E = 0", ("E",), "boundary"),
        ("power_offset", "broken_power"): Nesting("no bend", ("c1",), "unidentified"),
        ("power", "broken_power"): Nesting("a = 0, no bend", ("a", "c1"), "unidentified"),
        ("broken_power", "broken_power_twice"): Nesting(
            "no second bend", ("s1", "s2"), "unidentified"
        ),
    }
)
"""The smaller law and the larger one, by name, of the catalogue."""


def nesting(small: FittedCandidate, large: FittedCandidate) -> Nesting | None:
    """How one candidate is a restriction of another; None where it is not.

    Args:
        small: the candidate that may be a restriction.
        large: the other one.
    """
    if small.n_free >= large.n_free:
        return None
    if small.candidate.law != large.candidate.law:
        plain = not (small.candidate.options or large.candidate.options)
        same = small.candidate.by == large.candidate.by
        key = (small.candidate.law.name, large.candidate.law.name)
        return NESTED.get(key) if plain and same else None
    if small.candidate.by and small.candidate.by != large.candidate.by:
        return None
    return _of_one_law(small, large)


def _of_one_law(small: FittedCandidate, large: FittedCandidate) -> Nesting | None:
    """Restrictions by fixed, tied or shared parameters."""
    a, b = small.fits[0], large.fits[0]
    if dict(a.bounds) != dict(b.bounds):
        return None
    if any(name not in a.fixed or a.fixed[name] != value for name, value in b.fixed.items()):
        return None
    ties = [set(group) for group in a.tied]
    if any(not any(set(group) <= tie for tie in ties) for group in b.tied):
        return None
    alone = large.candidate.by != small.candidate.by
    if not alone and any(b.groups.get(name) != item for name, item in a.groups.items()):
        return None
    fixed = {name: value for name, value in a.fixed.items() if name not in b.fixed}
    tied = [group for group in a.tied if group not in b.tied]
    grouped = [name for name in b.groups if name not in a.groups]
    said = [f"{name} = {value:g}" for name, value in fixed.items()]
    said += [" = ".join(group) for group in tied]
    said += [f"one {name} for every {', '.join(b.groups[name].columns)}" for name in grouped]
    if alone:
        said += [f"the same surface for every {', '.join(large.candidate.by)}"]
        if a.groups:
            said = [f"the same exponents for every {', '.join(large.candidate.by)}"]
    names = (*fixed, *(name for group in tied for name in group))
    return Nesting(", ".join(said), names, _regularity(large, fixed))


def _regularity(large: FittedCandidate, fixed: Mapping[str, float]) -> Regularity:
    """Whether fixed values lie on a bound, or make others mean nothing."""
    fit = large.fits[0]
    columns = {name: np.array(ends) for name, ends in fit.domain.items()}
    held: Regularity = "regular"
    for param in fit.law.params:
        if param.name not in fixed:
            continue
        if fixed[param.name] == 0 and param.kind.name == "amplitude":
            return "unidentified"
        ends = fit.bounds.get(param.name) or param.bounds(
            {name: columns[name] for name in fit.law.columns}
        )
        if fixed[param.name] in ends:
            held = "boundary"
    return held
