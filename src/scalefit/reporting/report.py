"""Reports as text and HTML. They print what results hold and compute nothing."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.data.grouping import level_name
from scalefit.notes import Note
from scalefit.results.status import Status

if TYPE_CHECKING:
    from scalefit.allocation.deadweight_compute import Deadweight
    from scalefit.allocation.near_optimality import NearOptimal
    from scalefit.allocation.result import Allocation
    from scalefit.approach2.attribution import Attribution
    from scalefit.approach2.comparison import BiasReport
    from scalefit.approach2.design_advice import Advice
    from scalefit.approach2.design_error import DesignBias
    from scalefit.approach2.envelope_fit import Envelope
    from scalefit.approach2.isoflop_fit import IsoFlop, Optimum
    from scalefit.approach2.parabola import PowerLaw
    from scalefit.inference.covariance import Covariance
    from scalefit.inference.ensemble import Ensemble
    from scalefit.inference.profile_likelihood import Profile
    from scalefit.results.estimate import Estimate
    from scalefit.results.fit import Fit

WIDTH = 78

# Levels of a coefficient up to which a report shows all; of more, this many.
MOST_LEVELS = 40
FIRST_LEVELS = 20

NOISE_SOURCES = {
    "seeds": "spread of runs that differ by seed only",
    "residuals": "residuals of the fit, which hold its misfit inside the runs too",
}


def fit_text(fit: Fit) -> str:
    """Full report of a fit."""
    lines = [f"{fit.law.name}: {fit.law.formula}", f"source: {fit.law.source}", ""]
    lines += _by_parameter(fit, fit.to_frame())
    for label, value in _facts(fit):
        lines += _wrapped(value, f"{label:<12}", " " * 12)
    return "\n".join([*lines, *_notes(fit.notes)])


def fit_html(fit: Fit) -> str:
    """The same report for a notebook."""
    facts = "".join(
        f"<tr><th style='text-align:left'>{escape(label)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for label, value in _facts(fit)
    )
    return (
        f"<b>{escape(fit.law.name)}</b>: <code>{escape(fit.law.formula)}</code>"
        f"{_by_parameter_html(fit, fit.to_frame())}"
        f"<table>{facts}</table>{_notes_html(fit.notes)}"
    )


def allocation_text(allocation: Allocation, level: float = 0.95) -> str:
    """Full report of an allocation."""
    lines = [
        f"compute-optimal allocation, {allocation.law}, budgets counted as {allocation.cost}",
        "",
        _indented(_table(_budgets(allocation, level), index=False)),
    ]
    return "\n".join([*lines, *_notes(allocation.notes)])


def allocation_html(allocation: Allocation) -> str:
    """The same report for a notebook."""
    table = _budgets(allocation, 0.95).to_html(float_format=_number, border=0, index=False)
    return (
        f"<b>compute-optimal allocation</b>, {escape(allocation.law)}, budgets counted as "
        f"{escape(allocation.cost)}{table}{_notes_html(allocation.notes)}"
    )


# The columns that fit a terminal; to_frame() has all.
SWEEP = ("budget", "n", "half_width", "centre", "N", "D", "loss", "curvature", "status", "used")


def isoflop_text(found: IsoFlop) -> str:
    """Full report of IsoFLOP fits."""
    lines = [f"IsoFLOP sweeps by {found.method}, budgets counted as {found.cost}", ""]
    lines += [*_laws(found.n_law, found.d_law, found.level), ""]
    lines.append(_indented(_table(_swept(found), index=False)))
    return "\n".join([*lines, *_notes(found.notes)])


def isoflop_html(found: IsoFlop) -> str:
    """The same report for a notebook."""
    laws = "<br>".join(map(escape, _laws(found.n_law, found.d_law, found.level)))
    table = _swept(found).to_html(float_format=_number, border=0, index=False)
    return (
        f"<b>IsoFLOP sweeps</b> by {found.method}, budgets counted as {escape(found.cost)}<br>"
        f"{laws}{table}{_notes_html(found.notes)}"
    )


def _swept(found: IsoFlop) -> pd.DataFrame:
    """Budgets that say anything: a table off any grid has dozens of one or two runs."""
    return found.budgets.loc[found.budgets["status"] != "too_few", list(SWEEP)]


def optimum_text(best: Optimum) -> str:
    """Sizes and tokens by power laws, and the notes."""
    frame = pd.DataFrame(
        {name: np.ravel(item) for name, item in zip(("N", "D", "D/N"), best[:3], strict=True)}
    )
    return "\n".join([_table(frame, index=False), *_notes(best.notes)])


def envelope_text(found: Envelope) -> str:
    """Full report of an envelope."""
    interior = found.points["interior"].to_numpy()
    lines = [
        f"lower envelope by {found.method}, compute counted as {found.cost}",
        "",
        *_laws(found.n_law, found.d_law),
        "",
        f"  {interior.sum()} of {len(interior)} points fitted, of "
        f"{found.points['N'][interior].nunique()} sizes",
    ]
    return "\n".join([*lines, *_notes(found.notes)])


def envelope_html(found: Envelope) -> str:
    """The same report for a notebook."""
    laws = "<br>".join(map(escape, _laws(found.n_law, found.d_law)))
    return (
        f"<b>lower envelope</b> by {found.method}, compute counted as {escape(found.cost)}<br>"
        f"{laws}{_notes_html(found.notes)}"
    )


def _laws(n_law: PowerLaw, d_law: PowerLaw, level: float | None = None) -> list[str]:
    lines = []
    for name, law in (("N*", n_law), ("D*", d_law)):
        line = f"  {name} = exp({law.intercept:.6g}) C^{law.exponent:.6g}"
        if level is not None:
            low, high = law.interval(level)
            line += f", {100 * level:g} %: {low:.4g} to {high:.4g}"
        lines.append(line)
    return lines


def design_bias_text(bias: DesignBias) -> str:
    """Full report of the bias of a design."""
    lines = [f"{bias.law} without noise by parabolas, budgets counted as {bias.cost}"]
    for title, frame in (("vertices", bias.budgets), ("extrapolated", bias.target)):
        lines += ["", title, _indented(_table(frame, index=False))]
    return "\n".join([*lines, *_notes(bias.notes)])


def design_bias_html(bias: DesignBias) -> str:
    """The same report for a notebook."""
    tables = "".join(
        f"{title}{frame.to_html(float_format=_number, border=0, index=False)}"
        for title, frame in (("vertices", bias.budgets), ("extrapolated", bias.target))
    )
    return (
        f"<b>{escape(bias.law)} without noise by parabolas</b>, budgets counted as "
        f"{escape(bias.cost)}<br>{tables}{_notes_html(bias.notes)}"
    )


def attribution_text(why: Attribution, level: float = 0.95) -> str:
    """Full report of an attribution."""
    lines = [*_wrapped(_gap(why), "", "  "), "", _indented(_table(_parts(why, level)))]
    return "\n".join([*lines, *_notes(why.notes)])


def attribution_html(why: Attribution) -> str:
    """The same report for a notebook."""
    table = _parts(why, 0.95).to_html(float_format=_number, border=0)
    return f"<b>attribution</b> of {escape(_gap(why))}{table}{_notes_html(why.notes)}"


def bias_text(found: BiasReport, level: float = 0.95) -> str:
    """Full report of a bias."""
    lines = [*_wrapped(_compared(found), "", "  "), ""]
    lines += [_indented(_table(found.to_frame(level))), ""]
    for label, value in _wasted(found, level):
        lines += _wrapped(value, f"{label:<12}", " " * 12)
    lines += ["", "why: parts of the gap"]
    lines += [_indented(_table(_parts(found.attribution, level)))]
    if len(found.variants) > 1:
        lines += ["", "the answer again", _indented(_table(_again(found)))]
    return "\n".join([*lines, *_notes(found.notes)])


def bias_html(found: BiasReport) -> str:
    """The same report for a notebook."""
    facts = "".join(
        f"<tr><th style='text-align:left'>{escape(label)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for label, value in _wasted(found, 0.95)
    )
    frames = {"": found.to_frame(), "why: parts of the gap": _parts(found.attribution, 0.95)}
    if len(found.variants) > 1:
        frames["the answer again"] = _again(found)
    answers, *others = (
        f"{title}{frame.to_html(float_format=_number, border=0)}" for title, frame in frames.items()
    )
    return (
        f"<b>bias</b>: {escape(_compared(found))}{answers}<table>{facts}</table>"
        f"{''.join(others)}{_notes_html(found.notes)}"
    )


def advice_text(advice: Advice) -> str:
    """Full report of advice."""
    lines = [*_limits(advice), "", _indented(_table(advice.plans))]
    return "\n".join([*lines, *_notes(advice.notes)])


def advice_html(advice: Advice) -> str:
    """The same report for a notebook."""
    limits = "<br>".join(map(escape, _limits(advice)))
    table = advice.plans.to_html(float_format=_number, border=0)
    return f"<b>advice</b>: {limits}{table}{_notes_html(advice.notes)}"


def _limits(advice: Advice) -> list[str]:
    tolerance, (low, high) = f"{advice.tolerance:.1%}", advice.span
    return [
        f"D* at {advice.flops:.4g} FLOP to {tolerance}, if {advice.law} were true, by sweeps from "
        f"{low:.3g} to {high:.3g} FLOP ({advice.cost})",
        f"  Approach 2: sizes from N*/{advice.width:.3g} to {advice.width:.3g} N*, centres from "
        f"{advice.offset[0]:.3g} to {advice.offset[1]:.3g} times D*, a drift from "
        f"{advice.drift[0]:.3g} to {advice.drift[1]:.3g} times",
        f"  noise of a loss: {advice.noise:.4g}",
    ]


def _compared(found: BiasReport) -> str:
    return (
        f"Approach 2 against {found.law} at {found.flops:.4g} FLOP, budgets counted as "
        f"{found.cost.name}: {found.attribution.headline}"
    )


def _wasted(found: BiasReport, level: float) -> list[tuple[str, str]]:
    """What the difference costs, and how often Approach 2 fails."""
    share = f"{found.deadweight:.2%} of the budget"
    if found.draws:
        low, high = found.estimate("deadweight").interval(level)
        share += f" ({100 * level:g} %: {low:.2%} to {high:.2%} over the draws of the surface)"
    facts = [
        (
            "deadweight",
            f"{share}: {found.deadweight_flops:.4g} FLOP, {found.device_hours:,.0f} hours of "
            f"{found.hardware} at {found.utilisation:.0%} of its dense peak, ${found.usd:,.0f}",
        ),
        (
            "the run",
            f"{found.approach2['D']:.4g} tokens, for which the budget buys {found.size:.4g} "
            "parameters",
        ),
        (
            "design",
            f"without any noise Approach 2 would be off by "
            f"{found.design.target['D_error'].iloc[0]:+.2%} in D* on these runs",
        ),
    ]
    if len(found.resamples):
        lost = (found.resamples["lost"] > 0).sum()
        again = found.resampled("deadweight")
        low, high = again.interval(level)
        facts.append(
            (
                "resampled",
                f"Approach 2 loses a budget in {lost} of {len(found.resamples)} resamples of the "
                f"runs; deadweight {100 * level:g} %: {low:.2%} to {high:.2%}, median "
                f"{np.nanmedian(again.draws):.2%}",
            )
        )
    return facts


def _again(found: BiasReport) -> pd.DataFrame:
    """Variants with percents."""
    frame = found.variants
    shown = {
        "runs": frame["rows"],
        "budgets": frame["budgets"],
        "N* exponent": frame["n_exponent"].round(4),
        "Approach 2": frame["n_exponent_approach2"].round(4),
        "D*": frame["D"],
        "error, %": (100 * frame["error"]).round(2),
        "deadweight, %": (100 * frame["deadweight"]).round(3),
        "spread": frame["spread"].round(6),
        "beyond, %": (100 * frame["beyond"]).round(1),
    }
    return pd.DataFrame(shown)


def _gap(why: Attribution) -> str:
    factor = math.exp(why.gap["ln_D"])
    told = f" ({why.headline})" if why.cancels or why.of_convention else ""
    return (
        f"D* of Approach 2 over that of {why.law} at {why.flops:.4g} FLOP: {factor:.4g}, by cause"
        f"{told}"
    )


def _parts(why: Attribution, level: float) -> pd.DataFrame:
    """Parts of ln D as percents of D, with their interval, and those of the exponents."""
    frame = why.to_frame(level)
    shown = {"D*, %": 100 * np.expm1(frame["ln_D"])}
    if why.draws:
        for end in ("low", "high"):
            shown[f"{100 * level:g} % {end}"] = 100 * np.expm1(frame[f"ln_D_{end}"])
    shown |= {name: frame[name] for name in ("ln_D", "n_exponent", "d_exponent")}
    # Adding zero turns -0 into 0.
    return pd.DataFrame(shown).round(6) + 0.0


def region_text(region: NearOptimal) -> str:
    """Full report of a near-optimal region."""
    lines = [
        f"near-optimal region, {region.best.law}, {region.criterion} (cost {region.best.cost})",
        "",
        _indented(_table(region.to_frame(), index=False)),
    ]
    return "\n".join([*lines, *_notes(region.notes)])


def region_html(region: NearOptimal) -> str:
    """The same for notebooks."""
    table = region.to_frame().to_html(float_format=_number, border=0, index=False)
    return (
        f"<b>near-optimal region</b>, {escape(region.best.law)}, {escape(region.criterion)}"
        f"{table}{_notes_html(region.notes)}"
    )


def deadweight_text(waste: Deadweight) -> str:
    """A row for each run, and the notes."""
    return "\n".join([waste.to_frame().to_string(index=False), *_notes(waste.notes)])


def deadweight_html(waste: Deadweight) -> str:
    """The same for notebooks."""
    return f"{waste.to_frame().to_html(index=False, border=0)}{_notes_html(waste.notes)}"


def _budgets(allocation: Allocation, level: float) -> pd.DataFrame:
    """A row for each budget; with intervals, which are three times as wide, for each answer."""
    frame = allocation.to_frame(level)
    if not allocation.draws:
        return frame
    ends = [f"{100 * level:g} % {end}" for end in ("low", "high")]
    answers = [name for name in map(str, frame) if f"{name}_low" in frame]
    rows = [
        (one["flops"], name, one[name], one[f"{name}_low"], one[f"{name}_high"])
        for _, one in frame.iterrows()
        for name in answers
    ]
    return pd.DataFrame(rows, columns=["flops", "", "value", *ends])


def covariance_text(found: Covariance) -> str:
    """Intervals of the parameters, and the notes."""
    table = found.conf_int().to_string()
    return "\n".join([f"<Covariance by {found.method}>", table, *_noted(found.notes)])


def profile_line(found: Profile) -> str:
    """The quantity and its interval."""
    low, high = (
        f"{end:.6g}{'' if closed else ' (open)'}"
        for end, closed in zip((found.low, found.high), found.closed, strict=True)
    )
    return f"{found.name}: {found.value:.6g} ({100 * found.level:g} %: {low} to {high})"


def profile_text(found: Profile) -> str:
    """The same with the notes."""
    return "\n".join([profile_line(found), *_noted(found.notes)])


def estimate_text(found: Estimate) -> str:
    """A number with its interval, or the shape of several; and the notes."""
    count = len(found.draws)
    if np.ndim(found.value):
        said = f"<Estimate of shape {np.shape(found.value)}, {count} draws>"
    elif count:
        low, high = found.interval()
        said = f"{found.value:.6g} (95 %: {low:.6g} to {high:.6g})"
    else:
        said = f"{found.value:.6g} (no draws)"
    return "\n".join([said, *_noted(found.notes)])


def ensemble_text(draws: Ensemble, level: float = 0.95) -> str:
    """Full report of an ensemble."""
    fit = draws.fit
    lines = [f"{fit.law.name}: {fit.law.formula}", f"{100 * level:g} % intervals", ""]
    lines += _by_parameter(fit, draws.conf_int(level))
    for label, value in _made(draws):
        lines += _wrapped(value, f"{label:<12}", " " * 12)
    return "\n".join([*lines, *_notes(draws.notes)])


def ensemble_html(draws: Ensemble, level: float = 0.95) -> str:
    """The same report for a notebook."""
    facts = "".join(
        f"<tr><th style='text-align:left'>{escape(label)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for label, value in _made(draws)
    )
    table = _by_parameter_html(draws.fit, draws.conf_int(level))
    return (
        f"<b>{escape(draws.fit.law.name)}</b>, {100 * level:g} % intervals{table}"
        f"<table>{facts}</table>{_notes_html(draws.notes)}"
    )


def _by_parameter(fit: Fit, frame: pd.DataFrame) -> list[str]:
    """A table with a row for each parameter, of very many levels the first ones."""
    left, said = _left_out(fit, frame)
    return [_indented(_table(frame.drop(index=left))), *(f"  {item}" for item in said), ""]


def _by_parameter_html(fit: Fit, frame: pd.DataFrame) -> str:
    left, said = _left_out(fit, frame)
    table = frame.drop(index=left).to_html(float_format=_number, border=0)
    return table + "".join(f"<p>{escape(item)}</p>" for item in said)


def _left_out(fit: Fit, frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Rows that a report leaves out, and what it says of them."""
    left, said = [], []
    for name, grouping in fit.groups.items():
        if len(grouping.levels) > MOST_LEVELS:
            rest = [level_name(name, level) for level in grouping.levels[FIRST_LEVELS:]]
            left += [item for item in rest if item in frame.index]
            said.append(
                f"... and {name} of {len(rest)} more levels of {' and '.join(grouping.columns)}"
            )
    return left, said


