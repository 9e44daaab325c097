"""What a process pays that has kept nothing: imports, then the first of everything.

Each item runs in fresh processes, after what it needs (a first fit, say) is there. CPU seconds are
those of the process itself. Wall seconds are split by what JAX reports and by the outermost import
statements: what is left is running. Lines of HLO are those of the programs handed to the compiler,
before it optimises them, in a pass of their own.
"""

from __future__ import annotations

import argparse
import builtins
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import laws
from common import Timing, baseline, farseer_table, in_process, machine, options, sources, table

IMPORTS = ("numpy", "pandas", "jax", "jax, pandas", "scalefit")
IMPORT_BASELINE = "jax, pandas"
IMPORT_PROGRAM = """
import time
begin = time.perf_counter()
import {names}
print(time.perf_counter() - begin)
"""

WHOLE_PROGRAM = """
import scalefit as sf
print(sf.fit(sf.simulate(sf.simulation.isoflop_design(points=48))).summary())
"""
WHOLE_TARGET = 1.4

TRACE = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
)
COMPILE = "/jax/core/compile/backend_compile_duration"
DUMPS = "*before_optimizations.txt"
FOLDER_VARIABLE = "SCALEFIT_BENCHMARK_DUMPS"

FIGURES = ("cpu", "wall", "import", "trace", "compile", "run")
BUDGET = 1e24


class Session(NamedTuple):
    """What one process does.

    Attributes:
        begin: makes what the items need, untimed.
        items: timed, in this order, in one process; each takes what ``begin`` made.
        targets: CPU seconds of each.
    """

    begin: Callable[[], Any]
    items: Mapping[str, Callable[[Any], Any]]
    targets: tuple[float, ...]


def _runs(points: int = 48, seed: int = 0) -> Any:
    import scalefit as sf

    return sf.simulate(sf.simulation.isoflop_design(points=points), seed=seed)


def _fitted(**how: Any) -> tuple[Any, Any]:
    import scalefit as sf

    runs = _runs()
    return sf.fit(runs, **how), runs


def _again(**how: Any) -> Callable[[Any], Any]:
    def fit(runs: Any) -> Any:
        import scalefit as sf

        return sf.fit(runs, **how)

    return fit


def _asked(name: str, *given: Any, **how: Any) -> Callable[[Any], Any]:
    """A function of scalefit, called with a fit."""

    def ask(made: tuple[Any, Any]) -> Any:
        import scalefit as sf

        return getattr(sf, name)(made[0], *given, **how)

    return ask


def _on_table(name: str, *given: Any, **how: Any) -> Callable[[Any], Any]:
    """A function of scalefit, called with a fit and its table."""

    def ask(made: tuple[Any, Any]) -> Any:
        import scalefit as sf

        return getattr(sf, name)(*made, *given, **how)

    return ask


def _in_dollars(made: tuple[Any, Any]) -> Any:
    import scalefit as sf

    @sf.allocation.cost(source="this benchmark", unit="USD")
    def price(N, D):
        """Two dollars for 1e18 FLOP."""
        return 2e-18 * 6 * N * D

    return sf.allocate(made[0], usd=1e6, cost=price)


def _drawn() -> tuple[Any, Any]:
    import scalefit as sf

    fit, runs = _fitted()
    return sf.covariance(fit, runs).draws(1000, seed=0), runs


def _compared(made: tuple[Any, Any]) -> Any:
    import scalefit as sf

    return sf.compute_multiplier(made[0], made[0], BUDGET)


def _optimum(made: tuple[Any, Any]) -> Any:
    import scalefit as sf

    return sf.profile(*made, sf.allocation.optimum_function(made[0], "N", flops=BUDGET))


def _parabolas() -> tuple[Any, Any, Any]:
    import scalefit as sf

    fit, runs = _fitted()
    return fit, sf.isoflop(runs), runs


def _bias(made: tuple[Any, Any, Any]) -> Any:
    import scalefit as sf

    return sf.bias(*made, BUDGET)


def _alone(
    name: str, ask: Callable[[Any], Any], target: float, begin: Callable[[], Any] = _fitted
) -> Session:
    return Session(begin, {name: ask}, (target,))


