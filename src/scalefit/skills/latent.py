"""fit_skills(): latent skills of model families, from their benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, DataError, listed
from scalefit.frozen import Frozen
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent
from scalefit.results.remembered_columns import table_again
from scalefit.runtime.progress import with_progress
from scalefit.skills.rotation import identified
from scalefit.skills.scores import Scores, as_labels, checked_floors, read_scores
from scalefit.skills.solver import Product, Solved, sigmoid, solve

__all__ = ["INPUTS", "Skills", "fit_skills", "fitted_skills", "inputs_of", "read_options"]

# What skills grow with.
INPUTS = ("ln N", "ln D", "ln N ln D")

# Starts agree that end within this of the best, relative.
AGREE = 1e-3
# A skill whose loadings are all smaller than this is one that nothing needs.
UNUSED = 0.02

COUNT = "Pass a number of skills, as skills=3"


@dataclass(frozen=True, eq=False, repr=False)
class Skills(Described):
    """Latent skills of model families, and what benchmarks make of them.

    A model of family f with inputs x = (ln N, ln D, ln N ln D), standardised, has the skills
    a_f + B x, and the score c_j + (1 - c_j) sigma(b_j + L_j . skills) on benchmark j. Skills are
    identified up to what :func:`fit_skills` says.

    Attributes:
        responses: headers of the benchmarks.
        loadings: L, a row for each benchmark and a column for each skill.
        intercepts: b, by benchmark.
        floors: c, by benchmark.
        families: a, a row for each family.
        slopes: B, a row for each of ``ln N``, ``ln D`` and ``ln N ln D``, for one standard
            deviation of it.
        models: skills of the models of the table, by their labels.
        scale: mean and standard deviation of the inputs, a row for each.
        objective_value: the sum of Huber losses over delta, with the penalty.
        mean_abs_error: mean absolute residual of all scores.
        starts: the objective at the end of every start.
        nobs: number of scores.
        penalty: weight of half the squares of L, a and B.
        delta: where the Huber loss turns linear.
        seed: of the starts.
        family: header of the column of families.
        provenance: headers and units of the columns.
        notes: soft problems.
    """

    responses: tuple[str, ...]
    loadings: pd.DataFrame
    intercepts: pd.Series
    floors: pd.Series
    families: pd.DataFrame
    slopes: pd.DataFrame
    models: pd.DataFrame
    scale: pd.DataFrame
    objective_value: float
    mean_abs_error: float
    starts: tuple[float, ...]
    nobs: int
    penalty: float
    delta: float
    seed: int
    family: str
    provenance: Mapping[str, str]
    notes: tuple[Note, ...] = ()

    def skills(self, runs: Any = None, **columns: Any) -> pd.DataFrame:
        """Skills of models, a row for each.

        Args:
            runs: a table with N, D and the families; or leave it out and give them.
            **columns: N, D and the column of families, as ``N=7e9, D=2e12, family="llama"``; or
                headers of the table.

        Raises:
            ArgumentError: one is missing, or makes no sense.
            DataError: a family was not fitted, or a column is missing.
        """
        family, x = self._models(runs, columns)
        place = self.families.index.get_indexer(pd.Index(family))
        if (place < 0).any():
            unknown = family[int(np.argmax(place < 0))]
            raise DataError(
                f"no model of the family {unknown!r} was fitted, and skills are of families",
                column=self.family,
                remedy=f"Fit with one of its models. Families: {listed(list(self.families.index))}",
            )
        z = (x - self.scale["mean"].to_numpy()) / self.scale["sd"].to_numpy()
        found = self.families.to_numpy()[place] + z @ self.slopes.to_numpy()
        return pd.DataFrame(found, columns=self.families.columns)

    def predict(self, runs: Any = None, **columns: Any) -> np.ndarray:
        """Scores of models on all benchmarks, shape (models, benchmarks).

        Args:
            runs: as for :meth:`skills`.
            **columns: as for :meth:`skills`.

        Raises:
            ArgumentError: as for :meth:`skills`.
            DataError: as for :meth:`skills`.
        """
        latent = self.skills(runs, **columns).to_numpy()
        floors = self.floors.to_numpy()
        inner = self.intercepts.to_numpy() + latent @ self.loadings.to_numpy().T
        return np.asarray(floors + (1 - floors) * sigmoid(inner))

    def _models(self, runs: Any, columns: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Family and inputs of each model."""
        if runs is not None:
            table = table_again(self.provenance, runs, columns, ("N", "D"))
            return as_labels(table.labels(self.family)), inputs_of(
                table.column("N"), table.column("D")
            )
        wanted = ("N", "D", self.family)
        call = f"Pass predict(N=7e9, D=2e12, **{{{self.family!r}: {self.families.index[0]!r}}})"
        for name in (*columns, *wanted):
            if name not in wanted or name not in columns:
                raise ArgumentError(
                    f"skills are predicted from {listed(list(wanted))}, not from "
                    f"{listed(list(columns)) if columns else 'nothing'}",
                    argument=name,
                    value=columns.get(name),
                    remedy=call,
                )
        N, D = (arguments.numbers(columns[name], name, above=0, remedy=call) for name in ("N", "D"))
        given = {"N": N, "D": D, self.family: np.array(columns[self.family], dtype=object)}
        arguments.broadcast_shape(given, remedy=call)
        N, D, family = (np.ravel(item) for item in np.broadcast_arrays(*given.values()))
        return as_labels(family), inputs_of(N, D)

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each benchmark: intercept, floor, loadings.

        Args:
            level: there are no intervals.
        """
        return self.loadings.assign(intercept=self.intercepts, floor=self.floors)

    def describe(self, level: float = 0.95) -> Description:
        """How well scores are met, what benchmarks load on, and what families have."""
        best = min(self.starts)
        same = sum(value <= best * (1 + AGREE) for value in self.starts)
        names = list(self.loadings)

        def table(title: str, first: str, frame: pd.DataFrame) -> Table:
            rows = Column(first, [str(item) for item in frame.index], "text")
            return Table([rows, *(Column(str(name), frame[name]) for name in frame)], title)

        return Description(
            f"{len(names)} latent skills of {len(self.families)} families",
            f"Meets {self.nobs} scores of {len(self.models)} models to "
            f"{percent(self.mean_abs_error)} (mean absolute error). Next: "
            "scalefit.skills.leave_families_out for how well it predicts larger models.",
            "y = c + (1 - c) sigma(b + L (a + B x)), x = (ln N, ln D, ln N ln D)",
            r"y = c + (1 - c)\, \sigma\left(b + \Lambda (a + B x)\right)",
            facts={
                "objective": f"{self.objective_value:.6g} = sum of Huber losses over delta = "
                f"{self.delta:g}, and {self.penalty:g} times half the squares of L, a and B",
                "starts": f"{same} of {len(self.starts)} end within {AGREE:g} of the best",
                "families": f"{self.family}, {len(self.families)} of them",
            },
            tables=[
                table("Loadings of the benchmarks", "benchmark", self.to_frame()),
                table("Skills for one standard deviation of an input", "input", self.slopes),
                table("Families", "family", self.families),
            ],
            notes=self.notes,
        )

    def __repr__(self) -> str:
        d, count = self.loadings.shape[1], len(self.responses)
        return f"<Skills: {d} skills, {count} benchmarks, {len(self.families)} families>"


@with_progress
def fit_skills(
    runs: Any,
    responses: Sequence[str] | None = None,
    *,
    family: str = "family",
    skills: int = 3,
    floors: Mapping[str, float] | None = None,
    penalty: float = 0.3,
    delta: float = 0.05,
    starts: int = 4,
    seed: int = 0,
    progress: bool = True,
    **columns: Any,
) -> Skills:
    """Latent skills that explain the scores of models on many benchmarks.

    Families differ in how much of each skill they have; parameters and tokens add to it alike in
    all of them, y_j = c_j + (1 - c_j) sigma(b_j + L_j . (a_f + B x)) with x = (ln N, ln D,
    ln N ln D). One model of a family is enough to place it.

    Skills are known up to an invertible matrix: reported are those that are uncorrelated with unit
    variance over the models of the table, rotated by varimax. The law does not separate, so that
    the search is local, from several starts; the result says how many of them agree.

    Args:
        runs: a row for each model, with N, D, its family and its scores, 0 to 1; empty scores are
            left out. Or the table that :func:`scalefit.read` made of it with ``responses``.
        responses: headers of the benchmarks.
        family: header of the column of families. Base and instruction-tuned models are two.
        skills: number of latent skills, at most; those that the penalty takes away are noted.
        floors: scores of guessing, by benchmark; zero of the others.
        penalty: weight of half the sum of squares of L, a and B, for standardised inputs. It draws
            families together that are known by one model. 0: none.
        delta: where the Huber loss of a score turns linear.
        starts: number of starts.
        seed: of the starts but the first.
        progress: whether a line shows what is going on once it takes more than a second.
        **columns: headers and units of N and D, as ``N=("#Params (B)", 1e9)``, and ``keep`` and
            ``missing``, as for :func:`scalefit.read`.

    Returns:
        Loadings, families, slopes; ``predict``.

    Raises:
        ArgumentError: an option makes no sense.
        DataError: the table is malformed, a score is no share, or there are too few benchmarks.

    Source:
        Maia Polo et al. 2024, arXiv 2412.06540 (Sloth): the formula with sigmoid and fixed floors,
        and Huber losses of scores, as in its code, which has no penalty and delta = 0.01.
    """
    options = read_options(skills, penalty, delta, starts, seed)
    scores = read_scores(runs, responses, columns)
    arguments.text(family, "family", remedy="Name the column of families, as family='Family'")
    return fitted_skills(scores, family, checked_floors(floors, scores.responses), options)


class Options(NamedTuple):
    """Checked options of a fit of skills."""

    skills: int
    penalty: float
    delta: float
    starts: int
    seed: int


def read_options(skills: Any, penalty: Any, delta: Any, starts: Any, seed: Any) -> Options:
    """The options, checked.

    Raises:
        ArgumentError: one makes no sense.
    """
    return Options(
        arguments.whole(skills, "skills", least=1, remedy=COUNT),
        arguments.number(penalty, "penalty", least=0, remedy="Pass a weight, as penalty=0.3"),
        arguments.number(delta, "delta", above=0, remedy="Pass a score, as delta=0.05"),
        arguments.whole(starts, "starts", least=1, remedy="Pass a number of starts, as starts=4"),
        arguments.seed(seed),
    )


def inputs_of(N: np.ndarray, D: np.ndarray) -> np.ndarray:
    """Ln N, ln D and their product, shape (models, 3)."""
    size, tokens = np.log(N), np.log(D)
    return np.stack([size, tokens, size * tokens], axis=1)


def fitted_skills(
    scores: Scores,
    family: str,
    floors: np.ndarray,
    options: Options,
    used: np.ndarray | None = None,
) -> Skills:
    """Skills of some of the models.

    Args:
        scores: all models.
        family: header of the column of families.
        floors: of each benchmark.
        options: of the fit.
        used: which models are fitted; all by default.

    Raises:
        DataError: there are fewer benchmarks than skills, one model alone, or N, D or the families
            are missing.
    """
    if options.skills > len(scores.responses):
        raise DataError(
            f"{options.skills} skills are more than the {len(scores.responses)} benchmarks",
            column=scores.responses[0],
            remedy=f"Pass skills={len(scores.responses)} or fewer",
        )
    used = np.ones(len(scores.rows), dtype=bool) if used is None else used
    scores.table.require(["N", "D"])
    labels = scores.labels(family)[used]
    x = inputs_of(scores.column("N"), scores.column("D"))[used]
    mean, sd = x.mean(axis=0), x.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    names, code = np.unique(labels.astype(str), return_inverse=True)
    if len(x) < 2:
        raise DataError(
            "skills are known by how models differ, and there is one model only",
            column=family,
            remedy="Pass two models or more",
        )
    design = np.column_stack([np.eye(len(names))[code], (x - mean) / sd])
    values = scores.values[used]
    problem = Product(values, design, floors, options.skills, options.penalty, options.delta)
    found = solve(problem, options.starts, options.seed)
    latent = design @ found.turned
    turn = identified(latent, found.loadings)
    loadings = found.loadings @ np.linalg.inv(turn).T
    # Skills have mean zero over the models: what they had goes to the intercepts.
    shift = (latent @ turn).mean(axis=0)
    headers = [f"skill {k + 1}" for k in range(options.skills)]
    several, inputs = pd.Index(scores.responses, name="benchmark"), pd.Index(INPUTS, name="input")
    turned = found.turned @ turn
    predicted = floors + (1 - floors) * sigmoid(found.intercepts + latent @ found.loadings.T)
    notes = [*_notes(found, loadings), *_floor_notes(scores, floors, values)]
    return Skills(
        responses=scores.responses,
        loadings=pd.DataFrame(loadings, several, headers),
        intercepts=pd.Series(found.intercepts + loadings @ shift, several),
        floors=pd.Series(floors, several),
        families=pd.DataFrame(turned[: len(names)] - shift, pd.Index(names, name=family), headers),
        slopes=pd.DataFrame(turned[len(names) :], inputs, headers),
        models=pd.DataFrame(
            latent @ turn - shift, pd.Index(np.array(scores.rows)[used], name="model"), headers
        ),
        scale=pd.DataFrame({"mean": mean, "sd": sd}, inputs),
        objective_value=found.value,
        mean_abs_error=float(np.nanmean(np.abs(values - predicted))),
        starts=found.values,
        nobs=int(np.isfinite(values).sum()),
        penalty=options.penalty,
        delta=options.delta,
        seed=options.seed,
        family=family,
        provenance=_provenance(scores.table),
        notes=(*scores.table.notes, *notes),
    )


def _provenance(table: LossTable) -> Frozen[str, str]:
    """Headers and units of the columns, as a fit remembers them."""
    headers = {f"column {name}": str(header) for name, header in table.sources.items()}
    units = {f"unit of {name}": repr(scale) for name, scale in table.scales.items()}
    return Frozen({**table.provenance, **headers, **units})


def _floor_notes(scores: Scores, floors: np.ndarray, values: np.ndarray) -> list[Note]:
    """A note on floors that most scores of their benchmark are below: no score is predicted so."""
    below, there = np.sum(values < floors, axis=0), np.sum(np.isfinite(values), axis=0)
    wrong = [name for name, many in zip(scores.responses, 2 * below > there, strict=True) if many]
    if not wrong:
        return []
    return [
        Note.of(
            "floors_above_scores",
            f"most scores of {listed(wrong)} are below its score of guessing, and no model is "
            "predicted there. Lower it in floors",
            {"benchmarks": wrong},
        )
    ]


def _notes(found: Solved, loadings: np.ndarray) -> list[Note]:
    """Notes on the search, and on skills that nothing needs."""
    notes = []
    same = sum(value <= found.value * (1 + AGREE) for value in found.values)
    if not found.settled:
        notes.append(
            Note.of(
                "skills_unsettled",
                "the best start was still going down when it ended: some parameters are hardly "
                "determined. Raise the penalty, as penalty=1",
                {"values": list(found.values)},
            )
        )
    if same == 1 < len(found.values):
        notes.append(
            Note.of(
                "skills_starts_differ",
                f"only one of {len(found.values)} starts ended at the least objective: there may "
                "be lower ones. Try more starts, as starts=16, or fewer skills",
                {"values": list(found.values)},
            )
        )
    idle = int(np.sum(np.abs(loadings).max(axis=0) < UNUSED))
    if idle:
        notes.append(
            Note.of(
                "skills_unused",
                f"{idle} of {loadings.shape[1]} skills have no loading of {UNUSED:g} or more: "
                f"skills={max(1, loadings.shape[1] - idle)} says the same",
                {"unused": idle},
            )
        )
    return notes
