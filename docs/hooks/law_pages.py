"""A page for every law, made from the law itself and from what the tests know of it."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import scalefit as sf

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

ARXIV = re.compile(r"(?:arXiv )?(\d{4}\.\d{5})")
ROLE = re.compile(r":(?:func|data):`~?(?:scalefit\.laws\.)?(\w+)`")

# Columns of a table of published coefficients.
WIDEST = 7

# Functions that make laws, with arguments of a page's example.
MADE: dict[str, tuple[Any, ...]] = {
    "mixture_of": ("web", "code"),
    "additive_mixture_of": ("web", "code", "books"),
    "joint_mixture_of": ("web", "code", "books"),
    "multi_power": (2,),
}
# The family that each belongs to.
FAMILY_OF_MADE = dict.fromkeys(MADE, "mixture") | {"multi_power": "learning-rate schedule"}


@cache
def rows() -> dict[str, Any]:
    """The rows of the tests' catalogue, by law: a design, the truth, and what a fit recovers."""
    sys.path.insert(0, str(ROOT / "tests" / "laws"))
    from catalogue import ROWS

    return {row.law: row for row in ROWS}


def linked(text: str) -> str:
    """A text of a law as Markdown: papers, and names of other laws, as links."""
    text = ROLE.sub(lambda found: _law_link(found[1]), text)
    return ARXIV.sub(
        r"[arXiv \1](https://arxiv.org/abs/\1)", text.replace("``", "`").replace("+-", "±")
    )


def _law_link(name: str) -> str:
    target = f"{name}.md" if name in sf.laws.BUILTIN or name in MADE else ""
    return f"[`{name}`]({target})" if target else f"[`{name}`][scalefit.laws.{name}]"


def sections(law: sf.Law) -> tuple[list[str], dict[str, str], list[str]]:
    """Of a docstring: paragraphs before the arguments, the arguments, paragraphs after them."""
    text = inspect.getdoc(law.function) or ""
    before, _, rest = text.partition("\nArgs:\n")
    entries: dict[str, str] = {}
    name, after = "", ""
    lines = rest.splitlines()
    for place, line in enumerate(lines):
        if line and not line.startswith(" "):
            after = "\n".join(lines[place:])
            break
        if entry := re.match(r" {4}(\w+): (.*)", line):
            name = entry[1]
            entries[name] = entry[2]
        elif name and line.strip():
            entries[name] += f" {line.strip()}"
    return _paragraphs(before)[2:], entries, _paragraphs(after)


def _paragraphs(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.strip().split("\n\n") if item.strip()]


def page(law: sf.Law, maker: str = "") -> str:
    """The page of one law.

    Args:
        law: the law; of a function that makes laws, one that it made.
        maker: the name of that function.
    """
    before, said, after = sections(law)
    parts = [f"# {maker}" if maker else f"# {law.name} {{ #scalefit.laws.{law.name} }}"]
    purpose = law.purpose or summary(getattr(sf.laws, maker))
    parts += [linked(purpose), f"$$ {law.latex} $$"]
    if maker:
        called = ", ".join(repr(item) for item in MADE[maker])
        parts += [
            f"Here for `laws.{maker}({called})`; [`{maker}`][scalefit.laws.{maker}] makes it of "
            "other arguments."
        ]
    parts += [linked(item) for item in before]
    parts += ["## Columns", _columns(law, said), "## Parameters", _parameters(law, said)]
    if told := list(_identified(law, after)):
        parts += ["## What runs tell", *told]
    if example := _example(law, maker):
        parts += ["## Example", example]
    if published := _published(law):
        parts += ["## Published coefficients", published]
    parts += ["## Source", linked(law.source)]
    if law.also_known_as:
        parts += ["The same formula is fitted as:"]
        parts += ["\n".join(f"- {linked(item)}" for item in law.also_known_as)]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(function: Any) -> str:
    """The first paragraph of a docstring."""
    return _paragraphs(inspect.getdoc(function) or "")[0]


def _columns(law: sf.Law, said: dict[str, str]) -> str:
    lines = ["| column | what it is | values |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {linked(said.get(name, ''))} | {_rule(law, name)} |" for name in law.columns
    ]
    lines.append(f"| `{law.response}` | what it predicts | {_rule(law, law.response)} |")
    by = dict.fromkeys(column for param in law.params for column in param.by)
    lines[-1:-1] = [f"| `{name}` | levels, each with parameters of its own | |" for name in by]
    if law.relations:
        rules = ", ".join(f"`{item.rule}`" for item in law.relations)
        lines += ["", f"In every row: {rules}."]
    return "\n".join(lines)


