"""Threads that share the work of a batch, and that an interrupt of the caller stops."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any, TypeVar

from scalefit.errors import ArgumentError

__all__ = ["THREADS", "apart", "checkpoint", "in_threads"]

MOST_THREADS = 16
VARIABLE = "SCALEFIT_THREADS"

Item = TypeVar("Item")
Found = TypeVar("Found")


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads() -> int:
    """Threads that share the work of a batch on the host: of SCALEFIT_THREADS, or as many as cores.

    Raises:
        ArgumentError: the variable is no positive whole number.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return min(MOST_THREADS, _cores())
    if not (given.isascii() and given.isdecimal() and int(given)):
        raise ArgumentError(
            f"the environment variable {VARIABLE} must be a positive whole number, not {given!r}",
            argument=VARIABLE,
            value=given,
            remedy=f"Set it to the threads that this process may use, as {VARIABLE}=1, or unset it",
        )
    return int(given)


# Read once: a process keeps what it began with.
THREADS = _threads()


class _Stopped(BaseException):
    """Ends the work of a thread whose caller has gone."""


# Of each thread of a batch: whether its caller has gone.
_mine = threading.local()


def in_threads(
    work: Callable[[Item], Found],
    items: Iterable[Item],
    threads: int,
    done: Callable[[], Any] = lambda: None,
) -> list[Found]:
    """What work makes of each item, in order, by threads.

    The caller waits in Python, so that an interrupt reaches it while a program runs or compiles. On
    an interrupt, or an error in one item, it returns at once: items not begun are dropped, and
    running ones end at their next :func:`checkpoint`.

    Args:
        work: what to do with an item.
        items: the items.
        threads: how many at once.
        done: is called, in the caller's thread, after each item in order.
    """
    gone = threading.Event()

    def watched(item: Item) -> Found:
        _mine.gone = gone
        checkpoint()
        return work(item)

    def within(given: tuple[Context, Item]) -> Found:
        return given[0].run(watched, given[1])

    pool = ThreadPoolExecutor(threads, thread_name_prefix="scalefit")
    found = []
    try:
        # Each in the context of the caller, which a thread does not have by itself.
        for item in pool.map(within, ((copy_context(), item) for item in items)):
            found.append(item)
            done()
    except BaseException:
        gone.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return found


def apart(work: Callable[[], Found]) -> Found:
    """What work returns, by a thread of its own, so that an interrupt need not wait for its end."""
    return in_threads(lambda _: work(), (None,), 1)[0]


def checkpoint() -> None:
    """End the work of this thread if its caller has gone."""
    gone = getattr(_mine, "gone", None)
    if gone is not None and gone.is_set():
        raise _Stopped
