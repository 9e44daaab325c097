"""Rules on whole runs: unfinished, diverged, in the middle of a learning-rate schedule."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["RunCurve", "diverged", "in_schedule", "unfinished"]

# A schedule has ended where the rate has come down to this share of its peak (a cosine to a tenth
# of it, a line to zero), or has levelled off: the last tenth of the steps took away less than this
# share of the whole fall.
LOW_RATE, LEVEL = 0.2, 0.03
# A rate this close to its peak has not begun to fall.
FALLEN = 0.99

LOST = "diverged: its loss is NaN or infinite at its end"


@dataclass(frozen=True)
class RunCurve:
    """The losses of one run, and what is known of its length.

    Attributes:
        steps: of the losses, rising, shape (records,).
        losses: infinite where NaN was recorded.
        last: last step of any metric.
        gap: usual distance of records.
        state: the tracker's own word.
        planned: steps that the run was to have; None where that is not known.
        planned_by: header that says so.
        vocabulary: tokens in the vocabulary; None where that is not known.
        rate_steps: steps of the learning rate, shape (rates,).
        rates: learning rate.
    """

    steps: np.ndarray
    losses: np.ndarray
    last: float
    gap: float = 1.0
    state: str | None = None
    planned: float | None = None
    planned_by: str = ""
    vocabulary: float | None = None
    rate_steps: np.ndarray = field(default_factory=lambda: np.empty(0))
    rates: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def end(self) -> float:
        """The step at which the run was to end, as far as is known."""
        return max(self.last, self.planned or 0.0)


def unfinished(run: RunCurve) -> str | None:
    """The rule by which a run has not come to its end; None where it has, or nothing says."""
    if run.state is not None and run.state != "finished":
        return f"unfinished: its state is {run.state!r}"
    # The next record would have come before the end.
    if run.planned is not None and run.last + run.gap < run.planned:
        by = f" ({run.planned_by})" if run.planned_by else ""
        return f"unfinished: it ended before its planned steps{by}"
    return None


def diverged(run: RunCurve, taken: float) -> str | None:
    """The rule by which a run has diverged; None where it has not.

    Args:
        run: the run.
        taken: the loss that would stand for it.
    """
    if not len(run.losses):
        return None if np.isfinite(taken) else LOST
    first, last = run.losses[0], run.losses[-1]
    if not (np.isfinite(last) and np.isfinite(taken)):
        return LOST
    if len(run.losses) > 2 and last > first:
        return "diverged: its last loss is above its first"
    if run.vocabulary is not None and taken > np.log(run.vocabulary):
        guess = np.log(run.vocabulary)
        return f"diverged: its loss is above {guess:.4f} of a uniform guess over its vocabulary"
    return None


def in_schedule(run: RunCurve, step: float) -> bool:
    """Whether a step lies before the end of the learning-rate schedule, as far as is known."""
    later = len(run.steps) > 0 and step < run.steps[-1]
    if later or step + run.gap < run.end:
        return True
    return run.planned is None and _falling(run, step)


def _falling(run: RunCurve, step: float) -> bool:
    """Whether the learning rate is in the middle of its fall."""
    until = run.rate_steps <= step
    steps, rates = run.rate_steps[until], run.rates[until]
    if len(rates) < 3 or not np.isfinite(rates).all():
        return False
    peak, now = rates.max(), rates[-1]
    if not LOW_RATE * peak < now < FALLEN * peak:
        return False
    before = np.interp(steps[0] + 0.9 * (steps[-1] - steps[0]), steps, rates)
    return bool(before - now > LEVEL * (peak - now))
