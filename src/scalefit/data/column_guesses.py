"""Columns that a table lacks under a known name: all at once, with guesses and one call.

A guess is never used: it is printed, and the caller decides. Total parameters and those without
embeddings, for example, are both plausible, and give different laws.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from scalefit.arguments import shown
from scalefit.data import cells
from scalefit.data.column_names import ALIASES, ALWAYS_RESOLVED, normalised, quantity_of
from scalefit.data.column_units import scaled_header
from scalefit.data.loss_units import PERPLEXITY
from scalefit.errors import DataError, listed
from scalefit.frozen import Frozen

__all__ = ["guesses", "refuse_ambiguous", "unresolved"]

# Parts of headers that name a quantity, and those of other things that hold the same words. Names
# seen in published tables and trackers: "Model Size", "num_params", "params_active_precise",
# "N_no_emb", "tokens_trained", "dataset_size", "val_bpb", "eval/paloma/c4_en/bpb", "lm_loss".
WORDS: Mapping[str, str] = Frozen(
    {
        "N": r"params?|parameters?|nparams|model_size|model_dim_params|size|n_no_emb|non_?emb\w*|n",
        "D": r"tok|toks|tokens?|ntokens|data_size|dataset_size|seen|d",
        "loss": r"loss|losses|nll|ce|cross_entropy|bpb|bpc|lm_loss|l|" + "|".join(PERPLEXITY),
        "C": r"flops?|flos|compute|budget|c",
        "weight": r"weights?",
    }
)
OTHERWISE: Mapping[str, str] = Frozen(
    {
        "N": r"norm|ratio|per|batch|heads?|layers?|step|seq|vocab|file|context|lr|loss",
        "D": r"per|sec|second|s|batch|step|seq|length|vocab|ratio|params?|throughput|loss|unique",
        "loss": r"scale|weight|std|stderr|err|error|delta|step|fn|aux|balance|z|params?|tokens?",
        "C": r"per|sec|second|s|mfu|util\w*|throughput|batch|step|ratio|device|promised|tokens?",
        "weight": r"decay|norm|init|tying",
    }
)

# Headers that are sizes or budgets themselves, in a table spread over columns.
SIZE = re.compile(r"\d[\d.,_]*(?:e[+-]?\d+)? ?[kmbgt]?", re.IGNORECASE)

# Names from here on are cut in messages.
LONG_NAME = 60

# How alike a header and the name of another column of a law are at least, and letters of a word
# that says what a column means.
CLOSE, LONG_WORD = 0.8, 4

# Letters of the name of a law's column that a longer header may have as one of its words.
SHORT_NAME = 3


def guesses(
    frame: pd.DataFrame, name: str, taken: Sequence[object] = (), meaning: str = ""
) -> list[str]:
    """Headers that may be a quantity, the likeliest first.

    Args:
        frame: the table.
        name: the quantity: a canonical name, or another column of a law.
        taken: headers that are something else.
        meaning: of a column of a law, in words.
    """
    ranked: list[tuple[int, bool, int, str]] = [
        # A held-out loss is rather meant than that of training batches.
        (rank, name == "loss" and "train" in header.lower(), place, header)
        for place, header in enumerate(frame.columns)
        if isinstance(header, str) and header not in taken
        for rank in [_rank(header, name, meaning)]
        if rank is not None and _has_numbers(frame[header], name)
    ]
    return [header for *_, header in sorted(ranked)]


def _rank(header: str, name: str, meaning: str) -> int | None:
    """How unlikely a header is to be a quantity; None where nothing speaks for it."""
    known = ALIASES.get(name, (name,))
    last = re.split(r"[/.:|]", header)[-1]
    if normalised(last) in known:
        return 0
    scaled = scaled_header(last, ALIASES)
    if scaled and scaled[0] == name:
        return 1
    if last.strip().lower() in {item.lower() for item in known}:
        return 2
    if name not in WORDS:
        close = difflib.get_close_matches(normalised(last), [name.lower()], 1, CLOSE)
        if close or _means(last, meaning):
            return 4
        return 5 if _names(header, name) else None
    parts = "_".join(_words(header))
    if re.search(rf"(?:^|_)(?:{OTHERWISE[name]})(?:_|$)", parts):
        return None
    if not re.search(rf"(?:^|_)(?:{WORDS[name]})(?:_|$)", parts):
        return None
    return 3


def _words(header: str) -> list[str]:
    """The words and numbers of a header in lower case, those in camel case apart."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", header).lower()
    return re.findall(r"[a-z]+(?![a-z])|[0-9]+", spaced)


def _means(header: str, meaning: str) -> bool:
    """Whether every long word of a header is one of what a column means."""
    words = [word for word in _words(header) if len(word) >= LONG_WORD]
    return bool(words) and set(words) <= set(_words(meaning))


def _names(header: str, name: str) -> bool:
    """Whether a header has the name of a column among its words, and is no loss: ``web_share``."""
    words = _words(header)
    loss = re.search(rf"(?:^|_)(?:{WORDS['loss']})(?:_|$)", "_".join(words))
    return len(name) >= SHORT_NAME and name.lower() in words and not loss


