"""Reports as text and HTML. They print what results hold and compute nothing."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scalefit.data.grouping import level_name
from scalefit.notes import Note

if TYPE_CHECKING:
    from scalefit.approach2.attribution import Attribution
    from scalefit.approach2.comparison import BiasReport
    from scalefit.approach2.design_advice import Advice
    from scalefit.approach2.design_error import DesignBias
    from scalefit.approach2.envelope_fit import Envelope
    from scalefit.approach2.isoflop_fit import IsoFlop, Optimum
    from scalefit.approach2.parabola import PowerLaw
    from scalefit.results.fit import Fit

WIDTH = 78

# Levels of a coefficient up to which a report shows all; of more, this many.
MOST_LEVELS = 40
FIRST_LEVELS = 20


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


def _table(frame: pd.DataFrame, index: bool = True) -> str:
    return frame.to_string(float_format=_number, index=index)


def _number(value: float) -> str:
    return f"{value:.6g}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)
