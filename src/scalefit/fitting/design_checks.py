"""Whether a table can identify a law at all, checked before the fit.

These are the cases in which no optimiser can help: a column that never changes, two columns that
move together, fewer distinct runs than parameters. Each is an error that names the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from scalefit.data.grouping import Grouping
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen
from scalefit.objective import Measure, Objective
from scalefit.problem.problem import Problem

__all__ = ["check_delta", "check_design", "check_losses", "check_weights", "tells_apart"]

# Losses whose sums of squares are floats, those of residuals at the limit of rounding included, and
# those of which logarithms and ratios are taken: room is left for the coefficients of terms.
RAW_LOSSES = (1e-140, 1e140)
LOSSES = (1e-200, 1e200)

# Times the median loss: beyond, squares of raw residuals of the other runs are lost to the rounding
# of one, and relative ones to that of a run as far below. Above, relative ones count for nothing.
FAR_RAW = 1e8
FAR_BELOW = 1e-12
FAR_ABOVE = 1e150

# Times the largest weight, below which a row changes no digit of a sum, and products of weights may
# be no floats.
LEAST_WEIGHT = 1e-30

# Residuals are known to 2^-45 of the loss. A penalty whose quadratic middle is not wider by as much
# again as half of their digits has no gradient there but rounding.
LEAST_DELTA = 2.0**-30


def check_losses(
    objective: Objective, name: str, losses: np.ndarray, weight: np.ndarray, rows: Sequence[object]
) -> None:
    """Refuse losses whose sums of residuals overflow or underflow, or that lie too far apart.

    Args:
        objective: what is summed.
        name: header of the losses.
        losses: in the table's unit, (rows,), not all zero where they count.
        weight: row weights, (rows,); rows of weight zero count as absent.
        rows: row labels.

    Raises:
        DataError: the median or a single loss is out of reach.
    """
    used = weight > 0
    sizes = np.where(used, np.abs(losses), 0.0)
    median = float(np.median(sizes[sizes > 0]))
    least, most = LOSSES if objective.needs_positive_loss else RAW_LOSSES
    if not least <= median <= most:
        factor = 10.0 ** -int(np.clip(round(np.log10(median)), -300, 300))
        raise DataError(
            f"the losses are about {median:.0e}: {objective.residual} residuals are summed from "
            f"{least:g} to {most:g}",
            column=name,
            remedy=f"Give them in another unit, as runs.assign(**{{{name!r}: runs[{name!r}] * "
            f"{factor:g}}})",
        )
    low, high = (FAR_BELOW, FAR_ABOVE) if objective.needs_positive_loss else (0.0, FAR_RAW)
    bad = used & ((sizes < low * median) | (sizes > high * median))
    if bad.any():
        labels = _labels(rows, bad)
        one = float(losses[bad][0])
        bound = (high if abs(one) > median else low) * median * (1 if one > 0 else -1)
        side = "<" if one > bound else ">"
        raise DataError(
            f"{name} is {one:.3g} (rows {listed(labels)}), where its median size is {median:.3g}: "
            f"in {objective.residual} residuals nothing is left of the other runs beside it",
            column=name,
            rows=labels,
            remedy=f"Correct it, or leave it out with keep='`{name}` {side} {bound:.0e}'",
        )


def check_weights(weight: np.ndarray, rows: Sequence[object]) -> None:
    """Refuse weights beside which others count for nothing, but that are not zero.

    Raises:
        DataError: there is such a row.
    """
    most = float(weight.max())
    bad = (weight > 0) & (weight < LEAST_WEIGHT * most)
    if bad.any():
        labels = _labels(rows, bad)
        raise DataError(
            f"weight is {weight[bad][0]:.3g} (rows {listed(labels)}), beside one of {most:.3g}: no "
            "digit of a sum is left of it",
            column="weight",
            rows=labels,
            remedy=f"Leave such rows out, with keep='weight > {LEAST_WEIGHT * most:.0e}'",
        )


def check_delta(objective: Objective, how: Measure, unit: float) -> None:
    """Refuse a penalty whose quadratic middle rounding hides.

    Args:
        objective: what is summed.
        how: the same in numbers, in units of the loss.
        unit: the size of the losses.

    Raises:
        ArgumentError: delta is too small.
    """
    if how.absolute or how.delta >= LEAST_DELTA:
        return
    own = 1.0 if objective.needs_positive_loss else unit
    remedy = f"Pass one of the size of the residuals, as delta={1e-3 * own:.1g}"
    if objective.penalty.symmetric:
        remedy += ", or robust='l1', of which this is delta times"
    raise ArgumentError(
        f"delta={objective.delta:g} is below {LEAST_DELTA * own:.2g}, and residuals within it are "
        "nothing but rounding",
        argument="delta",
        value=objective.delta,
        remedy=remedy,
    )


# Tokens per parameter count as one ratio when they agree to a percent: step counts and batch sizes
# round more than that, and a percent of spread identifies nothing.
SAME_RATIO = 1e-2


def check_design(
    problem: Problem,
    columns: Mapping[str, np.ndarray],
    weight: np.ndarray,
    rows: Sequence[object],
    codes: Mapping[Grouping, np.ndarray] = Frozen({}),
) -> None:
    """Refuse a design that cannot identify the free parameters.

    Args:
        problem: what is to be fitted.
        columns: the law's data columns, each (rows,).
        weight: row weights, (rows,); rows of weight zero count as absent.
        rows: row labels.
        codes: level of each row, (rows,), in each division of the rows.

    Raises:
        DataError: a column is constant, two columns are proportional, or there are fewer distinct
            runs than free parameters, in all or of one level, or the coefficients of a level
            cannot be told apart.
    """
    used = weight > 0
    every = [*columns.values(), *codes.values()]
    design = np.stack([values[used] for values in every], axis=1)
    distinct = _distinct(design, problem.size)
    if distinct < problem.size:
        labels = _labels(rows, used)
        what = "runs" if distinct == len(design) else f"distinct ({', '.join(columns)}) points"
        raise DataError(
            f"{distinct} {what} cannot identify the {problem.size} free parameters of "
            f"{problem.law.name!r} (rows {listed(labels)})",
            rows=labels,
            remedy=f"Add runs, fix what is known, as fixed={_fixed(problem, distinct)}, or choose "
            "a smaller law",
        )
    uses = _uses(problem)
    if codes:
        _check_levels(problem, uses, columns, design, codes, _labels(rows, used))
    still = (design == design[0]).all(axis=0)
    constant = [name for name, one in zip(columns, still, strict=False) if one]
    # Terms that are the same in every run: one of them is a constant, two are the same one.
    same = [name for name, seen in uses.items() if set(seen) <= set(constant)]
    if constant and len(same) > 1:
        name = next(column for item in same for column in uses[item])
        labels = _labels(rows, used)
        raise DataError(
            f"every run has {name} = {columns[name][used][0]:g} (rows {listed(labels)}), so the "
            f"effects of {', '.join(same)} are one and the same constant",
            column=name,
            rows=labels,
            remedy=f"{_other_law(problem, name)}, or add runs with other {name}",
        )
    if problem.nonlinear:
        _check_ratios(uses, columns, used, rows)


def _fixed(problem: Problem, runs: int) -> str:
    """So many parameters fixed that as few runs do, at values that their kinds allow."""
    kinds = {param.name: param.kind for param in problem.law.params}
    groups = [problem.linear[owner] for owner in dict.fromkeys(problem.owners)]
    groups += problem.nonlinear
    chosen, left = [], problem.size
    for group, width in zip(
        groups, (*problem.widths, *(1 for _ in problem.nonlinear)), strict=True
    ):
        # At least one is to be left; one that differs by level cannot be fixed.
        if left > runs and width == 1 and group is not groups[-1]:
            chosen += [f"{name!r}: {kinds[name].example:g}" for name in group]
            left -= 1
    return f"{{{', '.join(chosen)}}}"


def _distinct(design: np.ndarray, enough: int) -> int:
    """Number of distinct rows, counted no further than is enough."""
    seen: set[tuple[float, ...]] = set()
    for row in design:
        seen.add(tuple(row.tolist()))
        if len(seen) >= enough:
            break
    return len(seen)


def _labels(rows: Sequence[object], used: np.ndarray) -> list[object]:
    return [row for row, keep in zip(rows, used, strict=True) if keep]


def _check_levels(
    problem: Problem,
    uses: Mapping[str, Sequence[str]],
    columns: Mapping[str, np.ndarray],
    design: np.ndarray,
    codes: Mapping[Grouping, np.ndarray],
    labels: Sequence[object],
) -> None:
    """Refuse a level that cannot tell its own coefficients apart, or a division that cannot."""
    first = len(columns)
    for number, grouping in enumerate(codes):
        own = [
            group[0]
            for group, division in zip(problem.linear, problem.divisions, strict=True)
            if division == number
        ]
        spoken = " and ".join(grouping.columns)
        still = set(columns)  # columns that change in no level
        order = np.argsort(design[:, first + number], kind="stable")
        ends = np.searchsorted(design[order, first + number], np.arange(len(grouping.levels) + 1))
        for code, level in enumerate(grouping.levels):
            inside = order[ends[code] : ends[code + 1]]
            level_runs = design[inside]
            alike = (level_runs[:, :first] == level_runs[0, :first]).all(axis=0)
            here = {name for name, one in zip(columns, alike, strict=True) if one}
            still &= here
            if _distinct(level_runs, len(own)) < len(own):
                rows = [labels[i] for i in inside]
                raise DataError(
                    f"level {level!r} of {spoken} has fewer distinct runs (rows {listed(rows)}) "
                    f"than coefficients of its own ({', '.join(own)})",
                    column=grouping.columns[0],
                    rows=rows,
                    remedy="Add runs of that level, leave it out with a keep rule, or group fewer "
                    "coefficients",
                )
            same = [name for name in own if set(uses[name]) <= here]
            if len(same) > 1:
                name = next(column for item in same for column in uses[item])
                rows = [labels[i] for i in inside]
                raise DataError(
                    f"every run of level {level!r} of {spoken} has {name} = "
                    f"{level_runs[0, list(columns).index(name)]:g} (rows {listed(rows)}), so "
                    f"the effects of its {', '.join(same)} are one and the same constant",
                    column=name,
                    rows=rows,
                    remedy=f"Add runs of that level with other {name}, leave it out with a keep "
                    "rule, or group fewer coefficients",
                )
        same = [name for name, seen in uses.items() if set(seen) <= still]
        if len(same) > 1 and set(same) & set(own):
            name = next(column for item in same for column in uses[item])
            raise DataError(
                f"each level of {spoken} has one {name} only, so the effects of "
                f"{', '.join(same)} are one and the same constant in each level",
                column=name,
                rows=labels,
                remedy=f"Add runs of the same {spoken} with other {name}, or fix or group fewer "
                "of these parameters",
            )


def _uses(problem: Problem) -> dict[str, tuple[str, ...]]:
    """Columns that the effect of each free parameter depends on."""
    every = dict(zip(problem.law.names, problem.structure.uses, strict=True))
    groups = [*problem.linear, *problem.nonlinear]
    return {
        group[0]: tuple(dict.fromkeys(column for name in group for column in every[name]))
        for group in groups
    }


def tells_apart(problem: Problem, first: str, second: str) -> bool:
    """Whether the free parameters are what two columns do each, and not together or of known form.

    With all exponents fixed the columns' effects differ in form, however they move together. Of a
    law that is no sum of such effects every parameter may depend on both: a power of a path has no
    more than two nonlinear ones.
    """
    uses = _uses(problem)
    pair = {first, second}
    found = [frozenset(pair & set(uses[group[0]])) for group in problem.nonlinear]
    apart = len({frozenset(pair & set(seen)) for seen in uses.values()} - {frozenset()}) > 1
    return (any(found) and apart) or found.count(frozenset(pair)) > 2


def _other_law(problem: Problem, name: str) -> str:
    others = [column for column in problem.law.columns if column != name]
    if len(others) == 1 and problem.law.response == "loss":
        return _law_of(others[0])
    return f"Choose a law without {name}"


def _law_of(column: str) -> str:
    own = {"N": "law='chinchilla_n'", "D": "law='chinchilla_d'"}
    law = own.get(column, f"law='power_offset', x={column!r}")
    return f"Fit a law of {column} alone, as fit(runs, {law})"


def _check_ratios(
    uses: Mapping[str, Sequence[str]],
    columns: Mapping[str, np.ndarray],
    used: np.ndarray,
    rows: Sequence[object],
) -> None:
    """Refuse two proportional columns that different parameters depend on."""
    for first, second in combinations(columns, 2):
        alone = {column: {column} for column in (first, second)}
        if not all(any(set(seen) == only for seen in uses.values()) for only in alone.values()):
            continue
        below, above = columns[first][used], columns[second][used]
        if not ((below > 0).all() and (above > 0).all()):
            continue
        ratio = above / below
        if ratio.max() <= ratio.min() * (1 + SAME_RATIO):
            labels = _labels(rows, used)
            raise DataError(
                f"every run has {second}/{first} = {np.median(ratio):.4g} within "
                f"{100 * SAME_RATIO:g} % (rows {listed(labels)}), so the effects of {first} and "
                f"{second} cannot be told apart",
                column=second,
                rows=labels,
                remedy=f"{_law_of(first)}, or add runs at other {second}/{first} (an IsoFLOP sweep "
                "does)",
            )
