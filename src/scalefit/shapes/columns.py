"""Tables with a shape in every row: their N, FLOPs per token and C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from scalefit.arguments import choice, refused, shown
from scalefit.calls import checked_call
from scalefit.data.column_checks import as_numbers, place_of, refuse
from scalefit.data.column_names import ALIASES, ambiguous, normalised, unknown_header
from scalefit.data.containers import refuse_repeated_labels, to_pandas
from scalefit.errors import ROWS_SHOWN, ArgumentError, DataError, listed
from scalefit.frozen import Frozen
from scalefit.shapes.fields import COUNTS
from scalefit.shapes.products import FLOP_CONVENTIONS
from scalefit.shapes.transformer import SIZES, Transformer

__all__ = ["SHAPE_COLUMNS", "fill"]

# Headers under which tables and configurations carry the fields of a shape, normalised.
SHAPE_COLUMNS: Mapping[str, tuple[str, ...]] = Frozen(
    {
        "width": ("width", "d_model", "n_embd", "hidden_size", "model_dim", "emb_dim"),
        "layers": ("layers", "n_layer", "n_layers", "num_layers", "num_hidden_layers", "depth"),
        "vocab": ("vocab", "vocab_size", "n_vocab", "padded_vocab_size"),
        "heads": ("heads", "n_head", "n_heads", "num_heads", "num_attention_heads"),
        "head_size": ("head_size", "head_dim", "d_head", "kv_size"),
        "kv_heads": ("kv_heads", "n_kv_heads", "num_kv_heads", "num_key_value_heads"),
        "feed_forward": (
            *("feed_forward", "d_ff", "ffn", "ffn_dim", "d_ffn", "n_inner", "intermediate_size"),
            *("ffw_size", "ffn_hidden_size"),
        ),
        "gated": ("gated",),
        "tied": ("tied", "tie_word_embeddings", "tied_embeddings"),
        "experts": ("experts", "num_experts", "num_local_experts", "n_routed_experts"),
        "active_experts": ("active_experts", "num_experts_per_tok"),
        "shared_experts": ("shared_experts", "n_shared_experts"),
        "expert_feed_forward": ("expert_feed_forward", "moe_intermediate_size"),
        "dense_layers": ("dense_layers", "first_k_dense_replace"),
        "positions": ("positions", "n_positions"),
        "seq": ("seq", "seq_len", "sequence_length", "n_ctx", "context_length"),
    }
)
FLAGS = ("gated", "tied")
# Fields that every shape has, with an example of each.
NEEDED: Mapping[str, int] = Frozen({"width": 768, "layers": 12, "vocab": 50304})
FIELDS = tuple(item.name for item in fields(Transformer))


@checked_call()
def fill(
    runs: Any,
    *,
    size: str = "total",
    convention: str = "matmul",
    tokens: str | None = None,
    **same: Any,
) -> pd.DataFrame:
    """A table of shapes with the N and the FLOPs that each row's shape has.

    Args:
        runs: a shape in each row, under headers of :data:`SHAPE_COLUMNS`, in any case; a
            DataFrame or another container that :func:`scalefit.read` takes, never modified.
        size: the convention of the column ``N``, a field of :class:`ParameterCounts`.
        convention: that of the FLOPs, see :meth:`Transformer.flops_per_token`; ``6N`` counts the N
            of ``size``.
        tokens: header of the training tokens, where it is not one by which :func:`scalefit.read`
            knows them.
        **same: fields of :class:`Transformer`: a value that all rows have, or, of a number, the
            header of its column, as ``vocab=50304, gated=False, width="d"``.

    Returns:
        A DataFrame with the columns ``N`` and ``N_no_embedding`` (parameters),
        ``flops_per_token``, and, where there are tokens, ``C`` (FLOP).

    Raises:
        ArgumentError: a name is unknown, or a value that all rows have is none of its field.
        DataError: a column is missing, ambiguous or there already, or a row is no shape.

    Example:
        >>> import pandas as pd
        >>> runs = pd.DataFrame({"d_model": [768, 1600], "n_layer": [12, 48], "n_head": [12, 25]})
        >>> same = {"vocab": 50257, "gated": False, "tied": True, "norm": "layer"}
        >>> fill(runs, **same)["N_no_embedding"].to_list()
        [84973056, 1474870400]
    """
    frame = to_pandas(runs)
    refuse_repeated_labels(frame)
    choice(size, "size", SIZES)
    choice(convention, "convention", tuple(FLOP_CONVENTIONS))
    for name in same:
        choice(name, "field", FIELDS)
    headers = _headers(frame, same)
    constant = {name: value for name, value in same.items() if name not in headers}
    tokens = _token_header(frame, tokens)
    added = ["N", "N_no_embedding", "flops_per_token", *(["C"] if tokens is not None else [])]
    _refuse_present(frame, [name for name in added if name in frame.columns])
    columns = {name: _cells(frame[header], name, header) for name, header in headers.items()}
    counted = _counted(frame, columns, constant, size, convention)
    found = frame.copy()
    for name, values in zip(added, counted, strict=False):
        found[name] = values
    if tokens is not None:
        found["C"] = counted[2] * _tokens(frame[tokens], tokens)
    return found


def _headers(frame: pd.DataFrame, same: Mapping[str, Any]) -> dict[str, str]:
    """Header of every field that is a column."""
    known: dict[str, list[str]] = {}
    for header in frame.columns:
        if isinstance(header, str):
            known.setdefault(normalised(header).lower(), []).append(header)
    found: dict[str, str] = {}
    for name, aliases in SHAPE_COLUMNS.items():
        given = same.get(name)
        if isinstance(given, str):
            if given not in frame.columns:
                raise unknown_header(name, given, frame)
            found[name] = given
        elif name not in same:
            headers = [header for alias in aliases for header in known.get(alias, ())]
            if len(headers) > 1:
                raise ambiguous(name, headers)
            found |= dict.fromkeys([name], headers[0]) if headers else {}
    missing = [name for name in NEEDED if name not in found and name not in same]
    if missing:
        raise DataError(
            f"the table has no column of {listed(missing)}",
            column=missing[0],
            remedy=f"Say which it is, as {missing[0]}='...', or the number that all rows have, as "
            f"{missing[0]}={NEEDED[missing[0]]}. Columns: "
            f"{listed(list(frame.columns))}",
        )
    return found


def _token_header(frame: pd.DataFrame, tokens: str | None) -> str | None:
    """Header of the training tokens; None where there are none."""
    if tokens is not None:
        if not isinstance(tokens, str) or tokens not in frame.columns:
            raise refused("tokens", tokens, "a column", f"Columns: {listed(list(frame.columns))}")
        return tokens
    found = [
        header
        for header in frame.columns
        if isinstance(header, str) and normalised(header) in ALIASES["D"]
    ]
    if len(found) > 1:
        raise DataError(
            f"the training tokens could be any of the columns {listed(found)}",
            column=found[0],
            remedy=f"Say which one: tokens={found[0]!r}",
        )
    return found[0] if found else None


def _refuse_present(frame: pd.DataFrame, present: list[str]) -> None:
    if present:
        raise DataError(
            f"the table has {listed(present)} already, which would be overwritten",
            column=present[0],
            remedy=f"Leave it out: runs.drop(columns={present!r}), or rename it",
        )


def _tokens(values: pd.Series, header: str) -> np.ndarray:
    numbers = as_numbers(values, "D", header).to_numpy()
    refuse(numbers, "D", header, list(values.index))
    return numbers


def _cells(values: pd.Series, name: str, header: str) -> list[int] | list[bool]:
    """The cells of a column, each a whole number, or a truth value."""
    rows = list(values.index)
    if name in FLAGS:
        bad = np.array([not _is_flag(item) for item in values], dtype=bool)
        found: list[Any] = [
            not wrong and bool(item) for item, wrong in zip(values, bad, strict=True)
        ]
    else:
        least, _ = COUNTS[name]
        numbers = as_numbers(values, name, header).to_numpy()
        bad = ~((numbers >= least) & (numbers == np.floor(numbers)) & (numbers < 2.0**53))
        found = [0 if wrong else int(number) for number, wrong in zip(numbers, bad, strict=True)]
    if bad.any():
        at = int(np.argmax(bad))
        where = [row for row, wrong in zip(rows, bad, strict=True) if wrong]
        wanted = "True or False" if name in FLAGS else f"a whole number of at least {least}"
        raise DataError(
            f"{header!r}, the {name} of a shape, is {shown(values.iloc[at])} {place_of(where)}, "
            f"not {wanted}",
            column=header,
            rows=where,
            remedy="Write a number in every row, 0 where a model has none of it, or leave the rows "
            "out",
        )
    return found


def _is_flag(item: Any) -> bool:
    """Whether a cell is a truth value, or a number that stands for one."""
    return isinstance(item, bool | np.bool_ | Real) and item in (0, 1)


def _counted(
    frame: pd.DataFrame,
    columns: Mapping[str, list[int] | list[bool]],
    constant: Mapping[str, Any],
    size: str,
    convention: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """N, N without embeddings and FLOPs per token of every row; equal shapes are counted once."""
    rows = list(zip(*columns.values(), strict=True)) if columns else [()] * len(frame)
    known: dict[tuple[Any, ...], tuple[int, int, float]] = {}
    for row in dict.fromkeys(rows):
        try:
            shape = Transformer(**dict(zip(columns, row, strict=True)), **constant)
            flops = shape.flops_per_token(convention, size=size)
        except ArgumentError as error:
            if error.argument in constant or error.argument == "convention":
                raise
            where = [label for label, other in zip(frame.index, rows, strict=True) if other == row]
            raise DataError(
                f"no shape {place_of(where)}: {str(error).removesuffix(f'. {error.remedy}')}",
                column=str(error.argument),
                rows=where,
                remedy="Correct the rows, or leave them out"
                + f": runs.drop(index={where!r})" * (len(where) <= ROWS_SHOWN),
            ) from error
        counts = shape.parameters
        known[row] = (getattr(counts, size), counts.without_embeddings, flops)
    found = [known[row] for row in rows]
    N, without, flops_per_token = zip(*found, strict=True) if found else ((), (), ())
    return _whole_numbers(N), _whole_numbers(without), np.array(flops_per_token, dtype=np.float64)


def _whole_numbers(values: Sequence[int]) -> np.ndarray:
    """Counts as int64, or as float64 where one is larger than that holds."""
    return np.array(values, dtype=np.float64 if max(values, default=0) >= 2**63 else np.int64)
