"""Draws of a law's parameters, and what follows from them.

An :class:`Ensemble` is made from a fit and its table (bootstrap, covariance, posterior) and stands
beside the fit: whatever a fit answers with a number, an ensemble answers with an interval.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd

from scalefit import report
from scalefit.errors import DataError, Note
from scalefit.groups import Grouping, spelled
from scalefit.laws import Law
from scalefit.objective import Residual
from scalefit.result import Fit
from scalefit.scope import own_settings, quiet
from scalefit.table import LossTable
from scalefit.uncertainty.estimate import AS_DRAWN, Draws, Estimate, Tails

__all__ = ["Ensemble", "IntervalKind", "Replicates", "RunNoise"]

SCHEMA = 2

IntervalKind = Literal["mean", "run"]
"""Of the surface, or of a new run, which adds the noise from run to run."""


class Replicates(NamedTuple):
    """How the refit of each replicate went; every array of shape (draws,).

    Attributes:
        value: objective at its optimum.
        promise: decrease a further Newton step promises, relative to the objective.
        gradient: largest cosine between the influence of the rows and a Jacobian column.
        searched: whether the whole box was searched for it, not only the surroundings of the fit.
        gained: whether it ended in a lower minimum than the fit led to, which that search found, or
            that of another replicate.
    """

    value: np.ndarray
    promise: np.ndarray
    gradient: np.ndarray
    searched: np.ndarray
    gained: np.ndarray


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
        freedom: residual degrees of freedom of the fit.
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
    freedom: int
    tails: Tails = AS_DRAWN
    chains: int = 1
    notes: tuple[Note, ...] = ()
    _drawn: Draws = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))
        used = {name: values[self.usable] for name, values in self.params.items()}
        object.__setattr__(self, "_drawn", Draws(used, self.tails))

    def __len__(self) -> int:
        return len(self.usable)

    @property
    def failed(self) -> int:
        """Draws that may not be used."""
        return int(np.count_nonzero(~self.usable))

    @property
    def drawn(self) -> Draws:
        """Parameters of the usable draws."""
        return self._drawn

    def interval(self, level: float = 0.95) -> pd.DataFrame:
        """Estimate, standard deviation and interval of every free parameter.

        Args:
            level: coverage promised; see :meth:`Estimate.interval`.

        Returns:
            A row for each parameter: ``value``, ``sd``, ``low``, ``high``, raw units.

        Raises:
            DataError: the level is no number between 0 and 1.
        """
        rows = {}
        for name in self._drawn:
            if name in self.fit.fixed:
                continue
            one = self._drawn.estimate(name, np.asarray(self.fit.params[name]))
            rows[name] = (self.fit.params[name], one.sd, *one.interval(level))
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "sd", "low", "high"])

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
            DataError: the function asks for something else, or does not work on arrays.

        Example:
            >>> import scalefit as sf
            >>> runs = sf.simulate(sf.isoflop_design())
            >>> draws = sf.bootstrap(sf.fit(runs), runs, n=200)
            >>> draws.apply(lambda alpha, beta: beta / (alpha + beta))
            0.443... (95 %: 0.43... to 0.45...)
        """
        with own_settings(), quiet():
            value = np.asarray(called(function, self.fit.params), dtype=np.float64)
            drawn = np.asarray(called(function, self._drawn), dtype=np.float64)
        count = len(self) - self.failed
        if drawn.ndim == 0 or drawn.shape[0] != count:
            raise DataError(
                f"the function returns shape {drawn.shape} for arrays of {count} draws",
                remedy="Write it with operations that work entry by entry, such as np.log, and "
                "keep the draws in the first axis",
            )
        own = tuple(getattr(function, "notes", ()))
        return Estimate(value[()], drawn, self.tails, (*own, *self._carried))

    @property
    def _carried(self) -> tuple[Note, ...]:
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
            DataError: as for :meth:`Fit.predict`, or the kind is unknown.
        """
        if kind not in ("mean", "run"):
            raise DataError(
                f"kind={kind!r} is not one of 'mean', 'run'",
                remedy="'mean' is the uncertainty of the surface, 'run' that of a new run",
            )
        used, codes = self.fit.columns_of(runs, columns)
        value = self.fit.value_of(used, codes)
        far = self.fit.extrapolation(used)
        notes = (*far, *(_form_note(bool(far)) if kind == "run" else ()), *self._carried)
        drawn = self.fit.law.evaluate(used, self._by_row(np.ndim(value), codes))
        drawn = np.broadcast_to(drawn, (len(self) - self.failed, *value.shape))
        if kind == "mean":
            return Estimate(value[()], drawn, self.tails, notes)
        # Of the noise there are as many runs as there are: few clusters make the surface less
        # certain, not the noise around it.
        noisy = AS_DRAWN if self.tails == AS_DRAWN else Tails(self.freedom)
        drawn = value + self.tails.reach(0.95) / noisy.reach(0.95) * (drawn - value)
        drawn = self.noise.added(drawn, np.random.default_rng(self.seed))
        return Estimate(value[()], drawn, noisy, notes)

    def _by_row(self, depth: int, codes: Mapping[Grouping, np.ndarray]) -> dict[str, np.ndarray]:
        """Parameters of every draw against rows of ``depth`` axes."""
        found = {}
        for name in self.fit.law.names:
            if name in self.fit.groups:
                grouping = self.fit.groups[name]
                values = np.stack(
                    [self._drawn[spelled(name, level)] for level in grouping.levels], axis=-1
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
        chosen = self.fit.spelling(**levels)
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
        """The full report as text."""
        return report.ensemble_text(self, level)

    def __repr__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"<Ensemble {self.fit.law.name}: {len(self)} draws by {self.method}{failed}>"

    def _repr_html_(self) -> str:
        return report.ensemble_html(self)

    def save(self, path: str | Path) -> None:
        """Write ``path`` with the suffixes ``.json`` (the fit and what is said) and ``.npz``.

        Raises:
            DataError: the folder does not exist or cannot be written.
        """
        base = Path(path)
        document = {
            "schema": SCHEMA,
            "fit": json.loads(self.fit.to_json()),
            "method": self.method,
            "seed": self.seed,
            "freedom": self.freedom,
            "chains": self.chains,
            "tails": self.tails.to_document(),
            "noise": {"source": self.noise.source, "residual": self.noise.residual},
            "notes": [note.to_document() for note in self.notes],
        }
        arrays = {f"param {name}": values for name, values in self.params.items()}
        if self.replicates is not None:
            arrays |= {f"replicate {k}": v for k, v in self.replicates._asdict().items()}
        try:
            base.with_suffix(".json").write_text(json.dumps(document, indent=1))
            np.savez_compressed(
                base.with_suffix(".npz"),
                usable=self.usable,
                noise=self.noise.values,
                **arrays,  # type: ignore[arg-type]  # names are never those of its own options
            )
        except OSError as error:
            raise DataError(
                f"the draws cannot be written to {str(base)!r} ({error})",
                remedy="Choose an existing folder: two files are written, .json and .npz",
            ) from error

    @classmethod
    def load(cls, path: str | Path, law: Law | None = None) -> Ensemble:
        """Read what :meth:`save` wrote.

        Args:
            path: as given to ``save``.
            law: the law, unless it is built in.

        Raises:
            DataError: a file is missing or is of another schema.
            LawError: the law is not built in, and not given.
        """
        base = Path(path)
        try:
            document = json.loads(base.with_suffix(".json").read_text())
            with np.load(base.with_suffix(".npz"), allow_pickle=False) as stored:
                arrays = dict(stored)
        except (OSError, ValueError) as error:
            raise DataError(
                f"no draws can be read from {str(base)!r} ({error})",
                remedy="Give the path that save was given: both .json and .npz are needed",
            ) from error
        if document.get("schema") != SCHEMA:
            raise DataError(
                f"{str(base)!r} is of schema {document.get('schema')}, not {SCHEMA}",
                remedy="Make the draws again, or read them with the version that wrote them",
            )

        def named(prefix: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(prefix): values
                for name, values in arrays.items()
                if name.startswith(prefix)
            }

        went = named("replicate ")
        return cls(
            fit=Fit.from_json(json.dumps(document["fit"]), law=law),
            params=named("param "),
            usable=arrays["usable"],
            noise=RunNoise(arrays["noise"], **document["noise"]),
            replicates=Replicates(**went) if went else None,
            tails=Tails.from_document(document["tails"]),
            notes=tuple(Note(**item) for item in document["notes"]),
            **{name: document[name] for name in ("method", "seed", "freedom", "chains")},
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


def _form_note(beyond: bool) -> tuple[Note, ...]:
    """What an interval of a new run holds, inside the runs of the fit and beyond them."""
    holds = "it holds noise and misfit as they are inside the runs, not a wrong form of the law"
    said = (
        f"outside the runs the interval of a new run promises too much: {holds}. Fit without the "
        "largest runs and predict them, to see how much"
        if beyond
        else f"of the interval of a new run: {holds}"
    )
    return (Note("form_not_covered", "warning" if beyond else "info", said),)


def called(function: Callable[..., Any], params: Mapping[str, Any]) -> Any:
    """Value of a function of parameters by name, or of their mapping."""
    try:
        asked = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function(params)
    names = list(asked)
    if len(names) == 1 and names[0] not in params:
        single = asked[names[0]]
        return function(**params) if single.kind is single.VAR_KEYWORD else function(params)
    unknown = [
        name
        for name in names
        if name not in params
        and asked[name].default is inspect.Parameter.empty
        and asked[name].kind is not inspect.Parameter.VAR_KEYWORD
    ]
    if unknown:
        raise DataError(
            f"the function asks for {unknown[0]!r}, which is no parameter of the law",
            remedy=f"Parameters: {', '.join(params)}",
        )
    return function(**{name: params[name] for name in names if name in params})
