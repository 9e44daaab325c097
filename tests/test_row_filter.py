"""Rules that rows are kept by: what they mean, and that they are nothing else."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from scalefit.data.row_filter import DEEPEST, LONGEST, holds, quoted

FRAME = pd.DataFrame(
    {
        "N": [1e7, 1e8, np.nan, 1e10],
        "steps": [1, 2, 3, 4],
        "corpus": ["web", "code", None, "web-2"],
        "used": [True, False, True, True],
        "Model Size": [1.0, 2.0, 3.0, 4.0],
        "a`b": [1, 2, 3, 4],
        "mixed": pd.Series([1.0, "diverged", None, 2], dtype=object),
        "lists": [[1], [2], None, [4]],
        "day": pd.to_datetime(["2024-01-01", None, "2024-01-02", "2024-01-03"]),
        "empty": [np.nan] * 4,
        "asked": pd.array([True, None, False, True], dtype="boolean"),
        "size": pd.Categorical(["s", "l", None, "s"], categories=["s", "l"], ordered=True),
        "max": [1, 2, 3, 4],
    }
)
COLUMNS = {name: FRAME[name] for name in FRAME}


def rows(rule, frame=FRAME):
    return np.flatnonzero(holds(rule, {name: frame[name] for name in frame})).tolist()


MEANINGS = {
    "N < 5e8": [0, 1],
    "5e7 <= N < 5e8": [1],
    "steps == 2 or steps > 3": [1, 3],
    "steps >= 2 & steps < 4": [1, 2],
    "steps == 1 | steps == 4": [0, 3],
    "not steps == 1 and steps < 4": [1, 2],
    "~(steps < 3)": [2, 3],
    "~used | steps == 1": [0, 1],
    "not not used": [0, 2, 3],
    "used": [0, 2, 3],
    "used == False": [1],
    "used in [False]": [1],
    "asked": [0, 3],
    "~asked": [2],
    "-steps**2 < -3": [1, 2, 3],
    "2**-steps > 0.2": [0, 1],
    "2**3**2 / 512 == steps": [0],
    "(steps + 1) * 2 - 1 == 5": [1],
    "steps % 2 == 0 and steps // 3 == 1": [3],
    "- - steps > +3": [3],
    "steps in [1, 4,]": [0, 3],
    "steps not in (1, 4)": [1, 2],
    "-steps in [-2, +3]": [1],
    ".5e1 > steps > 3.": [3],
    "1_000 * steps == 2e3": [1],
    "`Model Size` > 3": [3],
    "`a``b` > 3": [3],
    "`N` == 1e10": [3],
    "max > 3": [3],
    "max(steps, 3) == 3 and min(steps, 2) == 2": [1, 2],
    "abs(2 - steps) < 1": [1],
    "sqrt(steps) == 2 or exp(steps - 1) == 1": [0, 3],
    "log10(N) == 8 or log(steps) == 0": [0, 1],
    "abs(N) < inf": [0, 1, 3],
    "corpus == 'web'": [0],
    'corpus != "web"': [1, 3],
    "corpus < 'd'": [1],
    "corpus in ['web', 'code']": [0, 1],
    "corpus not in ['web', 'code']": [3],
    "startswith(corpus, 'web')": [0, 3],
    "endswith(corpus, 'e')": [1],
    "contains(corpus, 'e') and not contains(corpus, 'w')": [1],
    "corpus == 'a\\'b' or corpus == 'web'": [0],
    "mixed != 'diverged'": [0, 3],
    "size == 's'": [0, 3],
    "notna(day)": [0, 2, 3],
    "isna(lists) or isna(mixed)": [2],
    "isna(0 * N)": [2],
    "isna(N < 1)": [2],
    # A comparison with what is missing is neither true nor false.
    "not N < 5e8": [3],
    "N != 1e7": [1, 3],
    "N < 5e8 or steps == 3": [0, 1, 2],
    "not (N < 5e8 and steps == 3)": [0, 1, 3],
    "empty == 'web'": [],
    "not contains(empty, 'web')": [],
    "empty not in ['web']": [],
    # Nor is one with what no number is.
    "N / 0 > 1": [0, 1, 3],
    "sqrt(-N) < 1 or (N - N) / 0 < 1": [],
    "9**9**9 * N < 1": [],
    "N\n\t<\n5e8": [0, 1],
}


@pytest.mark.parametrize(("rule", "expected"), MEANINGS.items(), ids=MEANINGS)
def test_a_rule_keeps_the_rows_that_it_is_true_of(rule, expected):
    assert rows(rule) == expected


REFUSED = {
    # rule: what is said of it
    "": "at its end: a column, a number or text is expected here",
    "N <": "at its end: a column",
    "(N < 1": "at its end: ) is expected here",
    "N < 1)": "at ')' (character 6): an operator is expected here",
    "N = 1": "at '= 1' (character 3): equality is written ==",
    "(N := 1) < 2": "at ':= 1) < 2' (character 4): a rule is one expression",
    "N < 1; steps < 2": "(character 6): a rule is one expression; several are given as keep=[...]",
    "!used": "at '!used' (character 1): negation is written not",
    "N < @limit": "at '@limit' (character 5): a rule knows no variables",
    "N < 7B": "at '7B' (character 5): numbers are written as 7e9",
    "N < 0x10": "at '0x10' (character 5): numbers are written",
    "N < 1j": "at '1j' (character 5): numbers are written",
    "corpus == 'web": '"\'web" (character 11): this text does not end',
    "`Model Size > 1": "(character 1): this header does not end",
    "corpus == b'web'": "\"b'web'\" (character 11): text is written in quotes, without a letter",
    "f'{N}' == 'x'": "(character 1): text is written in quotes, without a letter",
    "M < 1": "there is no column 'M'. Columns: N, steps, corpus",
    "step < 1": "there is no column 'step'. Did you mean steps? Columns: N",
    "ModelSize < 1": "there is no column 'ModelSize'. Did you mean `Model Size`? Columns",
    "N == None": "there is no column 'None'. Missing values are found by isna(loss)",
    "lambda: 1": "there is no column 'lambda'",
    "N": "is not true or false for each row. Write a rule as keep='C < 1e21",
    "1 < 2": "is not true or false for each row",
    "N and used": "at 'and used' (character 3): a number stands where true or false is needed",
    "~N > 1": "at '~N > 1' (character 1): a number stands where true or false is needed",
    "-corpus == 'x'": "a column of text, such as 'web', stands where a number is needed",
    "'a' * 10**9 == 'a'": "at \"* 10**9 == 'a'\" (character 5): text stands where a number",
    "corpus == 3": "(character 8): a column of text, such as 'web', is compared with a number",
    "corpus in [1]": "a column of text, such as 'web', is compared with a number",
    "steps == '3'": "(character 7): a number is compared with text",
    "used == 1": "what is true or false is compared with a number: write it alone",
    "used < True": "what is true or false is compared with what is true or false",
    "mixed < 3": "a column of text, such as 'diverged', is compared with a number",
    "mixed < 'x'": "what stands here has no order of text",
    "size < 's'": "what stands here has no order of text",
    "day > '2024-01-01'": "a column of datetime64[",
    "lists == 1": "a column of other things, such as [1], is compared with a number",
    "N in [1, steps]": "at 'steps]' (character 10): a list holds numbers and text",
    "N in []": "a list holds numbers and text",
    "N in [1": "at its end: ] is expected here",
    "N in [-'a']": "text stands where a number is needed",
    "'web' in corpus": "at 'corpus' (character 10): a list is expected here",
    "N not 3": "at '3' (character 7): in is expected here",
    "N[0] < 1": "at '[0] < 1' (character 2): an operator is expected here",
    "[N for N in steps]": "(character 1): a column, a number or text is expected here",
    "{N} < 1": "(character 1): a column, a number or text is expected here",
    "N < 1 if used else 2": "(character 7): an operator is expected here",
    "open(corpus)": "at 'open(corpus)' (character 1): 'open' is no function of rules",
    "__import__('os').system('true')": "'__import__' is no function of rules",
    "max(N) < 1": "max is a function of 2, not of 1",
    "isna(N, steps)": "isna is a function of 1, not of 2",
    "contains(corpus, steps)": "contains takes a column of text, and a text in quotes",
    "N.to_pickle('x')": "at \".to_pickle('x')\" (character 2): columns have no methods",
    "N.__class__": "columns have no methods in a rule",
    # What pandas writes as a method has another form.
    "N.notna()": "(character 2): columns have no methods in a rule: write notna(N).",
    "`Model Size`.isnull()": "(character 13): columns have no methods in a rule: write "
    "isna(`Model Size`)",
    "(N + 1).between(1, 2)": "write lowest <= (N + 1) <= highest",
    "corpus.isin(['web'])": "write corpus in [...]",
    "corpus.str.contains('e')": "write startswith(corpus, '...'), endswith(corpus, '...') or "
    "contains(corpus, '...')",
    "\0N < 1": "(character 1)",
    "N < 1\0": "at '\\x00' (character 6)",
}


@pytest.mark.parametrize(("rule", "said"), REFUSED.items(), ids=map(repr, REFUSED))
def test_what_is_no_rule_is_refused_at_its_place(rule, said):
    with pytest.raises(sf.errors.DataError) as caught:
        holds(rule, COLUMNS)
    assert said in str(caught.value)
    assert repr(rule) in str(caught.value)
    assert "Write a rule as" in caught.value.remedy or "Columns:" in caught.value.remedy


LONG = [
    "(" * (DEEPEST + 1) + "N < 1" + ")" * (DEEPEST + 1),
    "(" * 4900 + "N < 1" + ")" * 4900,
    "abs(" * 2400 + "N" + ")" * 2400,
    "2**" * 3000 + "N < 1",
    "N < 1 or " * 2000 + "used",
    "x" * 10_000_000,
    "N == '" + "a" * 10_000_000 + "'",
    "N.a" * 3000,
    "\0" * 9000,
]


@pytest.mark.parametrize("rule", LONG, ids=lambda rule: rule[:8] + str(len(rule)))
def test_rules_made_to_exhaust_are_refused_at_once(rule):
    start = time.perf_counter()
    with pytest.raises(sf.errors.DataError) as caught:
        holds(rule, COLUMNS)
    assert time.perf_counter() - start < 1
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "rule",
    [
        "not " * 2000 + "used",
        "~" * 8000 + "used",
        "used" + " or used" * 1200,
        "1" * 4000 + "e" + "9" * 4000 + " < steps or used",
        "steps in [" + "1, " * 3000 + "3, 4]",
        "(" * (DEEPEST - 1) + "used" + ")" * (DEEPEST - 1),
    ],
    ids=lambda rule: rule[:8],
)
def test_long_rules_are_read(rule):
    assert len(rule) <= LONGEST
    assert rows(rule) == [0, 2, 3]


def test_attacks_touch_nothing(tmp_path):
    runs = sf.simulate(sf.simulation.isoflop_design(), noise=0.0)
    there, made = tmp_path / "there", tmp_path / "made"
    there.write_text("mine")
    for rule in (
        f"N.to_pickle('{there}')",
        f"N.to_csv('{made}') < 1",
        f"N.to_frame.__func__.__globals__['sys'].modules['os'].system('touch {made}') == 0",
        f"__import__('os').system('touch {made}') == 0",
        f"[c for c in ().__class__.__base__.__subclasses__()][0] or open('{made}', 'w')",
        f"@pd.read_pickle('{there}') < N",
    ):
        with pytest.raises(sf.errors.DataError, match="makes no sense at"):
            sf.fit(runs, keep=rule)
    assert there.read_text() == "mine" and not made.exists()


@pytest.mark.parametrize("header", ["N", "Model Size", "a`b", "not", "``", "x'y", "\u039d", "1"])
def test_headers_are_quoted_so_that_they_can_be_named(header):
    frame = pd.DataFrame({header: [1.0, np.nan, 3.0]})
    assert rows(f"notna({quoted(header)})", frame) == [0, 2]


def test_row_labels_are_the_index(tmp_path):
    frame = pd.DataFrame({"N": [1e7, 1e8, 1e9], "D": [1e9, 2e9, 3e9], "loss": [4.0, 3.5, 3.0]})
    assert sf.LossTable.from_frame(frame, keep="index != 1").rows == (0, 2)
    named = frame.set_axis(["a", "b", "c"])
    assert sf.LossTable.from_frame(named, keep="index in ['a', 'c']").rows == ("a", "c")
    hidden = frame.assign(index=[7, 8, 9])
    assert sf.LossTable.from_frame(hidden, keep="index > 8").rows == (2,)
    two = frame.set_axis(pd.MultiIndex.from_tuples([(0, 1), (0, 2), (1, 1)]))
    with pytest.raises(sf.errors.DataError, match="there is no column 'index'"):
        sf.LossTable.from_frame(two, keep="index < 1")


# Of what both can say, pandas says the same


NUMBERS = st.recursive(
    st.sampled_from(["x", "y", "`a b`", "1", "2.5", "3e0"]),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("{} {} {}".format, inner, st.sampled_from("+-*"), inner),
        st.builds("({}) {} {}".format, inner, st.sampled_from(["/", "%", "//"]), st.just("2.5")),
        st.builds("({})**2".format, inner),
        st.builds("-{}".format, inner),
        st.builds("abs({})".format, inner),
    ),
    max_leaves=5,
)
COMPARED = st.one_of(
    st.builds(
        "{} {} {}".format, NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS
    ),
    st.builds("{} < {} <= {}".format, NUMBERS, NUMBERS, NUMBERS),
    st.sampled_from(
        ["x in [1, 2]", "y not in [0.5, -3]", "w == 'a'", "w in ['a', 'b']", "~t", "t"]
    ),
)
RULES = st.recursive(
    COMPARED,
    lambda inner: st.one_of(
        st.builds("({})".format, inner),
        st.builds("not ({})".format, inner),
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or", "&", "|"]), inner),
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(RULES)
def test_rules_mean_what_pandas_means_by_them(rule):
    frame = pd.DataFrame(
        {
            "x": [0.5, 1.0, 2.0, -3.0, 2.5, 1e3],
            "y": [2.0, 0.5, -3.0, 2.0, 1.0, 1e-3],
            "a b": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "w": ["a", "b", "c", "a", "b", "c"],
            "t": [True, False, True, True, False, False],
        }
    )
    # Not without a constant in a comparison: pandas has no rows then.
    expected = frame.eval(rule, engine="python")
    if isinstance(expected, pd.Series):
        assert rows(rule, frame) == np.flatnonzero(expected).tolist(), rule
