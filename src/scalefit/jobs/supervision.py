"""A process that watches over another, and says what ended it.

Where JAX loses a process of a cluster it ends the others at once, from C++: no code of theirs can
say anything any more. So a process that does nothing else waits for the one that computes.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["supervised"]

# How JAX begins to say that it ends a process; what follows are lines for its developers.
FATAL = re.compile(
    rb"^[EF]\d{4} [\d:.]+ +\d+ (coordination_service|preemption_sync|client\.h)", re.MULTILINE
)


def supervised(work: Callable[[], int], ended: Callable[[int, str], int]) -> int:
    """Exit code of work, done in a process of its own.

    Args:
        work: what to do; returns an exit code. Nothing of JAX may have been started before.
        ended: what to do if a signal ends the work: of the signal and of what JAX said last;
            returns an exit code.
    """
    if not hasattr(os, "fork") or sys.platform == "darwin":
        # Frameworks of macOS do not survive a fork. JAX's own words must do.
        _leave(work)
    alive, ours = os.pipe()
    errors, theirs = os.pipe()
    with warnings.catch_warnings():
        # Of threads, which numpy has and ends.
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        os.close(ours)
        os.dup2(theirs, 2)
        # An interrupt of the terminal reaches both processes.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
        _leave(work)
    os.close(alive)
    os.close(theirs)
    asked: list[int] = []

    def end(number: int, _: Any) -> None:
        # Nothing is lost but a chunk, and JAX takes a request to end for advice.
        asked.append(number)
        os.kill(child, signal.SIGKILL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    said = _passed_on(errors)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        return ended(asked[0] if asked else -code, said.decode(errors="replace"))
    _write(said)
    return code


def _leave(work: Callable[[], int]) -> None:
    """Do the work and end the process, whatever JAX would still wait for."""
    code = 1
    try:
        code = work()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


def _end_with(alive: int) -> None:
    """End this process when the one that watches it is gone."""
    os.read(alive, 1)
    os._exit(1)


def _passed_on(errors: int) -> bytes:
    """Pass on what a process writes to standard error, until JAX ends it; returns the rest."""
    said, shown = b"", b""
    while data := os.read(errors, 2**16):
        said += data
        found = FATAL.search(said)
        last = max(said.rfind(b"\n"), said.rfind(b"\r")) + 1
        # A line that may become one of JAX waits for its end.
        end = found.start() if found else last if said[last : last + 1] in b"EF" else len(said)
        _write(said[:end])
        shown, said = said[:end] or shown, said[end:]
    # Of a bar that was drawn, the line has no end.
    _write(b"" if shown.endswith(b"\n") or not shown else b"\n")
    return said


def _write(text: bytes) -> None:
    sys.stderr.flush()
    os.write(2, text)
