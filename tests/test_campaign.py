"""A slice of the campaign of hostile input; ``benchmarks/hostile.py`` runs all of it."""

import pytest
from campaign.families import FAMILIES

# Cases of the slice, spread over the whole campaign.
SLICE = {
    "fits": 80,
    "laws": 56,
    "dresses": 220,
    "files": 150,
    "containers": 190,
    "units": 200,
    "trackers": 80,
    "shapes": 400,
    "documents": 200,
    "rules": 200,
    "arguments": 400,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_hostile_input_ends_in_a_right_answer_or_in_a_refusal(name):
    family = FAMILIES[name]
    step = family.cases // SLICE[name]
    ended = [family.judge(seed) for seed in range(0, family.cases, step)]
    wrong = {f"{item.seed} {item.tags}": item.faults for item in ended if item.faults}
    assert not wrong
    # Nothing of the kind "refuse everything" or "accept everything" passes for robust.
    assert 0 < sum(bool(item.refusal) for item in ended) < len(ended)
