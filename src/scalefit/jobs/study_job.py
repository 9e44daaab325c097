"""A simulation study as a job: a chunk is some settings, or some seeds of one setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from scalefit.jobs.chunks import Job, pieces
from scalefit.jobs.config import StudyTable
from scalefit.simulation.designs import grid_design, isoflop_design, ratio_design
from scalefit.studies.estimates import SLOW
from scalefit.studies.study import (
    Study,
    read_setting,
    setting_labels,
    setting_rows,
    simulation_study,
)

__all__ = ["study_job"]

DESIGNS: Mapping[str, Callable[..., pd.DataFrame]] = {
    "isoflop": isoflop_design,
    "grid": grid_design,
    "ratio": ratio_design,
}

# Tables of a chunk: some seconds of surface fits.
TABLES = 4096

# What the errors are computed of.
ERRORS = ("setting", "seed", "method", "d_exponent", "n_error", "d_error", "status")


class _Chunk(NamedTuple):
    """Settings and seeds by their places, and the methods that are run on them."""

    settings: range
    seeds: range
    methods: list[str]


def study_job(given: StudyTable, chunk: int | None) -> Job:
    """The job of a study.

    Args:
        given: what to simulate.
        chunk: tables of a chunk; 4096 by default.

    Raises:
        ArgumentError: settings that are none, or that nothing takes.
    """
    rows = setting_rows({name: _several(value) for name, value in given.settings.items()})
    seeds = list(range(given.seeds)) if isinstance(given.seeds, int) else given.seeds
    design = DESIGNS[given.design]
    # Names that nothing takes are refused before anything is computed.
    read_setting(0, rows[0], design)
    size = TABLES if chunk is None else chunk
    parts = _chunks(len(rows), len(seeds), size, given)
    # Columns have one type in all chunks.
    labels = _text(pd.DataFrame([setting_labels(row) for row in rows]))
    names = tuple(map(str, labels))

    def compute(number: int) -> pd.DataFrame:
        part = parts[number]
        table = simulation_study(
            pd.DataFrame([rows[place] for place in part.settings]),
            [seeds[place] for place in part.seeds],
            methods=part.methods,
            design=design,
            flops=given.flops,
            residual=given.residual,  # type: ignore[arg-type]  # checked by Objective
            robust=given.robust,  # type: ignore[arg-type]
            delta=given.delta,
            slow_seeds=max(given.slow_seeds - part.seeds.start, 1),
            progress=False,
            devices=given.devices,
        ).table
        place = table["setting"] + part.settings.start
        own = labels.iloc[place].reset_index(drop=True)
        return table.assign(setting=place, **{name: own[name] for name in names})

    def named(number: int) -> str:
        part = parts[number]
        first, last = seeds[part.seeds.start], seeds[part.seeds.stop - 1]
        return (
            f"settings {part.settings.start} to {part.settings.stop - 1}, seeds {first} to {last}"
        )

    def summary(read: Callable[..., pd.DataFrame]) -> str:
        return Study(read([*ERRORS, *names]), names).summary()

    plan = {"study": given.model_dump(), "chunk": size}
    return Job(plan, len(parts), compute, named, summary)


def _several(value: Any) -> Any:
    """A value of TOML as a study takes it: an array within an array is one value."""
    if not isinstance(value, list):
        return value
    return [tuple(item) if isinstance(item, list) else item for item in value]


def _text(labels: pd.DataFrame) -> pd.DataFrame:
    """Labels of which Parquet knows the type: what is neither a number nor text becomes text."""
    mixed = labels.select_dtypes(object).columns
    return labels.astype(dict.fromkeys(mixed, "str"))


def _chunks(settings: int, seeds: int, size: int, given: StudyTable) -> list[_Chunk]:
    """Whole settings where several make a chunk, or else pieces of the seeds of each."""
    several = max(size // seeds, 1)
    return [
        _Chunk(which, some, methods)
        for which in pieces(settings, several)
        for some in pieces(seeds, min(size, seeds))
        if (methods := _methods(given, some))
    ]


def _methods(given: StudyTable, seeds: range) -> list[str]:
    """Methods of some seeds: slow ones are run on the first few alone."""
    early = seeds.start < given.slow_seeds
    return [name for name in given.methods if early or name not in SLOW]
