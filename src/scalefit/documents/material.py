"""What a report is made of: the fit, its table, the results, and what the author says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit.allocation.result import Allocation
from scalefit.arguments import mapping, text
from scalefit.data.table import LossTable
from scalefit.documents.content import Code, Number, Piece, Words
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen
from scalefit.inference.covariance import Covariance
from scalefit.inference.ensemble import Ensemble
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.numbers import Kind
from scalefit.results.fit import Fit
from scalefit.results.fit_report import FEWEST_FREEDOM
from scalefit.results.status import Status

__all__ = [
    "LACKING",
    "ROOMS",
    "TOPICS",
    "Material",
    "joined",
    "left_out",
    "ranged",
    "require_table",
    "said_about",
    "warned",
]

# What only the author knows, by key of ``about``: what it is, and the sentence that it completes.
TOPICS: Mapping[str, tuple[str, str]] = Frozen(
    {
        "derivation": ("principle behind the form", "The form is derived from {}."),
        "data": ("training data", "The models were trained on {}."),
        "repetition": ("repetition of data", "As to repetition, the data were {}."),
        "N": ("what N counts", "N counts {}."),
        "D": ("what D counts", "D counts {}."),
        "C": ("how compute is counted", "Compute is counted as {}."),
        "architecture": ("architecture", "The models are {}."),
        "optimizer": ("optimiser", "They were trained with {}."),
        "schedule": ("learning-rate schedule", "The learning rate followed {}."),
        "hyperparameters": (
            "hyperparameters and how they change with scale",
            "Other hyperparameters were {}.",
        ),
        "code": ("training code", "The training code is {}."),
        "models": ("trained checkpoints", "The checkpoints are {}."),
        "checkpoints": ("checkpoints of each run", "Of each run we use {}."),
        "metric": ("metric and evaluation data", "The response is {}."),
        "smoothing": ("averaging or smoothing", "The values were {}."),
    }
)
# Words of the title block.
TITLES = ("author", "date")

# How rules of rows begin that missing="drop" left out.
LACKING = ("missing ", "infinite ")

# Sections of results, by the room that they are of, in this order.
ROOMS: Mapping[str, str] = Frozen(
    {
        "inference": "Uncertainty",
        "results": "Fits and predictions",
        "validation": "Validation",
        "allocation": "Allocation",
        "shapes": "Shapes",
        "approach2": "IsoFLOP sweeps",
        "design": "Next runs",
        "studies": "Simulation studies",
        "": "Further results",
    }
)


@dataclass(frozen=True)
class Material:
    """What a report is made of.

    Attributes:
        fit: the fit.
        table: its table, where it was passed.
        path: file of the table, where it was passed as one.
        results: what was made of the fit, in the order passed.
        about: what the author says, by topic.
        level: coverage of intervals.
    """

    fit: Fit
    table: LossTable | None
    path: Path | None
    results: tuple[Described, ...]
    about: Mapping[str, str]
    level: float

    @property
    def published(self) -> bool:
        """Whether nothing was fitted."""
        return self.fit.status is Status.PUBLISHED

    @property
    def draws(self) -> Ensemble | None:
        """Draws of the fit's parameters, if some were passed."""
        found = (item for item in self.results if isinstance(item, Ensemble))
        return next((item for item in found if item.fit == self.fit), None)

    @property
    def covariance(self) -> Covariance | None:
        """Covariance of the fit's parameters with intervals, if one was passed."""
        found = (item for item in self.results if isinstance(item, Covariance))
        enough = self.fit.df_resid >= FEWEST_FREEDOM
        return next((item for item in found if item.fit == self.fit and enough), None)

    @property
    def intervals(self) -> pd.DataFrame | None:
        """Parameters with their intervals, by the draws or by the covariance; see ``conf_int``."""
        source = self.draws or self.covariance
        return None if source is None else source.conf_int(self.level)

    @property
    def allocation(self) -> Allocation | None:
        """The first allocation that was passed."""
        return next((item for item in self.results if isinstance(item, Allocation)), None)

    @property
    def noted(self) -> tuple[tuple[Note, str], ...]:
        """Notes of the fit and of every result, each once with its origin, warnings first."""
        every = [(note, "fit") for note in self.fit.notes]
        for item in self.results:
            title = item.describe(self.level).title
            every += [(note, title) for note in getattr(item, "notes", ())]
        once: dict[tuple[str, str], tuple[Note, str]] = {}
        for note, title in every:
            # That of the fit is there itself.
            if note.code != "fit_warnings":
                once.setdefault((note.code, note.message), (note, title))
        return tuple(sorted(once.values(), key=lambda pair: pair[0].severity != "warning"))

    @property
    def notes(self) -> tuple[Note, ...]:
        """The same without their origins."""
        return tuple(note for note, _ in self.noted)

    def kind(self, name: str) -> Kind:
        """How values of a column are written."""
        kinds: dict[str, Kind] = {
            "N": "count",
            "D": "count",
            "C": "flop",
            "6ND": "flop",
        }
        return kinds.get(name, "number")

    def of_room(self, room: str) -> list[Described]:
        """Results of one room, or, of the room without a name, those of no known room."""
        return [item for item in self.results if _room(item) == room]


