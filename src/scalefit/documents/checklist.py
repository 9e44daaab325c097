"""The questions that a paper on a scaling law should answer, and what the fit knows of each.

The questions are those of the checklist of Li, Kudugunta and Zettlemoyer 2025, arXiv 2502.18969, in
its order and in our words: hypothesis, training setup, data collection, fitting algorithm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from scalefit.documents.content import (
    Code,
    Formula,
    Gap,
    Number,
    Piece,
    Words,
    headline_of,
)
from scalefit.documents.material import TOPICS, Material, joined, left_out, ranged, warned
from scalefit.inference.ensemble import Ensemble
from scalefit.objective import RESIDUALS
from scalefit.reporting.numbers import percent, shown

__all__ = ["GROUPS", "Answer", "answers", "gap"]

GROUPS = ("Hypothesis", "Training setup", "Data collection", "Fitting")

# Notes that say which rows of a run are in the table.
OF_CHECKPOINTS = ("trajectories", "mid_schedule", "run_end_unknown", "repeated_cells")


class Answer(NamedTuple):
    """A question with what is known.

    Attributes:
        group: one of :data:`GROUPS`.
        question: the question.
        known: sentences on what the fit and the results know; perhaps none.
        topics: keys of ``about`` that complete the answer.
    """

    group: str
    question: str
    known: Words
    topics: tuple[str, ...] = ()

    def words(self, material: Material, *, gaps: bool) -> Words:
        """The answer: what is known, what the author says, and, if wanted, what is missing."""
        found: list[Piece] = [*self.known]
        for topic in self.topics:
            if topic in material.about:
                found += [" " * bool(found), TOPICS[topic][1].format(material.about[topic])]
        lacking = [topic for topic in self.topics if topic not in material.about]
        if gaps and lacking:
            found += [" " * bool(found), *gap(lacking)]
        return tuple(found)


def gap(topics: list[str]) -> Words:
    """Words in place of what only the author knows."""
    said = ", ".join(TOPICS[topic][0] for topic in topics)
    keys = ", ".join(f"{topic!r}: ..." for topic in topics)
    return (Gap(f"[Not known to scalefit: {said}. Fill in by about={{{keys}}}]"),)


def answers(material: Material) -> tuple[Answer, ...]:
    """Every question of the checklist, in order, with its answer."""
    return (
        *_hypothesis(material),
        *_training(material),
        *_collection(material),
        *_fitting(material),
    )


def _symbol(name: str) -> Piece:
    """A parameter or column as a letter; one of a level as code, whatever its label holds."""
    if "[" in name:
        return Code(name)
    return Formula(name, shown(name, "name").latex.strip("$"))


def _hypothesis(material: Material) -> list[Answer]:
    fit = material.fit
    law, group = fit.law, GROUPS[0]
    unit = f" in {fit.loss_unit}" if fit.loss_unit else ""
    form = (
        f"We model the {law.response}{unit} of a training run by the law ",
        Formula(law.formula, law.latex),
        ".",
    )
    meanings = law.meanings
    said = {name: f" ({meanings[name]})" for name in law.columns if name in meanings}
    variables = joined([(_symbol(name), said.get(name, "")) for name in law.columns])
    free = [name for name in fit.params if name not in fit.fixed]
    tied = [name for names in fit.tied for name in names[1:]]
    names = [name for name in law.names if name not in fit.fixed and name not in tied]
    fitted: list[Piece] = [f"It has {len(free) - len(tied)} free parameters, "]
    if material.published:
        fitted = ["Its parameters are "]
    fitted += [*joined([(_symbol(name),) for name in names]), "."]
    for name, value in fit.fixed.items():
        fitted += [" ", _symbol(name), " is fixed at ", f"{value:.6g}."]
    for group_of in fit.tied:
        fitted += [" ", *joined([(_symbol(name),) for name in group_of]), " share one value."]
    for name, (low, high) in fit.bounds.items():
        fitted += [" ", _symbol(name), f" is bounded to [{low:.6g}, {high:.6g}]."]
    for name, item in fit.groups.items():
        by = " and ".join(item.columns)
        fitted += [" ", _symbol(name), f" has a value for each of {len(item.levels)} levels of "]
        fitted += [Code(by), "."]
    source = law.source.rstrip(".")
    return [
        Answer(group, "What is the form of the law?", form),
        Answer(
            group,
            "Which variables does it relate, in which units?",
            ("Its variables are ", *variables, ", in raw counts and units."),
        ),
        Answer(group, "Which parameters are fitted?", tuple(fitted)),
        Answer(
            group,
            "From what is the form derived?",
            (f"The form is that of {source}.",) if source else (),
            ("derivation",),
        ),
    ]


def _training(material: Material) -> list[Answer]:
    fit, group = material.fit, GROUPS[1]
    counted: tuple[str, ...] = tuple(name for name in ("N", "D") if name in fit.law.columns)
    counted += ("C",) if "C" in fit.law.columns or counted == ("N", "D") else ()
    return [
        Answer(
            group, "How many models are trained, of which sizes, on how much data?", _runs(material)
        ),
        Answer(
            group,
            "On which data, and is any of it repeated?",
            _public(material),
            ("data", "repetition"),
        ),
        Answer(group, "How are size, data and compute counted?", _columns(material), counted),
        Answer(
            group,
            "Which architecture and hyperparameters, and how do they change with scale?",
            (),
            ("architecture", "optimizer", "schedule", "hyperparameters"),
        ),
        Answer(group, "Are training code and checkpoints available?", (), ("code", "models")),
    ]


def _runs(material: Material) -> Words:
    """How many runs, and their ranges."""
    fit = material.fit
    found: list[Piece] = [f"The fit uses {fit.nobs} training runs"]
    if material.published:
        found = ["The runs are those of the source"]
    ranges: list[Words] = []
    for name in (*fit.law.columns, *(item for item in ("D/N", "6ND") if item in fit.domain)):
        if name not in fit.domain or not np.isfinite(fit.domain[name]).all():
            continue
        words: list[Piece] = [name, " from ", *ranged(material, name)]
        if material.table is not None and name in fit.law.columns:
            used = material.table.column(name)[material.table.weight > 0]
            words.append(f" ({len(np.unique(used))} distinct values)")
        ranges.append(tuple(words))
    if ranges:
        found += [" with ", *joined(ranges)]
    return (*found, ".")


def _public(material: Material) -> Words:
    known = material.fit.provenance
    if "dataset" not in known:
        return ()
    return (
        "The runs are those of the public table ",
        Code(known["dataset"]),
        f" ({known.get('dataset source', '')}).",
    )


def _columns(material: Material) -> Words:
    """Which column of the table is which quantity."""
    fit = material.fit
    said: list[Words] = []
    for name in fit.law.columns:
        header = fit.provenance.get(f"column {name}")
        if header is None:
            continue
        scale = fit.provenance.get(f"unit of {name}")
        times = f" times {float(scale):g}" if scale else ""
        said.append((f"{name} is the column ", Code(header), times))
    found: list[Piece] = [*joined(said), " of the table."] if said else []
    for note in fit.notes:
        if note.code in ("units", "flops_convention"):
            found += [" " * bool(found), _sentence(note.message)]
    best = material.allocation
    if best is not None:
        found += [" " * bool(found), f"Budgets are counted as {best.cost}, in {best.unit}."]
    return tuple(found)


def _collection(material: Material) -> list[Answer]:
    fit, group = material.fit, GROUPS[2]
    rows: list[Piece] = [] if material.published else ["Each row of the table enters as one run."]
    for note in fit.notes:
        if note.code in OF_CHECKPOINTS:
            rows += [" ", _sentence(note.message)]
    known = fit.provenance
    unit = f", in {fit.loss_unit}" if fit.loss_unit else ", of a unit that is not known"
    header = known.get(f"column {fit.law.response}", fit.law.response)
    metric: Words = ("The response is the column ", Code(header), f" of the table{unit}.")
    if material.published:
        metric = ()
    values: Words = ("scalefit neither averages nor smooths the values.",)
    if "losses read as" in known:
        size = known.get("bytes per token")
        per = f" with {size} bytes per token" if size else ""
        read = known["losses read as"].replace("_", " ")
        values = (f"Losses were converted to {fit.loss_unit} from {read}{per}.", " ", *values)
    return [
        Answer(group, "Which checkpoints of each run are used?", tuple(rows), ("checkpoints",)),
        Answer(group, "Which metric is used, on which data?", metric, ("metric",)),
        Answer(
            group,
            "Are raw values averaged, smoothed or converted?",
            () if material.published else values,
            ("smoothing",),
        ),
    ]


def _fitting(material: Material) -> list[Answer]:
    fit, group = material.fit, GROUPS[3]
    questions = (
        "Which objective is minimised?",
        "Which algorithm fits the law?",
        "What are its settings?",
        "How is it initialised, and is the optimum global?",
        "Are all data points used?",
        "How is the validity of the law judged?",
    )
    if material.published:
        known = f"The values are those of {fit.provenance.get('source', 'a paper')}; "
        first: Words = (known + "nothing was fitted here.",)
        none: Words = ("Not applicable: nothing was fitted here.",)
        return [
            Answer(group, question, none if place else first)
            for place, question in enumerate(questions)
        ]
    known_of = (_objective, _algorithm, _settings, _starts, _points, _validity)
    return [
        Answer(group, question, known(material))
        for question, known in zip(questions, known_of, strict=True)
    ]


def _objective(material: Material) -> Words:
    objective = material.fit.objective
    text, latex = RESIDUALS[objective.residual]
    options: list[Words] = []
    if objective.delta is not None:
        options.append((_symbol("delta"), f" = {objective.delta:g}"))
    if objective.asymmetry is not None:
        options.append((f"runs below the surface counted {objective.asymmetry:g} times",))
    if "column weight" in material.fit.provenance:
        options.append(("the row weights of the table",))
    else:
        options.append(("all weights ", Formula("w", "w"), " one"))
    return (
        "We minimise ",
        Formula(f"sum of {objective.penalty.term}", rf"\sum_i {objective.penalty.latex}"),
        f", the sum over the runs of {objective.penalty.words} of the {objective.residual} "
        "residuals ",
        Formula(f"r = {text}", f"r = {latex}"),
        " of observed ",
        Formula("L", "L"),
        " and fitted ",
        Formula("f", "f"),
        ", with ",
        *joined(options),
        ".",
    )


def _algorithm(material: Material) -> Words:
    diagnostics = material.fit.diagnostics
    where = "on a grid over their whole bounds"
    if diagnostics.search == "scattered":
        where = "at scattered, low-discrepancy points of their whole bounds"
    return (
        "Parameters in which the law is linear are projected out (variable projection, Golub and "
        f"Pereyra 1973). The others are searched {where}, and the best separated points are "
        "polished on the objective itself until its gradient is zero to rounding.",
    )


def _settings(material: Material) -> Words:
    found = material.fit.diagnostics
    cells = found.cells + found.cells_by_squares
    seed = material.fit.provenance.get("seed")
    return (
        f"The search evaluated {cells:,} points and polished {found.starts}. At the optimum the "
        "cosine between residual influence and Jacobian is ",
        _power(found.gradient_cosine),
        ", and a further Newton step would lower the objective by ",
        _power(found.newton_decrement),
        " of its value" + (f" (seed {seed})." if seed else "."),
    )


def _power(value: float) -> Formula:
    """A small number with two digits."""
    text = f"{value:.1e}"
    digits, _, power = text.partition("e")
    return Formula(text, rf"{digits} \times 10^{{{int(power)}}}" if power else "")


def _starts(material: Material) -> Words:
    fit = material.fit
    found = fit.diagnostics
    which = f"all {found.starts}" if found.agreeing == found.starts else f"{found.agreeing}"
    known = (
        f"No initial values are chosen by hand. Of the {found.starts} points that were polished, "
        f"{which} end in the optimum reported here"
    )
    if found.gap is None:
        known += ", and no other minimum was found."
    elif math.isfinite(found.gap):
        known += f"; the next of {len(found.minima)} minima is {percent(found.gap)} higher."
    else:
        known += f"; the other {len(found.minima) - 1} minima are above zero."
    certificate = fit.certificate
    if certificate.closed:
        return (f"{known} A branch-and-bound proof shows the optimum {certificate.known}.",)
    if certificate.attempted:
        return (f"{known} A proof was attempted and not completed: {certificate.known}.",)
    return (f"{known} That the optimum is global was not proved.",)


def _points(material: Material) -> Words:
    fit = material.fit
    idle = 0 if material.table is None else len(material.table) - fit.nobs
    found: list[Piece] = []
    if fit.dropped:
        whole = fit.nobs + idle + len(fit.dropped)
        found = [f"Of {whole} rows {len(fit.dropped)} were left out: "]
        found += left_out(fit)
        found.append(".")
    else:
        found = ["All rows of the table were used."] if not idle else []
    if idle:
        found += [" " * bool(found), f"{idle} rows have weight zero and do not count."]
    return tuple(found)


def _validity(material: Material) -> Words:
    fit = material.fit
    kind = fit.objective.residual
    size = percent(fit.residual_rms) if kind != "raw" else f"{fit.residual_rms:.3g}"
    found: list[Piece] = [
        f"The root mean square of the {fit.nobs} {kind} residuals is {size}, with {fit.df_resid} "
        "residual degrees of freedom."
    ]
    found += _intervals(material)
    for result in material.of_room("validation"):
        said = result.describe(material.level)
        found.append(f" {said.title}: {_sentence(headline_of(said))}")
    if not material.of_room("validation"):
        found.append(" No runs were held out to validate the law in this report.")
    codes = warned(fit.notes)
    found.append(f" The fit carries warnings ({codes})." if codes else "")
    return tuple(found)


def _intervals(material: Material) -> list[Piece]:
    """How intervals were made, and those of the parameters."""
    frame = material.intervals
    if frame is None:
        return [" No intervals of the parameters are given."]
    source = material.draws or material.covariance
    found: list[Piece] = [f" Intervals of {100 * material.level:g} % are "]
    if isinstance(source, Ensemble):
        failed = f", of which {source.failed} failed" if source.failed else ""
        made = "bootstrap refits by" if source.replicates is not None else "draws by"
        found.append(
            f"those of {len(source):,} {made} {source.method} (seed {source.seed}){failed}: "
        )
    elif source is not None:
        found.append(f"by Student's t from the {source.method} covariance: ")
    level = material.level
    said: list[Words] = []
    for name, row in frame.iterrows():
        value, low, high = (float(row[item]) for item in ("value", "low", "high"))
        if all(map(math.isfinite, (value, low, high))):
            said.append((_symbol(str(name)), " = ", Number(value, "number", low, high, level)))
    return [*found, *joined(said), "."]


def _sentence(message: str) -> str:
    """A message as a sentence with its full stop."""
    text = message[:1].upper() + message[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