SESSIONS = (
    Session(
        _runs,
        {
            "first fit, chinchilla": _again(),
            "then another fixed": _again(fixed={"E": 1.7}),
            "then a tied": _again(tied=[("alpha", "beta")]),
            "then bounds": _again(bounds={"alpha": (0.1, 0.6)}),
            "then squares, proved": _again(robust="none"),
            "then the lower envelope": _again(robust="asymmetric"),
            "then raw residuals": _again(residual="raw"),
            "then absolute residuals (l1)": _again(robust="l1"),
            "then another table": lambda _: _again()(_runs(points=50, seed=1)),
        },
        (1.5, *[0.1] * 8),
    ),
    _alone("bootstrap, 1,000", _on_table("bootstrap", n=1000, progress=False), 1.0),
    _alone("bootstrap, 20", _on_table("bootstrap", n=20, progress=False), 1.0),
    _alone("allocate, flops=", _asked("allocate", BUDGET), 1.0),
    _alone("allocate, limits=", _asked("allocate", BUDGET, limits={"N": 1e10}), 1.0),
    _alone("allocate, loss=", _asked("allocate", loss=2.0), 1.0),
    _alone("allocate, usd= with a cost of one's own", _in_dollars, 1.0),
    _alone("allocate, 1,000 draws", _asked("allocate", BUDGET), 1.0, _drawn),
    _alone(
        "allocate, data_constrained, fixed=",
        _asked("allocate", BUDGET, fixed={"U": 1e11}),
        1.0,
        lambda: laws.fitted("data_constrained"),
    ),
    _alone("near_optimal", _asked("near_optimal", BUDGET), 1.0),
    _alone("deadweight", _asked("deadweight", 1e9, 1e11), 1.0),
    _alone("compute_multiplier", _compared, 1.0),
    _alone("bias", _bias, 2.5, _parabolas),
    _alone("covariance", _on_table("covariance"), 1.0),
    _alone('profile, "alpha"', _on_table("profile", "alpha"), 1.0),
    _alone("profile, optimal N", _optimum, 1.0),
    _alone(
        "first fit, Farseer, squares",
        _again(law="farseer", robust="none"),
        6.0,
        lambda: farseer_table()[0],
    ),
)


class Watch:
    """Times JAX's traces and compilations and the imports of this process."""

    def __init__(self) -> None:
        from jax import monitoring

        self.spans: dict[str, list[tuple[float, float]]] = {}
        self._depth = 0
        self._import = builtins.__import__
        builtins.__import__ = self._imported  # type: ignore[assignment]
        monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, seconds: float, **_: Any) -> None:
        if event in TRACE or event == COMPILE:
            end = time.perf_counter()
            name = "compile" if event == COMPILE else "trace"
            self.spans.setdefault(name, []).append((end - seconds, end))

    def _imported(self, *given: Any, **named: Any) -> Any:
        self._depth += 1
        begin = time.perf_counter()
        try:
            return self._import(*given, **named)
        finally:
            self._depth -= 1
            if not self._depth:
                self.spans.setdefault("import", []).append((begin, time.perf_counter()))

    def measure(self, call: Callable[[], Any]) -> dict[str, float]:
        """Seconds of a call, by what they went to."""
        self.spans.clear()
        begin, used = time.perf_counter(), time.process_time()
        call()
        used, wall = time.process_time() - used, time.perf_counter() - begin
        found, before = {"cpu": used, "wall": wall}, 0.0
        taken: list[tuple[float, float]] = []
        # Traces are nested, and import: what lies within several is counted once.
        for name in ("compile", "import", "trace"):
            taken = _merged([*taken, *self.spans.get(name, [])])
            total = sum(end - start for start, end in taken)
            found[name], before = total - before, total
        return found | {"run": max(0.0, wall - before)}


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same moments, in spans that do not overlap."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def _lines() -> int:
    folder = os.environ.get(FOLDER_VARIABLE)
    files = Path(folder).glob(DUMPS) if folder else ()
    return sum(file.read_bytes().count(b"\n") for file in files)


def measured(number: int) -> dict[str, Any]:
    """Figures of the items of one session, in this process; an item that fails has its error."""
    begin, used = time.perf_counter(), time.process_time()
    import scalefit  # noqa: F401

    start = {"cpu": time.process_time() - used, "wall": time.perf_counter() - begin}
    session = SESSIONS[number]
    found: dict[str, Any] = {} if number else {"import scalefit": start}
    try:
        made = session.begin()
    except Exception as error:
        return {name: {"error": repr(error)} for name in session.items}
    watch = Watch()
    for name, ask in session.items.items():
        before = _lines()
        try:
            found[name] = watch.measure(partial(ask, made))
        except Exception as error:
            found[name] = {"error": repr(error)}
        else:
            found[name]["lines"] = _lines() - before
    return found


