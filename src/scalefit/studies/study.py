"""Simulation studies: every method on simulated tables of every setting, against the truth."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from scalefit import arguments
from scalefit.arguments import refused
from scalefit.errors import ArgumentError
from scalefit.fitting.devices import Devices, checked_devices
from scalefit.notes import Note
from scalefit.objective import Objective, Residual, Robust
from scalefit.reporting.described import Described
from scalefit.reporting.description import Column, Description, Table
from scalefit.reporting.numbers import percent
from scalefit.runtime.progress import counting, with_progress
from scalefit.simulation.designs import isoflop_design, parameters_of, surface_of
from scalefit.simulation.noise import Noise
from scalefit.studies.estimates import (
    LAW,
    SLOW,
    answers_of,
    checked_budget,
    checked_methods,
    estimate,
)

__all__ = ["Study", "read_setting", "setting_labels", "setting_rows", "simulation_study"]

# Columns of a setting that describe its noise; ``noise`` is its scale, or a Noise.
OF_NOISE = ("additive", "df", "cluster", "icc")

# A relative error below rounding is rounding, and has a logarithm.
LEAST_ERROR = 1e-16

# Bytes that a table of a design of some dozens of runs takes, at least.
TABLE = 2000

SETTINGS = "Pass values by column, as settings={'points': [8, 16], 'noise': 0.01}"


@dataclass(frozen=True, eq=False)
class Study(Described):
    """Estimates of every method on every simulated table, and their errors.

    Attributes:
        table: a row for each table and method: ``setting`` (its number), the columns of the
            setting, ``seed``, ``method``, what :func:`scalefit.studies.estimate` gives, and its
            relative errors: ``E_error`` to ``beta_error``, ``n_error`` and ``d_error`` of the
            exponents and, at a budget, ``N_error`` and ``D_error``.
        settings: names of the columns of a setting.
    """

    table: pd.DataFrame
    settings: tuple[str, ...]

    def errors(self, by: str | Sequence[str] = ()) -> pd.DataFrame:
        """Errors by method, and by columns of the setting.

        Args:
            by: columns to tell apart, such as ``"noise"``.

        Returns:
            A row for each method: ``fits``; ``failed``, those without an estimate, which are left
            out of all that follows; ``flagged``, those whose status is another than converged or
            exact; ``gmean``, geometric mean of the relative errors of both exponents, and
            ``gmean_se``, its standard error (NaN for one seed); ``n_max`` and ``d_max``, the
            largest relative error of each; ``rms``, root mean square of the error of the exponent
            of D*, not relative, which is that of N* as well where budgets are 6ND.

        Raises:
            ArgumentError: no such column.
        """
        remedy = f"Pass columns of its table; settings: {', '.join(self.settings)}"
        wanted = list(arguments.names(by, "by", remedy=remedy))
        for name in wanted:
            if name not in self.table:
                raise arguments.refused("by", name, "a column of the study", remedy)
        groups = self.table.groupby([*wanted, "method"], sort=False, dropna=False)
        rows = {key: _errors(part) for key, part in groups}
        index = pd.MultiIndex.from_tuples(list(rows), names=[*wanted, "method"])
        found = pd.DataFrame(list(rows.values()), index=index)
        return found if wanted else found.set_axis(index.get_level_values(0))

    @property
    def notes(self) -> tuple[Note, ...]:
        """None: failures and flagged fits are counted in :meth:`errors`."""
        return ()

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """The row of each table and method."""
        return self.table.copy()

    @property
    def _tables(self) -> int:
        return len(self.table.drop_duplicates(["setting", "seed"]))

    def __repr__(self) -> str:
        return f"<Study of {self.table['setting'].nunique()} settings, {self._tables} tables>"

    def describe(self, level: float = 0.95) -> Description:
        """The errors of each method over all settings.

        Args:
            level: not used: of a mean error there is a standard error.
        """
        errors = self.errors()
        means = [f"{percent(row['gmean'])} by {name}" for name, row in errors.iterrows()]
        return Description(
            f"Study of {self.table['setting'].nunique()} settings, {self._tables} tables",
            f"Typical error of the exponents: {', '.join(means)}. By a column of the settings: "
            f".errors({self.settings[0]!r})"
            if self.settings
            else "",
            tables=[
                Table(
                    [
                        Column("method", list(errors.index), "text"),
                        Column("fits", errors["fits"], "integer"),
                        Column("failed", errors["failed"], "integer"),
                        Column("flagged", errors["flagged"], "integer"),
                        Column("typical error", errors["gmean"], "percent"),
                        Column("se", errors["gmean_se"], "percent"),
                        Column("worst N*", errors["n_max"], "percent"),
                        Column("worst D*", errors["d_max"], "percent"),
                        Column("rms of D*", errors["rms"]),
                    ],
                    "Relative errors of the exponents (typical: geometric mean of both; rms: not "
                    "relative)",
                )
            ],
        )


@with_progress
def simulation_study(
    settings: Mapping[str, Any] | pd.DataFrame,
    seeds: int | Sequence[int] = 256,
    *,
    methods: str | Sequence[str] = ("surface", "approach2"),
    design: Callable[..., pd.DataFrame] = isoflop_design,
    flops: float | None = None,
    residual: Residual = "raw",
    robust: Robust = "none",
    delta: float = 1e-3,
    slow_seeds: int = 16,
    progress: bool = True,
    devices: Devices = None,
) -> Study:
    """Every method on simulated tables of every setting: the errors of methods, by simulation.

    Tables are drawn as :func:`scalefit.simulate` draws them, from the additive law. All tables of
    one design are fitted as one batch. The surface fit of a table is a fit as good as
    :func:`scalefit.fit` makes it: searched over the whole box and polished until the gradient is
    zero to rounding.

    Args:
        settings: a row for each setting, or a mapping of columns to values, of which every
            combination is a setting: a list (or array, or range) holds several values, anything
            else is one. Columns: ``surface``, a name in ``SURFACES`` or its parameters
            (``chinchilla`` by default); ``noise``, as for ``simulate``, and ``additive``, ``df``,
            ``cluster``, ``icc``, as for :class:`scalefit.simulation.Noise`; all others are
            arguments of the design.
        seeds: how many tables of each setting, from seed 0, or which seeds. They are the same in
            every setting.
        methods: see :func:`scalefit.studies.estimate`.
        design: makes a design from the columns of a setting, with ``surface`` if it takes one.
        flops: budget at which N* and D* are compared too, FLOP.
        residual: of the surface fit, as for ``fit``.
        robust: of the surface fit.
        delta: of the surface fit.
        slow_seeds: methods of Approach 3, in scipy and one by one, are run on the first so many
            seeds of each setting only.
        progress: whether a line shows what is going on once it takes more than a second.
        devices: where surfaces are fitted, as for :func:`scalefit.bootstrap`.

    Returns:
        The study.

    Raises:
        ArgumentError: settings that are none, a setting that nothing takes, a design that raises
            something or is no table, or another option that makes no sense.
        DataError: a design that cannot identify the law.

    Example:
        >>> import scalefit as sf
        >>> settings = {"points": [8, 16], "drift": 3.0, "noise": 0.01}
        >>> study = sf.studies.simulation_study(settings, seeds=32)
        >>> len(study.table)
        128
        >>> errors = study.errors()
        >>> bool(errors.gmean["surface"] < errors.gmean["approach2"])
        True
    """
    rows = setting_rows(settings)
    chosen = _seeds(seeds, len(rows))
    names, flops = checked_methods(methods), checked_budget(flops)
    arguments.function(
        design, "design", remedy="Pass a function, as scalefit.simulation.isoflop_design"
    )
    slow = "Pass a number of seeds, as slow_seeds=16"
    slow_seeds = arguments.whole(slow_seeds, "slow_seeds", least=1, remedy=slow)
    devices = checked_devices(devices)
    how = _How(flops, Objective(residual, robust, delta), slow_seeds, devices)
    batches: dict[str, list[_Setting]] = {}
    for number, row in enumerate(rows):
        one = read_setting(number, row, design)
        batches.setdefault(one.key, []).append(one)
    frames = []
    with counting("fitting", len(batches), "designs") as stage:
        for batch in batches.values():
            frames.append(_batch(batch, chosen, names, how))
            stage.update()
    table = pd.concat(frames, ignore_index=True)
    order = table["method"].map({name: place for place, name in enumerate(names)})
    table = table.assign(order=order).sort_values(["setting", "order", "seed"], kind="stable")
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Study(table.drop(columns="order").reset_index(drop=True), columns)


class _How(NamedTuple):
    """How every table is fitted: options of :func:`simulation_study`."""

    flops: float | None
    objective: Objective
    slow_seeds: int
    devices: Devices


class _Setting(NamedTuple):
    """A setting: its number and row, and the surface, noise and design that the row means."""

    number: int
    row: Mapping[str, Any]
    surface: Mapping[str, float]
    noise: Noise
    design: pd.DataFrame

    @property
    def key(self) -> str:
        """Settings of one key differ in their noise alone."""
        points = pd.util.hash_pandas_object(self.design, index=False).to_numpy()
        return repr((sorted(self.surface.items()), list(self.design), points.tobytes()))


def setting_rows(settings: Mapping[str, Any] | pd.DataFrame) -> list[dict[str, Any]]:
    """Settings as records."""
    if isinstance(settings, pd.DataFrame):
        rows = [{str(name): row[name] for name in row} for row in settings.to_dict("records")]
    else:
        settings = arguments.mapping(settings, "settings", remedy=SETTINGS)
        several = [
            list(value) if isinstance(value, list | range) else _scalars(value)
            for value in settings.values()
        ]
        rows = [dict(zip(settings, values, strict=True)) for values in product(*several)]
    if not rows:
        raise arguments.refused("settings", settings, "one setting or more", SETTINGS)
    return rows


def _seeds(seeds: Any, settings: int) -> np.ndarray:
    """Seeds, of their number or as they are, shape (tables,)."""
    remedy = "Pass how many, as seeds=256, or which, as seeds=range(16)"
    if isinstance(seeds, int | np.integer):
        count = arguments.whole(seeds, "seeds", least=1, remedy=remedy)
        arguments.affordable(count, "seeds", TABLE * settings, remedy=remedy)
        return np.arange(count)
    found = arguments.numbers(seeds, "seeds", least=0, empty=False, remedy=remedy)
    if found.ndim != 1 or (found != np.round(found)).any():
        raise arguments.refused("seeds", seeds, "a list of whole numbers", remedy)
    return np.asarray(seeds)


def _scalars(value: Any) -> list[Any]:
    return value.tolist() if isinstance(value, np.ndarray) else [value]


def read_setting(
    number: int, row: Mapping[str, Any], design: Callable[..., pd.DataFrame]
) -> _Setting:
    """The surface, noise and design of a setting.

    Raises:
        ArgumentError: a setting that nothing takes, or a design that is no table of N and D.
    """
    options = dict(row)
    surface = options.pop("surface", "chinchilla")
    noise = options.pop("noise", 0.005)
    more = {name: options.pop(name) for name in OF_NOISE if name in options}
    if not isinstance(noise, Noise):
        noise = Noise(noise, **more)
    elif more:
        raise ArgumentError(
            f"settings give noise whole, and {', '.join(more)} besides",
            argument="settings",
            value=dict(row),
            remedy="Put them into the Noise, or give its scale alone",
        )
    try:
        taken = inspect.signature(design).parameters
    except ValueError as error:  # As of int.
        remedy = "Pass a function of settings, as design=scalefit.simulation.isoflop_design"
        raise refused("design", design, "a function whose arguments are known", remedy) from error
    free = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in taken.values())
    unknown = [name for name in options if name not in taken and not free]
    if unknown:
        raise ArgumentError(
            f"settings name {unknown[0]!r}, which neither the surface, the noise nor the design "
            "takes",
            argument="settings",
            value=unknown[0],
            remedy=f"The design takes {', '.join(taken)}",
        )
    if "surface" in taken:
        options["surface"] = surface
    remedy = "A design makes a DataFrame of N and D, raw counts, out of its settings"
    points = arguments.answered(design, "design", remedy=remedy, **options)
    if not (isinstance(points, pd.DataFrame) and set(LAW.columns) <= set(points)):
        raise ArgumentError(
            f"design={arguments.shown(design)} returns {arguments.shown(points)}, which is no "
            "table of N and D",
            argument="design",
            value=design,
            remedy=remedy,
        )
    surface = parameters_of(LAW, surface_of(surface), "surface")
    return _Setting(number, row, surface, noise, points)


def _batch(
    batch: Sequence[_Setting],
    seeds: np.ndarray,
    methods: Sequence[str],
    how: _How,
) -> pd.DataFrame:
    """All settings of one surface and design."""
    points, truth = batch[0].design, batch[0].surface
    exact = LAW.evaluate({name: points[name] for name in LAW.columns}, truth)
    place = np.arange(len(batch)).repeat(len(seeds))
    nth = np.tile(np.arange(len(seeds)), len(batch))
    losses = np.empty((len(place), len(points)))
    for row, (i, k) in enumerate(zip(place.tolist(), nth.tolist(), strict=True)):
        noise = batch[i].noise
        drawn = noise.draw(points, np.random.default_rng(int(seeds[k])))
        losses[row] = noise.applied(exact, drawn)
    settings = pd.DataFrame([{"setting": one.number, **setting_labels(one.row)} for one in batch])
    frames = []
    for method in methods:
        slow = method in SLOW and len(seeds) > how.slow_seeds
        used = np.flatnonzero(nth < how.slow_seeds) if slow else np.arange(len(losses))
        own = estimate(
            points,
            losses[used] if slow else losses,
            (method,),
            flops=how.flops,
            objective=how.objective,
            seeds=seeds[nth[used]],
            devices=how.devices,
        )
        where = used[own.pop("table")]
        labels = settings.iloc[place[where]].reset_index(drop=True)
        frames.append(pd.concat([labels.assign(seed=seeds[nth[where]]), own], axis=1))
    found = pd.concat(frames, ignore_index=True)
    return _with_errors(found, truth, how.flops)


def setting_labels(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a setting; parameters become text, which rows can be grouped by."""
    return {
        name: str(dict(value)) if isinstance(value, Mapping) else value
        for name, value in row.items()
    }