def _rule(law: sf.Law, name: str) -> str:
    return f"`{law.domains[name].rule(name)}`" if name in law.domains else ""


def _parameters(law: sf.Law, said: dict[str, str]) -> str:
    lines = ["| parameter | what it is | kind, bounds |", "|---|---|---|"]
    for param in law.params:
        kind = param.kind
        ends = [f"{end:g}".replace("inf", "∞") for end in (kind.lower, kind.upper)]
        bounds = f"{ends[0]}&nbsp;to&nbsp;{ends[1]}"
        if kind.column:
            bounds += f" {'over the range' if kind.per else 'times the range'} of `{kind.column}`"
        by = f" by {' and '.join(f'`{item}`' for item in param.by)}" if param.by else ""
        words = linked(said.get(param.name, "")).replace("|", "\\|")
        lines.append(f"| `{param.name}` | {words} | {kind.name}{by}, {bounds} |")
    return "\n".join(lines)


def _identified(law: sf.Law, after: list[str]) -> Iterator[str]:
    """What is linear, what the docstring says, and what the tests' catalogue recovers."""
    yield from (linked(item) for item in after)
    row = rows().get(law.name)
    if row is None:
        return
    rest = [name for name in law.names if name not in row.linear]
    names = ", ".join(f"`{name}`" for name in row.linear)
    searched = ", ".join(f"`{name}`" for name in rest)
    if names and searched:
        yield f"Linear, and solved for exactly: {names}. Searched: {searched}."
    else:
        yield f"All linear: {names}." if names else f"All searched: {searched}."
    design = row.design()
    unit = "of ln " if row.options.get("residual", "log") != "raw" else "of "
    yield (
        f"A fit to {len(design)} simulated runs over {_ranges(law, design)}, with noise "
        f"{unit}{law.response} of {row.noise:g}, finds:"
    )
    yield "\n".join(_recovered(row))
    vague = sorted(
        {key.split("[")[0] for key in row.truth} - {key.split("[")[0] for key in row.near}
    )
    if vague:
        yield f"Not identified by such runs: {', '.join(f'`{name}`' for name in vague)}."


def _ranges(law: sf.Law, design: pd.DataFrame) -> str:
    said = []
    for name in design.columns:
        values = design[name]
        if name in law.columns and pd.api.types.is_numeric_dtype(values):
            said.append(f"`{name}` {values.min():.2g} to {values.max():.2g}")
    return ", ".join(said)


def _recovered(row: Any) -> Iterator[str]:
    yield "| parameter | truth | found within |"
    yield "|---|---|---|"
    for name, error in row.near.items():
        truth = row.truth.get(name)
        yield f"| `{name}` | {'' if truth is None else f'{truth:.4g}'} | {100 * error:.2g} % |"


def _example(law: sf.Law, maker: str) -> str:
    """Values of the law at two rows, and the call that fits it."""
    code = example_code(law, maker)
    if not code:
        return ""
    names: dict[str, Any] = {}
    exec(code, names)
    found = np.array2string(names["found"], precision=4, separator=", ")
    response = "" if law.response == "loss" else f', {law.response}="{law.response}"'
    called = f'"{law.name}"' if not maker else "law"
    return (
        f"```python\n{code}print(found)  # {found}\n```\n\nTo fit it to runs of yours, a table "
        f"with these columns:\n\n```python\nfit = sf.fit(runs, {called}{response})\n```"
    )


def example_code(law: sf.Law, maker: str = "") -> str:
    """Code that predicts the first and last row of the catalogue's design, or nothing."""
    row = rows().get(law.name)
    if row is None:
        return ""
    design = row.design()
    columns = {
        name: [float(f"{design[name].iloc[place]:.3g}") for place in (0, -1)]
        for name in law.columns
    }
    params = {name: _value(row.truth, name) for name in law.names}
    made = f"sf.laws.{law.name}"
    return (
        f"import scalefit as sf\n\nlaw = {made}\ncolumns = {_dictionary(columns)}\n"
        f"params = {_dictionary(params)}\nfound = law.evaluate(columns, params)\n"
    )


