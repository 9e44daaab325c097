"""One call under watch: how it ended, what leaked, what it touched, what it cost."""

from __future__ import annotations

import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf

SOURCE = Path(sf.__file__).parent
# No call may take longer; of CPU time, which other processes do not stretch.
MOST_SECONDS = 40.0


@dataclass
class Outcome:
    """How one case ended.

    Attributes:
        family: the family of cases.
        seed: the case.
        tags: what is hostile in it.
        answer: what was returned; None where it was refused.
        refusal: the message, where it was refused.
        faults: what is wrong with how it ended; empty when nothing is.
        lower: share of its value by which a point known apart from it lies lower.
        doubted: whether an answer says itself that it may not be the lowest minimum.
        seconds: of CPU time.
    """

    family: str
    seed: int
    tags: tuple[str, ...]
    answer: Any = None
    refusal: str = ""
    faults: list[str] = field(default_factory=list)
    lower: float = 0.0
    doubted: bool = False
    seconds: float = 0.0


class _Watched:
    """Events of the interpreter that a call may not cause; hooks cannot be removed again."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        self.hooked = False

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in ("os.system", "subprocess.Popen", "os.exec", "os.remove", "socket.connect"):
            self.seen.append(f"{event} {args[:1]}")
        elif event == "open" and isinstance(args[2], int):
            writing = args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writing and "__pycache__" not in str(args[0]):
                self.seen.append(f"wrote {args[0]!r}")


WATCHED = _Watched()


@contextmanager
def watched() -> Iterator[list[str]]:
    """Commands run and files written inside the scope."""
    if not WATCHED.hooked:
        sys.addaudithook(WATCHED.hook)
        WATCHED.hooked = True
    WATCHED.seen = seen = []
    WATCHED.on = True
    try:
        yield seen
    finally:
        WATCHED.on = False


def tried(family: str, seed: int, tags: tuple[str, ...], call: Callable[[], Any]) -> Outcome:
    """The outcome of a call: an answer, or a refusal that is meant; anything else is a fault."""
    outcome = Outcome(family, seed, tags)
    begin = time.process_time()
    with warnings.catch_warnings(record=True) as heard, watched() as touched:
        warnings.simplefilter("always")
        try:
            outcome.answer = call()
        except sf.ScalefitError as error:
            outcome.refusal = f"{type(error).__name__}: {error}"
            if not str(error).strip() or len(str(error)) > 2000:
                outcome.faults.append(f"a message of {len(str(error))} characters")
            if not str(getattr(error, "remedy", "none is kept")).strip():
                outcome.faults.append("a refusal without a remedy")
        except Exception as error:
            ours = [
                f"{Path(frame.filename).relative_to(SOURCE)}:{frame.lineno}"
                for frame in traceback.extract_tb(error.__traceback__)
                if Path(frame.filename).is_relative_to(SOURCE)
            ]
            first = (_text(error).splitlines() or [""])[0]
            outcome.faults.append(f"{type(error).__name__} at {ours[-1:]}: {first[:120]}")
    outcome.seconds = time.process_time() - begin
    if outcome.seconds > MOST_SECONDS:
        outcome.faults.append(f"{outcome.seconds:.0f} s")
    outcome.faults += [
        f"{item.category.__name__}: {str(item.message)[:120]}"
        for item in heard
        if not issubclass(item.category, sf.NoteWarning)
    ]
    outcome.faults += touched
    return outcome


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def same(one: sf.Fit, other: sf.Fit, rel: float) -> bool:
    """Whether two fits found one optimum."""
    return bool(np.isclose(one.objective_value, other.objective_value, rtol=rel, atol=1e-300))


def written_and_read(fit: sf.Fit) -> None:
    """Print a fit, and read it back from its document."""
    fit.summary(), repr(fit), fit._repr_html_()
    again = sf.Fit.from_json(fit.to_json())
    if dict(again.params) != dict(fit.params) or again.status is not fit.status:
        raise AssertionError("another fit was read than was written")


def unmodified(outcome: Outcome, before: pd.DataFrame, after: pd.DataFrame) -> None:
    """A fault where a call changed its input."""
    kept = before.columns.equals(after.columns) and before.index.equals(after.index)
    kept = kept and [item.kind for item in before.dtypes] == [item.kind for item in after.dtypes]
    if kept:
        for place in range(before.shape[1]):
            one, other = before.iloc[:, place], after.iloc[:, place]
            if one.dtype.kind == "f" and not np.array_equal(one, other, equal_nan=True):
                kept = False
    if not kept:
        outcome.faults.append("the input was modified")


def numbers_of(table: sf.LossTable) -> pd.DataFrame:
    """The numbers that a fit takes from a table."""
    return pd.DataFrame({name: table.column(name) for name in ("N", "D", "loss")})


def unlike(found: pd.DataFrame, expected: pd.DataFrame, rel: float = 0.0) -> list[str]:
    """Faults where other numbers were read than were written.

    Args:
        found: the numbers of a table.
        expected: those that were written.
        rel: how far they may be apart, as a share.
    """
    if len(found) != len(expected):
        return [f"{len(found)} rows were read of {len(expected)}"]
    faults = []
    for name in found:
        one, other = found[name].to_numpy(), expected[name].to_numpy(dtype=np.float64)
        wrong = ~(np.abs(one - other) <= rel * np.abs(other))
        if wrong.any():
            at = int(np.argmax(wrong))
            faults.append(f"{name} of row {at} was read as {one[at]!r} for {other[at]!r}")
    return faults
