"""The calls that make a fit, and what was drawn from it, again: code that runs.

Everything is read from the fit itself: the rules that left rows out, the headers and units of the
columns, and every option of the fit that is not its default.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.allocation.costs import COSTS
from scalefit.allocation.optimum import allocate
from scalefit.allocation.result import Allocation
from scalefit.data.column_units import unit_of
from scalefit.data.other_laws import called
from scalefit.data.several_responses import responses_of
from scalefit.data.table import LossTable
from scalefit.documents.material import LACKING
from scalefit.errors import ScalefitError
from scalefit.inference.covariance import Covariance
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.profile_likelihood import Profile
from scalefit.laws import BUILTIN, Law
from scalefit.reporting.described import Described
from scalefit.results.fit import Fit
from scalefit.results.status import Status

__all__ = ["calls", "table_options"]

# Characters of a line of code.
WIDTH = 88

# Allocations of one budget agree to rounding; those under limits differ by percents.
SAME = 1e-6

# Ensembles by the words of their method, and the call that makes them.
RESAMPLED = ("rows", "residuals", "wild", "strata", "clusters")


def calls(
    fit: Fit,
    table: LossTable | None,
    path: Path | None,
    results: Sequence[Described],
) -> str:
    """The calls, from the table to the last result that they can make.

    Args:
        fit: the fit.
        table: its table, which knows headers that are no text; or None.
        path: the file that the table is from, if it is known.
        results: what was made of the fit.
    """
    if fit.status is Status.PUBLISHED:
        return "\n".join(["import scalefit as sf", "", *_published(fit)])
    lines = ["import numpy as np", "import scalefit as sf", "", *_reading(fit, table, path)]
    lines += ['assert fit.provenance["data"] == (', f'    "{fit.provenance.get("data", "")}"', ")"]
    lines += ["expected = {"]
    lines += [f"    {name!r}: {value!r}," for name, value in fit.params.items()]
    lines += ["}", "for name, value in expected.items():"]
    lines += ["    np.testing.assert_allclose(fit[name], value, rtol=1e-6, atol=1e-12)"]
    return "\n".join([*lines, *_later(fit, results)])


def _published(fit: Fit) -> list[str]:
    configuration = fit.provenance.get("configuration", "")
    arguments = [repr(fit.law.name), *([repr(configuration)] if configuration else [])]
    return _call("fit", "sf.published", arguments)


def _reading(fit: Fit, table: LossTable | None, path: Path | None) -> list[str]:
    """The table as it was read, and the fit."""
    options = table_options(fit, table)
    keywords = [f"{name}={value!r}" for name, value in options.items()]
    dataset = fit.provenance.get("dataset", "")
    if dataset:
        lines = _call("runs", "sf.datasets.load", [repr(dataset), *keywords])
    elif path is not None:
        lines = _call("runs", "sf.read", [repr(str(path)), *keywords])
    else:
        kept = fit.nobs + len(fit.dropped)
        lines = [
            f"# frame: the table that was fitted, {kept} rows of positive weight or dropped.",
            *_call("runs", "sf.read", ["frame", *keywords]),
        ]
    law = fit.law
    own = [] if BUILTIN.get(law.name) is law else _own_law(law)
    return [*own, *lines, *_call("fit", "sf.fit", ["runs", called(law), *_fit_options(fit)])]


def table_options(fit: Fit, table: LossTable | None = None) -> dict[str, Any]:
    """Options under which a table was read: rules, headers, units.

    Args:
        fit: the fit.
        table: its table, if it is there.
    """
    known = fit.provenance
    found: dict[str, Any] = {}
    for key, header in known.items():
        name = key.removeprefix("column ")
        if name == key:
            continue
        source: Any = header if table is None else table.sources.get(name, header)
        scale = known.get(f"unit of {name}")
        if scale is not None:
            found[name] = (source, float(scale))
        elif unit_of(source, name) is not None:
            # Its header names a unit that was not applied.
            found[name] = (source, 1.0)
        elif source != name:
            found[name] = source
    rules = list(dict.fromkeys(item.rule for item in fit.dropped))
    keep = [rule for rule in rules if not rule.startswith(LACKING)]
    if keep:
        found["keep"] = keep[0] if len(keep) == 1 else keep
    if len(keep) < len(rules):
        found["missing"] = "drop"
    several = responses_of(known)
    if several is not None:
        found["responses"] = {several.value: list(several.headers)}
    if "losses read as" in known:
        found["loss_unit"] = known["losses read as"]
    if "bytes per token" in known:
        found["bytes_per_token"] = float(known["bytes per token"])
    return found


def _own_law(law: Law) -> list[str]:
    """Where the law of a user is from."""
    if law.maker is not None:
        function, arguments = law.maker
        module = getattr(function, "__module__", "")
        given = ", ".join(map(repr, arguments))
        name = getattr(function, "__qualname__", "")
        return [f"from {module} import {name}", "", f"law = {name}({given})"]
    module = getattr(law.function, "__module__", None) or "?"
    name = getattr(law.function, "__qualname__", law.name)
    if module == "__main__" or not name.isidentifier():
        return [f"# law: {law.name}, as its author defined it by @sf.law: {law.formula}"]
    return [f"from {module} import {name} as law", ""]


def _fit_options(fit: Fit) -> list[str]:
    """Options of the fit that are not their defaults."""
    found = fit.objective.options
    for name in ("fixed", "bounds"):
        if given := getattr(fit, name):
            found[name] = dict(given)
    if fit.tied:
        found["tied"] = list(fit.tied)
    declared = {param.name for param in fit.law.params if param.by}
    groups = {
        name: item.columns[0] if len(item.columns) == 1 else item.columns
        for name, item in fit.groups.items()
        if name not in declared
    }
    if groups:
        found["groups"] = groups
    if "seed" in fit.provenance:
        found["seed"] = int(fit.provenance["seed"])
    if fit.certificate.attempted and fit.objective.penalty.bounded:
        found["certify"] = True
    return [f"{name}={value!r}" for name, value in found.items()]


def _later(fit: Fit, results: Sequence[Described]) -> list[str]:
    """The calls of results that hold what they were made with; of the others their titles."""
    lines: list[str] = []
    drawn = [item for item in results if isinstance(item, Ensemble) and item.fit == fit]
    for draws in drawn:
        lines += _draws(draws)
    counts: dict[str, int] = {}
    for result in results:
        call = _made(fit, result, bool(drawn))
        if call is not None:
            name, function, arguments = call
            counts[name] = counts.get(name, 0) + 1
            number = counts[name] if counts[name] > 1 else ""
            lines += _call(f"{name}{number}", function, arguments)
        elif result not in drawn:
            title = " ".join(result.describe().title.splitlines())
            lines.append(f"# Not repeated here: {title}")
    return ["", *lines] if lines else []


def _made(fit: Fit, result: Described, drawn: bool) -> tuple[str, str, list[str]] | None:
    """The name, function and arguments of a result; None where they are not known."""
    if isinstance(result, Covariance) and result.fit == fit:
        return "covariance", "sf.covariance", ["fit", "runs", *_noise(result.method)]
    if isinstance(result, Profile) and result.name in fit.params:
        level = [] if result.level == 0.95 else [f"level={result.level!r}"]
        given = ["fit", "runs", repr(result.name), *_noise(result.method), *level]
        return "profile", "sf.profile", given
    if isinstance(result, Allocation) and _known(fit, result) and (drawn or not result.draws):
        return "best", "sf.allocate", ["draws" if result.draws else "fit", *_budget(result)]
    return None


def _draws(draws: Ensemble) -> list[str]:
    """The call that made draws, by the words of their method."""
    word, _, by = draws.method.partition(" of ")
    seed = [f"seed={draws.seed}"] * bool(draws.seed)
    if draws.replicates is not None and word in RESAMPLED:
        given = ["fit", "runs", f"n_draws={len(draws)}", f"method={word!r}"]
        given += [f"by={_columns(by)}"] * bool(by)
        return _call("draws", "sf.bootstrap", [*given, *seed])
    if draws.method.startswith("posterior"):
        given = [f"n_draws={len(draws) // draws.chains}", f"chains={draws.chains}"]
        return _call("draws", "sf.posterior", ["fit", "runs", *given, *seed])
    if draws.method.startswith(("jacobian", "sandwich")):
        call = f"sf.covariance({', '.join(['fit', 'runs', *_noise(draws.method)])})"
        count = [f"n_draws={len(draws)}"] if len(draws) != 4000 else []
        return [f"draws = {call}.draws({', '.join([*count, *seed])})"]
    return [f"# draws: {len(draws)} by {draws.method}, seed {draws.seed}"]


def _noise(method: str) -> list[str]:
    """The options of covariance and profile, by the words of their method."""
    word, _, by = method.partition(" of ")
    given = [] if word == "sandwich" else [f"method={word!r}"]
    return given + [f"by={_columns(by)}"] * bool(by)


def _columns(text: str) -> str:
    """Columns as one name or a list of them."""
    names = text.split(", ")
    return repr(names[0] if len(names) == 1 else names)


def _known(fit: Fit, best: Allocation) -> bool:
    """Whether an allocation is the one that its budget alone gives, without limits or columns.

    It does not hold the options it was made with: it is made once more and compared.
    """
    if best.law != fit.law.name or best.cost not in COSTS or set(best.columns) != {"N", "D"}:
        return False
    if best.draws and np.ptp(best.draws["budget"], axis=0).any():
        # What is given is a loss, and the budget an answer.
        return False
    given: dict[str, Any] = {"flops" if best.unit == "FLOP" else "usd": best.budget}
    try:
        other = allocate(fit, **given, cost=best.cost)
    except ScalefitError:
        return False
    same = np.shape(other.N) == np.shape(best.N)
    return same and bool(np.allclose(other.N, best.N, rtol=SAME))


def _budget(best: Allocation) -> list[str]:
    # Twelve digits: 1e23 is often 1.0000000000000001e+23.
    budgets = [f"{value:.12g}".replace("e+", "e") for value in np.ravel(best.budget)]
    given = budgets[0] if np.ndim(best.budget) == 0 else f"[{', '.join(budgets)}]"
    name = "flops" if best.unit == "FLOP" else "usd"
    return [f"{name}={given}", *([] if best.cost == "6ND" else [f"cost={best.cost!r}"])]


def _call(name: str, function: str, arguments: Sequence[str]) -> list[str]:
    """An assignment of a call, a line for each argument where one is too long."""
    line = f"{name} = {function}({', '.join(arguments)})"
    if len(line) <= WIDTH:
        return [line]
    return [f"{name} = {function}(", *(f"    {item}," for item in arguments), ")"]
