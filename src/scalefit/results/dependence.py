"""Rows that are not independent, as the notes of a fit say: what intervals by rows do about them.

One rule: where rows as independent would make intervals more than twice too narrow, a method that
can take clusters is refused without them, and names the column.
"""

from __future__ import annotations

from collections.abc import Sequence

from scalefit.notes import Note

__all__ = [
    "FEWEST_CLUSTERS",
    "MOST_NARROWED",
    "carried",
    "dependence_notes",
    "interval_call",
    "too_narrow",
]

# Notes on a fit that every answer repeats in full.
CARRIED = ("units", "loss_unit", "one_ratio")

# Warnings about intervals by rows alone: methods that take rows as independent repeat them, and
# neither the point nor draws of whole runs have them.
OF_ROWS = ("shared_runs",)

# Notes that rows share their noise.
CODES = ("trajectories", "repeated_cells", "shared_runs")

# How many times too narrow an interval by rows may be.
MOST_NARROWED = 2.0

# Two clusters have one difference between them: no standard error.
FEWEST_CLUSTERS = 3


def carried(notes: Sequence[Note], status: str) -> tuple[Note, ...]:
    """Notes of a fit that answers repeat: some in full, and one that sums up the other warnings.

    Args:
        notes: of the fit.
        status: of a fit that is at no optimum, as a code; else empty.
    """
    whole = [note for note in notes if note.code in CARRIED]
    warned = [note.code for note in notes if note.severity == "warning"]
    codes = [code for code in warned if code not in (*CARRIED, *OF_ROWS)]
    codes += [status] if status else []
    if not codes:
        return tuple(whole)
    note = Note.of(
        "fit_warnings",
        f"the fit behind this carries warnings ({', '.join(codes)}): see its summary",
        {"codes": codes},
    )
    return (*whole, note)


def dependence_notes(notes: Sequence[Note]) -> list[Note]:
    """Notes that rows are not independent; replicates are, until an interval shows otherwise."""
    found = [note for note in notes if note.code in CODES]
    return [note for note in found if note.severity == "warning" or note.code == "trajectories"]


def too_narrow(notes: Sequence[Note]) -> Note | None:
    """The note by which intervals by rows are too narrow, and clusters can be named."""
    found = [
        note
        for note in dependence_notes(notes)
        if note.severity == "warning"
        and note.details.get("narrowing", 1.0) > MOST_NARROWED
        and note.details.get("clusters", 0) >= FEWEST_CLUSTERS
    ]
    return max(found, key=lambda note: float(note.details["narrowing"]), default=None)


def interval_call(notes: Sequence[Note]) -> str:
    """The call that gives intervals of a fit with these notes."""
    note = too_narrow(notes)
    if note is None:
        return "scalefit.bootstrap(fit, runs)"
    by = note.details["by"]
    same = by if isinstance(by, str) else list(by)
    return f"scalefit.bootstrap(fit, runs, method='clusters', by={same!r})"
