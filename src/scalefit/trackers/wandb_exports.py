"""Exports of Weights & Biases: tables of runs, charts, histories, and frames of its API."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalefit.data import cells
from scalefit.data.cells import label
from scalefit.data.containers import refuse_repeated_labels
from scalefit.data.files import first_line
from scalefit.data.readers import read_frame
from scalefit.errors import DataError, listed
from scalefit.notes import Note
from scalefit.trackers.assembly import assembled
from scalefit.trackers.histories import Histories
from scalefit.trackers.json_files import existing
from scalefit.trackers.series import TrackedRun, flat, numbers_of_frame, series_at
from scalefit.trackers.wandb_folders import local_runs

__all__ = ["wandb"]

# Columns by which a history says which run a row is of.
RUN_COLUMNS = ("run", "run_id", "run_name", "name", "Name", "id")

# Columns, besides Name, of the table of runs on the page of a project; it may hold _step, too.
PAGE = {"State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep"}

# The axes of a chart that count no steps.
TIMES = ("relative time", "wall time", "_timestamp", "_runtime")

# Of a cell that holds a whole configuration as text.
MOST_TEXT = 10_000_000


def wandb(source: Any) -> Histories:
    r"""Training runs of Weights & Biases, from what its pages, its API or its library write.

    Read are, told apart by their columns:

    - the table of runs that the page of a project exports as CSV (``Name``, ``State``, ...): final
      metrics and parameters, no history;
    - a chart that is exported as CSV (``Step``, ``<run> - <metric>``, ``..__MIN``, ``..__MAX``);
    - a history (``_step`` and metrics, and ``run``, ``run_id`` or ``name`` where there are
      several), of ``run.history()``, ``run.scan_history()`` or ``api.runs(...).histories()``.
      What is the same in all rows of each run is a parameter;
    - the frame of runs of the documentation (``summary``, ``config``, ``name``), whose cells are
      mappings, or the text of them after ``to_csv``. No code in them is run;
    - a folder ``wandb`` or a folder of one run in it, as the library writes it: the log
      ``run-*.wandb`` of runs that are offline, ``files/config.yaml`` and ``wandb-summary.json``.

    Args:
        source: the path of a table or of a folder, or a DataFrame.

    Returns:
        The histories. The state of a run is that of the page, or ``finished`` where its log ends
        with an exit code of zero.

    Raises:
        ArgumentError: it is neither a path nor a DataFrame.
        DataError: there is no such file, or it is none of these; a cell cannot be read.
        MissingExtraError: the log of the library is read without the package ``wandb``.

    Source:
        https://docs.wandb.ai/guides/track/public-api-guide and the package's own
        ``wandb/proto/wandb_internal.proto``.
    """
    if isinstance(source, pd.DataFrame):
        return _of_frame(source, "DataFrame", "run")
    place = existing(source, "source")
    if place.is_dir() or place.suffix == ".wandb":
        return local_runs(place)
    return _of_frame(read_frame(place), place.name, place.stem)


def _of_frame(frame: pd.DataFrame, source: str, only: str) -> Histories:
    """Histories of a table, by its columns.

    Args:
        frame: the table.
        source: what it is called.
        only: what its run is called, where the table names none.
    """
    # An index that was written as a column without header.
    frame = frame.drop(columns=[name for name in frame if str(name).startswith("Unnamed: ")])
    refuse_repeated_labels(frame)
    headers = [str(name) for name in frame.columns]
    if frame.empty:
        raise DataError(f"{source} has no row", remedy="Export the runs again")
    if any(name.startswith("summary/") for name in headers):
        frame, headers = _nested(frame), ["summary", "config"]
    if {"summary", "config"} & set(headers):
        return assembled(_api_runs(frame), source)
    if "Name" in headers and PAGE & set(headers):
        return assembled(_page_runs(frame), source)
    if "_step" in headers:
        return assembled(_history_runs(frame, source, only), source)
    if any(f"{name}__MIN" in headers for name in headers) or headers[0] == "Step":
        return _chart(frame, source, only)
    raise DataError(
        f"{source} is no export of Weights & Biases that is known here: it has the columns "
        f"{listed(headers)}",
        remedy="Export a table of runs (Name, State), a chart (Step) or a history (_step)",
    )


def _nested(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with mappings in its cells, of one that JSON was spread over: ``summary/loss``."""
    found = frame
    for part in ("config", "summary"):
        spread = [name for name in map(str, frame) if name.startswith(f"{part}/")]
        cells = [
            {str(name)[len(part) + 1 :]: cell for name, cell in row.items() if not _gap(cell)}
            for row in frame[spread].to_dict("records")
        ]
        found = found.drop(columns=spread)
        found[part] = pd.Series(cells, index=found.index, dtype=object)
    return found


