"""Draws the figures of docs/plots.md, and those of other pages, which need SCALEFIT_DATA.

Those of docs/own_sweep.md and docs/search.md are drawn by their examples.

``python docs/figures.py plots`` draws those of docs/plots.md alone, of the bundled runs;
``python docs/figures.py plots curves surface`` saves two of them.
"""

import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import scalefit as sf
from scalefit.plot.style import BLUE, ORANGE, VERMILION, axis_label, log_axis, picture, title

IMAGES = Path(__file__).with_name("images")
DPI, COLOURS = 90, 255
SURFACE, PARABOLA = BLUE, VERMILION


@picture
def one_budget() -> plt.Figure:
    """A parabola through one sweep without noise: centred, and off centre."""
    truth = {"E": 2.8, "A": 6.4e5, "B": 4500.0, "alpha": 0.72, "beta": 0.41}
    budget = 1e20
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 4.0), sharey=True, layout="constrained")
    designs = {"sizes around the optimum": {}, "sizes around a third of it": {"offset": 3.0}}
    for ax, (said, moved) in zip(axes, designs.items(), strict=True):
        design = sf.simulation.isoflop_design(
            [budget, 3e20], points=9, width=6.0, surface=truth, **moved
        )
        runs = sf.simulate(design, params=truth, noise=0.0)
        one = sf.isoflop(runs).budgets.iloc[0]
        shown = runs[runs["C"] == budget]
        N = np.geomspace(shown["N"].min() / 1.3, shown["N"].max() * 1.3, 300)
        loss = truth["E"] + truth["A"] * N ** -truth["alpha"]
        loss += truth["B"] * (budget / 6 / N) ** -truth["beta"]
        bowl = one["loss"] + one["curvature"] * np.log(N / one["N"]) ** 2
        best = np.argmin(loss)
        ax.plot(N, loss, color=SURFACE, linewidth=1.8, label="the loss")
        ax.plot(N, bowl, color=PARABOLA, linewidth=1.5, linestyle="--", label="parabola")
        ax.plot(shown["N"], shown["loss"], "o", color="0.2", markersize=5, label="runs")
        ax.axvline(N[best], color=SURFACE, linewidth=0.8)
        ax.axvline(one["N"], color=PARABOLA, linewidth=0.8, linestyle="--")
        ax.plot(one["N"], one["loss"], "D", color=PARABOLA, markersize=7)
        ax.plot(N[best], loss[best], "*", color=ORANGE, markeredgecolor="black", markersize=13)
        log_axis(ax, "x", "count")
        title(ax, f"{said}: $N^*$ {one['N'] / N[best] - 1:+.0%}")
        ax.set_xlabel(axis_label("N"))
    axes[0].set_ylabel(axis_label("loss", "nats/token"))
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def swept(runs: sf.LossTable, flops: float, **options: str) -> sf.approach2.BiasReport:
    """The report of a table whose surface is fitted as by default."""
    fit = sf.fit(runs)
    draws = sf.bootstrap(fit, runs, n_draws=500)
    return sf.bias(draws, sf.isoflop(runs, **options), runs, flops)


def llama3() -> sf.approach2.BiasReport:
    """The digitised sweeps of Llama 3, with the surface that the published numbers use."""
    runs = sf.datasets.load("llama3_isoflops")
    fit = sf.fit(runs, residual="raw", robust="none")
    draws = sf.bootstrap(fit, runs, n_draws=500)
    return sf.bias(draws, sf.isoflop(runs), runs, 3.8e25)


def chinchilla() -> sf.approach2.BiasReport:
    """The digitised sweeps of Chinchilla."""
    runs = sf.datasets.load("chinchilla_epoch", keep="oa_used == 1")
    return swept(runs, 5.76e23, by="budget")


def marin() -> sf.approach2.BiasReport:
    """Marin's sweeps on Comma, whose C is not 6ND."""
    runs = sf.datasets.load("marin_comma", keep="validation_optimal == 0")
    return swept(runs, 1e22)


def plots(only: tuple[str, ...] = ()) -> None:
    """Run the code of docs/plots.md in order, and save each picture where the page shows it.

    Args:
        only: names of pictures to save; all by default.
    """
    page = Path(__file__).with_name("plots.md")
    known: dict[str, object] = {}
    block = re.compile(
        r"```python\n(.*?)```(?:\n\n!\[.*?\]\((images/plots/(\w+)\.png)\))?", re.DOTALL
    )
    for code, image, name in block.findall(page.read_text()):
        exec(code, known)
        if image and (not only or name in only):
            small(plt.gcf(), page.with_name("images") / "plots" / f"{name}.png")
        plt.close("all")


def small(figure: plt.Figure, path: Path) -> None:
    """Save a figure in few colours, for a page."""
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=DPI)
    Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def surface() -> plt.Figure:
    """The first picture: our own sweep, and the optimum of a budget with its interval."""
    runs = sf.datasets.load("scalefit_bytes", keep="held_out == 0")
    draws = sf.bootstrap(sf.fit(runs, "chinchilla_outer"), runs, n_draws=500)
    return sf.plot.surface(draws, runs, flops=1e14).figure


def uncertainty() -> plt.Figure:
    """The band of the frontier."""
    runs = sf.simulate(sf.simulation.isoflop_design(points=10), noise=0.005, seed=1)
    draws = sf.bootstrap(sf.fit(runs), runs, n_draws=1000)
    return sf.plot.surface(draws, runs, flops=1e24).figure


def main() -> None:
    """Draw and save everything, or the pictures of docs/plots.md."""
    if sys.argv[1:2] == ["plots"]:
        return plots(tuple(sys.argv[2:]))
    plots()
    surface().savefig(IMAGES / "surface.png", dpi=150)
    uncertainty().savefig(IMAGES / "uncertainty.png", dpi=110)
    one_budget().savefig(IMAGES / "parabolas_one_budget.png", dpi=110)
    reports = {"llama3": llama3(), "chinchilla": chinchilla(), "marin": marin()}
    for name, report in reports.items():
        sf.plot.bias(report)[0].figure.savefig(IMAGES / f"parabolas_{name}.png", dpi=110)
    figure, axes = plt.subplots(1, 2, figsize=(12.4, 4.0), layout="constrained")
    for ax, name in zip(axes, ("llama3", "marin"), strict=True):
        sf.plot.attribution(reports[name], ax=ax)
    title(axes[0], "Llama 3, $3.8\\times10^{25}$ FLOP")
    title(axes[1], "Marin, Comma, $10^{22}$ FLOP")
    axes[1].set_yticklabels([])
    figure.savefig(IMAGES / "parabolas_parts.png", dpi=110)


if __name__ == "__main__":
    main()