def _made(draws: Ensemble) -> list[tuple[str, str]]:
    """How the draws were made, and how that went."""
    facts = [
        ("draws", f"{len(draws)} by {draws.method}, seed {draws.seed}; {draws.failed} failed"),
        ("runs", f"{draws.fit.nobs}, {draws.df_resid} residual degrees of freedom"),
        (
            "new run",
            f"kind='run' adds noise of {draws.noise.values.std():.3g} "
            f"({NOISE_SOURCES[draws.noise.source]}). No interval holds a wrong form of the law, "
            "which tells outside the runs",
        ),
    ]
    if draws.replicates is not None:
        went = draws.replicates
        facts.insert(
            1,
            (
                "refits",
                f"largest gradient {went.gradient_cosine[draws.usable].max(initial=0.0):.1e} "
                f"(cosine); {went.global_search.sum()} searched over the whole bounds, "
                f"{went.improved.sum()} in a lower minimum than the fit led to",
            ),
        )
    return facts


def _notes(notes: Sequence[Note]) -> list[str]:
    return ["", "notes", *_noted(notes)] if notes else []


def _noted(notes: Sequence[Note]) -> list[str]:
    lines = []
    for note in notes:
        mark = "!" if note.severity == "warning" else "-"
        lines += _wrapped(f"{mark} {note}", "  ", "    ")
    return lines


