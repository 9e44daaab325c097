"""Event files of TensorBoard: scalars, and the hyperparameters of its HParams plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.data.files import first_line, named
from scalefit.data.limits import MOST_BYTES
from scalefit.errors import DataError, MissingExtraError
from scalefit.trackers.assembly import assembled, not_read
from scalefit.trackers.histories import Histories
from scalefit.trackers.json_files import existing, files_under, quiet
from scalefit.trackers.series import TrackedRun, flat

__all__ = ["tensorboard"]

EVENTS = "tfevents"
SESSION = "_hparams_/session_start_info"


def tensorboard(folder: Any) -> Histories:
    """Training runs of the event files that TensorBoard shows, one run for each folder of them.

    Hyperparameters are those of the HParams plugin. PyTorch writes them to a folder of their own
    below the run; they are parameters of that run then.

    Args:
        folder: folder of a run, or of several runs in folders of their own.

    Returns:
        The histories. A run is called by its folder below ``folder``; TensorBoard keeps no state.

    Raises:
        ArgumentError: it is no path.
        DataError: there is no such folder, or no event file in it.
        MissingExtraError: the package ``tensorboard`` is not installed.
    """
    top = existing(folder, "folder")
    if top.is_file():
        raise DataError(
            f"{named(top)} is a file, not a folder", remedy="Give the folder that it lies in"
        )
    files: dict[Path, list[Path]] = {}
    for file in files_under(top):
        if EVENTS in file.name:
            files.setdefault(file.parent, []).append(file)
    if not files:
        raise DataError(
            f"no event file is in the folder {named(top)}",
            remedy="Give the log_dir of a SummaryWriter, or a folder of several",
        )
    found: dict[Path, TrackedRun] = {}
    broken = []
    for place, events in files.items():
        _refuse_pipes(place)
        size = sum(file.stat().st_size for file in events)
        if size > MOST_BYTES:
            raise DataError(
                f"the events of {named(place)} are {size / 2**20:.4g} MiB, more than is read",
                remedy="Read the folders of the runs one by one, without pictures",
            )
        run = _run(place, top)
        if run.series or run.config:
            found[place] = run
        else:
            broken.append(f"{named(place)} has no scalar")
    runs = list(_with_parents(found).values())
    if not runs:
        raise DataError(
            f"no event file of the folder {named(top)} holds a scalar",
            remedy="Give the log_dir of a SummaryWriter, or a folder of several",
        )
    return assembled(runs, str(top), not_read(broken))


def _refuse_pipes(place: Path) -> None:
    """Refuse a folder in which TensorBoard would wait for what never comes."""
    for item in place.iterdir():
        if EVENTS in item.name and not item.is_file():
            raise DataError(f"{named(item)} is no regular file", remedy="Move it out of the folder")


def _run(place: Path, top: Path) -> TrackedRun:
    """The run of one folder of event files."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import (
            EventAccumulator,
        )
    except ImportError as error:
        raise MissingExtraError(
            "event files are read by the package tensorboard, which is not installed",
            extra="tensorboard",
        ) from error
    # All scalars: by default TensorBoard keeps a sample. Steps that are repeated are judged later.
    every = {"scalars": 0, "tensors": 0, "images": 1, "audio": 1, "histograms": 1}
    with quiet("tensorboard"):
        try:
            events = EventAccumulator(str(place), size_guidance=every, purge_orphaned_data=False)
            events.Reload()
            series = _series(events)
            config = _hyperparameters(events)
        except DataError:
            raise
        except Exception as error:  # Whatever a broken file makes of its parsers.
            raise DataError(
                f"the events of {named(place)} cannot be read ({first_line(error)})",
                remedy="Move the folder out of the way",
            ) from error
    name = str(place.relative_to(top)) if place != top else place.resolve().name
    return TrackedRun(name, series, config, None, str(place))


def _series(events: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scalars by tag, of the first and of the second version of summaries."""
    from tensorboard.util.tensor_util import make_ndarray

    tags = events.Tags()
    points = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]}
    for tag in tags["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            points[tag] = [
                (e.step, make_ndarray(e.tensor_proto).item()) for e in events.Tensors(tag)
            ]
    found = {}
    for tag, pairs in points.items():
        steps, values = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        found[tag] = (steps, np.where(np.isnan(values), np.inf, values))
    return found


def _hyperparameters(events: Any) -> dict[str, Any]:
    """Parameters that the HParams plugin was told of."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import (
        HParamsPluginData,
    )

    if SESSION not in events.summary_metadata:
        return {}
    content = events.SummaryMetadata(SESSION).plugin_data.content
    told: Mapping[str, Any] = HParamsPluginData.FromString(content).session_start_info.hparams
    kinds = {name: value.WhichOneof("kind") for name, value in told.items()}
    values = {name: getattr(told[name], kind) for name, kind in kinds.items() if kind}
    return flat(values, "the HParams plugin")


def _with_parents(found: Mapping[Path, TrackedRun]) -> dict[Path, TrackedRun]:
    """Runs, with the parameters and final metrics that a folder of their own below them holds."""
    runs = dict(found)
    for place, run in found.items():
        alone = all(len(steps) == 1 for steps, _ in run.series.values())
        above = runs.get(place.parent)
        if run.config and alone and above is not None:
            finals = {tag: float(values[-1]) for tag, (_, values) in run.series.items()}
            config = {**finals, **run.config, **above.config}
            runs[place.parent] = replace(above, config=config)
            del runs[place]
    return runs
