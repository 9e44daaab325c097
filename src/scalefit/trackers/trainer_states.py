"""States that the Trainer of Hugging Face Transformers saves with every checkpoint."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalefit.data.files import named, open_regular
from scalefit.errors import DataError
from scalefit.trackers.assembly import assembled, not_read
from scalefit.trackers.histories import Histories
from scalefit.trackers.json_files import existing, files_under, read_json
from scalefit.trackers.series import TrackedRun, flat, plain_number, series_of_rows

__all__ = ["huggingface"]

STATE, CONFIG = "trainer_state.json", "config.json"
CHECKPOINT = re.compile(r"checkpoint-\d+")

# Fields of a state that are parameters or totals of the run.
FIELDS = (
    "global_step",
    "max_steps",
    "epoch",
    "num_train_epochs",
    "train_batch_size",
    "num_input_tokens_seen",
    "total_flos",
    "best_metric",
    "trial_name",
    "trial_params",
)

# The header of a file of weights; its own library reads no longer one.
MOST_HEADER = 100_000_000


def huggingface(path: Any) -> Histories:
    """Training runs of the Trainer of Hugging Face Transformers.

    The last checkpoint of a run holds its whole history. Parameters of a run are the fields of its
    state and of the ``config.json`` beside it, and ``n_params``: the numbers in the weights that
    lie there (``model.safetensors``), counted from their header.

    Args:
        path: one ``trainer_state.json``, a folder with one, or a folder of runs, each with its
            folders ``checkpoint-*``.

    Returns:
        The histories. A run is called by its folder below ``path``. Its state is ``finished`` where
        it reached ``max_steps``.

    Raises:
        ArgumentError: it is no path.
        DataError: there is no such file, or it is none of the Trainer's.

    Source:
        ``transformers.TrainerState``, https://huggingface.co/docs/transformers.
    """
    place = existing(path)
    if place.is_file():
        files = [place]
    else:
        files = [file for file in files_under(place) if file.name == STATE]
        if not files:
            raise DataError(
                f"no {STATE} is in the folder {named(place)}",
                remedy="Give the output_dir of a Trainer, or a folder of several",
            )
    runs: dict[Path, list[Path]] = {}
    for file in files:
        folder = file.parent
        runs.setdefault(folder.parent if CHECKPOINT.fullmatch(folder.name) else folder, []).append(
            file
        )
    found, broken = [], []
    for folder, states in runs.items():
        last, failed = _last_state(states)
        broken += failed
        if last is not None:
            run, failed = _run(folder, place, *last)
            found.append(run)
            broken += failed
    if not found:
        raise DataError(
            f"no {STATE} can be read: {broken[0]}",
            remedy="Restore the file, or give another checkpoint",
        )
    return assembled(found, str(place), not_read(broken))


def _last_state(files: Sequence[Path]) -> tuple[tuple[Path, Mapping[str, Any]] | None, list[str]]:
    """The state of the most steps that can be read, and why others cannot."""
    best: tuple[Path, Mapping[str, Any]] | None = None
    broken = []
    for file in files:
        try:
            state = read_json(file)
            if not isinstance(state.get("log_history"), list):
                raise DataError(
                    f"{named(file)} has no log_history",
                    remedy=f"Give a {STATE} of the Trainer",
                )
        except DataError as error:
            broken.append(str(error).partition(". ")[0])
            continue
        if best is None or _steps(state) > _steps(best[1]):
            best = (file, state)
    return best, broken


def _steps(state: Mapping[str, Any]) -> float:
    """How many updates a state says were done."""
    steps = plain_number(state.get("global_step"))
    return steps if steps is not None and math.isfinite(steps) else -1.0


def _run(
    folder: Path, top: Path, file: Path, state: Mapping[str, Any]
) -> tuple[TrackedRun, list[str]]:
    """One run of its last state, and why its configuration cannot be read."""
    rows = []
    for row in state["log_history"]:
        step = plain_number(row.get("step")) if isinstance(row, dict) else None
        if step is not None and math.isfinite(step):
            rows.append((step, {key: value for key, value in row.items() if key != "step"}))
    config, broken = _settings(folder, file)
    own = {name: state[name] for name in FIELDS if name in state}
    # Zero where the Trainer was not asked to count them.
    if own.get("num_input_tokens_seen") == 0:
        del own["num_input_tokens_seen"]
    config |= flat(own, STATE)
    length = plain_number(state.get("max_steps")) or 0.0
    done = 0 < length <= _steps(state)
    below = folder != top and folder.is_relative_to(top)
    name = str(folder.relative_to(top)) if below else folder.resolve().name
    end = "finished" if done else None
    return TrackedRun(name, series_of_rows(rows), config, end, str(folder)), broken


def _settings(folder: Path, file: Path) -> tuple[dict[str, Any], list[str]]:
    """Parameters that lie beside a state, or in the folder of the run, and what is broken."""
    config: dict[str, Any] = {}
    broken = []
    beside = next((item for item in (file.parent, folder) if (item / CONFIG).is_file()), None)
    if beside is not None:
        try:
            config |= flat(read_json(beside / CONFIG), CONFIG)
        except DataError as error:
            broken.append(str(error).partition(". ")[0])
    for weights in (file.parent, folder):
        if (count := _parameters(weights)) is not None:
            config["n_params"] = count
            break
    return config, broken


def _parameters(folder: Path) -> int | None:
    """Numbers in the weights of a checkpoint, counted from the headers of their files.

    Source:
        https://huggingface.co/docs/safetensors: eight bytes of length, then a JSON header with the
        shape of each tensor.
    """
    files = sorted(folder.glob("model*.safetensors"))
    count = 0
    for file in files:
        try:
            count += _numbers_in(file)
        except (
            OSError,
            ValueError,
            struct.error,
            RecursionError,
            AttributeError,
            TypeError,
            KeyError,
        ):
            return None
    return count or None


def _numbers_in(file: Path) -> int:
    """Numbers in one file of weights."""
    with open_regular(file) as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > MOST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(opened.read(length))
    return sum(
        math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"
    )
