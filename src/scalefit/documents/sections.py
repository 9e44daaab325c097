"""The sections of a report, in order, from the answer to the references."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from scalefit.data.column_names import UNITS
from scalefit.data.dropped_rows import description as dropped_rows
from scalefit.data.interpretation import headers_with_units
from scalefit.documents.checklist import GROUPS, Answer, answers, gap
from scalefit.documents.content import (
    Block,
    Code,
    Folded,
    Formula,
    Heading,
    Items,
    Listing,
    Notes,
    Number,
    Paragraph,
    Piece,
    Section,
    Words,
    blocks_of,
    headline_of,
)
from scalefit.documents.figures import of_result, residual_figure, surface_figure
from scalefit.documents.material import ROOMS, Material, left_out, warned
from scalefit.documents.references import bibtex, references
from scalefit.documents.reproduction import calls
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Table
from scalefit.reporting.numbers import Kind, shown

__all__ = ["answer", "sections"]

# Beyond so many decades outside the runs an answer rests on the form of the law alone: a budget of
# a hundred times the largest run.
SCENARIO = 2.0


def sections(material: Material) -> tuple[Section, ...]:
    """Every section that the fit and the results fill."""
    fit = material.fit
    found = [
        Section("Data", tuple(_data(material))),
        Section("Law", tuple(_law(material))),
        Section("Parameters", tuple(_parameters(material))),
        Section("Goodness of fit", tuple(_goodness(material))),
    ]
    number = 0
    for room, title in ROOMS.items():
        results = material.of_room(room)
        blocks: list[Block] = []
        for result in results:
            number += 1
            said = result.describe(material.level)
            if result is (material.draws or material.covariance):
                # Its table is that of the parameters, above.
                said = replace(said, tables=())
            blocks.append(Heading(said.title))
            blocks += blocks_of(said, formula=said.formula != fit.law.formula)
            figure = of_result(result, material, number)
            blocks += [figure] if figure is not None else []
        if blocks:
            found.append(Section(title, tuple(blocks)))
    found += [
        Section("Warnings and notes", tuple(_notes(material))),
        Section("What this does not cover", tuple(_limits(material))),
        Section("Methods", tuple(_methods(material))),
        Section("How to reproduce", tuple(_reproduction(material))),
        Section("References", tuple(_references(material))),
    ]
    return tuple(section for section in found if section.blocks)


def answer(material: Material) -> Words:
    """The answer in a sentence: what to train, or else the law as it is fitted."""
    best = material.allocation
    if best is not None and {"N", "D"} <= set(best.columns):
        return _optimum(material)
    fit = material.fit
    said: Words = (f"{fit.law.name}: ", Formula(fit.law.formula, fit.law.latex), ". ")
    return (*said, headline_of(fit.describe(material.level)))


def _optimum(material: Material) -> Words:
    """The compute-optimal model, at the largest budget of the first allocation."""
    best = material.allocation
    assert best is not None
    at = int(np.argmax(np.ravel(best.budget)))
    spent = float(np.ravel(best.budget)[at])
    budget = Number(spent, "flop", unit="FLOP") if best.unit == "FLOP" else Number(spent, "usd")
    level = material.level

    def number(name: str, kind: Kind, unit: str) -> Number:
        value = float(np.ravel(best.columns.get(name, best.loss))[at])
        if not best.draws:
            return Number(value, kind, unit=unit)
        low, high = (float(np.ravel(end)[at]) for end in best.estimate(name).interval(level))
        return Number(value, kind, low, high, level, unit)

    return (
        "At a budget of ",
        budget,
        ", the compute-optimal model has ",
        number("N", "count", "parameters"),
        " and is trained on ",
        number("D", "count", "tokens"),
        "; its predicted loss is ",
        number("loss", "number", material.fit.loss_unit),
        ".",
    )


def _data(material: Material) -> Iterator[Block]:
    fit, table, known = material.fit, material.table, material.fit.provenance
    headers = {
        name.removeprefix("column "): header
        for name, header in known.items()
        if name.startswith("column ")
    }
    scales = {
        name: float(known[f"unit of {name}"]) for name in headers if f"unit of {name}" in known
    }
    said = headers_with_units(headers, scales)
    ends = {name: pair for name, pair in fit.domain.items() if np.isfinite(pair).all()}
    if table is not None:
        used = table.column(fit.law.response)[table.weight > 0]
        ends[fit.law.response] = (float(used.min()), float(used.max()))
    units = {**UNITS, "6ND": "FLOP", fit.law.response: fit.loss_unit}
    names = list(ends)
    kinds: list[Kind] = [material.kind(name) for name in names]
    facts: list[tuple[str, Words]] = []
    if not material.published:
        facts.append(("runs in the fit", (f"{fit.nobs}",)))
        facts.append(("rows left out", left_out(fit) or ("none",)))
    for name, key in (
        ("dataset", "dataset"),
        ("dataset source", "dataset source"),
        ("SHA-256 of its file", "dataset sha256"),
        ("source of the values", "source"),
        ("where", "where"),
        ("configuration", "configuration"),
        ("SHA-256 of the fitted columns", "data"),
    ):
        if key in known:
            facts.append((name, (known[key],)))
    if facts:
        yield Items(tuple(facts))
    if names:
        yield Table(
            [
                Column("quantity", names, "text"),
                Column("header", [said.get(name, "") for name in names], "text"),
                Column("smallest", [ends[name][0] for name in names], kinds),
                Column("largest", [ends[name][1] for name in names], kinds),
                Column("unit", [units.get(name, "") for name in names], "text"),
            ],
            "quantities of the runs in the fit",
        )
    if fit.dropped:
        yield Folded("rows left out", blocks_of(dropped_rows(fit.dropped)))


def _law(material: Material) -> Iterator[Block]:
    fit = material.fit
    said = fit.law.describe(material.level)
    yield from blocks_of(said)
    yield Heading("Objective")
    if material.published:
        yield Paragraph(("The values are published ones: nothing was fitted here.",))
        return
    yield from blocks_of(fit.objective.describe(material.level))
    yield Heading("Search and proof")
    yield from blocks_of(fit.diagnostics.describe(material.level))
    yield from blocks_of(fit.certificate.describe(material.level))


def _parameters(material: Material) -> Iterator[Block]:
    source = material.draws or material.covariance
    fit = material.fit
    if source is not None:
        yield from source.describe(material.level).tables
    else:
        yield Paragraph(("No draws or covariance were passed: the parameters have no intervals.",))
    if source is None or fit.fixed or fit.tied or fit.diagnostics.at_bound:
        yield from fit.describe(material.level).tables


def _goodness(material: Material) -> Iterator[Block]:
    fit = material.fit
    if not material.published:
        said = fit.describe(material.level)
        yield Paragraph((headline_of(said),))
        yield Items(tuple((name, (fact,)) for name, fact in said.facts.items()))
    for figure in (residual_figure(material), surface_figure(material)):
        if figure is not None:
            yield figure


def _notes(material: Material) -> Iterator[Block]:
    notes = material.notes
    if not notes:
        yield Paragraph(("There are none.",))
        return
    warnings = sum(note.severity == "warning" for note in notes)
    yield Paragraph(
        (
            f"{warnings} warnings and {len(notes) - warnings} notes, of the fit and of "
            "all results in this report.",
        )
    )
    yield Notes(material.noted)


def _limits(material: Material) -> Iterator[Block]:
    found: list[str] = []
    if material.intervals is not None or any(map(_drawn, material.results)):
        found.append(
            "Intervals hold the noise of the runs. They do not hold a wrong form of the law, an "
            "error that all runs share (data, tokenizer, hyperparameters, the count of N), or the "
            "choice of the runs."
        )
    else:
        found.append("No interval is given: how far noise moves the answer is not said here.")
    found += _reaches(material)
    if material.table is not None and not material.of_room("validation"):
        found.append("No run was held out: how well the law predicts larger runs was not tested.")
    if codes := warned(material.notes):
        found.append(f"These warnings limit what can be concluded: {codes}.")
    found.append(
        "The law describes models that are trained as these runs were. Another architecture, "
        "data mixture, optimiser or schedule needs runs of its own."
    )
    for text in found:
        yield Paragraph((text,))


def _drawn(result: Described) -> bool:
    """Whether a result has draws, whose intervals are shown."""
    draws = getattr(result, "draws", None)
    return isinstance(draws, Mapping | np.ndarray) and len(draws) > 0


def _reaches(material: Material) -> Iterator[str]:
    """How far the allocations lie beyond the runs."""
    best, (_, largest) = material.allocation, material.fit.domain.get("6ND", (np.nan, np.nan))
    if best is None or best.unit != "FLOP" or not largest > 0:
        return
    far = float(np.max(best.budget)) / largest
    if far <= 1:
        return
    grade = (
        "a scenario, not a prediction"
        if far > 10.0**SCENARIO
        else "an extrapolation that rests on the form of the law"
    )
    times = f"{far:,.0f}" if 10 <= far < 1e5 else f"{far:.2g}".replace("e+0", "e")
    yield (
        f"The largest budget is {times} times the largest run of the fit "
        f"({shown(largest, 'flop').value} FLOP): its answer is {grade}."
    )


def _methods(material: Material) -> Iterator[Block]:
    """A paragraph for each group of the checklist, then every question with its answer."""
    found = answers(material)
    for group in GROUPS:
        yield Paragraph(_prose([item for item in found if item.group == group], material), group)
    items = tuple((item.question, item.words(material, gaps=True)) for item in found)
    yield Folded("The checklist, question by question", (Items(items),))


def _prose(found: Sequence[Answer], material: Material) -> Words:
    """Answers as one paragraph, with what is missing at its end."""
    words: list[Piece] = []
    for item in found:
        said = item.words(material, gaps=False)
        words += [" " * bool(words and said), *said]
    if found[0].group == GROUPS[-1]:
        words += _software(material)
    lacking = [key for item in found for key in item.topics if key not in material.about]
    if lacking:
        words += [" " * bool(words), *gap(lacking)]
    return tuple(piece for piece in words if piece != "")


def _software(material: Material) -> list[Piece]:
    known = material.fit.provenance
    if material.published:
        return []
    versions = {"scalefit": "scalefit", "jax": "JAX", "numpy": "NumPy"}
    said = [f"{word} {known[key]}" for key, word in versions.items() if key in known]
    return [
        f" The fit was made with {', '.join(said)}; the fitted columns have the SHA-256 ",
        Code(known.get("data", "")),
        ".",
    ]


def _reproduction(material: Material) -> Iterator[Block]:
    known = material.fit.provenance
    yield Listing(calls(material.fit, material.table, material.path, material.results))
    versions = [("python", (platform.python_version(),))]
    versions += [(name, (known[name],)) for name in ("scalefit", "jax", "numpy") if name in known]
    seeds = {"seed of the search": known.get("seed", "")}
    if material.draws is not None:
        seeds["seed of the draws"] = str(material.draws.seed)
    versions += [(name, (seed,)) for name, seed in seeds.items() if seed]
    yield Items(tuple(versions))


def _references(material: Material) -> Iterator[Block]:
    found = references(material)
    yield Items(tuple((item.what, (item.text,)) for item in found))
    yield Folded("BibTeX", (Listing(bibtex(found), "bibtex"),))
