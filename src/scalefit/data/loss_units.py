"""Units of losses: converted to nats, and named in results.

bits        L ln 2
perplexity  ln L
per byte    times the bytes of a token: nats per token
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from scalefit.arguments import choice, number
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen

__all__ = ["ASSUMED", "LossScale", "LossUnit", "named_unit", "read_loss_scale"]

LossUnit = Literal["nats", "bits", "perplexity", "nats_per_byte", "bits_per_byte"]

# What a loss is taken to be where nothing is said.
ASSUMED = "nats/token"

PER_BYTE = ("nats_per_byte", "bits_per_byte")

# Parts of headers that name a unit, with the unit as results show it: empty where a law of it is
# not one of nats.
IN_HEADERS: Mapping[str, str] = Frozen(
    {
        "bpb": "bits/byte",
        "bits_per_byte": "bits/byte",
        "bpc": "bits/character",
        "bits_per_char": "bits/character",
        "bits_per_character": "bits/character",
        "bpt": "bits/token",
        "bits_per_token": "bits/token",
        "nats_per_byte": "nats/byte",
    }
)
PERPLEXITY = ("ppl", "perplexity", "pplx")


class LossScale(NamedTuple):
    """How the losses of a table become nats.

    Attributes:
        unit: of the table's numbers.
        bytes_per_token: of the tokenizer, where losses are per byte and become per token.
        name: of the unit after the conversion.
    """

    unit: LossUnit
    bytes_per_token: float | None
    name: str

    def converted(self, losses: pd.Series) -> pd.Series:
        """Losses in nats; NaN stays, and a perplexity that is not positive becomes NaN or -inf."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.unit == "perplexity":
                return np.log(losses)
            factor = np.log(2.0) if self.unit in ("bits", "bits_per_byte") else 1.0
            return losses * (factor * (self.bytes_per_token or 1.0))

    def slope(self, losses: np.ndarray) -> np.ndarray:
        """What small changes of the table's losses are multiplied by, at losses in nats."""
        if self.unit == "perplexity":
            return np.exp(-losses)
        factor = np.log(2.0) if self.unit in ("bits", "bits_per_byte") else 1.0
        return np.full(losses.shape, factor * (self.bytes_per_token or 1.0))

    @property
    def said(self) -> str:
        """The conversion in words."""
        per = "" if self.bytes_per_token is None else f", {self.bytes_per_token:g} bytes per token"
        return f"{self.unit.replace('_', ' ')}{per}"


def read_loss_scale(loss_unit: Any, bytes_per_token: Any) -> LossScale | None:
    """The conversion that the options ask for; None where they say nothing.

    Raises:
        ArgumentError: an option makes no sense, or bytes per token are given for losses per token.
    """
    if loss_unit is None:
        if bytes_per_token is not None:
            raise ArgumentError(
                "bytes_per_token converts losses per byte, and loss_unit does not say that they "
                "are",
                argument="bytes_per_token",
                value=bytes_per_token,
                remedy="Pass loss_unit='bits_per_byte' or loss_unit='nats_per_byte' with it",
            )
        return None
    choice(loss_unit, "loss_unit", get_args(LossUnit))
    if bytes_per_token is None:
        return LossScale(loss_unit, None, "nats/byte" if loss_unit in PER_BYTE else ASSUMED)
    remedy = "Pass the bytes of the text over its tokens, as bytes_per_token=4.2"
    size = number(bytes_per_token, "bytes_per_token", above=0, remedy=remedy)
    if loss_unit not in PER_BYTE:
        raise ArgumentError(
            f"loss_unit={loss_unit!r} is per token, and bytes_per_token converts losses per byte",
            argument="bytes_per_token",
            value=bytes_per_token,
            remedy="Leave it out, or pass loss_unit='bits_per_byte'",
        )
    return LossScale(loss_unit, size, ASSUMED)


def named_unit(header: object) -> tuple[str, bool]:
    """The unit that the header of a loss names, and whether it names a perplexity.

    Returns:
        The unit, nats per token where it names none, empty for a perplexity.
    """
    text = re.sub(r"[^a-z0-9]+", "_", str(header).lower())
    parts = text.split("_")
    if any(word in parts for word in PERPLEXITY):
        return "", True
    for name, unit in IN_HEADERS.items():
        if f"_{name}_" in f"_{text}_":
            return unit, False
    return ASSUMED, False
