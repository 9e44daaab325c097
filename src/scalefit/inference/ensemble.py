"""Draws of a law's parameters, and what follows from them.

An :class:`Ensemble` is made from a fit and its table (bootstrap, covariance, posterior). Where a
fit gives a number, an ensemble gives an interval.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import pandas as pd

from scalefit.arguments import affordable, choice, instance, shown
from scalefit.data.grouping import Grouping, level_name
from scalefit.data.table import LossTable
from scalefit.errors import ArgumentError, MissingExtraError
from scalefit.frozen import Frozen
from scalefit.inference import draw_files
from scalefit.inference.interval_table import interval_table, least_certain
from scalefit.inference.parameter_functions import called, no_number, returned
from scalefit.inference.replicates import Replicates
from scalefit.inference.run_noise import RunNoise
from scalefit.laws import Law
from scalefit.notes import Note
from scalefit.reporting.described import Described
from scalefit.reporting.description import Description
from scalefit.results.domain import unit_mismatch
from scalefit.results.estimate import AS_DRAWN, Draws, Estimate, Origin, TailCorrection
from scalefit.results.fit import Fit
from scalefit.results.fit_report import MOST_NAMED, swept
from scalefit.results.remembered_columns import spoken
from scalefit.results.surface import IntervalKind
from scalefit.runtime.settings import own_settings, quiet

__all__ = ["Ensemble", "checked_draws"]

# Arrays of a number for each point and draw that are held at once.
COPIES = 3

# What a function of parameters has to be to work on draws.
ENTRY_BY_ENTRY = (
    "It is called with arrays, a draw in each place of the first axis: write it with operations "
    "that work entry by entry and change nothing, such as numpy.where(alpha > 0.3, alpha, 0.3)"
)


@dataclass(frozen=True, eq=False, repr=False)
class Ensemble(Described):
    """Draws of a law's parameters.

    Attributes:
        fit: the fit they belong to.
        params: every parameter by name, raw units, an entry for each draw, shape (draws,), failed
            ones included.
        usable: which draws may be used, shape (draws,): the refits of the others did not converge.
        method: how they were made.
        seed: of the random numbers.
        noise: noise from run to run, for ``kind="run"``.
        replicates: how each refit went; None where the draws are no refits.
        df_resid: residual degrees of freedom of the fit.
        tails: which percentiles of the draws are the ends of an interval.
        chains: number of Markov chains, whose draws follow each other; 1 where there are none.
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
    tails: TailCorrection = AS_DRAWN
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

    def __reduce__(self) -> tuple[Any, ...]:
        # By its fields: copies keep the draws read-only, and hold them once.
        return _from_fields, (
            {one.name: getattr(self, one.name) for one in fields(self) if one.init},
        )

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
            rows[name] = (self.fit.params[name], one.se, *one.interval(level))
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
            >>> draws = sf.bootstrap(sf.fit(runs), runs, n_draws=200)
            >>> draws.apply(lambda alpha, beta: beta / (alpha + beta))
            <Estimate 0.44... (95 %: 0.43... to 0.45...), 200 draws>
        """
        with own_settings(), quiet():
            value = returned(function, called(function, self.fit.params))
            if value.size and np.isnan(value).all():
                raise no_number(function, value[()])
            drawn = returned(function, called(function, self._drawn, remedy=ENTRY_BY_ENTRY))
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
        """Notes of the fit and of the draws that whatever is computed from them carries."""
        return (*self.fit.carried, *self.notes)

    def predict(
        self,
        runs: LossTable | pd.DataFrame | None = None,
        *,
        kind: IntervalKind = "mean",
        **columns: Any,
    ) -> Estimate:
        """Predicted loss with its uncertainty.

        Neither kind of interval covers a wrong form of the law: outside the runs, both are too
        narrow by the error of the law there.

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
        notes = (*unit_mismatch(self.fit.domain, used), *far)
        notes += (*(_form_note(bool(far)) if kind == "run" else ()), *self.carried)
        drawn = self.fit.law.evaluate(used, self._by_row(np.ndim(value), codes))
        drawn = np.broadcast_to(drawn, (count, *value.shape))
        if kind == "mean":
            return Estimate(value[()], drawn, self.tails, notes)
        # Few clusters make the surface less certain, not the noise around it, which all runs show:
        # scale the surface's spread so that percentiles with the noise's correction fit both.
        noisy = AS_DRAWN if self.tails == AS_DRAWN else TailCorrection(self.df_resid)
        drawn = value + self.tails.quantile(0.95) / noisy.quantile(0.95) * (drawn - value)
        drawn = self.noise.added(drawn, self._noise_stream(), self.usable)
        return Estimate(value[()], drawn, noisy, notes)

    def _noise_stream(self) -> np.random.Generator:
        """Random numbers for the noise, independent of those that made the draws."""
        return np.random.default_rng(np.random.SeedSequence(self.seed).spawn(1)[0])

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

    def draws_frame(self) -> pd.DataFrame:
        """A row for each draw: its parameters, whether usable, and how its refit went."""
        frame = pd.DataFrame(dict(self.params)).assign(usable=self.usable)
        return frame if self.replicates is None else frame.assign(**self.replicates._asdict())

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """The table of parameters: the same as :meth:`conf_int`."""
        return self.conf_int(level)

    def describe(self, level: float = 0.95) -> Description:
        """How well the parameters are known, their intervals, and how the draws were made."""
        frame = self.conf_int(level)
        failed = f", {self.failed:,} of them failed" if self.failed else ""
        facts = {
            "draws": f"{len(self):,} by {self.method}, seed {self.seed}{failed}",
            "runs": f"{self.fit.nobs}, {self.df_resid} residual degrees of freedom",
            "new run": f"kind='run' adds {self.noise}. No interval holds a wrong form of the law, "
            "which shows outside the runs",
        }
        return Description(
            title=f"Ensemble of {self.fit.law.name}",
            headline=f"{len(self):,} {self._made}; {least_certain(self.fit, frame, level)}. "
            f"Next: {self._next_call}",
            formula=self.fit.law.formula,
            latex=self.fit.law.latex,
            facts=facts,
            tables=[interval_table(frame, level, "of the surface, over the draws")],
            notes=self.notes,
            parts={}
            if self.replicates is None
            else {"replicates": self.replicates.describe(self.usable)},
        )

    @property
    def _made(self) -> str:
        """The draws in words."""
        if self.replicates is not None:
            return f"bootstrap draws of {self.method}"
        return f"draws from the {self.method}"

    @property
    def _next_call(self) -> str:
        """What is usually called next."""
        if self.fit.groups:
            names = sorted({name for item in self.fit.groups.values() for name in item.columns})
            return f"draws.at({', '.join(f'{name}=...' for name in names)}) for one surface"
        if optimised := swept(self.fit.law.columns, self.fit.law.response):
            return f"scalefit.optimal_columns(draws, {optimised})"
        if {"N", "D"} <= set(self.fit.law.columns):
            return "scalefit.allocate(draws, flops=1e24)"
        called = spoken(self.fit.law, self.fit.provenance)
        named = [called.get(name, name) for name in self.fit.law.columns]
        if len(named) > MOST_NAMED:
            return "draws.predict(table)"
        plain = all(name.isidentifier() for name in named)
        columns = [f"{name}=..." for name in (named if plain else self.fit.law.columns)]
        return f"draws.predict({', '.join(columns)})"

    def __repr__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"<Ensemble {self.fit.law.name}: {len(self)} draws by {self.method}{failed}>"

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
        draw_files.save(path, self)

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
        return cls(**draw_files.load(path, law))

    def to_arviz(self) -> Any:
        """The usable draws for ArviZ, as one chain, or as the chains of a posterior.

        Returns:
            What ``arviz.from_dict`` makes of them.

        Raises:
            MissingExtraError: ArviZ is not installed.
        """
        try:
            with warnings.catch_warnings():
                # Its last versions before 1.0 announce that version on import.
                warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing", FutureWarning)
                import arviz  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError as error:
            raise MissingExtraError("ArviZ is not installed", extra="bayes") from error
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


def _from_fields(given: dict[str, Any]) -> Ensemble:
    return Ensemble(**given)


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