def _has_numbers(values: pd.Series | pd.DataFrame, name: str) -> bool:
    """Whether a column has numbers that the quantity may have."""
    if isinstance(values, pd.DataFrame) or values.dtype.kind in "bmMc":
        return False
    found, bad = cells.numbers(values, quantity_of(name))
    there = found[~np.isnan(found)]
    return bool(there.size and not bad.all() and (name == "loss" or (there > 0).any()))


def refuse_ambiguous(
    frame: pd.DataFrame,
    sources: Mapping[str, str],
    candidates: Mapping[str, Sequence[str]],
    *,
    converted: bool,
) -> None:
    """Raise where N, D or the loss could be several columns, with what else is lacking.

    Raises:
        DataError: one could, or losses are to be converted and there are none.
    """
    if not candidates.keys() & ALWAYS_RESOLVED and not (converted and "loss" not in sources):
        return
    wanted = [
        name
        for name in ALWAYS_RESOLVED
        if name in candidates or (name not in sources and guesses(frame, name, [*sources.values()]))
    ]
    wanted += ["loss"] if converted and "loss" not in [*sources, *wanted] else []
    raise unresolved(frame, wanted, sources, candidates)


def unresolved(
    frame: pd.DataFrame,
    wanted: Sequence[str],
    sources: Mapping[str, str],
    candidates: Mapping[str, Sequence[str]],
    *,
    meanings: Mapping[str, str] = Frozen({}),
    call: str = "",
    otherwise: Callable[[], str] | None = None,
) -> DataError:
    """One error for all quantities that a table lacks or that could be several columns.

    Args:
        frame: the table under the headers of its source.
        wanted: the quantities.
        sources: header of those that are known.
        candidates: headers of those that could be several.
        meanings: of columns of a law, in words.
        call: what the header is given to, up to its first option: ``fit(runs``.
        otherwise: what can be done where a quantity has no guess, in words.
    """
    taken = list(sources.values())
    several = {name: list(candidates[name]) for name in wanted if name in candidates}
    lacking = [name for name in wanted if name not in several]
    guessed = {name: guesses(frame, name, taken, meanings.get(name, "")) for name in lacking}
    columns = listed(list(frame.columns))
    problem = " and ".join(_problems(several, lacking))
    remedies = list(_remedies(several, guessed, call))
    unknown = [name for name in lacking if not guessed[name]]
    if unknown:
        names = [name if len(str(name)) < LONG_NAME else "..." for name in unknown]
        which = "Say which column it is: " + ", ".join(f"{name}='...'" for name in names)
        said = [_spread(frame, sources) or which, otherwise() if otherwise else ""]
        remedies += [item for item in said if item]
    return DataError(
        problem, column=wanted[0], remedy=". ".join([*remedies, f"Columns: {columns}"])
    )


def _problems(several: Mapping[str, Sequence[str]], lacking: Sequence[str]) -> Iterator[str]:
    for name, found in several.items():
        yield f"{name} could be any of the columns {listed(found)}"
    if lacking:
        names = [
            name if isinstance(name, str) and len(name) < LONG_NAME else shown(name)
            for name in lacking
        ]
        many = "columns" if len(names) > 1 else "column"
        also = ""
        if len(names) == 1 and len(ALIASES.get(names[0], ())) > 1:
            also = f" (or under one of: {', '.join(ALIASES[names[0]][1:])})"
        yield f"the table has no {many} {', '.join(names)}{also}"


def _remedies(
    several: Mapping[str, Sequence[str]], guessed: Mapping[str, Sequence[str]], call: str
) -> Iterator[str]:
    """The call that names every column of which there is a guess, and the other guesses."""
    likely = {name: found[0] for name, found in [*several.items(), *guessed.items()] if found}
    if not likely:
        return
    options = ", ".join(f"{name}={header!r}" for name, header in likely.items())
    ppl = likely.get("loss", "")
    if any(word in normalised(ppl) for word in PERPLEXITY):
        options += ", loss_unit='perplexity'"
    verb = "Say which one" if several and len(likely) == len(several) else "Perhaps"
    yield f"{verb}: {call}, {options})" if call else f"{verb}: {options}"
    if "batch" in likely:
        yield (
            "batch counts tokens: of sequences give the length as well, "
            f"batch=({likely['batch']!r}, 2048)"
        )
    for name, found in [*several.items(), *guessed.items()]:
        if name in likely and len(found) > 1 and name not in several:
            yield f"{name} may also be {listed(found[1:4])}"


def _spread(frame: pd.DataFrame, sources: Mapping[str, str]) -> str:
    """What to do with a table whose headers are sizes or budgets; empty where they are none."""
    sizes = [header for header in frame.columns if _is_size(header)]
    others = [header for header in frame.columns if not _is_size(header)]
    counted = set(sizes) <= set(range(len(frame.columns)))
    lacking = [name for name in ("N", "D") if name not in sources]
    if len(sizes) < 2 or len(sizes) <= len(others) or counted or "loss" in sources or not lacking:
        return ""
    return (
        f"The headers {listed(sizes)} are sizes. Make each cell a run: "
        f"runs.melt(id_vars={others}, var_name={lacking[0]!r}, value_name='loss')"
    )


def _is_size(header: object) -> bool:
    if isinstance(header, str):
        return SIZE.fullmatch(header.strip()) is not None
    return isinstance(header, int | float | np.number) and not isinstance(header, bool)
