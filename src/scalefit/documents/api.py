"""report(): a fit, its table and its results as one document."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalefit.arguments import flag, instance, text
from scalefit.arguments import level as checked_level
from scalefit.data.table import LossTable
from scalefit.documents.material import Material, require_table, said_about, warned
from scalefit.documents.result import Report, report_path
from scalefit.documents.sections import answer, sections
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.reporting.described import Described
from scalefit.results.prediction import refuse_unknown
from scalefit.results.remembered_columns import table_again
from scalefit.results.surface import Surface, checked_surface
from scalefit.runtime.progress import with_progress

__all__ = ["report"]


@with_progress
def report(
    fit: Surface,
    runs: Any = None,
    *results: Described,
    path: str | Path | None = None,
    title: str = "",
    about: Mapping[str, str] | None = None,
    level: float = 0.95,
    overwrite: bool = False,
    progress: bool = True,
    **columns: Any,
) -> Report:
    """A document of a fit: a page for colleagues, a section for a paper, a record to repeat it by.

    It holds the answer in a sentence, the data, the law with its objective and search, parameters,
    goodness, figures, every result that is passed, all warnings and notes in full, what the
    intervals do not cover, a methods section that answers the checklist of Li et al. 2025 question
    by question, the calls that make the fit again, and the sources.

    What a fit cannot know, such as the optimizer of the runs, is a marked gap in the methods, with
    the key of ``about`` that fills it.

    Args:
        fit: the fit, or an ensemble of it, which adds intervals. Of a grouped law the whole fit,
            not one level of it.
        runs: the table that was fitted, as ``fit`` takes it: a path, a DataFrame, a
            :class:`LossTable`. Without it there are no figures of the runs.
        *results: what was made of the fit, in the order of the report: ensembles, covariances,
            profiles, allocations, IsoFLOP sweeps, biases; whatever has ``describe``.
        path: a file to write, as for :meth:`Report.save`: ``.html``, ``.md`` or ``.tex``.
        title: of the report; by default that of the law.
        about: what the author knows, by topic, each a phrase that completes its sentence, as
            ``{"optimizer": "AdamW with beta2 = 0.95"}``. Topics: ``author``, ``date``,
            ``derivation``, ``data``, ``repetition``, ``N``, ``D``, ``C``, ``architecture``,
            ``optimizer``, ``schedule``, ``hyperparameters``, ``code``, ``models``,
            ``checkpoints``, ``metric``, ``smoothing``.
        level: coverage of the intervals.
        overwrite: whether a file at ``path`` that is no report is replaced.
        progress: whether a line shows what is going on once it takes more than a second.
        **columns: options of the table where ``runs`` is none yet, as for ``fit``.

    Returns:
        The report: ``html``, ``markdown`` and ``latex`` as text, and :meth:`Report.save`. The same
        arguments give the same text.

    Raises:
        ArgumentError: there is no fit, a result cannot describe itself, a topic is unknown, or no
            file can be written at ``path``.
        DataError: the table is not the one that was fitted.

    Source:
        Checklist: Li, Kudugunta and Zettlemoyer 2025, arXiv 2502.18969.

    Example:
        >>> import scalefit as sf
        >>> runs = sf.simulate(sf.simulation.isoflop_design())
        >>> fit = sf.fit(runs)
        >>> found = sf.report(fit, runs, sf.allocate(fit, 1e23), about={"optimizer": "AdamW"})
        >>> print(found.answer)
        At a budget of 1e23 FLOP, the compute-optimal model has ... parameters and is trained on ...
    """
    surface = checked_surface(fit)
    given = tuple(_described(item, place) for place, item in enumerate(results))
    # Before anything is computed: figures and refits take seconds.
    level, overwrite = checked_level(level), flag(overwrite, "overwrite")
    if path is not None:
        path = report_path(path)
    point = surface.point
    if surface is not point and isinstance(surface, Described):
        given = (surface, *given)
    refuse_unknown(report, point.law, columns)
    table = None if runs is None else table_again(point.provenance, runs, columns)
    if table is not None:
        require_table(point, table)
    material = Material(
        fit=point,
        table=table,
        path=Path(runs) if isinstance(runs, str | os.PathLike) else None,
        results=given,
        about=Frozen(said_about(about, point)),
        level=level,
    )
    named = f"Scaling law {point.law.name}"
    title = (
        text(title, "title", remedy="Pass a text, as title='Scaling of our models'")
        if not isinstance(title, str) or title
        else named
    )
    said = [material.about[name] for name in ("author", "date") if name in material.about]
    found = Report(
        title=title,
        byline=", ".join(said),
        words=answer(material),
        alert=_alert(material),
        sections=sections(material),
    )
    if path is not None:
        found.save(path, overwrite=overwrite)
    return found


def _alert(material: Material) -> str:
    """What to look at first."""
    status, codes = material.fit.status, warned(material.notes)
    failed = "" if status.usable else f"The fit is not at an optimum: {status.value}. "
    return (failed + (f"Read the warnings first: {codes}." if codes else "")).strip()


def _described(result: Any, place: int) -> Described:
    """A result that describes itself.

    Raises:
        ArgumentError: it is none.
    """
    if isinstance(result, LossTable):
        raise ArgumentError(
            f"results[{place}] is a table: the report has one, that of the fit",
            argument="results",
            value=result,
            remedy="Pass it as the second argument: report(fit, runs)",
        )
    remedy = "Pass what was made of the fit, as report(fit, runs, scalefit.allocate(fit, 1e24))"
    wanted = "a result that describes itself"
    return instance(result, f"results[{place}]", Described, wanted=wanted, remedy=remedy)