def _value(truth: Any, name: str) -> float:
    """A parameter's true value: of a grouped one, that of its first level."""
    found = next(value for key, value in truth.items() if key.split("[")[0] == name)
    return float(f"{found:.4g}")


def _dictionary(values: dict[str, Any]) -> str:
    items = [f'"{name}": {_number(value)}' for name, value in values.items()]
    text = f"{{{', '.join(items)}}}"
    if len(text) < 85:
        return text
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) > 90:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "{\n" + "\n".join([*lines, line]) + "\n}"


def _number(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_number, value))}]"
    return re.sub(r"e\+0*", "e", f"{value:g}")


def _published(law: sf.Law) -> str:
    """Published coefficients, a row for each of the fits, and their sources."""
    facts = sf.results.published_fits()
    facts = facts[facts["law"] == law.name]
    if facts.empty:
        return ""
    names = [name for name in facts["parameter"].unique() if not name.startswith(("min ", "max "))]
    fits = dict(iter(facts.set_index("parameter").groupby("configuration", sort=False)))
    cells = [
        [_coefficient(held.loc[name]) if name in held.index else "" for name in names]
        for held in fits.values()
    ]
    # A row for each fit; a column for each where the law has many parameters.
    heads, sides = names, list(fits)
    if len(names) > WIDEST:
        heads, sides, cells = sides, heads, [list(column) for column in zip(*cells, strict=True)]
    lines = [_row(["", *(f"`{name}`" for name in heads)]), "|---" * (len(heads) + 1) + "|"]
    lines += [_row([f"`{side}`", *row]) for side, row in zip(sides, cells, strict=True)]
    sources = []
    for name, held in fits.items():
        first = held.iloc[0]
        sources.append(
            f"- `{name}`: {linked(first['source'])}, {first['where']} "
            f"({_READ[first['confidence']]})"
        )
    call = f'sf.published("{law.name}", "{facts["configuration"].iloc[0]}")'
    lines += ["", *sources, "", f"`{call}` predicts and allocates as a fit does."]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


_READ = {
    "paper": "read in the paper",
    "code": "read in the authors' code or data",
    "second-hand": "read in another work that quotes it",
}


def _coefficient(row: Any) -> str:
    spread = "" if pd.isna(row["uncertainty"]) else f" ± {row['uncertainty']:.3g}"
    return f"{row['value']:.5g}{spread}"


def pages() -> dict[str, str]:
    """The text of the page of every law, by the law's name or the maker's."""
    found = {name: page(law) for name, law in sf.laws.BUILTIN.items()}
    for name, arguments in MADE.items():
        found[name] = page(getattr(sf.laws, name)(*arguments), name)
    return found


def navigation() -> list[dict[str, list[dict[str, str]]]]:
    """The pages by family."""
    found = []
    for family, members in sf.laws.FAMILIES.items():
        names = [law.name for law in members]
        names += [name for name, held in FAMILY_OF_MADE.items() if held == family]
        found.append({family.capitalize(): [{name: f"laws/{name}.md"} for name in names]})
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages in the navigation, below those that are written."""
    for item in config.nav or []:
        if isinstance(item, dict) and "Laws" in item:
            item["Laws"] = [*item["Laws"], *navigation()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"laws/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """In the tables of laws: names as links, and the formulas typeset."""
    if page.file.src_uri not in ("laws.md", "which_law.md"):
        return markdown
    return "\n".join(map(_with_links, markdown.splitlines()))


def _with_links(line: str) -> str:
    """A line of a table, whose first cell is a law and its formula, or whose last are laws."""
    if not line.startswith("| "):
        return line
    cells = line.split(" | ")
    law = sf.laws.BUILTIN.get(re.sub(r"^\| `(\w+)`.*", r"\1", cells[0]))
    if law is not None:
        cells[0] = cells[0].replace(f"`{law.name}`", f"[`{law.name}`](laws/{law.name}.md)", 1)
        cells[0] = cells[0].replace(f"<br>`{law.formula}`", f"<br>${_in_a_table(law.latex)}$", 1)
    else:
        cells[-1] = re.sub(r"`(\w+)`", _linked_name, cells[-1])
    return " | ".join(cells)


def _linked_name(found: re.Match[str]) -> str:
    name = found[1]
    return f"[`{name}`](laws/{name}.md)" if name in sf.laws.BUILTIN else found[0]


def _in_a_table(latex: str) -> str:
    return latex.replace("|", r"\vert ")
