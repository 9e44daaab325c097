"""Laws that a table can be fitted with where it lacks what another law needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scalefit.laws import BUILTIN, Law

__all__ = ["called", "other_ways"]

# Laws of one column named x, which may be any column, and how many laws are proposed.
OF_ANY_COLUMN = "power_offset"
PROPOSED = 3


def called(law: Law) -> str:
    """A law in a call that a message prints: its name where that finds it, else a variable."""
    return repr(law.name) if BUILTIN.get(law.name) is law else "law"


def other_ways(
    sources: Mapping[str, str],
    columns: Sequence[object],
    lacking: Sequence[str],
    law: Law | None,
    fitted: bool,
) -> str:
    """What can be done without the quantities that a table lacks, in words; empty for nothing.

    Args:
        sources: header of each quantity that the table has.
        columns: all its columns, under canonical names.
        lacking: quantities that it lacks.
        law: the law that needs them, if it is one.
        fitted: whether it is fitted.
    """
    said = []
    if list(lacking) == ["D"] and {"N", "C"} <= sources.keys():
        said.append(
            f"If {sources['C']} counts 6ND, add the tokens first: "
            f"runs.assign(tokens=runs[{sources['C']!r}] / (6.0 * runs[{sources['N']!r}]))"
        )
    if law is not None and fitted and law.response not in lacking:
        names = [
            other.name
            for other in BUILTIN.values()
            if other.response == law.response
            and set(other.columns) <= {*columns}
            and not set(other.columns) & {*lacking}
        ]
        calls = [f"scalefit.fit(runs, {name!r})" for name in names[:PROPOSED]]
        axis = next((name for name in ("C", "D", "N") if name in sources), None)
        if axis is not None and "x" not in columns:
            response = "" if law.response == "loss" else f", loss={law.response!r}"
            calls.append(f"scalefit.fit(runs, {OF_ANY_COLUMN!r}, x={sources[axis]!r}{response})")
        if calls:
            without = " and ".join(name for name in lacking)
            said.append(f"Without {without} these laws answer: {' or '.join(calls)}")
    return ". ".join(said)
