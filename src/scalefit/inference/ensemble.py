"""Draws of a law's parameters, and what follows from them.

An :class:`Ensemble` is made from a fit and its table (bootstrap, covariance, posterior) and stands
beside the fit: whatever a fit answers with a number, an ensemble answers with an interval.
"""

from __future__ import annotations

import inspect
import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.arguments import affordable, answered, choice, file_path, instance, shown
from scalefit.arguments import level as checked_level
from scalefit.data import files
from scalefit.data.grouping import Grouping, level_name
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, DataError
from scalefit.frozen import Frozen
from scalefit.laws import Law
from scalefit.notes import Note
from scalefit.objective import Residual
from scalefit.reporting import report
from scalefit.results import archive
from scalefit.results.estimate import AS_DRAWN, Draws, Estimate, Origin, Tails
from scalefit.results.fit import Fit, encoded
from scalefit.results.surface import IntervalKind
from scalefit.runtime.settings import own_settings, quiet

__all__ = [
    "Ensemble",
    "Replicates",
    "RunNoise",
    "called",
    "checked_draws",
]

# Name of the part of a file of draws that is no array.
DOCUMENT = "draws.json"

# Arrays of a number for each point and draw that are held at once.
COPIES = 3

# A function of parameters, in messages; and what one has to be to work on draws.
EXAMPLE = "lambda alpha, beta: beta / (alpha + beta)"
ENTRY_BY_ENTRY = (
    "It is called with arrays, a draw in each place of the first axis: write it with operations "
    "that work entry by entry and change nothing, such as numpy.where(alpha > 0.3, alpha, 0.3)"
)


class Replicates(NamedTuple):
    """How the refit of each replicate went; every array of shape (draws,).

    Attributes:
        objective_value: objective at its optimum.
        newton_decrement: decrease a further Newton step promises, relative to the objective.
        gradient_cosine: largest cosine between the influence of the rows and a Jacobian column.
        global_search: whether the whole box was searched for it, not only around the fit.
        improved: whether it ended in a lower minimum than the fit led to, which that search found,
            or that of another replicate.
    """

    objective_value: np.ndarray
    newton_decrement: np.ndarray
    gradient_cosine: np.ndarray
    global_search: np.ndarray
    improved: np.ndarray


REPLICATES: Mapping[str, type[np.generic]] = Frozen(
    {
        "objective_value": np.float64,
        "newton_decrement": np.float64,
        "gradient_cosine": np.float64,
        "global_search": np.bool_,
        "improved": np.bool_,
    }
)