def _notes_html(notes: Sequence[Note]) -> str:
    items = "".join(
        f"<li><b>{escape(note.code)}</b>: {escape(note.message)}</li>" for note in notes
    )
    return f"<ul>{items}</ul>" if items else ""


def _facts(fit: Fit) -> list[tuple[str, str]]:
    if fit.status is Status.PUBLISHED:
        return [("status", fit.status.value)]
    trust = fit.diagnostics
    second = (
        "no second one seen"
        if trust.gap is None
        else f"the second of {len(trust.minima)} is {100 * trust.gap:.3g} % worse"
        if math.isfinite(trust.gap)
        else f"the best of {len(trust.minima)} has the objective zero"
    )
    searched = (
        f"{trust.basins} basin{'s' * (trust.basins != 1)} on the grid"
        if trust.search == "grid"
        else "combinations of scattered points"
    )
    looked = {"by the objective itself": trust.cells, "by squares": trust.cells_by_squares}
    cells = " and ".join(f"{count:,} cells {how}" for how, count in looked.items() if count)
    proof = fit.certificate.known if fit.certificate else fit.certificate.reason
    gradient = (
        "rounding only: no residual is left to follow"
        if fit.status is Status.EXACT
        else f"{trust.gradient_cosine:.1e} (cosine), Newton decrement {trust.newton_decrement:.1e}"
    )
    if fit.objective.robust == "l1" and fit.status is not Status.EXACT:
        gradient += f", duality gap {trust.duality_gap:.1e}"
    facts = [
        ("objective", f"{fit.objective_value:.10g} = {fit.objective}"),
        ("spread", f"{fit.residual_rms:.4g} root mean square residual"),
        ("runs", f"{fit.nobs}, {fit.n_free} free parameters"),
        ("status", fit.status.value),
        (
            "search",
            f"{cells}, {searched}; {trust.agreeing} of {trust.starts} starts in the best minimum, "
            f"{second}",
        ),
        ("proof", proof),
        ("gradient", gradient),
        (
            "condition",
            f"{trust.condition:.2g} in all parameters, {trust.condition_projected:.2g} projected",
        ),
    ]
    if fit.groups:
        by = [
            f"{name} by {' and '.join(item.columns)} ({len(item.levels)} levels)"
            for name, item in fit.groups.items()
        ]
        facts.insert(3, ("groups", "; ".join(by)))
    if fit.dropped:
        counts = Counter(item.rule for item in fit.dropped)
        kept_out = "; ".join(f"{count} by {rule!r}" for rule, count in counts.items())
        facts.append(("dropped", f"{len(fit.dropped)} rows: {kept_out}"))
    return facts


def _table(frame: pd.DataFrame, index: bool = True) -> str:
    return frame.to_string(float_format=_number, index=index)


def _number(value: float) -> str:
    return f"{value:.6g}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)