def _with_errors(
    found: pd.DataFrame, truth: Mapping[str, float], flops: float | None
) -> pd.DataFrame:
    point = np.array([[truth[name] for name in LAW.names]])
    true = {name: float(value[0]) for name, value in answers_of(point, flops).items()}
    labels = {"n_exponent": "n_error", "d_exponent": "d_error"}
    errors = {
        labels.get(name, f"{name}_error"): found[name] / value - 1 for name, value in true.items()
    }
    status = found.pop("status")
    return found.assign(**errors, status=status)


def _errors(part: pd.DataFrame) -> dict[str, float]:
    """A row of the errors."""
    failed = part["status"] == "failed"
    good = part[~failed]
    errors = good[["n_error", "d_error"]].abs().clip(lower=LEAST_ERROR)
    logs = np.log(errors.to_numpy()).mean(axis=1) if len(good) else np.array([np.nan])
    # Settings share their seeds, so that the independent draws are seeds, not tables.
    each = pd.Series(logs).groupby(good["seed"].to_numpy()).mean() if len(good) else logs
    count = len(each)
    spread = float(np.std(each, ddof=1) / np.sqrt(count)) if count > 1 else np.nan
    gmean = float(np.exp(logs.mean()))
    true = good["d_exponent"] / (1 + good["d_error"])
    return {
        "fits": len(part),
        "failed": int(failed.sum()),
        "flagged": int((~good["status"].isin(["converged", "exact"])).sum()),
        "gmean": gmean,
        "gmean_se": gmean * spread,
        "n_max": float(errors["n_error"].max()),
        "d_max": float(errors["d_error"].max()),
        "rms": float(np.sqrt(((good["d_exponent"] - true) ** 2).mean())),
    }
