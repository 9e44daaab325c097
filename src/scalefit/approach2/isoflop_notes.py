"""Notes on IsoFLOP fits: doubtful budgets, runs that bend a parabola, designs, conventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scalefit.approach2.budget_vertices import find_vertices, flops_text, is_possible
from scalefit.approach2.curve_vertices import Method
from scalefit.approach2.outlier_runs import Outlier, parabola_outliers, surface_outliers
from scalefit.approach2.power_laws import PowerLaw, line_of_logs
from scalefit.approach2.run_quality import THRESHOLDS
from scalefit.approach2.sweeps import Sweeps
from scalefit.data import flops_convention
from scalefit.data.repeated_cells import cell_remedies, find_repeated_cells
from scalefit.data.table import LossTable
from scalefit.data.trajectories import find_trajectories
from scalefit.errors import listed
from scalefit.frozen import Frozen
from scalefit.notes import Note

__all__ = ["STATUS_MESSAGES", "bent_notes", "budget_notes", "convention_notes", "row_notes"]

FEW_BUDGETS = 4
# Largest over smallest C of what should be one budget: above, close C have been chained.
WIDE_BUDGET = 1.2
# Powers of ten between the geometric middle of the sizes and the vertex.
OFF_CENTRE = 0.15
# Runs off their budget that a note names.
MOST_NAMED = 5

STATUS_MESSAGES: Mapping[str, str] = Frozen(
    {
        "too_wide": "runs of close C chain into one budget over more than a factor of two: it is "
        "left out. Name the budgets with by=, or lower the tolerance; training curves with "
        "checkpoints as rows go to scalefit.approach2.envelope(runs)",
        "impossible": "the vertex is no optimum that such runs can have (below one parameter, one "
        "token or a loss of zero, or outside the runs by more than twice their width): it is left "
        "out. Add sizes around the least loss",
        "edge_minimum": "the vertex lies outside the runs: it is extrapolated. Add sizes there, or "
        "leave it out with keep_edges=False",
        "negative_curvature": "the parabola does not open upward, so that no size is best. Look at "
        "the runs there: scalefit.approach2.flag_runs(runs) lists suspects",
        "weak_curvature": "the curvature is below two standard errors, so that the vertex may be "
        "anywhere. Add sizes there, or leave it out with rules=['weak_curvature']",
    }
)


def row_notes(table: LossTable) -> list[Note]:
    """Notes where rows are checkpoints of few runs, or a sweep in every cell."""
    notes = []
    curves = find_trajectories(table)
    if curves is not None:
        notes.append(
            Note.of(
                "trajectories",
                f"{curves.rows} of {len(table)} rows look like checkpoints of {curves.curves} "
                "runs: losses in the middle of a learning-rate schedule are not those of runs that "
                "end at that budget, and neighbours share their noise. Give runs that ended at "
                "their budget, or take the lower envelope of the curves: "
                "scalefit.approach2.envelope(runs)",
                {"rows": curves.rows, "runs": curves.curves, "by": curves.by},
                severity="warning",
            )
        )
    cells = find_repeated_cells(table, ["N", "D"], "loss")
    if cells is not None and cells.swept:
        notes.append(
            Note.of(
                "repeated_cells",
                f"{cells.rows} of {len(table)} rows repeat {cells.cells} pairs of N and D, and "
                f"differ with {listed(cells.swept)}: each size counts by the mean of what was "
                f"tried. Take {'; or '.join(cell_remedies(table, cells, 0)) or 'one of each'}",
                {"rows": cells.rows, "cells": cells.cells, "swept": list(cells.swept)},
                severity="warning",
            )
        )
    return notes


def budget_notes(runs: Sweeps, budgets: pd.DataFrame, removed: pd.DataFrame) -> list[Note]:
    """Notes on the budgets, on what was left out, and on how C was counted."""
    notes: list[Note] = []
    used = int(budgets["used"].sum())
    if used < FEW_BUDGETS:
        notes.append(
            Note.of(
                "few_budgets",
                f"the power laws go through {used} budgets: with fewer than {FEW_BUDGETS} their "
                "exponents are little more than a ratio of two vertices. Add budgets",
                {"budgets": used},
            )
        )
    notes += _wide_notes(budgets)
    notes += _status_notes(budgets)
    notes += _centre_notes(budgets)
    notes += _dropped_notes(budgets[~budgets["used"]], removed)
    return notes + convention_notes(runs)


def _dropped_notes(lost: pd.DataFrame, removed: pd.DataFrame) -> list[Note]:
    left_out = []
    if len(removed):
        rules = removed["rule"].value_counts()
        by = listed([f"{count} by {rule}" for rule, count in rules.items()])
        left_out.append(f"{len(removed)} runs by rules ({by})")
    if len(lost):
        left_out.append(f"{len(lost)} budgets without a usable minimum ({flops_text(lost)})")
    if not left_out:
        return []
    return [
        Note.of(
            "isoflop_dropped",
            f"left out: {'; '.join(left_out)}",
            {
                "rows": [str(row) for row in removed.index],
                "budgets": [float(value) for value in lost["budget"]],
            },
            severity="warning" if len(lost) else "info",
        )
    ]


def _wide_notes(budgets: pd.DataFrame) -> list[Note]:
    wide = budgets[budgets["used"] & (budgets["C_ratio"] > WIDE_BUDGET)]
    if not len(wide):
        return []
    return [
        Note.of(
            "isoflop_wide_budget",
            f"the runs taken for one budget at {flops_text(wide)} differ in C by up to "
            f"{100 * (wide['C_ratio'].max() - 1):.0f} %, and more compute is less loss. Name the "
            "budgets with by=, or lower the tolerance",
            {"budgets": [float(value) for value in wide["budget"]]},
        )
    ]


def _status_notes(budgets: pd.DataFrame) -> list[Note]:
    notes = []
    for status, message in STATUS_MESSAGES.items():
        found = budgets[budgets["status"] == status]
        if len(found):
            notes.append(
                Note.of(
                    f"isoflop_{status}",
                    f"at {flops_text(found)} {message}",
                    {"budgets": [float(value) for value in found["budget"]]},
                )
            )
    return notes


def bent_notes(runs: Sweeps, method: Method, budgets: pd.DataFrame, n_law: PowerLaw) -> list[Note]:
    """A note that names the runs which do not belong to their budget, if there are any.

    They are looked for before a budget is judged: by the parabola through the others, or by the
    residuals of a surface, where one is given.
    """
    of_surface = runs.residual is not None
    if runs.residual is not None:
        limit = THRESHOLDS["surface_outlier"]
        bent = surface_outliers(runs.residual, runs.members, limit)
    else:
        bent = parabola_outliers(runs.over_size, THRESHOLDS["parabola_outlier"])
    if not bent:
        return []
    places = [item.place for item in bent]
    code = runs.code.copy()
    code[places] = -1
    without = replace(runs, code=code)
    fits = find_vertices(without, method)
    # A budget may lose all its runs; one that a run had spoiled may become usable.
    numbers, left = np.unique(runs.code[runs.code >= 0]), np.unique(code[code >= 0])
    rows = budgets[np.isin(numbers, left)]
    touched = np.isin(left, runs.code[places])
    sound = fits.usable & is_possible(without, fits) & (rows["status"] != "too_wide").to_numpy()
    bent = [item for item in bent if runs.code[item.place] in left[sound]]
    if not bent:
        return []
    used = (rows["used"].to_numpy() | touched) & sound
    clean = line_of_logs([without.budget(item) for item in without.members], fits.n.vertex, used)
    exponents = float(n_law.exponent), float(clean.exponent)
    return [_bent_note(runs, bent, *exponents, of_surface=of_surface)]


def _bent_note(
    runs: Sweeps, bent: Sequence[Outlier], exponent: float, clean: float, *, of_surface: bool
) -> Note:
    """The note on runs off their budget, with the exponent of N* without them."""
    rule = "surface_outlier" if of_surface else "parabola_outlier"
    off = "the surface (residual)" if of_surface else "the parabola through the others"
    named = [
        f"run {runs.rows[item.place]} at {runs.C[item.place]:.3g} FLOP (N = "
        f"{runs.N[item.place]:.4g}) is {item.miss:+.3g} off {off}, {item.score:.3g} times the "
        "usual scatter"
        for item in bent[:MOST_NAMED]
    ]
    if len(bent) > MOST_NAMED:
        named.append(f"{len(bent) - MOST_NAMED} more")
    these, them = ("these runs", "them") if len(bent) > 1 else ("this run", "it")
    return Note.of(
        "isoflop_bent",
        f"{'; '.join(named)}. The exponent of N* is {exponent:.4f} with {these} and {clean:.4f} "
        f"without. Look at {them}; rules=[{rule!r}] leaves {them} out",
        {
            "rows": [str(runs.rows[item.place]) for item in bent],
            "with": exponent,
            "without": clean,
            "by": rule,
        },
    )


def _centre_notes(budgets: pd.DataFrame) -> list[Note]:
    used = budgets[budgets["used"]]
    far = used[used["centre"].abs() > OFF_CENTRE]
    if not len(far):
        return []
    c = np.log10(used["budget"].to_numpy())
    drift = float(np.polyfit(c - c.mean(), used["centre"].to_numpy(), 1)[0])
    return [
        Note.of(
            "isoflop_off_centre",
            f"at {flops_text(far)} the middle of the sizes is more than {OFF_CENTRE} powers of ten "
            f"from the vertex, and the distance drifts by {drift:+.2g} a decade of budget. "
            "Off-centre sweeps bias the vertices, drifting ones the exponents: see "
            "scalefit.approach2.design_bias",
            {"budgets": [float(value) for value in far["budget"]], "drift": drift},
        )
    ]


def convention_notes(runs: Sweeps) -> list[Note]:
    """A note where the column C of a table is not 6ND."""
    if runs.counted:
        return []
    there = runs.code >= 0
    so = "N* and D* do not multiply to C/6, and their exponents do not add up to one"
    return flops_convention.convention_notes(runs.C[there], runs.N[there], runs.D[there], so)
