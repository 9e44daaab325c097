"""This version, an earlier one and scipy on the same fits, refits and bootstraps, warm.

Versions take turns in processes of their own, each beside scipy's time in the same process.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from common import chinchilla_table, in_process, race, run_versions, sources, table

HEADER = (
    "item",
    "here",
    "baseline",
    "scipy",
    "here / scipy",
    "baseline / scipy",
    "**here / baseline**",
)


def measured(quick: bool) -> dict[str, dict[str, float]]:
    """Median seconds of each item and of what scipy does for it, in this process."""
    import ensembles
    import refits
    import single_fit

    import scalefit as sf

    runs, frame, _ = chinchilla_table()
    reference = single_fit.Reference(runs)
    found: dict[str, dict[str, float]] = {}

    def add(name: str, mine: Callable[[], Any], other: Any, rounds: int, scale: float = 1) -> None:
        calls = {"mine": mine} | ({"scipy": other} if other else {})
        times = race(calls, rounds)
        found[name] = {key: time.median for key, time in times.items()}
        if other:
            found[name]["scipy"] *= scale

    rounds = 3 if quick else 21
    huber_once = partial(reference.solve, "huber")
    for robust, (loss, _) in single_fit.PENALTIES.items():
        fit = partial(sf.fit, runs, robust=robust, certify=False)
        add(f"fit, {robust}, no proof", fit, partial(reference.solve, loss), rounds)
    add("fit, huber, from a DataFrame", partial(sf.fit, frame), huber_once, rounds)
    add("fit, huber, device='cpu'", partial(sf.fit, runs, device="cpu"), huber_once, rounds)
    add("fit, none, proved", partial(sf.fit, runs, robust="none"), None, rounds)
    for robust in single_fit.OTHERS:
        add(f"fit, {robust}", partial(sf.fit, runs, robust=robust), None, rounds)

    count = 100 if quick else refits.REPLICATES
    weight = refits.resampled(len(runs), count)
    some = weight[: 10 if quick else refits.LOOPED]
    loop = refits.Loop(runs)
    for robust in single_fit.PENALTIES:
        refit = refits.call(runs, sf.objective.Objective("log", robust), weight)
        other = None if robust == "huber" else lambda: [loop.solve(one) for one in some]
        add(f"{count:,} refits, {robust}", refit, other, 1 if quick else 2, count / len(some))
    refit = refits.call(runs, sf.objective.Objective("log", "none"), weight, "cpu")
    other = lambda: [loop.solve(one) for one in some]  # noqa: E731
    add(f"{count:,} refits, none, device='cpu'", refit, other, 1 if quick else 2, count / len(some))

    count = 200 if quick else ensembles.REPLICATES
    fit = sf.fit(runs, delta=ensembles.DELTA)
    picked = ensembles.picked(fit, runs, 10 if quick else ensembles.LOOPED)
    huber = ensembles.HuberLoop(runs, fit)
    add(
        f"bootstrap, {count:,} log-Huber",
        partial(sf.bootstrap, fit, runs, n=count, progress=False),
        lambda: [huber.solve(one) for one in picked],
        1 if quick else 2,
        count / len(picked),
    )
    add(
        f"bootstrap, {count:,} log-Huber, device='cpu'",
        partial(sf.bootstrap, fit, runs, n=count, progress=False, device="cpu"),
        lambda: [huber.solve(one) for one in picked],
        1 if quick else 2,
        count / len(picked),
    )
    return found


def section(quick: bool, checkout: Path) -> str:
    """The benchmark as Markdown."""
    rounds = 1 if quick else 3
    taken: dict[str, dict[str, list[dict[str, float]]]] = {}
    for _ in range(rounds):
        for version, source in sources(checkout).items():
            arguments = [__file__, "--one", *(["--quick"] if quick else [])]
            output, _ = in_process(arguments, source, SCALEFIT_CACHE="off")
            for name, item in json.loads(output).items():
                taken.setdefault(name, {}).setdefault(version, []).append(item)
    lines = []
    for name, by_version in taken.items():
        mine, old = (
            statistics.median(item["mine"] for item in by_version[version])
            for version in ("here", "baseline")
        )
        loops = [
            item["scipy"] for items in by_version.values() for item in items if "scipy" in item
        ]
        scipy = statistics.median(loops) if loops else None
        shown = [f"{1e3 * value:.3g} ms" if value else "" for value in (mine, old, scipy)]
        ratios = [f"{value / scipy:.3g}" if scipy else "" for value in (mine, old)]
        lines.append((name, *shown, *ratios, f"**{mine / old:.2g}**"))
    said = (
        f"240 rows; medians of {rounds} process(es) for each version, in turn, of warm calls. "
        "scipy descends from one good start, for refits from the optimum of the full table, some "
        "of them scaled to all."
    )
    return "\n\n".join(["## Against an earlier version", said, table(HEADER, lines)])


if __name__ == "__main__":
    run_versions(measured, section, __doc__, needed=True)