def _room(result: Described) -> str:
    parts = type(result).__module__.split(".")
    return parts[1] if parts[0] == "scalefit" and parts[1] in ROOMS else ""


def said_about(about: Any, fit: Fit) -> dict[str, str]:
    """What the author says, checked: known topics, texts.

    Raises:
        ArgumentError: it is no mapping of topics to texts.
    """
    if about is None:
        return {}
    example = "about={'optimizer': 'AdamW'}"
    found = mapping(about, "about", remedy=f"Pass texts by topic, as {example}")
    known = [*TOPICS, *TITLES]
    for name in found:
        if name not in known:
            raise ArgumentError(
                f"about has no topic {name!r}",
                argument="about",
                value=name,
                remedy=f"Topics: {', '.join(known)}",
            )
    remedy = f"Pass a text, as {example}"
    return {
        name: text(value, f"about[{name!r}]", remedy=remedy).strip().removesuffix(".")
        for name, value in found.items()
    }


def require_table(fit: Fit, table: LossTable) -> None:
    """Refuse another table than that of the fit.

    Raises:
        DataError: columns, losses, weights or the order of the rows differ.
    """
    if "data" not in fit.provenance:
        return
    grouped = sorted({name for item in fit.groups.values() for name in item.columns})
    digest = table.digest([*fit.law.columns, fit.law.response], grouped)
    if digest != fit.provenance["data"]:
        raise DataError(
            f"these are not the {fit.nobs} runs that the fit was made from: columns, losses, "
            "weights or the order of the rows differ",
            remedy="Pass the very table given to fit, with the same keep and missing",
        )


def joined(items: Sequence[Words]) -> Words:
    """Words in a list: a, b and c."""
    found: list[Piece] = []
    for place, words in enumerate(items):
        found += [""] if not place else [" and "] if place == len(items) - 1 else [", "]
        found += words
    return tuple(piece for piece in found if piece != "")


def ranged(material: Material, name: str) -> Words:
    """The range of a column among the runs, in words."""
    low, high = material.fit.domain[name]
    kind = material.kind(name)
    if not np.isfinite([low, high]).all():
        return ("of unknown range",)
    if name == "D/N":
        # Neither a count nor worth five digits.
        return tuple(f"{float(f'{end:.3g}'):,g}{then}" for end, then in ((low, " to "), (high, "")))
    return (Number(low, kind), " to ", Number(high, kind))


def left_out(fit: Fit) -> Words:
    """How many rows were left out for which reason, in words; empty where none was."""
    counts: dict[str, int] = {}
    for item in fit.dropped:
        counts[item.rule] = counts.get(item.rule, 0) + 1
    said: list[Words] = []
    for rule, count in counts.items():
        # Rules of missing="drop" say what a row lacks, those of keep what it must satisfy.
        lacks = rule.startswith(LACKING)
        verb = ("has" if count == 1 else "have") if lacks else "fails" if count == 1 else "fail"
        said.append((f"{count} {verb} ", rule if lacks else Code(rule)))
    return joined(said)


def warned(notes: Sequence[Note]) -> str:
    """Codes of the warnings among some notes, in words."""
    codes = dict.fromkeys(note.code for note in notes if note.severity == "warning")
    return listed(list(codes))
