"""Headers, pairs and options that name units, and values of these that make no sense."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from campaign.calls import VALUES
from campaign.dresses import plain
from campaign.files import one_of
from campaign.judge import Outcome, numbers_of, tried, unlike, unmodified
from scalefit.data.column_names import ALIASES

# Words for units that a header may have, and what each is worth.
WORDS: Mapping[str, float] = {
    **dict.fromkeys(["k", "thousand", "thousands", "1e3", "10^3"], 1e3),
    **dict.fromkeys(["m", "mn", "mil", "million", "millions", "1e6", "e6", "10^6"], 1e6),
    **dict.fromkeys(["b", "bn", "bil", "billion", "billions", "1e9", "e9", "10^9"], 1e9),
    **dict.fromkeys(["tn", "trillion", "trillions", "1e12", "10^12"], 1e12),
}
SHAPES = ("{0}_{1}", "{0} ({1})", "{0}({1})", "{0} [{1}]", "{0} in {1}", "{0}-{1}", "{0} {1}")
FLOPS = {
    "train_pflops": 1e15,
    "total_exaflops": 1e18,
    "compute_zettaflop": 1e21,
    "training_flops_1e18": 1e18,
    "PF-days": 8.64e19,
    "pflop/s-days": 8.64e19,
    "petaflops_days": 8.64e19,
}
LOSSES = ("nats", "bits", "perplexity", "nats_per_byte", "bits_per_byte")
# Conversions are of a few roundings each; those of a perplexity have its condition too.
CLOSE = 4e-15


def header_of(rng: np.random.Generator, name: str) -> tuple[str, float]:
    """A header that names a unit, and the unit."""
    alias = one_of(rng, *ALIASES[name])
    word = one_of(rng, *WORDS)
    header = one_of(rng, *SHAPES).format(alias, word)
    if len(alias) > 1:
        # A single letter has a case, and its unit behind it.
        header = one_of(rng, header, header.upper(), header.title(), f"{word}_{alias}")
    return header, WORDS[word]


def in_losses(unit: str, loss: pd.Series, size: float | None) -> pd.Series:
    """Losses in nats, in another unit; divided by the bytes of a token where those are given."""
    if unit == "perplexity":
        return np.exp(loss)
    factor = math.log(2) if unit.startswith("bits") else 1.0
    return loss / factor / (size or 1.0)


def stated(rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any], pd.DataFrame]:
    """A table in other units, what says so, and the same in counts and nats."""
    runs = plain(rng)
    made, options, own = runs.copy(), {}, {}
    for name in ("N", "D"):
        way = rng.integers(4)
        if way == 0:
            header, unit = header_of(rng, name)
            made = made.rename(columns={name: header})
            made[header] = runs[name] / unit
            own[header] = name
        elif way == 1:
            unit = one_of(
                rng, 1e6, 1e9, 1000, 2**20, np.float32(1e6), Decimal("1e6"), Fraction(1000)
            )
            header = one_of(rng, "x", "model size, total", "参数", "1")
            header = f"{header} of {name}"
            made = made.rename(columns={name: header})
            made[header] = runs[name] / float(unit)
            options[name] = (header, unit)
            own[header] = name
        elif way == 2:
            # Counts, whatever the header says.
            header, unit = header_of(rng, name)
            if float(runs[name].max()) * unit > {"N": 1e14, "D": 1e17}[name]:
                made = made.rename(columns={name: header})
    if rng.random() < 0.3:
        unit = one_of(rng, *LOSSES)
        size = float(rng.uniform(2, 6)) if unit.endswith("byte") and rng.random() < 0.7 else None
        header = one_of(rng, "loss", "ppl", "bpb", "val_loss")
        made = made.rename(columns={"loss": header})
        made[header] = in_losses(unit, runs["loss"], size)
        options |= {"loss": header, "loss_unit": unit}
        options |= {} if size is None else {"bytes_per_token": size}
    if rng.random() < 0.2:
        header = one_of(rng, *FLOPS)
        made[header] = 6 * runs["N"] * runs["D"] / FLOPS[header]
    for name in list(made):
        if rng.random() < 0.2:
            texts = list(map(repr, made[name].tolist()))
            if name in own:
                # Some cells name a unit of their own, which is then theirs.
                counts = runs[own[name]]
                texts = [
                    f"{count / 1e6!r}M" if rng.random() < 0.5 else text
                    for count, text in zip(counts, texts, strict=True)
                ]
            made[name] = texts
    return made[list(rng.permutation(made.columns))], options, runs


def units(seed: int) -> Outcome:
    """Units by header, pair and option: the same counts and nats; of nonsense, refused by name."""
    rng = np.random.default_rng([seed, 23])
    made, options, expected = stated(rng)
    before = made.copy(deep=True)
    nonsense = ""
    if seed % 2:
        made, options, expected, nonsense = spoilt(rng, made, options, expected)
        before = made.copy(deep=True)
    tags = (nonsense or "stated", *map(str, made.columns), *options)
    outcome = tried("units", seed, tags, lambda: read_with(made, options))
    unmodified(outcome, before, made)
    table = outcome.answer
    if table is not None and expected is None:
        outcome.faults.append("what makes no sense was taken")
    elif table is not None:
        outcome.faults += unlike(numbers_of(table), expected, CLOSE * 10)
        if before.columns.isin(list(FLOPS)).any() and "C" in table.sources:
            flops = table.column("C") / (6 * expected["N"] * expected["D"]).to_numpy()
            if "C" not in options and not np.allclose(flops, 1.0, rtol=1e-12):
                outcome.faults.append(f"C was read as {flops[0]:g} of what it is")
    elif not nonsense:
        outcome.faults.append(f"honest units refused: {outcome.refusal[:160]}")
    outcome.answer = None
    return outcome


def read_with(made: pd.DataFrame, options: dict[str, Any]) -> sf.LossTable:
    """A table, with the numbers of a fit checked."""
    table = sf.read(made, **options)
    numbers_of(table)
    table.summary(), repr(table), table._repr_html_()
    return table


def spoilt(
    rng: np.random.Generator, made: pd.DataFrame, options: dict[str, Any], runs: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, Any], pd.DataFrame | None, str]:
    """The same with a value that makes no sense somewhere, and what it then is, if anything."""
    kind = one_of(rng, "unit", "unit", "pair", "loss_unit", "bytes_per_token", "cell", "twice")
    value = VALUES[one_of(rng, *VALUES)]
    header = next(header for header in made if header not in FLOPS)
    if kind in ("unit", "pair"):
        # The header of N, whatever it is, and its numbers as they are.
        named = plain(np.random.default_rng(1))
        if kind == "pair":
            pair = one_of(rng, (value, 1e6), ["N", 1e6], ("N",), ("N", 1, 2), {"N": 1}, ("x", 1e6))
            options, value = {"N": pair}, None
        options = {"N": ("N", value)} if kind == "unit" else options
        unit = float(value) if is_unit(value) else None
        expected = None if unit is None else named.assign(N=named["N"] * unit)
        if expected is not None and not expected["N"].between(1e-30, 1e30).all():
            expected = None
        return named, options, expected, f"{kind} {_told(value)}"
    if kind == "loss_unit":
        unit = value if isinstance(value, str) and value in LOSSES else None
        if value is None:
            return made, options, runs, kind
        return (
            made,
            {**options, "loss_unit": value},
            runs if unit else None,
            f"{kind} {_told(value)}",
        )
    if kind == "bytes_per_token":
        if value is None:
            value = float("nan")
        unit = options.get("loss_unit", "nats")
        given = {**options, kind: value}
        if not (unit.endswith("byte") and is_unit(value)):
            return made, given, None, f"{kind} {_told(value)}"
        size = float(value) / options.get("bytes_per_token", 1.0)
        expected = runs.assign(loss=runs["loss"] * size)
        return made, given, expected, f"{kind} {_told(value)}"
    if kind == "cell":
        column = list(made[header])
        # Of a loss, a number of any sign is one.
        wrong = ("1e400", None, "x", np.inf, "7 %", 1j, [1.0])
        other = () if header == options.get("loss", "loss") else ("-1", 0, -1e9, 1e40, "7Q", True)
        column[rng.integers(len(column))] = one_of(rng, *wrong, *other)
        made = made.assign(**{header: pd.Series(column, index=made.index, dtype=object)})
        return made, options, None, "cell"
    if header == options.get("loss", "loss"):
        return made, options, runs, kind
    # The same column for two quantities.
    return made, {**options, "N": header, "D": header}, None, kind


def is_unit(value: Any) -> bool:
    """Whether a value is a positive finite number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real | Decimal):
        return False
    try:
        return 0 < float(value) < math.inf
    except (OverflowError, ValueError):
        return False


def _told(value: Any) -> str:
    try:
        return repr(value)[:60]
    except Exception:  # Its own.
        return type(value).__name__
