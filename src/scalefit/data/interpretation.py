"""Columns as numbers in raw counts and nats: text read, units applied, losses converted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scalefit.arguments import shown
from scalefit.data import cells
from scalefit.data.column_checks import as_numbers
from scalefit.data.column_names import Resolved, quantity_of
from scalefit.data.column_units import spelled
from scalefit.data.loss_units import LossScale, named_unit
from scalefit.frozen import Frozen
from scalefit.notes import Note

__all__ = ["Interpretation", "headers_with_units"]

# Labels, which are no numbers.
LABELLED = ("group", "seed")


@dataclass(frozen=True)
class Interpretation:
    """How the columns of a table become numbers, and what was found while they did.

    Attributes:
        resolved: which header is which quantity, in which unit.
        loss: how losses become nats; None where nothing is said.
        spelt: text that was read as numbers, by quantity; see :class:`cells.Reading`.
    """

    resolved: Resolved
    loss: LossScale | None
    spelt: dict[str, dict[str, tuple[int, str, float]]] = field(default_factory=dict)

    @property
    def loss_unit(self) -> str:
        """Unit of the losses after conversion; empty where they are perplexities."""
        if self.loss is not None:
            return self.loss.name
        return named_unit(self.resolved.sources.get("loss", ""))[0]

    @property
    def provenance(self) -> Frozen[str, str]:
        """What losses were converted from, as ``fit`` takes it; empty where they were not."""
        if self.loss is None:
            return Frozen()
        size = self.loss.bytes_per_token
        per = {} if size is None else {"bytes per token": repr(size)}
        return Frozen({"losses read as": self.loss.unit, **per})

    def apply(self, frame: pd.DataFrame) -> set[str]:
        """Convert the columns that can be, in place, and return the quantities that were.

        A column with a cell that is no number stays as it is: a rule may leave the row out.
        """
        done = set()
        for name in self.resolved.sources:
            if name in LABELLED or name not in frame:
                continue
            values = frame[name]
            if values.dtype.kind in "bmMc":
                continue
            reading = cells.read(values, quantity_of(name))
            if reading.bad.any():
                continue
            done.add(name)
            self.spelt[name] = reading.spelt
            if values.dtype.kind not in "iuf" or self._changes(name):
                numbers = pd.Series(reading.numbers, index=values.index, name=name)
                frame[name] = self.scaled(numbers, name, reading.own_unit)
        return done

    def strict(self, values: pd.Series, name: str) -> pd.Series:
        """A column as numbers in its unit.

        Raises:
            DataError: a cell is no number.
        """
        numbers = as_numbers(values, name, self.resolved.sources[name])
        reading = cells.read(values, quantity_of(name))
        self.spelt[name] = reading.spelt
        return self.scaled(numbers, name, reading.own_unit)

    def scaled(self, numbers: pd.Series, name: str, own_unit: np.ndarray) -> pd.Series:
        """Numbers of a quantity in raw counts or nats.

        Args:
            numbers: of its column.
            name: the quantity.
            own_unit: which are of text that names its unit, as ``7B``, and are counts already.
        """
        if name == "loss" and self.loss is not None:
            numbers = self.loss.converted(numbers)
        scale = self.resolved.scales.get(name, 1.0)
        with np.errstate(over="ignore"):
            return numbers.where(own_unit, numbers * scale) if scale != 1.0 else numbers

    def _changes(self, name: str) -> bool:
        return name in self.resolved.scales or (name == "loss" and self.loss is not None)

    def notes(self) -> Iterator[Note]:
        """Notes on text that was read as numbers, and on units that headers name."""
        for name, found in self.spelt.items():
            for how, (count, text, value) in found.items():
                header = self.resolved.sources[name]
                yield Note.of(
                    "text_numbers",
                    f"{name} (column {header!r}) has {count} cells of text with {how}, read as "
                    f"numbers: {shown(text)} as {value:.12g}",
                    {"quantity": name, "header": str(header), "rows": count, "how": how},
                )
        for name in self.resolved.named:
            header = self.resolved.sources[name]
            scale = self.resolved.scales.get(name)
            said = (
                f"its numbers are multiplied by {spelled(scale)}, as the header says"
                if scale
                else "the header names a unit, but its numbers are counts and are left as they are"
            )
            yield Note.of(
                "header_unit",
                f"{name} is column {header!r}, and {said}. Another unit: {name}=({header!r}, 1.0)",
                {"quantity": name, "header": str(header), "scale": scale or 1.0},
            )


def headers_with_units(sources: Mapping[str, str], scales: Mapping[str, float]) -> dict[str, str]:
    """Headers as reports show them, with what their numbers are multiplied by."""
    return {
        name: f"{header} x {spelled(scales[name])}" if name in scales else str(header)
        for name, header in sources.items()
    }
