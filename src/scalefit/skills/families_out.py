"""leave_families_out(): larger models predicted from the smallest of their family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.errors import DataError
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent
from scalefit.runtime.progress import counting, with_progress
from scalefit.skills.latent import fitted_skills, read_options
from scalefit.skills.scores import Scores, checked_floors, read_scores

__all__ = ["FamiliesOut", "leave_families_out"]


@dataclass(frozen=True, eq=False, repr=False)
class FamiliesOut(Described):
    """Scores of held-out models, predicted by skills that saw the smallest models of each family.

    Attributes:
        held_out: a row for each held-out score: ``fold``, ``model``, ``family``, ``benchmark``,
            ``observed``, ``predicted``, ``error`` (observed minus predicted).
        seen: smallest models of each family that were fitted.
        notes: soft problems.
    """

    held_out: pd.DataFrame
    seen: int
    notes: tuple[Note, ...] = ()

    @property
    def by_fold(self) -> pd.DataFrame:
        """Mean absolute error of each benchmark, a row for each fold."""
        size = self.held_out.assign(error=self.held_out["error"].abs())
        found = size.pivot_table("error", "fold", "benchmark", "mean", sort=False)
        return found[list(dict.fromkeys(self.held_out["benchmark"]))]

    @property
    def by_benchmark(self) -> pd.Series:
        """Mean absolute error of each benchmark, the mean over folds."""
        return self.by_fold.mean()

    @property
    def mean_abs_error(self) -> float:
        """Mean absolute error: the mean over benchmarks of the means over folds."""
        return float(self.by_benchmark.mean())

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each fold: models held out, and mean absolute errors.

        Args:
            level: there are no intervals.
        """
        models = self.held_out.groupby("fold", sort=False)["model"].nunique()
        found = self.by_fold
        return found.assign(models=models, mean=found.mean(axis=1))

    def describe(self, level: float = 0.95) -> Description:
        """The error of every fold and benchmark."""
        frame = self.to_frame()
        names = [name for name in frame if name not in ("models", "mean")]
        columns = [Column("held out", list(map(str, frame.index)), "text")]
        columns += [Column("models", frame["models"], "integer")]
        columns += [Column(str(name), frame[name], "percent") for name in (*names, "mean")]
        models = int(frame["models"].sum())
        return Description(
            "Families left out",
            f"Predicts {models} models of {len(frame)} folds from the {self.seen} smallest of "
            f"their family to {percent(self.mean_abs_error)} (mean absolute error)",
            tables=[Table(columns, "Mean absolute errors")],
            notes=self.notes,
        )

    def __repr__(self) -> str:
        return f"<FamiliesOut: {len(self.by_fold)} folds, {percent(self.mean_abs_error)}>"


@with_progress
def leave_families_out(
    runs: Any,
    responses: Sequence[str] | None = None,
    *,
    family: str = "family",
    together: str | None = None,
    seen: int = 1,
    skills: int = 3,
    floors: Mapping[str, float] | None = None,
    penalty: float = 0.3,
    delta: float = 0.05,
    starts: int = 1,
    seed: int = 0,
    progress: bool = True,
    **columns: Any,
) -> FamiliesOut:
    """How well skills predict the larger models of a family of which they know the smallest.

    Each fold leaves out all models of a family but the smallest, and is fitted anew.

    Args:
        runs: as for :func:`fit_skills`, and so are the others.
        responses: headers of the benchmarks.
        family: header of the column of families.
        together: header of a column whose families are left out together, as base and
            instruction-tuned models of one name; each of them keeps its smallest models.
        seen: models of each family that are kept, the smallest by N.
        skills: number of skills.
        floors: scores of guessing.
        penalty: weight of the squares.
        delta: where the Huber loss turns linear.
        starts: number of starts of each fold.
        seed: of the starts.
        progress: whether a line shows what is going on once it takes more than a second.
        **columns: headers and units of N and D, ``keep`` and ``missing``.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: as for :func:`fit_skills`; or no family has a model to hold out.

    Source:
        Maia Polo et al. 2024, arXiv 2412.06540, section 4, and its code.
    """
    options = read_options(skills, penalty, delta, starts, seed)
    seen = arguments.whole(seen, "seen", least=1, remedy="Keep one model of each, as seen=1")
    arguments.text(family, "family", remedy="Name the column of families, as family='Family'")
    scores = read_scores(runs, responses, columns)
    levels = checked_floors(floors, scores.responses)
    own = scores.labels(family)
    fold = own if together is None else scores.labels(together)
    held = _rank(scores.column("N"), own) >= seen
    if not held.any():
        raise DataError(
            f"no family has more than {seen} model: nothing can be held out",
            column=family,
            remedy="Name the column of families that have several models, as family='Family'",
        )
    parts, blind = [], 0
    names = [*dict.fromkeys(fold[held])]
    with counting("leaving out", len(names), "families") as stage:
        for name in names:
            out = held & (fold == name)
            found = fitted_skills(scores, family, levels, options, ~out)
            where = {"N": scores.column("N")[out], "D": scores.column("D")[out], family: own[out]}
            unseen = np.isnan(scores.values[~out]).all(axis=0)
            blind += np.isfinite(scores.values[out][:, unseen]).sum()
            predicted = np.where(unseen, np.nan, found.predict(**where))
            parts.append(_held_out(scores, str(name), out, own, predicted))
            stage.update()
    alone = len({*fold} - {*fold[held]})
    notes = [
        Note.of(
            "families_left_out",
            f"{alone} families have no more than {seen} model: they are fitted in every fold",
            {"families": alone},
        )
    ]
    notes = notes if alone else []
    if blind:
        notes.append(
            Note.of(
                "scores_unseen",
                f"{blind} scores are of benchmarks that no fitted model of their fold has: they "
                "are not predicted",
                {"scores": int(blind)},
            )
        )
    return FamiliesOut(pd.concat(parts, ignore_index=True), seen, tuple(notes))


def _rank(N: np.ndarray, family: np.ndarray) -> np.ndarray:
    """How many models of its family are smaller than each, or as large and before it."""
    order = np.argsort(N, kind="stable")
    place = np.empty(len(N), dtype=int)
    place[order] = pd.Series(family[order]).groupby(family[order]).cumcount()
    return place


def _held_out(
    scores: Scores, fold: str, out: np.ndarray, family: np.ndarray, predicted: np.ndarray
) -> pd.DataFrame:
    """A row for each score of the held-out models that there is, and is predicted."""
    observed = scores.values[out]
    rows, columns = np.nonzero(np.isfinite(observed - predicted))
    return pd.DataFrame(
        {
            "fold": fold,
            "model": np.array(scores.rows, dtype=object)[out][rows],
            "family": family[out][rows],
            "benchmark": np.array(scores.responses, dtype=object)[columns],
            "observed": observed[rows, columns],
            "predicted": predicted[rows, columns],
            "error": (observed - predicted)[rows, columns],
        }
    )
