"""Runs that the library of Weights & Biases keeps in a folder: log, configuration, summary."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scalefit.data.files import first_line, named
from scalefit.errors import DataError, MissingExtraError
from scalefit.trackers.assembly import assembled, not_read
from scalefit.trackers.histories import Histories
from scalefit.trackers.json_files import files_under, read_bytes, read_json
from scalefit.trackers.series import TrackedRun, flat, series_of_rows

__all__ = ["local_runs"]

# A log of records in blocks, as LevelDB writes them: header of the file; then each record, or piece
# of one, after its checksum, its length and its kind (whole, first, middle, last).
HEADER = b":W&B\xe1\xbe\x00"
BLOCK = 32_768
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4

SUMMARY, CONFIG = "wandb-summary.json", "config.yaml"
# A configuration is written by hand or by argparse.
MOST_CONFIG = 16 * 2**20


def local_runs(place: Path) -> Histories:
    """Runs of a folder that the library wrote, or of one log.

    Args:
        place: of a folder, or of a file ``run-*.wandb``.

    Raises:
        DataError: there is no run, or none that can be read.
        MissingExtraError: the package ``wandb`` is not installed.
    """
    files = [place] if place.is_file() else list(files_under(place))
    logs = {file.parent.resolve(): file for file in files if file.suffix == ".wandb"}
    beside = {
        file.parent.parent.resolve(): file.parent
        for file in files
        if file.name in (SUMMARY, CONFIG) and file.parent.name == "files"
    }
    if not (logs or beside):
        raise DataError(
            f"no run of Weights & Biases is in the folder {named(place)}",
            remedy="Give the folder wandb, or a table that was exported",
        )
    found, broken = [], []
    for folder in dict.fromkeys([*logs, *beside]):
        try:
            if folder in logs:
                run, torn = _logged_run(logs[folder])
                broken += torn
            else:
                run = _summarized_run(folder, beside[folder])
        except MissingExtraError:
            raise
        except DataError as error:
            broken.append(str(error).partition(". ")[0])
            continue
        found.append(run)
    if not found:
        raise DataError(
            f"no run of {named(place)} can be read: {broken[0]}",
            remedy="Restore the files, or export the runs from the page of the project",
        )
    return assembled(found, str(place), not_read(broken))


def _logged_run(file: Path) -> tuple[TrackedRun, list[str]]:
    """A run of its log, and what of the log is broken."""
    try:
        from google.protobuf.message import DecodeError
        from wandb.proto.wandb_internal_pb2 import Record
    except ImportError as error:
        raise MissingExtraError(
            f"{file.name!r} is a log of the package wandb, which is not installed",
            extra="wandb",
            otherwise="export the runs from the page of the project",
        ) from error
    content = read_bytes(file)
    if not content.startswith(HEADER):
        raise DataError(f"{named(file)} is no log of wandb", remedy="Give the folder of a run")
    rows: list[tuple[float, Mapping[str, Any]]] = []
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    name, key, state, end = "", file.stem.removeprefix("run-"), "running", 0
    try:
        for message, place in _messages(content):
            end = place
            record = Record.FromString(message)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                name, key = record.run.display_name or name, record.run.run_id or key
                config |= _items(record.run.config.update)
            elif kind == "config":
                config |= _items(record.config.update)
                for item in record.config.remove:
                    config.pop(_key(item), None)
            elif kind == "summary":
                summary |= _items(record.summary.update)
            elif kind == "history":
                row = _items(record.history.item)
                step = row.pop("_step", None)
                rows.append((float(record.history.step.num if step is None else step), row))
            elif kind == "exit":
                state = "failed" if record.exit.exit_code else "finished"
    except (DecodeError, ValueError, TypeError):
        end = -1
    torn = [] if end == len(content) else [f"{named(file)} breaks off"]
    nested = flat(config, str(file))
    own = {key: value for key, value in nested.items() if not key.startswith("_")}
    finals = {item: value for item, value in summary.items() if item[:1] != "_" and item not in own}
    series = series_of_rows(rows)
    return TrackedRun(name or key, series, own | flat(finals, str(file)), state, key), torn


def _messages(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Records of a log, and where each ends; no more from where the log is broken."""
    place, pieces = len(HEADER), b""
    while True:
        left = BLOCK - place % BLOCK
        if left < 7:
            place += left
            continue
        if len(content) < place + 7:
            return
        checksum, length, kind = struct.unpack_from("<IHB", content, place)
        piece = content[place + 7 : place + 7 + length]
        if len(piece) < length or zlib.crc32(piece, zlib.crc32(bytes([kind]))) != checksum:
            return
        place += 7 + length
        pieces = piece if kind in (WHOLE, FIRST) else pieces + piece
        if kind in (WHOLE, LAST):
            yield pieces, place


def _key(item: Any) -> str:
    """The name of an item, its parts joined."""
    return "/".join(item.nested_key) or str(item.key)


def _items(items: Sequence[Any]) -> dict[str, Any]:
    """Values of a record by name."""
    found = {}
    for item in items:
        try:
            found[_key(item)] = json.loads(item.value_json)
        except (ValueError, RecursionError):
            found[_key(item)] = None
    return found


def _summarized_run(folder: Path, files: Path) -> TrackedRun:
    """A run of which only the summary and the configuration are left."""
    summary = read_json(files / SUMMARY) if (files / SUMMARY).is_file() else {}
    config = _yaml(files / CONFIG) if (files / CONFIG).is_file() else {}
    known = flat(config, CONFIG)
    finals = {key: value for key, value in flat(summary, SUMMARY).items() if key not in known}
    # As run-20250813_124246-n67z9ude.
    key = folder.name.rpartition("-")[2]
    return TrackedRun(folder.name, {}, known | finals, None, key)


def _yaml(file: Path) -> dict[str, Any]:
    """Parameters of a ``config.yaml``, each of which has its value under ``value``."""
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError(
            f"{file.name!r} is read by the package PyYAML, which is not installed",
            extra="wandb",
            otherwise="export the runs from the page of the project",
        ) from error
    try:
        found = yaml.safe_load(read_bytes(file, most=MOST_CONFIG))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(
            f"{named(file)} cannot be read as YAML ({first_line(error)})",
            remedy="Restore the file",
        ) from error
    if not isinstance(found, dict):
        raise DataError(f"{named(file)} holds no parameters", remedy="Restore the file")
    return {
        str(key): value["value"] if isinstance(value, dict) and "value" in value else value
        for key, value in found.items()
        if key not in ("_wandb", "wandb_version")
    }