def _page_runs(frame: pd.DataFrame) -> list[TrackedRun]:
    """Runs of the table that a project's page exports."""
    found = []
    for place, row in enumerate(frame.to_dict("records")):
        there = {str(key): value for key, value in row.items() if not _gap(value)}
        name = label(there.pop("Name", None)) or f"row {place}"
        state = there.pop("State", None)
        key = str(there.get("ID", there.get("Created", "")))
        found.append(TrackedRun(name, {}, there, _state(state), key))
    return found


def _api_runs(frame: pd.DataFrame) -> list[TrackedRun]:
    """Runs of a frame with mappings in its cells."""
    found = []
    for place, row in enumerate(frame.to_dict("records")):
        parts = {
            name: flat(_mapping(row.get(name), name, place), name) for name in ("config", "summary")
        }
        config = {key: value for key, value in parts["config"].items() if key[:1] != "_"}
        for key, value in parts["summary"].items():
            config[f"summary/{key}" if key in config else key] = value
        rest = {str(k): v for k, v in row.items() if k not in parts and not _gap(v)}
        name = label(rest.pop("name", None)) or label(rest.get("id")) or f"row {place}"
        state = rest.pop("state", None)
        found.append(TrackedRun(name, {}, rest | config, _state(state), str(rest.get("id", ""))))
    return found


def _mapping(cell: Any, column: str, row: int) -> Mapping[Any, Any]:
    """A cell that holds a mapping, or the text of one as JSON or Python writes it."""
    if isinstance(cell, Mapping):
        return cell
    if _gap(cell):
        return {}
    try:
        if not isinstance(cell, str) or len(cell) > MOST_TEXT:
            raise ValueError("it is no text of a usual length")
        found = _parsed(cell)
        if not isinstance(found, Mapping):
            raise ValueError("it is no mapping")
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise DataError(
            f"{column!r} of row {row} is no mapping ({first_line(error)})",
            column=column,
            rows=[row],
            remedy="Write the frame by to_json, or leave the row out",
        ) from error
    return found


def _parsed(text: str) -> Any:
    """Text of JSON, or of Python's literals with ``nan`` and ``inf``, which repr writes."""
    try:
        return json.loads(text)
    except ValueError:
        tree = ast.parse(text.strip(), mode="eval")
    return ast.literal_eval(_Constants().visit(tree))


