"""How far runs reach: ranges of N, D, compute and ratio in decades, and the number of budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from scalefit.data.budgets import budget_codes
from scalefit.data.column_names import ALIASES, normalised
from scalefit.data.table import LossTable
from scalefit.frozen import Frozen
from scalefit.laws import Law
from scalefit.notes import Note
from scalefit.reporting.numbers import Kind, shown

__all__ = ["Budgets", "budgets_of", "span_notes", "spans_of"]

# The model of Hoffmann et al. 2022, and the tokens per parameter of Llama 3 8B (Grattafiori et al.
# 2024: 15e12 tokens): typical targets. Runs beyond them are asked for ten times their largest.
TARGETS: Mapping[str, float] = Frozen({"N": 7e10, "D": 1.4e12, "C": 5.76e23, "D/N": 1875.0})
TENFOLD = 10.0

# Runs over less than a decade: exponents of a span this short move by their own size with noise and
# misfit that a wider one shows, and published sweeps have 1.5 to 6 decades of N, D and C.
LEAST_DECADES = 1.0

# Compute of one budget: largest over smallest. Above, close budgets differ on purpose.
ONE_BUDGET = 1.26
# Sizes of a budget, and the share of rows in such budgets that makes a table one of sweeps.
FEWEST_SIZES, SWEPT = 3, 0.8
FEWEST_BUDGETS = 3


class Budgets(NamedTuple):
    """The budgets of a design.

    Attributes:
        single: whether all runs have one compute.
        sweeps: number of budgets, where the runs are sweeps over sizes; 0 otherwise.
        low: least compute, FLOP.
        high: most.
    """

    single: bool
    sweeps: int
    low: float
    high: float


def compute_of(table: LossTable) -> np.ndarray:
    """The table's column C, or 6ND where it has none or gaps, shape (rows,)."""
    counted = np.asarray(6 * table.column("N") * table.column("D"))
    if "C" not in table.sources:
        return counted
    read = table.numbers("C")
    return read if np.isfinite(read).all() and (read > 0).all() else counted


def budgets_of(table: LossTable) -> Budgets:
    """The budgets of runs with N and D."""
    used = table.weight > 0
    C, N = compute_of(table)[used], table.column("N")[used]
    code = budget_codes(np.log(C))
    sizes = pd.Series(N).groupby(code).nunique()
    rows = pd.Series(N).groupby(code).size()
    swept = rows[sizes >= FEWEST_SIZES].sum() >= SWEPT * len(N)
    low, high = float(C.min()), float(C.max())
    return Budgets(high <= ONE_BUDGET * low, len(sizes) if swept else 0, low, high)


def spans_of(table: LossTable, law: Law) -> pd.DataFrame:
    """A row for each column of a law that is positive, and for compute and ratio of N and D.

    Returns:
        ``low``, ``high``, ``decades``; ``target``, NaN of columns without a typical one, and
        ``beyond``, how many decades it lies above the runs.
    """
    used = table.weight > 0
    columns = {name: table.column(name)[used] for name in law.columns}
    if {"N", "D"} <= set(columns):
        columns["C"] = compute_of(table)[used]
        columns["D/N"] = columns["D"] / columns["N"]
    rows = {}
    for name, values in columns.items():
        low, high = float(values.min()), float(values.max())
        if low > 0:
            # The column x of a law may be any quantity, under its own header.
            header = str(table.sources.get(name, name)) if name == "x" else name
            quantity = next((it for it in ALIASES if normalised(header) in ALIASES[it]), header)
            known = TARGETS.get(quantity, np.nan)
            if len(law.columns) == 1 and np.isnan(known):
                known = high
            target = known if np.isnan(known) or known > high else TENFOLD * high
            rows[header] = (low, high, np.log10(high / low), target, np.log10(target / high))
    names = ["low", "high", "decades", "target", "beyond"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names, dtype=np.float64)


def span_notes(
    table: LossTable, spans: pd.DataFrame, budgets: Budgets | None, skipped: set[str]
) -> list[Note]:
    """Notes on few budgets, and on what spans less than a decade.

    Args:
        table: the runs.
        spans: from :func:`spans_of`.
        budgets: of a law of N and D.
        skipped: columns of which something else says that they hardly change.
    """
    notes = []
    if budgets is not None and budgets.single:
        notes.append(_single_note(table, budgets))
        skipped = skipped | {"C"}
    elif budgets is not None and 0 < budgets.sweeps < FEWEST_BUDGETS:
        notes.append(
            Note.of(
                "few_budgets",
                f"all runs lie at {budgets.sweeps} budgets ({budgets.low:.3g} and "
                f"{budgets.high:.3g} FLOP): how the loss changes with compute rests on one step, "
                "and nothing shows whether the law holds in between or beyond. Add a budget",
                {"budgets": budgets.sweeps},
            )
        )
    narrow = spans[spans["target"].notna() & (spans["decades"] < LEAST_DECADES * (1 - 1e-6))]
    narrow = narrow[~narrow.index.isin(list(skipped))]
    if len(narrow):
        each = "; ".join(_narrow_text(str(name), row) for name, row in narrow.iterrows())
        notes.append(
            Note.of(
                "narrow_span",
                f"{each}. Below {LEAST_DECADES:g} decade, exponents rest on small changes of the "
                "loss. Add runs at the ends, or keep targets near the runs",
                {str(name): float(row["decades"]) for name, row in narrow.iterrows()},
            )
        )
    return notes


def _single_note(table: LossTable, budgets: Budgets) -> Note:
    return Note.of(
        "single_budget",
        f"all runs have one compute ({budgets.low:.3g} to {budgets.high:.3g} FLOP): they show the "
        "best size there, and nothing of how the loss changes with compute, so that no law tells "
        "what a larger budget gives. The best size: scalefit.approach2.vertices("
        f"runs.assign(sweep=1), over={table.sources['N']!r}, by='sweep'). Add budgets, a decade "
        "apart or more",
        {"low": budgets.low, "high": budgets.high},
    )


def _narrow_text(name: str, row: pd.Series) -> str:
    kind: Kind = "flop" if name == "C" else "count" if name in ("N", "D") else "number"
    low, high, target = (shown(row[item], kind).value for item in ("low", "high", "target"))
    decades, beyond = float(row["decades"]), float(row["beyond"])
    times = f", {beyond / decades:.1f} times their span" if decades > 0.01 else ""
    return (
        f"{name} spans {decades:.2g} decades ({low} to {high}), and a target of {target} lies "
        f"{beyond:.2g} decades above the runs{times}"
    )
