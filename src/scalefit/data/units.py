"""Whether the numbers of a table look like raw counts and nats, and otherwise their likely unit.

Nothing is rescaled. A fit in other units is as good as one in counts, but its budgets, sizes and
ratios are then in the units of the table: its answers look like counts and are not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from scalefit.errors import listed
from scalefit.notes import Note

__all__ = ["SAME_UNIT", "unit_notes"]

# Largest model and largest number of tokens of a table in raw counts. Those of published tables are
# 8e8 to 4e11 parameters and 5e10 to 6e14 tokens, toy tasks have 1e4 parameters; a family below both
# of the second pair is taken for one in millions.
LEAST_N, LEAST_D = 1e4, 1e5
LEAST_BOTH = (1e5, 1e7)

# Tokens per parameter of the middle run: published tables have 4 to 2e3.
LEAST_RATIO, MOST_RATIO = 1e-3, 1e6

# C / 6ND is within a factor of three of one, however FLOP are counted; where it is as near a power
# of a thousand, a column has another unit. The last unit is a petaFLOP/s-day.
SAME_UNIT = math.sqrt(10.0)
COUNT_UNITS = {"N": (1.0, 1e3, 1e6, 1e9), "D": (1.0, 1e3, 1e6, 1e9, 1e12)}
FLOP_UNITS = (1.0, 1e3, 1e6, 1e9, 1e12, 1e15, 1e18, 1e21, 1e24, 8.64e19)

# Powers of ten of the largest model, the most tokens and the tokens per parameter of published
# tables, each with how far they reach: which of several units is the likely one.
USUAL = {"N": (9.5, 1.5), "D": (11.0, 1.5), "D/N": (1.5, 1.0)}

# ln(163,000): the loss of a uniform guess over a large vocabulary, above any trained model's.
MOST_LOSS = 12.0


def unit_notes(
    columns: Mapping[str, np.ndarray],
    headers: Mapping[str, str],
    scales: Mapping[str, float],
    loss_unit: str,
    rows: Sequence[object],
) -> list[Note]:
    """Notes on columns that are not raw counts, and on losses that are not nats per token.

    Args:
        columns: those of ``N``, ``D``, ``C`` and ``loss`` that a table has, each (rows,); values
            that are no positive numbers are passed over.
        headers: header of each in the table.
        scales: what the numbers of each were multiplied by already, where not by one.
        loss_unit: unit of the losses; empty where their header names a perplexity.
        rows: row labels.
    """
    known = {
        name: np.where(np.isfinite(values) & (values > 0), values, np.nan)
        for name, values in columns.items()
    }
    known = {name: values for name, values in known.items() if not np.isnan(values).all()}
    return [*_count_notes(known, headers, scales), *_loss_notes(known, headers, loss_unit, rows)]


def _count_notes(
    known: Mapping[str, np.ndarray], headers: Mapping[str, str], scales: Mapping[str, float]
) -> list[Note]:
    sizes = _sizes(known)
    if _plausible(sizes):
        return []
    likely = _likely(sizes)
    found = ", ".join(
        f"{name} {'up to' if name in COUNT_UNITS else 'around'} {_short(sizes[name])}"
        for name in ("N", "D", "D/N", "C/6ND")
        if name in sizes
    )
    said = (
        f"the table has {found}, where N counts parameters, D tokens and C FLOP: budgets, N*, D* "
        "and D/N of such a fit are in the table's unit and not in counts"
    )
    if likely:
        units = ", ".join(f"{name} in {_named(unit)}" for name, unit in likely.items())
        options = ", ".join(
            f"{name}=({headers[name]!r}, {_short(unit * scales.get(name, 1.0))})"
            for name, unit in likely.items()
        )
        said += f". Likely unit: {units}. Pass {options}"
    else:
        said += ". No usual unit makes counts of them: check the columns"
    return [Note.of("units", said, {**sizes, "likely": likely})]


def _sizes(known: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Largest N and D, and the medians of D/N and C/6ND."""
    sizes = {name: float(np.nanmax(known[name])) for name in ("N", "D") if name in known}
    if len(sizes) == 2:
        ratios = {"D/N": known["D"] / known["N"]}
        if "C" in known:
            ratios["C/6ND"] = known["C"] / (6 * known["N"] * known["D"])
        for name, values in ratios.items():
            there = values[~np.isnan(values)]
            if len(there):
                sizes[name] = float(np.median(there))
    return sizes


