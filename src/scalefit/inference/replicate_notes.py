"""Notes on the refits of a bootstrap: those that failed, other minima, and bounds."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from scalefit.fitting.multistart import Refits
from scalefit.inference.fitted_data import FittedData
from scalefit.notes import Note
from scalefit.reporting.numbers import rough_percent

__all__ = ["SearchChecks", "replicate_notes"]

# More levels of a coefficient than this at a bound share a note.
MOST_NOTED = 10

# Above this share of failed replicates the tails are those of the others, and unknown.
FAILED_SHARE = 0.01


class SearchChecks(NamedTuple):
    """What searches of further replicates found, after all had been refitted from the known minima.

    Attributes:
        followed: number of known minima beside the fit's.
        checked: replicates searched at random in the last round.
        missed: of these, how many a lower minimum was found for.
    """

    followed: int
    checked: int
    missed: int

    @property
    def most(self) -> float:
        """Upper end, at 95 %, of the share of the others that a search would find lower."""
        from scipy.special import betaincinv

        if self.missed == self.checked:  # as of none
            return 1.0
        return float(betaincinv(self.missed + 1, self.checked - self.missed, 0.95))


def replicate_notes(
    fitted: FittedData, found: Refits, usable: np.ndarray, checks: SearchChecks | None
) -> list[Note]:
    """Notes on how the refits went.

    Args:
        fitted: the fit on its table.
        found: the refits.
        usable: which of them reached an optimum, shape (replicates,).
        checks: what searches of further replicates showed; None where all or a plain share of them
            were searched.
    """
    notes = []
    failed = int(np.count_nonzero(~usable))
    if failed:
        notes.append(
            Note.of(
                "replicates_failed",
                f"{failed} of {len(usable)} replicates did not reach an optimum and are left out: "
                "the intervals are of the others. Below about 1 % that hardly matters; above, some "
                "combination of the parameters is not constrained by such tables",
                {"failed": failed, "replicates": len(usable)},
                severity="warning" if failed > FAILED_SHARE * len(usable) else "info",
            )
        )
    if found.improved.any():
        notes.append(_other_minima(found, checks))
    elif checks is not None and not found.global_search.all():
        notes.append(_few_searched(found, checks))
    return notes + _bound_notes(fitted, found.active[usable].mean(axis=0))


def _bound_notes(fitted: FittedData, shares: np.ndarray) -> list[Note]:
    """Parameters that end at a bound in a share of the replicates, shape (p,)."""
    problem = fitted.prepared.problem
    ends = np.cumsum([0, *problem.widths])
    own = [range(a, b) for a, b in pairwise(ends)]
    own += [range(place, place + 1) for place in range(int(ends[-1]), problem.size)]
    notes = []
    for places in own:
        held = [(problem.names[i][0], float(shares[i])) for i in places if shares[i] > 0]
        said = [f"{rough_percent(share)}" for _, share in held]
        if len(held) > MOST_NOTED:
            name, share = held[0][0].partition("[")[0], max(share for _, share in held)
            said = [f"up to {rough_percent(share)}, for {len(held)} of its {len(places)} levels,"]
            held = [(name, share)]
        notes += [
            Note.of(
                "draws_at_bound",
                f"{name} ends at a bound in {text} of the replicates: its interval ends there "
                "because the bound does",
                {"parameter": name, "share": share},
                severity="warning" if share > 0.025 else "info",
            )
            for (name, share), text in zip(held, said, strict=True)
        ]
    return notes


def _other_minima(found: Refits, checks: SearchChecks | None) -> Note:
    improved, searched = int(found.improved.sum()), int(found.global_search.sum())
    said = ""
    details: dict[str, float] = {"improved": improved, "searched": searched}
    rest = len(found.value) - searched
    if checks is not None and rest:
        minima = f"{checks.followed} other minim{'um' if checks.followed == 1 else 'a'}"
        said = (
            f". {searched} were searched over the whole bounds; the other {rest} started from "
            f"the fit and from {minima} found there. Of the last {checks.checked} searched at "
            f"random, {checks.missed} gained by it: of the others at most {100 * checks.most:.2g} "
            "% would (95 %). global_search=1.0 searches all"
        )
        details |= {"checked": checks.checked, "missed": checks.missed, "most": checks.most}
    return Note.of(
        "other_minima",
        f"in {improved} of {len(found.value)} replicates another minimum is lower than the one "
        "that the fit leads to: the draws may fall into groups. Look at plot.pairs before "
        f"quoting an interval{said}",
        details,
        severity="warning" if said and checks is not None and checks.missed else "info",
    )


def _few_searched(found: Refits, checks: SearchChecks) -> Note:
    searched = int(found.global_search.sum())
    return Note.of(
        "few_searched",
        f"{searched} of {len(found.value)} replicates were searched over the whole bounds, "
        f"{checks.checked} of them at random, and the fit led to the least minimum of each: of the "
        f"others, which are not searched, at most {rough_percent(checks.most)} have a lower one "
        "(95 %). global_search=1.0 searches all",
        {"searched": searched, "checked": checks.checked, "most": checks.most},
    )