class _Constants(ast.NodeTransformer):
    """``nan`` and ``inf`` as numbers."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        known = {"nan": math.nan, "inf": math.inf}
        return ast.copy_location(ast.Constant(known[node.id]), node) if node.id in known else node


def _history_runs(frame: pd.DataFrame, source: str, only: str) -> list[TrackedRun]:
    """Runs of one frame of histories."""
    by = next((name for name in RUN_COLUMNS if name in frame and _labels_runs(frame[name])), None)
    names = pd.Series(only, frame.index) if by is None else frame[by].map(label)
    if names.isna().any():
        row = frame.index[names.isna()][0]
        raise DataError(
            f"{by!r} is missing in row {row}, which is then of no run",
            column=by,
            rows=[row],
            remedy="Name the run of each row",
        )
    steps = _steps(frame, "_step")
    code, labels = pd.factorize(names)
    order = np.argsort(code, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
    rest = frame.drop(columns=[name for name in ("_step", by) if name])
    fixed = [name for name in rest if _is_fixed(rest[name], code)]
    metrics = numbers_of_frame(rest.drop(columns=fixed))
    first = rest[fixed].iloc[[rows[0] for rows in parts]].to_dict("list")
    return [
        TrackedRun(
            str(name),
            series_at(metrics, steps, rows),
            flat({key: cells[place] for key, cells in first.items()}, source),
        )
        for place, (name, rows) in enumerate(zip(labels, parts, strict=True))
    ]


def _is_fixed(values: pd.Series, code: np.ndarray) -> bool:
    """Whether a column is a parameter: one value in all rows of each run, and several rows of one.

    Args:
        values: the column.
        code: number of the run of each row, shape (rows,).
    """
    if values.isna().any() or len(code) == code.max() + 1:
        return False
    cells = pd.factorize(values.map(label))[0]
    pairs = np.unique(np.c_[code, cells], axis=0)
    return bool(cells.min() >= 0 and len(pairs) == code.max() + 1)


def _labels_runs(values: pd.Series) -> bool:
    """Whether a column names runs: a metric of that name is of numbers with fractions."""
    return values.dtype.kind != "f"


def _steps(frame: pd.DataFrame, header: str) -> np.ndarray:
    """A column of steps, shape (rows,)."""
    steps = cells.numbers(frame[header])[0]
    lost = ~np.isfinite(steps)
    if lost.any():
        row = frame.index[int(np.argmax(lost))]
        raise DataError(
            f"{header!r} is no number in row {row}",
            column=header,
            rows=[row],
            remedy="Leave the row out, or export the history again",
        )
    return steps


def _chart(frame: pd.DataFrame, source: str, only: str) -> Histories:
    """Histories of one chart."""
    axis = str(frame.columns[0])
    if axis.lower().startswith(TIMES):
        raise DataError(
            f"the axis of the chart {source} is {axis!r}, which counts no steps",
            column=axis,
            remedy="Set the axis of the chart to Step, and export it again",
        )
    steps = _steps(frame, axis)
    headers = [str(name) for name in frame.columns[1:]]
    values = [name for name in headers if not name.endswith(("__MIN", "__MAX"))]
    runs: dict[str, dict[str, str]] = {}
    for header in values:
        # Names of runs hold dashes, those of metrics hardly.
        run, dash, metric = header.rpartition(" - ")
        runs.setdefault(run if dash else only, {})[metric] = header
    found = []
    for run, metrics in runs.items():
        named = frame[list(metrics.values())].set_axis(list(metrics), axis="columns")
        found.append(TrackedRun(run, series_at(numbers_of_frame(named), steps, slice(None))))
    return assembled(found, source, _bin_note(frame, values, source))


def _bin_note(frame: pd.DataFrame, values: Sequence[str], source: str) -> list[Note]:
    """A note on points of a chart that stand for several records."""
    binned = []
    for header in values:
        ends = [f"{header}__MIN", f"{header}__MAX"]
        if set(ends) <= set(frame.columns):
            low, high = (cells.numbers(frame[name])[0] for name in ends)
            if (high > low).any():
                binned.append(header)
    if not binned:
        return []
    return [
        Note.of(
            "binned_history",
            f"points of the chart {source} are averages over several records: the least and the "
            f"largest differ in {listed(binned)}. For single records, export the history by "
            "run.scan_history()",
            {"columns": binned},
        )
    ]


def _state(value: Any) -> str | None:
    """A state in lower case; None where there is none."""
    return value.strip().lower() or None if isinstance(value, str) else None


def _gap(value: Any) -> bool:
    """Whether a cell of an export holds nothing."""
    if isinstance(value, Mapping | list | tuple | np.ndarray):
        return False
    return value == "" or value == "-" or bool(pd.isna(value))
