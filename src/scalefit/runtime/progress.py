"""What a long call is doing, shown while it runs.

Once a public call :func:`with_progress` has taken a second, one line says what it does, how many of
how many are done, and which program JAX compiles. The line goes when the call ends. On a terminal
it is tqdm's, on standard error; in a notebook it is HTML, which needs no widgets. Nowhere else is
anything shown: not in a log file or a pipe, nor by other processes and threads than the first.

What lies below a call says what it counts by :func:`counting`, and what it compiles by
:func:`compiling`. It need not know which call that is, nor whether anything is shown.
"""

from __future__ import annotations

import html
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import jax
import numpy as np

from scalefit import arguments

__all__ = ["Stage", "compiling", "counting", "with_progress", "without_progress"]

P = ParamSpec("P")
R = TypeVar("R")

# Seconds before a call shows its line, and between two looks at it.
DELAY = 1.0
EVERY = 0.2

COUNTED = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}<{remaining}]"
UNCOUNTED = "{desc} [{elapsed}]"


class Stage:
    """Something that a call counts.

    Attributes:
        what: is done.
        total: how many times; None or 1 where there is nothing to count.
        unit: what is counted, in the plural.
        done: how many are.
        began: when, in seconds.
    """

    def __init__(self, what: str, total: int | None = None, unit: str = "") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done, self.began = 0, time.time()
        self._lock = threading.Lock()

    def update(self, more: int = 1) -> None:
        """Count some more of them, from any thread."""
        with self._lock:
            self.done += more

    @property
    def counted(self) -> bool:
        """Whether there is anything to count."""
        return self.total is not None and self.total > 1


class _Call:
    """A public call, and what it is doing."""

    def __init__(self, name: str) -> None:
        self.name, self.stages, self.programs = name, list[Stage](), list[str]()
        self.began, self.ended = time.time(), threading.Event()

    def main(self) -> Stage:
        """What the bar is of: the outermost stage that counts, or else the call itself."""
        counted = [stage for stage in self.stages if stage.counted]
        return counted[0] if counted else Stage(self.name)

    def text(self, counts: bool = False) -> str:
        """What the call is doing, in words.

        Args:
            counts: whether the words say how far the main stage is, where no bar does.
        """
        # Copies: the call goes on meanwhile.
        stages, programs, main = list(self.stages), list(self.programs), self.main()
        parts = []
        for stage in dict.fromkeys([main, *stages[-1:]] if main in stages else stages[-1:]):
            counted = stage.counted and (counts or stage is not main)
            unit = f" {stage.unit}" if stage is main else ""
            count = f" {stage.done:,}/{stage.total:,}{unit}" if counted else ""
            parts.append(stage.what + count)
        parts += [f"compiling {programs[-1]}, once"] if programs else []
        return ": ".join([self.name, ", ".join(parts)]) if parts else self.name


# The call that runs in this context; None where none does, or nothing is shown of it.
_running: ContextVar[_Call | None] = ContextVar("scalefit_running", default=None)
# Whether a call runs, shown or not: what it calls shows nothing of its own.
_inside: ContextVar[bool] = ContextVar("scalefit_inside", default=False)
# Shapes of the arrays that programs were called with.
_compiled: WeakKeyDictionary[Any, set[Any]] = WeakKeyDictionary()


