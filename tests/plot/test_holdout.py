"""The picture of held-out runs shows the frame of its result."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import scalefit as sf


@pytest.fixture(scope="module")
def found():
    runs = sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.004, seed=1)
    return sf.holdout(runs, scheme="rolling", robust="none")


def test_runs_are_drawn_against_predictions_and_distances(found):
    left, right = sf.plot.holdout(found, level=0.8)
    frame = found.to_frame(0.8)
    covered = found.covered(0.8)
    assert f"80 % intervals hold {covered.inside} of {covered.runs}" in left.get_title()
    marks = [item for item in left.collections if hasattr(item, "get_offsets")]
    points = np.concatenate([np.array(item.get_offsets()).reshape(-1, 2) for item in marks])
    known = frame["error"].notna()
    drawn = points[np.isin(points[:, 0], frame["predicted"])]
    assert np.sort(drawn[:, 1]) == pytest.approx(np.sort(frame["observed"][known].to_numpy()))
    names = [text.get_text() for text in right.get_legend().get_texts()]
    assert names == list(found.folds.index)


def test_results_without_intervals_and_other_axes():
    runs = sf.simulate(sf.simulation.isoflop_design(points=9), noise=0.004, seed=1)
    found = sf.holdout(runs, intervals=False)
    given = plt.subplots(1, 2)[1]
    assert sf.plot.holdout(found, ax=given)[1] is given[1]
    assert "intervals" not in given[0].get_title()
    with pytest.raises(sf.errors.ArgumentError, match=r"scalefit.holdout\(runs\)"):
        sf.plot.holdout(runs)