def firsts(rounds: int, checkout: Path | None, numbers: range) -> str:
    """Table of the first of everything; versions take turns."""
    figures: dict[str, dict[str, list[dict[str, Any]]]] = {}
    lines: dict[tuple[str, str], int] = {}
    versions = sources(checkout)
    for number in numbers:
        arguments = [__file__, "--one", str(number)]
        for version, source in [*versions.items()] * rounds:
            output, _ = in_process(arguments, source, SCALEFIT_CACHE="off")
            for name, found in json.loads(output).items():
                figures.setdefault(name, {}).setdefault(version, []).append(found)
        for version, source in versions.items():
            with tempfile.TemporaryDirectory() as folder:
                flags = f"--xla_dump_to={folder} --xla_dump_hlo_as_text"
                hlo = {"XLA_FLAGS": flags, FOLDER_VARIABLE: folder, "SCALEFIT_CACHE": "off"}
                output, _ = in_process(arguments, source, **hlo)
            for name, found in json.loads(output).items():
                lines[name, version] = found.get("lines", 0)
    targets = {
        name: f"{target:g}"
        for session in SESSIONS
        for name, target in zip(session.items, session.targets, strict=True)
    }
    header = ["", "target, CPU s", *(f"{name}, s" for name in FIGURES), "HLO lines"]
    header[2:4] = ["**CPU, s**", "wall, s"]
    if checkout:
        header += ["baseline: CPU, s", "wall, s", "HLO lines", "**CPU / baseline**"]
    rows = []
    for name, by_version in figures.items():
        here = _medians(by_version["here"])
        row = [name, targets.get(name, ""), f"**{_shown(here, 'cpu')}**"]
        row += [_shown(here, figure) for figure in FIGURES[1:]]
        row.append(f"{lines[name, 'here']:,}")
        if checkout:
            old = _medians(by_version["baseline"])
            ratio = f"**{here['cpu'] / old['cpu']:.2g}**" if here and old else "-"
            row += [_shown(old, "cpu"), _shown(old, "wall")]
            row += [f"{lines[name, 'baseline']:,}" if old else "-", ratio]
        rows.append(row)
    return table(header, rows)


def _medians(found: list[dict[str, Any]]) -> dict[str, float]:
    """Median of each figure; none where a process had an error."""
    for item in found:
        if "error" in item:
            print(item["error"], file=sys.stderr)
            return {}
    return {name: statistics.median(item[name] for item in found) for name in found[0]}


def _shown(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[name]:.3f}" if name in figures else "-"


def imports(rounds: int) -> str:
    """Table of import times, in rounds that run each once."""
    programs = {names: IMPORT_PROGRAM.format(names=names) for names in IMPORTS}
    for program in programs.values():  # byte code and file cache
        in_process(["-c", program])
    seconds: dict[str, list[float]] = {names: [] for names in IMPORTS}
    for _ in range(rounds):
        for names, program in programs.items():
            seconds[names].append(float(in_process(["-c", program])[0]))
    times = {names: Timing.of(values) for names, values in seconds.items()}
    base = times[IMPORT_BASELINE].median
    rows = [
        (f"`import {names}`", item.text, f"{item.median / base:.2f}")
        for names, item in times.items()
    ]
    return table(("import", "wall time (quartiles)", f"ratio to `import {IMPORT_BASELINE}`"), rows)


def whole(rounds: int, checkout: Path | None) -> str:
    """Table of whole processes, the first one and the second one that finds what it kept."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for version, source in sources(checkout).items():
            with tempfile.TemporaryDirectory() as folder:
                for which in ("first", "second"):
                    _, taken = in_process(["-c", WHOLE_PROGRAM], source, SCALEFIT_CACHE=folder)
                    seconds.setdefault((which, version), []).append(taken)
    rows = [
        (
            f"{which} process" + (f", {version}" if checkout else ""),
            f"{WHOLE_TARGET:g} s" if which == "second" and version == "here" else "",
            Timing.of(taken).text,
        )
        for (which, version), taken in seconds.items()
    ]
    return table(("import, fit, print", "target, wall", "wall time (quartiles)"), rows)


def section(
    quick: bool, checkout: Path | None = None, rounds: int | None = None, every: bool = True
) -> str:
    """The benchmark as Markdown.

    Args:
        quick: one round, of the first sessions.
        checkout: of an earlier version.
        rounds: processes for each item.
        every: whether to fit every law, too.
    """
    rounds = rounds or (1 if quick else 3)
    parts = [
        "## A process that has kept nothing",
        f"Medians of {rounds} fresh process(es) each, files cached by the system, no cache of "
        "JAX's; 240 simulated rows, log-Huber, unless said otherwise. What begins with *then* runs "
        "in the process of the line above; everything else in processes of its own, after a fit "
        "where it needs one. Wall time is split into imports, tracing, compiling and the rest.",
        imports(rounds),
        firsts(rounds, checkout, range(2 if quick else len(SESSIONS))),
        whole(rounds, checkout),
    ]
    return "\n\n".join([*parts, laws.section(quick, checkout)] if every else parts)


def main() -> None:
    """Print the machine and the tables; with ``--one NUMBER``, one session as JSON."""
    hidden = argparse.ArgumentParser(add_help=False)
    hidden.add_argument("--one", type=int)
    known, rest = hidden.parse_known_args()
    if known.one is not None:
        print(json.dumps(measured(known.one)))
        return
    parser = options(__doc__)
    baseline(parser)
    parser.add_argument("--rounds", type=int, help="processes for each item")
    parser.add_argument(
        "--laws", action=argparse.BooleanOptionalAction, default=True, help="fit every law, too"
    )
    given = parser.parse_args(rest)
    text = section(given.quick, given.baseline, given.rounds, given.laws)
    print(machine(), text, sep="\n\n")


if __name__ == "__main__":
    main()