class RunNoise(NamedTuple):
    """Noise from run to run.

    Attributes:
        values: a sample of it, residuals as the objective defines them, shape (m,).
        source: ``seeds`` or ``residuals``.
        residual: kind of the residual.
    """

    values: np.ndarray
    source: Literal["seeds", "residuals"]
    residual: Residual

    def added(self, loss: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Losses of runs whose expectation is ``loss``, each with noise of its own."""
        noise = rng.choice(self.values, loss.shape)
        if self.residual == "log":
            return loss * np.exp(noise)
        return loss + noise if self.residual == "raw" else loss / (1 - noise)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Draws of a law's parameters.

    Attributes:
        fit: the fit they belong to.
        params: every parameter by name, raw units, one entry for each draw, shape (draws,), failed
            ones included.
        usable: which draws may be used, shape (draws,): the refit of the others did not arrive.
        method: how they were made.
        seed: of the random numbers.
        noise: noise from run to run, for ``kind="run"``.
        replicates: how each refit went; None where the draws are no refits.
        df_resid: residual degrees of freedom of the fit.
        tails: how far out among the draws the ends of an interval lie.
        chains: Markov chains the draws are of, one after the other; 1 where there are none.
        notes: soft problems.
    """

    fit: Fit
    params: Mapping[str, np.ndarray]
    usable: np.ndarray
    method: str
    seed: int
    noise: RunNoise
    replicates: Replicates | None
    df_resid: int
    tails: Tails = AS_DRAWN
    chains: int = 1
    notes: tuple[Note, ...] = ()
    _drawn: Draws = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", Frozen(dict(self.params)))
        used = {name: values[self.usable] for name, values in self.params.items()}
        for values in used.values():
            # A function that is applied to them may not change them.
            values.flags.writeable = False
        origin = Origin(self.method, self.seed, len(self.usable), self.fit.nobs)
        index = np.flatnonzero(self.usable)
        object.__setattr__(self, "_drawn", Draws(used, self.tails, origin, index))

    def __len__(self) -> int:
        return len(self.usable)

    @property
    def failed(self) -> int:
        """Draws that may not be used."""
        return int(np.count_nonzero(~self.usable))

    @property
    def point(self) -> Fit:
        """The fit, which is the point estimate."""
        return self.fit

    @property
    def draw_notes(self) -> tuple[Note, ...]:
        """Soft problems of the draws."""
        return self.notes

    @property
    def drawn(self) -> Draws:
        """Parameters of the usable draws."""
        return self._drawn

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Estimate, standard error and confidence interval of every free parameter.

        Args:
            level: coverage promised; see :meth:`Estimate.interval`.

        Returns:
            A row for each parameter: ``value``, ``se``, ``low``, ``high``, raw units.

        Raises:
            ArgumentError: the level is no number between 0 and 1.
        """
        rows = {}
        for name in self._drawn:
            if name in self.fit.fixed:
                continue
            one = self._drawn.estimate(name, np.asarray(self.fit.params[name]))
            rows[name] = (self.fit.params[name], one.sd, *one.interval(level))
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "se", "low", "high"])

    def apply(self, function: Callable[..., Any]) -> Estimate:
        """Any function of the parameters.

        Args:
            function: takes parameters by name, as ``lambda alpha, beta: beta / (alpha + beta)``, or
                all of them as one mapping, as ``lambda p: p["A[fp8]"]``. It is called twice, with
                numbers and with arrays of shape (draws,).

        Returns:
            The estimate, shape S, with draws of shape (draws, *S), and notes of the fit, of the
            draws and of the function, where it has an attribute ``notes``.

        Raises:
            ArgumentError: the function raises something, asks for something else, gives no number
                for the fit, or does not work on arrays.

        Example:
            >>> import scalefit as sf
            >>> runs = sf.simulate(sf.simulation.isoflop_design())
            >>> draws = sf.bootstrap(sf.fit(runs), runs, n=200)
            >>> draws.apply(lambda alpha, beta: beta / (alpha + beta))
            0.443... (95 %: 0.43... to 0.45...)
        """
        with own_settings(), quiet():
            value = _returned(function, called(function, self.fit.params))
            if value.size and np.isnan(value).all():
                raise _no_number(function, value[()])
            drawn = _returned(function, called(function, self._drawn, remedy=ENTRY_BY_ENTRY))
        count = len(self) - self.failed
        if drawn.shape != (count, *value.shape):
            raise ArgumentError(
                f"function={shown(function)} gives shape {value.shape} for the fit and "
                f"{drawn.shape} for arrays of {count} draws",
                argument="function",
                value=function,
                remedy=ENTRY_BY_ENTRY,
            )
        own = tuple(getattr(function, "notes", ()))
        return Estimate(value[()], drawn, self.tails, (*own, *self.carried))

    @property
    def carried(self) -> tuple[Note, ...]:
        """What answers of these draws carry of them and of their fit."""
        return (*self.fit.carried, *self.notes)

    def predict(
        self,
        runs: LossTable | pd.DataFrame | None = None,
        *,
        kind: IntervalKind = "mean",
        **columns: Any,
    ) -> Estimate:
        """Predicted loss with its uncertainty.

        Neither kind of interval holds a wrong form of the law: outside the runs, both are too
        narrow by what the law has wrong there.

        Args:
            runs: as for :meth:`Fit.predict`.
            kind: ``mean`` for the surface; ``run`` for a new run, with noise from run to run.
            **columns: as for :meth:`Fit.predict`.

        Returns:
            The fit's prediction, shape S, with draws of shape (draws, *S). Its notes say how far
            outside the runs it lies, and of ``run`` what the intervals hold.

        Raises:
            ArgumentError: as for :meth:`Fit.predict`; the kind is unknown; or so many points do not
                fit into memory under every draw.
            DataError: as for :meth:`Fit.predict`.
        """
        choice(kind, "kind", get_args(IntervalKind))
        used, codes = self.fit.columns_of(runs, columns)
        count = len(self) - self.failed
        shapes = [np.shape(item) for item in (*used.values(), *codes.values())]
        points = math.prod(np.broadcast_shapes(*shapes))
        remedy = f"These are points, each under {count} draws: predict fewer of them at once"
        affordable(points, self.fit.law.columns[0], 8 * COPIES * count, remedy=remedy)
        value = self.fit.value_of(used, codes)
        far = self.fit.extrapolation(used)
        notes = (*far, *(_form_note(bool(far)) if kind == "run" else ()), *self.carried)
        drawn = self.fit.law.evaluate(used, self._by_row(np.ndim(value), codes))
        drawn = np.broadcast_to(drawn, (count, *value.shape))
        if kind == "mean":
            return Estimate(value[()], drawn, self.tails, notes)
        # Of the noise there are as many runs as there are: few clusters make the surface less
        # certain, not the noise around it.
        noisy = AS_DRAWN if self.tails == AS_DRAWN else Tails(self.df_resid)
        drawn = value + self.tails.quantile(0.95) / noisy.quantile(0.95) * (drawn - value)
        drawn = self.noise.added(drawn, np.random.default_rng(self.seed))
        return Estimate(value[()], drawn, noisy, notes)

    def estimate_loss(
        self,
        runs: LossTable | pd.DataFrame | None = None,
        *,
        kind: IntervalKind = "mean",
        **columns: Any,
    ) -> Estimate:
        """The same as :meth:`predict`, by the name that a fit has for it too."""
        return self.predict(runs, kind=kind, **columns)

    def _by_row(self, depth: int, codes: Mapping[Grouping, np.ndarray]) -> dict[str, np.ndarray]:
        """Parameters of every draw against rows of ``depth`` axes."""
        found = {}
        for name in self.fit.law.names:
            if name in self.fit.groups:
                grouping = self.fit.groups[name]
                values = np.stack(
                    [self._drawn[level_name(name, level)] for level in grouping.levels], axis=-1
                )
                level = codes[grouping]
                rows = np.where(level < 0, np.nan, values[:, level])
                found[name] = rows.reshape(len(rows), *(1,) * (depth - level.ndim), *level.shape)
            else:
                found[name] = self._drawn[name].reshape(-1, *(1,) * depth)
        return found

    def at(self, **levels: Any) -> Ensemble:
        """The draws as they stand for one level of each grouping: see :meth:`Fit.at`."""
        fit = self.fit.at(**levels)
        chosen = self.fit.level_names(**levels)
        params = {name: self.params[chosen.get(name, name)] for name in fit.law.names}
        return replace(self, fit=fit, params=params)

    def one_surface(self) -> Self:
        """The ensemble itself, if it is of one surface: see :meth:`Fit.one_surface`."""
        self.fit.one_surface()
        return self

    def to_frame(self) -> pd.DataFrame:
        """A row for each draw: its parameters, whether usable, and how its refit went."""
        frame = pd.DataFrame(dict(self.params)).assign(usable=self.usable)
        return frame if self.replicates is None else frame.assign(**self.replicates._asdict())

    def summary(self, level: float = 0.95) -> str:
        """The full report as text, with intervals of a level as :meth:`conf_int` takes it."""
        return report.ensemble_text(self, checked_level(level))

    def __repr__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"<Ensemble {self.fit.law.name}: {len(self)} draws by {self.method}{failed}>"

    def _repr_html_(self) -> str:
        return report.ensemble_html(self)

    def save(self, path: str | Path) -> None:
        """Write the draws, with their fit, to one file of exactly this name.

        It appears when it is complete, and replaces an older one of draws only. ``numpy.load``
        reads the arrays in it.

        Args:
            path: of the file, as ``"draws.npz"``.

        Raises:
            ArgumentError: the path is none, or no file can be written there, or one that holds
                something else than draws is there already.
        """
        place = file_path(path, "path", remedy="Pass the name of a file, as save('draws.npz')")
        try:
            exists = files.require_place(place)
            if exists and not archive.holds(place, DOCUMENT):
                raise FileExistsError("what is there already is no file of draws")
            parts = self._parts()
            files.write_whole(place, partial(archive.write_parts, parts=parts), overwrite=exists)
        except OSError as error:
            raise ArgumentError(
                f"the draws cannot be written to path={files.named(place)} ({files.reason(error)})",
                argument="path",
                value=path,
                remedy="Choose another name, in a folder that exists",
            ) from error

    def _parts(self) -> dict[str, bytes]:
        """What a file of draws holds, by name."""
        document = {
            "schema": 4,
            "fit": json.loads(self.fit.to_json()),
            "parameters": list(self.params),
            "draws": len(self),
            "replicates": self.replicates is not None,
            **{name: getattr(self, name) for name in ("method", "seed", "df_resid", "chains")},
            "tails": self.tails._asdict(),
            "noise": {
                "source": self.noise.source,
                "residual": self.noise.residual,
                "runs": len(self.noise.values),
            },
            "notes": [note.to_document() for note in self.notes],
        }
        arrays = {
            "params": np.array(list(self.params.values()), dtype=np.float64),
            "usable": np.asarray(self.usable, dtype=np.bool_),
            "noise": np.asarray(self.noise.values, dtype=np.float64),
        }
        if self.replicates is not None:
            went = self.replicates._asdict()
            arrays |= {
                f"replicates_{name}": np.asarray(went[name], dtype=kind)
                for name, kind in REPLICATES.items()
            }
        return {
            DOCUMENT: json.dumps(encoded(document), indent=1, allow_nan=False).encode(),
            **{f"{name}.npy": archive.array_part(item) for name, item in arrays.items()},
        }

    @classmethod
    def load(cls, path: str | Path, law: Law | None = None) -> Ensemble:
        """Read what :meth:`save` wrote.

        Args:
            path: as given to ``save``.
            law: the law, unless it is built in.

        Raises:
            ArgumentError: the path is none, or there is no file that can be opened.
            DocumentError: it is no file of draws, not all of one, of another schema, or a field
                holds what no draws hold.
            LawError: the law is not built in, and not given.
        """
        # Imported here: it takes as long as a fit.
        from scalefit.results import schema as documents

        place = file_path(path, "path", remedy="Pass the name that save was given")
        try:
            parts = archive.read_parts(place, DOCUMENT)
        except OSError as error:
            raise ArgumentError(
                f"no draws can be read from path={files.named(place)} ({files.reason(error)})",
                argument="path",
                value=path,
                remedy="Give the name that save was given, with its suffix",
            ) from error
        kind, schema = documents.EnsembleDocument, documents.ENSEMBLE_SCHEMA
        found = documents.parsed(parts[DOCUMENT], kind, "draws", schema)
        fit = Fit.from_document(found.fit, law, within=("fit",))
        documents.agree_draws(found)
        count = found.draws
        params = archive.array_in(parts, "params.npy", (len(found.parameters), count), np.float64)
        usable = archive.array_in(parts, "usable.npy", (count,), np.bool_)
        noise = archive.array_in(parts, "noise.npy", (found.noise.runs,), np.float64)
        for name, numbers in (("params.npy", params[:, usable]), ("noise.npy", noise)):
            if not np.isfinite(numbers).all():
                raise archive.bad_array(name, "NaN or infinite", "finite where it is used")
        went = {
            name: archive.array_in(parts, f"replicates_{name}.npy", (count,), kind)
            for name, kind in REPLICATES.items()
            if found.replicates
        }
        return cls(
            fit=fit,
            params=dict(zip(found.parameters, params, strict=True)),
            usable=usable,
            noise=RunNoise(noise, found.noise.source, found.noise.residual),
            replicates=Replicates(**went) if went else None,
            tails=Tails(**found.tails.model_dump()),
            notes=tuple(Note(**item.model_dump()) for item in found.notes),
            **{name: getattr(found, name) for name in ("method", "seed", "df_resid", "chains")},
        )

    def to_arviz(self) -> Any:
        """The usable draws for ArviZ, as one chain, or as the chains of a posterior.

        Returns:
            What ``arviz.from_dict`` makes of them.

        Raises:
            DataError: ArviZ is not installed.
        """
        try:
            with warnings.catch_warnings():
                # Its last versions before 1.0 announce that version on import.
                warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing", FutureWarning)
                import arviz  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError as error:
            raise DataError(
                "ArviZ is not installed", remedy="Install it: pip install 'scalefit[bayes]'"
            ) from error
        chains = {name: values.reshape(self.chains, -1) for name, values in self._drawn.items()}
        # Before 1.0 groups are arguments.
        if "posterior" in inspect.signature(arviz.from_dict).parameters:
            return arviz.from_dict(posterior=chains)
        return arviz.from_dict({"posterior": chains})


def checked_draws(draws: Any, argument: str = "draws") -> Ensemble:
    """The ensemble itself.

    Raises:
        ArgumentError: it is something else.
    """
    remedy = f"Pass draws, as {argument}=scalefit.bootstrap(fit, runs)"
    return instance(draws, argument, Ensemble, wanted="an ensemble of draws", remedy=remedy)


def _returned(function: Callable[..., Any], found: Any) -> np.ndarray:
    """What a function of parameters returned, as numbers."""
    try:
        return arguments.numbers(found, "", infinite=True, missing=True, remedy="")
    except ArgumentError:
        raise _no_number(function, found) from None


def _no_number(function: Callable[..., Any], found: Any) -> ArgumentError:
    return ArgumentError(
        f"function={shown(function)} returns {shown(found)}, which is no number",
        argument="function",
        value=function,
        remedy=f"Return a number, or an array of them, as function={EXAMPLE}",
    )


def _form_note(beyond: bool) -> tuple[Note, ...]:
    """What an interval of a new run holds, inside the runs of the fit and beyond them."""
    holds = "it holds noise and misfit as they are inside the runs, not a wrong form of the law"
    said = (
        f"outside the runs the interval of a new run promises too much: {holds}. Fit without the "
        "largest runs and predict them, to see how much"
        if beyond
        else f"of the interval of a new run: {holds}"
    )
    return (Note.of("form_not_covered", said, severity="warning" if beyond else "info"),)


def called(
    function: Callable[..., Any], params: Mapping[str, Any], *, remedy: str = "", name: str = ""
) -> Any:
    """Value of a function of parameters by name, or of their mapping.

    Args:
        function: the function.
        params: parameters by name.
        remedy: what to write instead, where it raises something.
        name: of the argument that it was passed as; ``function`` by default.

    Raises:
        ArgumentError: it is no function, asks for something else, or raises something.
    """
    name = name or "function"
    example = f"as {name}={EXAMPLE}"
    arguments.function(function, name, remedy=f"Pass a function of parameters, {example}")
    remedy = remedy or f"Write a function of parameters, {example}"
    try:
        asked = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return answered(function, name, params, remedy=remedy)
    names = list(asked)
    if len(names) == 1 and names[0] not in params:
        if asked[names[0]].kind is inspect.Parameter.VAR_KEYWORD:
            return answered(function, name, remedy=remedy, **params)
        return answered(function, name, params, remedy=remedy)
    unknown = [
        item
        for item in names
        if item not in params
        and asked[item].default is inspect.Parameter.empty
        and asked[item].kind is not inspect.Parameter.VAR_KEYWORD
    ]
    if unknown:
        raise ArgumentError(
            f"{name}={shown(function)} asks for {unknown[0]!r}, which is no parameter of the law",
            argument=name,
            value=function,
            remedy=f"Parameters: {', '.join(params)}",
        )
    own = {item: params[item] for item in names if item in params}
    return answered(function, name, remedy=remedy, **own)