def with_progress(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator of a public call with an option ``progress``: it is shown unless that is False.

    A call within another one is part of that.
    """

    @wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> R:
        wanted = arguments.flag(options.get("progress", True), "progress")
        if _inside.get():
            return function(*args, **options)
        line = _line_of_here() if wanted else None
        token = _inside.set(True)
        try:
            if line is None:
                return function(*args, **options)
            with _watched(_Call(function.__name__), line):
                return function(*args, **options)
        finally:
            _inside.reset(token)

    return call


@contextmanager
def without_progress() -> Iterator[None]:
    """Calls in this scope show nothing: whoever runs them reads standard error."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


@contextmanager
def counting(what: str, total: int | None = None, unit: str = "") -> Iterator[Stage]:
    """A stage of the call that runs, to update with how many are done.

    Args:
        what: is done, as ``polishing``.
        total: how many times, where that is known.
        unit: what is counted, in the plural.
    """
    stage, call = Stage(what, total, unit), _running.get()
    if call is None:
        yield stage
        return
    call.stages.append(stage)
    try:
        yield stage
    finally:
        call.stages.remove(stage)


@contextmanager
def compiling(program: Any, given: Any, what: str) -> Iterator[None]:
    """Around a call of a program, which JAX compiles first unless it has for such arrays.

    Args:
        program: made by ``jax.jit``.
        given: arrays that it is called with.
        what: it is, as ``the sampler``.
    """
    leaves = jax.tree.leaves(given)
    shapes = tuple((np.shape(leaf), getattr(leaf, "dtype", type(leaf))) for leaf in leaves)
    known = _compiled.setdefault(program, set())
    call = _running.get()
    if call is None or shapes in known:
        known.add(shapes)
        yield
        return
    call.programs.append(what)
    try:
        yield
        known.add(shapes)
    finally:
        call.programs.remove(what)


@contextmanager
def _watched(call: _Call, line: Callable[[], Any]) -> Iterator[None]:
    """A call whose line is shown by a thread of its own, for the program may be busy compiling."""
    token = _running.set(call)
    # Notebooks know by the context which cell an output belongs to.
    watch = threading.Thread(target=copy_context().run, args=(_watch, call, line), daemon=True)
    watch.start()
    try:
        yield
    finally:
        _running.reset(token)
        call.ended.set()
        watch.join()


def _watch(call: _Call, line: Callable[[], Any]) -> None:
    if call.ended.wait(DELAY):
        return
    # A line that cannot be shown, as of a terminal that went away, is no reason to complain.
    with suppress(Exception), closing(line()) as shown_line:
        while not call.ended.wait(EVERY):
            shown_line.show(call)


def _line_of_here() -> Callable[[], Any] | None:
    """Which line this process can show, if any."""
    first = threading.current_thread() is threading.main_thread()
    if not first or multiprocessing.parent_process() is not None:
        return None
    python = sys.modules.get("IPython")
    if python is not None and getattr(python.get_ipython(), "kernel", None) is not None:
        return _NotebookLine
    return _TerminalLine if _on_terminal() else None


def _on_terminal() -> bool:
    """Whether somebody sees what standard error says while it is said.

    It may be None, closed, or an object that does no more than write.
    """
    with suppress(AttributeError, ValueError):
        return bool(sys.stderr.isatty())
    return False


class _Quiet:
    """A stream that is not written to where it cannot be.

    An error inside tqdm would leave its lock held, and whoever uses tqdm next would wait forever.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(Exception):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(Exception):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _TerminalLine:
    """A line of tqdm's on standard error."""

    def __init__(self) -> None:
        # Imported here: tqdm imports asyncio, which nothing else needs.
        from tqdm import tqdm

        class Bar(tqdm):  # type: ignore[type-arg]
            # No thread of tqdm's own, which would outlive the call.
            monitor_interval = 0

        # It would print itself at once, empty, but for a delay.
        look: dict[str, Any] = {"bar_format": UNCOUNTED, "dynamic_ncols": True, "leave": False}
        self.bar = Bar(total=1, file=_Quiet(sys.stderr), delay=1e-9, **look)

    def show(self, call: _Call) -> None:
        main, bar = call.main(), self.bar
        bar.bar_format = COUNTED if main.counted else UNCOUNTED
        bar.total, bar.n, bar.unit = main.total or 1, main.done, main.unit
        bar.start_t = main.began if main.counted else call.began
        bar.set_description_str(call.text(), refresh=False)
        bar.refresh()
        # Otherwise it would take itself for one that was never printed, and not clear its line.
        bar.last_print_t = bar.start_t + 1.0

    def close(self) -> None:
        self.bar.close()


class _NotebookLine:
    """A line of HTML in the output of a cell."""

    def __init__(self) -> None:
        from IPython.display import display

        empty = {"text/html": "", "text/plain": ""}
        self.handle: Any = display(empty, raw=True, display_id=True)  # type: ignore[no-untyped-call,unused-ignore]

    def show(self, call: _Call) -> None:
        main, seconds = call.main(), round(time.time() - call.began)
        bar = f'<progress value="{main.done}" max="{main.total}"></progress> ' * main.counted
        text = f"{call.text(counts=True)} ({seconds} s)"
        style = "font-size: 90%; opacity: 0.75; font-variant-numeric: tabular-nums"
        self._put(f'<div style="{style}">{bar}{html.escape(text)}</div>', text)

    def close(self) -> None:
        # What is left is empty, so that a saved notebook shows none of it.
        self._put("", "")

    def _put(self, shown: str, text: str) -> None:
        self.handle.update({"text/html": shown, "text/plain": text}, raw=True)
