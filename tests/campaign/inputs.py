"""Tables in every dress, documents that were tampered with, rules of random words."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import scalefit as sf
from campaign.dresses import DRESSES, plain
from campaign.judge import Outcome, same, tried, unmodified, written_and_read


def dressed(seed: int) -> Outcome:
    """Honest numbers in another dress are fitted all the same; what is no number is refused."""
    rng = np.random.default_rng([seed, 14])
    names = list(DRESSES)
    name = names[seed % len(names)]
    numbers_only = plain(rng)
    runs, numbers = DRESSES[name](rng, numbers_only.copy())
    options: dict[str, Any] = [{}, {"robust": "none"}, {"residual": "raw"}][rng.integers(3)]
    if rng.random() < 0.15:
        options = options | {"missing": "drop"}
    before = runs.copy(deep=True) if isinstance(runs, pd.DataFrame) else None
    outcome = tried("dresses", seed, (name,), lambda: sf.fit(runs, **options))
    if before is not None:
        unmodified(outcome, before, runs)
    fit = outcome.answer
    if fit is not None and not all(map(math.isfinite, [fit.objective_value, *fit.params.values()])):
        outcome.faults.append(f"an answer of {fit}")
    if numbers is not None:
        headers = dict(zip(numbers.columns, ("N", "D", "loss"), strict=False))
        expected = sf.fit(numbers.rename(columns=headers).reset_index(drop=True), **options)
        if fit is None:
            outcome.faults.append(f"honest numbers refused: {outcome.refusal[:120]}")
        elif not same(fit, expected, 1e-9):
            outcome.faults.append(
                f"{fit.objective_value:.9g}, as plain floats {expected.objective_value:.9g}"
            )
    outcome.answer = None
    return outcome


def documents(seed: int) -> Outcome:
    """A document of a fit, changed in some places or cut: refused, or as good as any other."""
    rng = np.random.default_rng([seed, 15])
    text = DOCUMENTS()[seed % len(DOCUMENTS())]
    if rng.random() < 0.3:
        changed, how = cut(rng, text), "text"
    else:
        document = json.loads(text)
        for _ in range(rng.integers(1, 4)):
            tamper(rng, document)
        changed, how = json.dumps(document), "values"

    def call() -> sf.Fit:
        fit = sf.Fit.from_json(changed)
        fit.summary(), repr(fit), fit._repr_html_()
        written_and_read(fit)
        if not fit.groups:
            fit.evaluate(**{name: np.array([1e9]) for name in fit.law.columns})
        return fit

    outcome = tried("documents", seed, (how,), call)
    outcome.answer = None
    return outcome


NONSENSE: tuple[Any, ...] = (
    None,
    "x",
    "",
    -1,
    0,
    1.5,
    True,
    [],
    {},
    [1],
    {"a": 1},
    1e308,
    -1e-300,
    "NaN",
    float("nan"),
    float("inf"),
    {"float": "inf"},
    {"float": "x"},
    {"float": "nan"},
    10**30,
    "a" * 5000,
    [[[]]],
)


def tamper(rng: np.random.Generator, document: Any) -> None:
    """Replace, remove or add one value somewhere in a document."""
    here = document
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        if isinstance(here[key], dict | list) and rng.random() < 0.8:
            here = here[key]
            continue
        if rng.random() < 0.15:
            del here[key]
        elif isinstance(here, dict) and rng.random() < 0.1:
            here["more"] = NONSENSE[rng.integers(len(NONSENSE))]
        else:
            here[key] = NONSENSE[rng.integers(len(NONSENSE))]
        return


def cut(rng: np.random.Generator, text: str) -> str:
    """A text that was truncated, or has some characters exchanged."""
    if rng.random() < 0.4:
        return text[: rng.integers(len(text))]
    characters = list(text)
    for place in rng.integers(len(text), size=rng.integers(1, 4)):
        characters[place] = rng.choice(list('{}[]",:0x-\0\ud800'))
    return "".join(characters)


@cache
def DOCUMENTS() -> tuple[str, ...]:
    """Documents of fits of several kinds."""
    runs = sf.simulate(sf.simulation.isoflop_design())
    labelled = runs.assign(format=np.where(np.arange(len(runs)) % 2, "a", "b"))
    return tuple(
        fit.to_json()
        for fit in (
            sf.fit(runs),
            sf.fit(runs, robust="none"),
            sf.fit(runs, fixed={"E": 1.7}, bounds={"alpha": (0.1, 1.0)}),
            sf.fit(runs, tied=[("alpha", "beta")], keep="loss < 3"),
            sf.fit(labelled, groups={"A": "format"}),
            sf.published("chinchilla", "besiroglu"),
        )
    )


WORDS = (
    "N",
    "D",
    "loss",
    "C",
    "`loss`",
    "`a b`",
    "index",
    "1e21",
    "6",
    "0",
    "-1",
    "'a'",
    "'",
    '"',
    "True",
    "None",
    "nan",
    "and",
    "or",
    "not",
    "in",
    "not in",
    "is",
    "if",
    "else",
    "lambda:",
    "=",
    "==",
    "!=",
    "<",
    ">=",
    "+",
    "*",
    "/",
    "**",
    "%",
    "//",
    "&",
    "|",
    "~",
    "@",
    ":=",
    ".",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ";",
    "\n",
    "\\",
    "#",
    "log",
    "log(",
    "isna(",
    "abs(",
    "notna(N)",
    ".to_pickle('written')",
    ".__class__",
    "__import__('os')",
    ".system('true')",
    "open('written', 'w')",
    "print(",
    "N.to_frame.__func__.__globals__",
    "9**9**9",
    "'a'*9**9",
    "eval(",
    "f'{N}'",
    "\0",
    "é",
)


def rules(seed: int) -> Outcome:
    """A rule, sound or of random words: refused, or true or false by row; nothing is run."""
    rng = np.random.default_rng([seed, 16])
    words = [WORDS[i] for i in rng.choice(len(WORDS), size=rng.integers(1, 9))]
    rule = " ".join(words)
    kind = seed % 3
    if kind:
        # Sound, or with one word too many.
        rule = condition(rng, 3)
        if kind == 2:
            parts = rule.split(" ")
            parts.insert(rng.integers(len(parts) + 1), words[0])
            rule = " ".join(parts)
    outcome = tried("rules", seed, (rule,), lambda: sf.LossTable.from_frame(RULED(), keep=rule))
    # A sound rule may leave no row.
    if kind == 1 and outcome.refusal and "row" not in outcome.refusal:
        outcome.faults.append(f"a sound rule was refused: {outcome.refusal[:120]}")
    outcome.answer = None
    return outcome


def condition(rng: np.random.Generator, depth: int) -> str:
    """A sound rule."""
    kind = rng.integers(4) if depth else 3
    if kind == 0:
        word = rng.choice(["and", "or"])
        return f"{condition(rng, depth - 1)} {word} {condition(rng, depth - 1)}"
    if kind == 1:
        return f"not ({condition(rng, depth - 1)})"
    if kind == 2:
        words = ("== 'a'", "!= 'b'", "in ['a', 'c']", "not in ['b']")
        return f"text {words[rng.integers(4)]}"
    sign = rng.choice(["<", "<=", ">", ">=", "==", "!="])
    return f"{amount(rng, 2)} {sign} {amount(rng, 2)}"


def amount(rng: np.random.Generator, depth: int) -> str:
    """A sound formula of numbers."""
    if not depth or rng.random() < 0.4:
        return str(rng.choice(["N", "D", "loss", "6", "1e21", "0", "2.5"]))
    if rng.random() < 0.3:
        return f"{rng.choice(['log', 'abs', 'sqrt'])}({amount(rng, depth - 1)})"
    sign = rng.choice(["+", "-", "*", "/", "**"])
    return f"({amount(rng, depth - 1)} {sign} {amount(rng, depth - 1)})"


@cache
def RULED() -> pd.DataFrame:
    """A table that rules choose from."""
    return sf.simulate(sf.simulation.isoflop_design()).assign(**{"a b": "x", "text": "a"})
