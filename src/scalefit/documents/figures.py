"""The figures of a report, by the functions of :mod:`scalefit.plot`, as bytes.

They are drawn on figures of their own in matplotlib's default style: nothing is shown, no setting
of the session changes, and the same results give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalefit.allocation.near_optimality import NearOptimal
from scalefit.allocation.result import Allocation
from scalefit.approach2.attribution import Attribution
from scalefit.approach2.bias_report import BiasReport
from scalefit.approach2.isoflop_fit import IsoFlop
from scalefit.design.chosen_runs import NextRuns
from scalefit.documents.content import GENERATOR, Block, Figure, Paragraph
from scalefit.documents.material import Material
from scalefit.errors import ScalefitError
from scalefit.frozen import Frozen
from scalefit.inference.ensemble import Ensemble
from scalefit.inference.profile_likelihood import Profile
from scalefit.plot import loss_surface
from scalefit.plot.allocations import allocation, region
from scalefit.plot.bias_fans import bias
from scalefit.plot.chosen_runs import next_runs
from scalefit.plot.diagnosis_panels import diagnosis, diagnosis_shape
from scalefit.plot.gap_parts import attribution
from scalefit.plot.held_out_errors import holdout
from scalefit.plot.isoflop_fans import isoflop
from scalefit.plot.law_errors import comparison
from scalefit.plot.parameter_pairs import pairs
from scalefit.plot.prediction_bands import predictions
from scalefit.plot.profile_curve import profile
from scalefit.reporting.described import Described
from scalefit.reporting.numbers import Kind, shown
from scalefit.runtime.progress import counting
from scalefit.validation.comparison_result import Comparison
from scalefit.validation.diagnosis import Diagnosis
from scalefit.validation.hold_out_result import HoldOut

__all__ = ["of_result", "residual_figure", "surface_figure"]

# Dots per inch of what screens show: twice those of a page that is not enlarged.
DPI = 144

# The most parameters whose pairs are drawn: beyond, the panels are too small to read.
MOST_PAIRS = 6


def drawn(
    name: str,
    caption: str,
    alt: str,
    size: tuple[float, float],
    draw: Callable[[Any], Any],
    shape: tuple[int, int] = (1, 1),
) -> Block:
    """A figure, or why there is none.

    Args:
        name: of its files.
        caption: what it shows.
        alt: the same for who cannot see it.
        size: width and height, inches.
        draw: draws on the Axes that it is given.
        shape: rows and columns of Axes.
    """
    import matplotlib as mpl
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context(), mpl.style.context("default"), counting(f"drawing {name}"):
        figure = Canvas(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        try:
            draw(figure.subplots(*shape))
        except ScalefitError as error:
            return Paragraph((f"There is no figure here: {error}",), caption)
        png, pdf = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": GENERATOR})
        # It is laid out once: nothing moves for the second format.
        figure.set_layout_engine("none")
        dates = {"CreationDate": None, "ModDate": None}
        figure.savefig(pdf, format="pdf", metadata={"Creator": GENERATOR, **dates})
    return Figure(name, caption, alt, size[0], png.getvalue(), pdf.getvalue())


def residual_figure(material: Material) -> Block | None:
    """Relative errors of the predictions of the runs; None without a table."""
    fit, table = material.fit, material.table
    if table is None:
        return None
    surface = material.draws or fit
    error = fit.residuals(table)[table.weight > 0]
    return drawn(
        "residuals",
        "Errors of the predictions of the runs",
        f"Scatter plot: predicted {fit.law.response} across, observed over predicted less one in "
        f"percent up, a point for each of {len(error)} runs: {np.count_nonzero(error > 0)} above "
        f"the law and {np.count_nonzero(error < 0)} below.",
        (7.0, 4.6),
        lambda ax: predictions(surface, table, level=material.level, ax=ax),
    )


def surface_figure(material: Material) -> Block | None:
    """The loss surface with the runs; None for other laws than those of N and D."""
    fit, table = material.fit, material.table
    if table is None or set(fit.law.columns) != {"N", "D"} or fit.groups:
        return None
    if fit.law.response != "loss":
        return None
    best = material.allocation
    one = best is not None and np.size(best.loss) == 1 and best.cost == "6ND"
    flops = float(np.ravel(best.budget)[0]) if best is not None and one else None
    marked = f", and the optimum at {shown(flops, 'flop').value} FLOP" if flops else ""
    return drawn(
        "surface",
        f"The fitted loss surface with the runs{marked}",
        f"Contours of the fitted loss over model size N and training tokens D, both logarithmic, "
        f"with {fit.nobs} runs as points coloured by how far they are off, and the efficient "
        f"frontier as a line{marked}.",
        (7.4, 6.2),
        lambda ax: loss_surface.surface(
            material.draws or fit, table, flops=flops, level=material.level, ax=ax
        ),
    )


def of_result(result: Described, material: Material, number: int) -> Block | None:
    """The figure of a result; None where it has none.

    Args:
        result: the result.
        material: what the report is made of.
        number: of the result, for the name of its files.
    """
    for kind, draw in DRAWN.items():
        if isinstance(result, kind):
            return draw(result, material, f"result{number}")
    return None


def _allocation(result: Allocation, material: Material, name: str) -> Block | None:
    if np.size(result.loss) < 2 or not {"N", "D"} <= set(result.columns):
        return None
    kind: Kind = "flop" if result.unit == "FLOP" else "usd"
    low, high = (shown(end, kind).value for end in (np.min(result.budget), np.max(result.budget)))
    unit = " FLOP" * (result.unit == "FLOP")
    return drawn(
        f"{name}-allocation",
        f"Compute-optimal N and D by budget, from {low} to {high}{unit}",
        "Two panels of lines: compute-optimal parameters N and tokens D against the budget, all "
        "axes logarithmic. Budgets beyond the runs are shaded.",
        (9.0, 4.2),
        lambda ax: allocation(result, level=material.level, ax=ax),
        (1, 2),
    )


def _region(result: NearOptimal, material: Material, name: str) -> Block | None:
    if np.size(result.low) != 1 or result.best.cost != "6ND":
        return None
    fitted = material.draws if result.draws and material.draws else material.fit
    return drawn(
        f"{name}-region",
        "Loss by model size along the budget",
        "A curve of the rise of the loss with model size at one budget, with its minimum marked "
        "and the range of nearly optimal sizes shaded.",
        (6.0, 4.6),
        lambda ax: region(result, fit=fitted, level=material.level, ax=ax),
    )


def _isoflop(result: IsoFlop, material: Material, name: str) -> Block | None:
    table = material.table
    if table is None:
        return None
    return drawn(
        f"{name}-isoflop",
        "Loss by model size at each budget, with parabolas, their vertices and the power law",
        f"Loss against model size, a curve and a colour for each of {len(result.budgets)} budgets, "
        "with the least point of each marked.",
        (7.0, 5.0),
        lambda ax: isoflop(result, table, level=material.level, ax=ax),
    )


def _bias(result: BiasReport, material: Material, name: str) -> Block | None:
    return drawn(
        f"{name}-bias",
        "Approach 2 beside the fitted surface",
        "Two panels. Left: loss against model size by budget, with parabolas and the surface. "
        "Right: compute-optimal tokens of Approach 2 relative to those of the surface, against the "
        "budget.",
        (11.6, 5.2),
        lambda ax: bias(result, level=material.level, ax=ax),
        (1, 2),
    )


def _attribution(result: Attribution, material: Material, name: str) -> Block | None:
    return drawn(
        f"{name}-attribution",
        "The error of Approach 2 by cause",
        "Bars: the change of the optimal tokens, in percent, by each cause of the error.",
        (7.4, 4.0),
        lambda ax: attribution(result, level=material.level, ax=ax),
    )


def _profile(result: Profile, material: Material, name: str) -> Block | None:
    return drawn(
        f"{name}-profile",
        f"Profile of {result.name}",
        f"The rise of the objective against {result.name}, with the threshold of its interval.",
        (6.0, 4.4),
        lambda ax: profile(result, level=material.level, ax=ax),
    )


def _pairs(result: Ensemble, material: Material, name: str) -> Block | None:
    varied = [
        key
        for key, values in result.drawn.items()
        if key not in result.fit.fixed and np.ptp(values) > 0
    ]
    varied = [key for key in varied if not any(key in names[1:] for names in result.fit.tied)]
    size = len(varied)
    if not 2 <= size <= MOST_PAIRS:
        return None
    side = 1.9 * size + 0.6
    return drawn(
        f"{name}-pairs",
        "Draws of the parameters, two by two",
        f"Scatter plots of the draws of {size} parameters against each other, with histograms on "
        "the diagonal.",
        (side, side - 0.2),
        lambda ax: pairs(result, level=material.level, params=varied, ax=ax),
        (size, size),
    )


def _diagnosis(result: Diagnosis, material: Material, name: str) -> Block | None:
    shape, size = diagnosis_shape(result)
    return drawn(
        f"{name}-diagnosis",
        "Residuals along each column, and what the answer hinges on",
        "Panels of residuals against the columns of the law with their trends, and the answer "
        "without each block of runs and by other objectives, relative to that of the fit.",
        size,
        lambda ax: diagnosis(result, level=material.level, ax=ax),
        shape,
    )


def _holdout(result: HoldOut, material: Material, name: str) -> Block | None:
    if not len(result.errors):
        return None
    return drawn(
        f"{name}-holdout",
        "Held-out runs: observed against predicted, and errors by distance",
        f"Two panels of {len(result.errors)} held-out runs. Left: observed loss against the "
        "predicted one. Right: the error against the distance outside the fitted runs.",
        (10.4, 4.8),
        lambda ax: holdout(result, level=material.level, ax=ax),
        (1, 2),
    )


def _comparison(result: Comparison, material: Material, name: str) -> Block | None:
    return drawn(
        f"{name}-comparison",
        "Errors of each law, and differences to the best",
        "Two panels with a line for each law. Left: root mean square residuals, held out and in "
        "sample. Right: how much worse than the best law, with intervals.",
        (8.6, 1.9 + 0.42 * len(result.to_frame())),
        lambda ax: comparison(result, level=material.level, ax=ax),
        (1, 2),
    )


def _next_runs(result: NextRuns, material: Material, name: str) -> Block | None:
    return drawn(
        f"{name}-runs",
        "The runs to make next, among those that are there",
        f"Points for the runs that are there, and circles for {len(result.runs)} next ones, with "
        "lines of equal cost.",
        (6.6, 5.2),
        lambda ax: next_runs(result, ax=ax),
    )


DRAWN: Mapping[type[Described], Callable[[Any, Material, str], Block | None]] = Frozen(
    {
        Ensemble: _pairs,
        Profile: _profile,
        Allocation: _allocation,
        NearOptimal: _region,
        IsoFlop: _isoflop,
        BiasReport: _bias,
        Attribution: _attribution,
        Diagnosis: _diagnosis,
        HoldOut: _holdout,
        Comparison: _comparison,
        NextRuns: _next_runs,
    }
)
