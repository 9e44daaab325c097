"""Text logs of training programs, read by regular expressions: one run for each file."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalefit.arguments import names, refused
from scalefit.data.files import named
from scalefit.errors import DataError, listed
from scalefit.frozen import Frozen
from scalefit.trackers.assembly import assembled, not_read
from scalefit.trackers.histories import Histories
from scalefit.trackers.json_files import existing, files_under, read_bytes
from scalefit.trackers.series import TrackedRun, series_of_rows

__all__ = ["PATTERNS", "logs"]

# A number as programs print it.
NUMBER = r"[-+]?(?:\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|[nN]a[nN]|[iI]nf)"

SUFFIXES = (".log", ".txt", ".out")
# Colours of a terminal.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def _pattern(text: str) -> str:
    """A pattern with ``<name>`` for a group of a number, and one blank for any number of them."""
    groups = re.sub(r"<(\w+)>", lambda found: f"(?P<{found[1]}>{NUMBER})", text)
    return groups.replace(" ", r"\s*")


# Lines of training programs, by program. Where the line itself was read: karpathy/nanoGPT train.py;
# NVIDIA/Megatron-LM megatron/training/training.py and logs of bigscience-workshop/bigscience;
# karpathy/llm.c llmc/logger.h (main.log) and train_gpt2.cu (what it prints); pytorch/torchtitan
# torchtitan/components/metrics.py; KellerJordan/modded-nanogpt, logs of its records.
PATTERNS: Mapping[str, tuple[str, ...]] = Frozen(
    {
        "nanogpt": (
            _pattern(r"^iter <step>: loss <loss>,"),
            _pattern(r"^step <step>: train loss <train_loss>, val loss <val_loss>"),
        ),
        "megatron": (
            _pattern(
                r"iteration <step>/ <planned_steps> \|(?:.*? consumed samples: <samples> \|)?"
                r"(?:.*? consumed tokens: <tokens> \|)?(?:.*? learning rate: <learning_rate> \|)?"
                r"(?:.*? global batch size: <batch_size> \|)?(?:.*? lm loss: <loss> \|)?"
            ),
            _pattern(r"validation loss at iteration <step> .*?\| lm loss value: <val_loss>"),
        ),
        "llm.c": (
            _pattern(r"^s:<step> trl:<loss> lr:<learning_rate> norm:<grad_norm>"),
            _pattern(r"^s:<step> tel:<val_loss>"),
            _pattern(r"^step <step>/<planned_steps> \| loss <loss> .*?\| lr <learning_rate> \|"),
            _pattern(r"^val loss <val_loss>$"),
        ),
        "torchtitan": (
            _pattern(r"(?<!validate\x20)step: <step> loss: <loss> (?:grad_norm: <grad_norm>)?"),
            _pattern(r"validate step: <step> loss: <val_loss>"),
        ),
        "modded-nanogpt": (
            _pattern(r"^step:<step>/<planned_steps> val_loss:<val_loss>"),
            _pattern(r"^step:<step>/<planned_steps> train_loss:<loss>"),
        ),
    }
)


def logs(paths: Any, pattern: str | Sequence[str]) -> Histories:
    r"""Training runs of text logs, one run for each file.

    Args:
        paths: a file; a folder, of which all files ``*.log``, ``*.txt`` and ``*.out`` are read; a
            pattern of paths, as ``"runs/*/train.log"``; or several of these.
        pattern: a regular expression that is searched in every line, or several. Its named groups
            are ``step`` and metrics, as in ``r"iter (?P<step>\d+): loss (?P<loss>\S+)"``. A line
            without a step belongs to the last one before it, and to step 0 before the first. The
            group ``planned_steps`` is a parameter of the run. Or the name of a program: nanogpt,
            megatron, llm.c, torchtitan, modded-nanogpt.

    Returns:
        The histories. A run is called by its file, without the suffix, and by its folders where
        that does not tell them apart. Parameters are added by :meth:`Histories.with_config`.

    Raises:
        ArgumentError: a pattern makes no sense.
        DataError: there is no such file, or no line of any file has the pattern.

    Example:
        >>> import tempfile, pathlib, scalefit as sf
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "124M.log").write_text("iter 0: loss 10.9, 1ms\niter 9: loss 9.5, 1ms")
        >>> histories = sf.trackers.logs(folder, "nanogpt").with_config(r"(?P<n_params>\d+M)")
        >>> histories.table("loss", tokens_per_step=5e5).column("N").tolist()
        [124000000.0]
    """
    compiled = _compiled(pattern)
    files = _files(paths)
    runs, silent = [], []
    for name, file in zip(_names(files), files, strict=True):
        lines = COLOURS.sub("", read_bytes(file).decode("utf-8", "replace"))
        rows, planned = _rows(lines, compiled)
        if rows:
            config = {} if planned is None else {"planned_steps": planned}
            runs.append(TrackedRun(name, series_of_rows(rows), config, None, str(file)))
        else:
            silent.append(f"{named(file)} has no line of the pattern")
    if not runs:
        known = ", ".join(PATTERNS)
        raise DataError(
            f"no line of {listed([str(file) for file in files])} has the pattern",
            remedy=f"Check it on a line of the log. Patterns by program: {known}",
        )
    return assembled(runs, listed([str(file) for file in files]), not_read(silent))


def _compiled(pattern: Any) -> list[re.Pattern[str]]:
    """Regular expressions, each with a metric."""
    remedy = (
        r"Pass a regular expression with named groups, as pattern=r'(?P<step>\d+): (?P<loss>\S+)', "
        f"or a program: {', '.join(PATTERNS)}"
    )
    found = []
    for item in names(pattern, "pattern", remedy=remedy, wanted="regular expression"):
        for text in PATTERNS.get(item, (item,)):
            try:
                one = re.compile(text)
            except re.error as error:
                raise refused("pattern", item, f"a regular expression ({error})", remedy) from error
            if not set(one.groupindex) - {"step"}:
                raise refused("pattern", item, "a regular expression with a metric", remedy)
            found.append(one)
    if not any("step" in one.groupindex for one in found):
        raise refused("pattern", pattern, "a regular expression with the group step", remedy)
    return found


def _files(paths: Any) -> list[Path]:
    """The files that are meant, each once."""
    found: list[Path] = []
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    if not isinstance(given, Sequence):
        raise refused("paths", paths, "a path, or a list of paths", "Pass the path of a log")
    for item in given:
        # A file may have the characters of a pattern in its name.
        if isinstance(item, str) and glob.has_magic(item) and not os.path.exists(item):
            matches = sorted(Path(one) for one in glob.glob(item, recursive=True))
            found += [one for one in matches if one.is_file()]
            continue
        place = existing(item, "paths")
        if place.is_dir():
            found += [file for file in files_under(place) if file.suffix in SUFFIXES]
        else:
            found.append(place)
    if not found:
        raise DataError(
            f"there is no log in {listed([str(item) for item in given]) or 'an empty list'}",
            remedy=f"Give files, or a folder with files of {', '.join(SUFFIXES)}",
        )
    return list(dict.fromkeys(found))


def _names(files: Sequence[Path]) -> list[str]:
    """Names of the runs: as many of the last parts of their paths as tell them apart."""
    whole = [file.resolve().with_suffix("") for file in files]
    for count in range(1, max(len(path.parts) for path in whole)):
        short = ["/".join(path.parts[-count:]) for path in whole]
        if len(set(short)) == len(short):
            return short
    return [str(file) for file in files]


def _rows(
    text: str, patterns: Sequence[re.Pattern[str]]
) -> tuple[list[tuple[float, Mapping[str, float]]], float | None]:
    """Records of a log in their order, and the steps that it says are planned."""
    rows: list[tuple[float, Mapping[str, float]]] = []
    step, planned = 0.0, None
    for line in text.splitlines():
        for pattern in patterns:
            if match := pattern.search(line):
                values = _values(match)
                step = values.pop("step", step)
                planned = values.pop("planned_steps", planned)
                if values:
                    rows.append((step, values))
    return rows, planned


def _values(match: re.Match[str]) -> dict[str, float]:
    """Named groups as numbers."""
    found = {}
    for name, text in match.groupdict().items():
        try:
            found[name] = float(text.replace(",", ""))
        except (AttributeError, ValueError):  # A group that did not take part, or holds a word.
            continue
    return found
