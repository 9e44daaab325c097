"""Nonsense is refused at the border by argument, value and remedy, and without a warning."""

import warnings

import pytest
from border import Row, check, keywords

import scalefit as sf
from scalefit import arguments


@pytest.mark.parametrize(
    ("remedy", "values"),
    [
        ("Pass a whole number, as seed=0", {"seed": 0}),
        ("Pass level=0.95.", {"level": 0.95}),
        ("Pass True or False, as certify=True, or leave it out", {"certify": True}),
        ("Pass x={'E': 1.7}, or y=[1, 2]", {"x": {"E": 1.7}, "y": [1, 2]}),
        ("Give pairs (as bounds={'alpha': (0.2, 0.6)})", {"bounds": {"alpha": (0.2, 0.6)}}),
        ("Pass the fit that scalefit.fit returned", {}),
    ],
)
def test_what_a_remedy_prints_is_read_as_python(remedy, values):
    assert keywords(remedy) == values


def test_a_row_fails_where_an_error_or_its_remedy_is_no_use():
    def loud(seed):
        warnings.warn("leaked", stacklevel=1)
        arguments.seed(seed)

    def useless(level):
        arguments.number(level, "level", remedy="Pass level=2", below=1)

    sound = Row("sound", arguments.seed, {"value": -1}, "seed", {"value": 0})
    assert check(sound).value == -1
    with pytest.raises(AssertionError, match="seed"):
        check(Row("another argument", arguments.seed, {"value": -1}, "by", {"value": 0}))
    with pytest.raises(AssertionError, match="says nothing"):
        check(Row("no way", lambda x: arguments.text(x, "x", remedy="Pass"), {"x": 1}, "x"))
    with pytest.raises(UserWarning, match="leaked"):
        check(Row("loud", loud, {"seed": -1}, "seed"))
    with pytest.raises(sf.ArgumentError, match="level=2"):
        check(Row("useless", useless, {"level": 3}, "level"))