def _plausible(sizes: Mapping[str, float], scale: Mapping[str, float] | None = None) -> bool:
    """Whether sizes, each times its unit, may be those of a table in raw counts."""
    unit = {"N": 1.0, "D": 1.0, "C": 1.0, **(scale or {})}
    # D alone may count examples; a model has a number of parameters whatever it learns.
    N, D = (sizes.get(name, np.inf) * unit[name] for name in ("N", "D"))
    if "N" not in sizes:
        return True
    if N < LEAST_N or D < LEAST_D or (N < LEAST_BOTH[0] and D < LEAST_BOTH[1]):
        return False
    ratio = sizes.get("D/N", 1.0) * unit["D"] / unit["N"]
    return LEAST_RATIO <= ratio <= MOST_RATIO and not _in_other_unit(sizes, unit)


def _in_other_unit(sizes: Mapping[str, float], unit: Mapping[str, float]) -> bool:
    """Whether C / 6ND is near the ratio of usual units other than one."""
    if "C/6ND" not in sizes:
        return False
    ratio = sizes["C/6ND"] * unit["C"] / (unit["N"] * unit["D"])
    near = (*(1e3**power for power in range(-9, 10) if power), 1 / FLOP_UNITS[-1])
    return any(one / SAME_UNIT <= ratio <= one * SAME_UNIT for one in near)


def _likely(sizes: Mapping[str, float]) -> dict[str, float]:
    """The units that make the most usual table of these sizes, by column; empty where none does."""
    choices = {name: units if name in sizes else (1.0,) for name, units in COUNT_UNITS.items()}
    flops = FLOP_UNITS if "C/6ND" in sizes else (1.0,)
    tried = [{"N": n, "D": d, "C": c} for n, d, c in product(choices["N"], choices["D"], flops)]
    tried = [scale for scale in tried if _plausible(sizes, scale)]
    if not tried:
        return {}
    best = min(tried, key=lambda scale: _unusual(sizes, scale))
    return {name: unit for name, unit in best.items() if unit != 1.0}


def _unusual(sizes: Mapping[str, float], scale: Mapping[str, float]) -> float:
    """Squared distance of sizes in these units from usual ones, plus one for each unit."""
    scaled = {**scale, "D/N": scale["D"] / scale["N"]}
    far = sum(
        ((math.log10(sizes[name] * scaled[name]) - middle) / reach) ** 2
        for name, (middle, reach) in USUAL.items()
        if name in sizes
    )
    if "C/6ND" in sizes:
        flops = sizes["C/6ND"] * scale["C"] / (scale["N"] * scale["D"])
        far += (math.log10(flops) / math.log10(SAME_UNIT)) ** 2
    # One unit for both counts is the usual case, and C is rarely in another one.
    changed = len({unit for name, unit in scale.items() if name != "C"} - {1.0})
    return far + changed + (scale["C"] != 1.0)


def _short(value: float) -> str:
    """A number as code may have it: 1e9."""
    return re.sub(r"e\+?(-?)0*", r"e\1", f"{value:.3g}")


def _named(unit: float) -> str:
    names = {1e3: "thousands", 1e6: "millions", 1e9: "billions", 1e12: "trillions"}
    names[FLOP_UNITS[-1]] = "petaFLOP/s-days"
    return names.get(unit, f"units of {_short(unit)}")


def _loss_notes(
    known: Mapping[str, np.ndarray],
    headers: Mapping[str, str],
    loss_unit: str,
    rows: Sequence[object],
) -> list[Note]:
    if "loss" not in known:
        return []
    loss = known["loss"]
    with np.errstate(invalid="ignore"):
        high = np.flatnonzero(loss > MOST_LOSS)
    details = {
        "rows": [str(rows[int(i)]) for i in high],
        "largest": float(np.nanmax(loss)),
    }
    if not loss_unit:
        return [
            Note.of(
                "loss_unit",
                f"the header {headers['loss']!r} names a perplexity, and a law describes its "
                "logarithm: E and the exponents of this fit are none of a loss. Pass "
                "loss_unit='perplexity'",
                details,
            )
        ]
    if not len(high):
        return []
    return [
        Note.of(
            "loss_unit",
            f"{len(high)} of {len(loss)} losses are above {MOST_LOSS:g} (up to "
            f"{np.nanmax(loss):.4g}; rows {listed([rows[int(i)] for i in high])}), more than "
            "guessing evenly among 160,000 tokens costs in nats. Of perplexities pass "
            f"loss_unit='perplexity'; leave diverged runs out with keep='loss < {MOST_LOSS:g}'; "
            "losses per image or sequence are in order",
            details,
        )
    ]
