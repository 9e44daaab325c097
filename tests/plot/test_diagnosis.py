"""The picture of a diagnosis says what the diagnosis says."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import scalefit as sf
from scalefit.errors import ArgumentError


@pytest.fixture(scope="module")
def found():
    design = sf.simulation.isoflop_design([1e18, 1e19, 1e20, 1e21], points=6)
    runs = sf.simulate(design, noise=0.003, seed=2)
    runs.loc[4, "loss"] *= 1.3
    return sf.diagnose(sf.fit(runs, robust="none", certify=False), runs.drop(index=[]))


def dots(ax):
    """Middles of the dots, as far as they are inside the picture."""
    return np.concatenate([np.asarray(item.get_offsets()) for item in ax.collections
                           if len(item.get_offsets()) and item.get_offsets().ndim == 2
                           and type(item).__name__ == "PathCollection"])  # fmt: skip


def test_residuals_are_drawn_along_each_column(found):
    axes = sf.plot.diagnosis(found)
    assert axes.shape == (2, 3)
    for place, name in ((0, "N"), (1, "D"), (3, "C"), (4, "D/N")):
        ax = axes.flat[place]
        assert ax.get_xlabel().startswith(f"${name}$") and ax.get_xscale() == "log"
        x, y = dots(ax).T
        assert len(x) == len(found.residuals)
        inside = np.abs(found.residuals["residual"]) * 100 < 0.9 * ax.get_ylim()[1]
        drawn = {(round(np.log10(a), 6), round(b, 6)) for a, b in zip(x, y, strict=True)}
        wanted = found.residuals[inside]
        pairs = zip(np.log10(wanted[name]), 100 * wanted["residual"], strict=True)
        assert {(round(a, 6), round(b, 6)) for a, b in pairs} <= drawn
        trend = next(line for line in ax.lines if len(line.get_xdata()) == 50)
        z, height = np.log10(trend.get_xdata()), trend.get_ydata() / 100
        row = found.trends.query("column == @name and term == 'slope'").iloc[0]
        assert (height[-1] - height[0]) / (z[-1] - z[0]) == pytest.approx(row["value"])


def test_dots_are_the_swings_and_the_band_is_the_interval(found):
    axes = sf.plot.diagnosis(found, level=0.9)
    for ax, frame, name in (
        (axes[0, 2], found.left_out, "swing"),
        (axes[1, 2], found.objectives.iloc[1:], "change"),
    ):
        np.testing.assert_allclose(np.sort(dots(ax)[:, 0]), np.sort(frame[name].to_numpy()))
        ends = np.log(np.array(found.interval(0.9)) / found.answer)
        box = ax.patches[0].get_extents().transformed(ax.transData.inverted())
        np.testing.assert_allclose([box.x0, box.x1], ends, atol=1e-9)
    labels = [text.get_text() for text in axes[0, 2].get_yticklabels()]
    assert labels == [f"{a} = {b}" for a, b in found.left_out[["by", "block"]].to_numpy()]


def test_axes_may_be_given_and_must_be_as_many(found):
    axes = plt.subplots(2, 3)[1]
    assert (sf.plot.diagnosis(found, ax=axes) == axes).all()
    with pytest.raises(ArgumentError, match="6 Axes"):
        sf.plot.diagnosis(found, ax=plt.subplots(1, 2)[1])
    with pytest.raises(ArgumentError, match="diagnosis"):
        sf.plot.diagnosis("found")
