"""Writes the tables of the documentation that the code knows: of laws, notes, datasets, modules.

Run as ``python docs/tables.py``. Each lies between two marks of its page.
"""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import scalefit
from scalefit import laws
from scalefit.note_codes import CODES

DOCS = Path(__file__).parent
SOURCE = Path(scalefit.__file__).parent


def table_of_laws() -> str:
    """The built-in laws, one table for each family."""
    blocks = []
    for family, members in laws.FAMILIES.items():
        lines = [f"### {family.capitalize()}", "", *header("law", "what it is for", "source")]
        for law in members:
            # That a column is positive goes without saying.
            said = [rule for rule in law.rules if not re.fullmatch(r"0 < \w+", rule)]
            named = "<br>".join(f"`{item}`" for item in (law.name, law.formula, ", ".join(said)))
            lines.append(f"| {named.removesuffix('<br>``')} | {law.purpose} | {law.source} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


# What is asked, beside the families and laws that answer it. Families that answer nothing here
# follow under their own names.
ONE_COLUMN = "One column: size, tokens, compute, steps, time"
QUESTIONS: dict[str, tuple[str, ...]] = {
    "Runs of several sizes and token counts": ("additive", "without a floor", "drifting"),
    ONE_COLUMN: ("power", "broken", "chinchilla_n", "chinchilla_d"),
    "A metric over two columns, as size and tokens": ("logarithmic_sum",),
    "Two sizes that multiply: encoder and decoder, model and fine-tuning data": ("power_product",),
    "Over-training, tokens per parameter": ("chinchilla_overtrained", "chinchilla_outer"),
    "Repeated data": ("limited data",),
    "Several formats, bits, quantisation": ("low precision",),
    "Experts and routing": ("routed", "moe_sparsity"),
    "Sparse and compressed models": ("sparse",),
    "Vocabulary": ("vocabulary",),
    "Parallel streams of one model": ("parallel",),
    "Width, depth and other shapes": ("shape",),
    "Teachers and students": ("distillation",),
    "Fine-tuning data": ("fine-tuning", "power_product"),
    "Mixture of domains": ("mixture",),
    "Losses on another corpus": ("transfer",),
    "Downstream accuracy": ("downstream",),
    "Test-time samples": ("repeated sampling",),
    "Reinforcement learning and reward models": ("reinforcement learning",),
    "Learning rate and batch": ("hyperparameters",),
    "Training curves under learning-rate schedules": ("learning-rate schedule",),
}
# Laws that a function makes, as for domains that a table names, are in no list.
MADE = {
    "Mixture of domains": "Of domains by name: `laws.mixture_of`, `laws.additive_mixture_of` and "
    "`laws.joint_mixture_of` ([mixtures](mixtures.md)).",
    "Training curves under learning-rate schedules": "And `laws.multi_power()`, in which a drop "
    "works by and by ([schedules](schedules.md)).",
}

ARXIV = re.compile(r"\d{4}\.\d{5}")


def answers() -> dict[str, list[laws.Law]]:
    """The laws that answer each question, and those of the families that answer none."""
    families = laws.FAMILIES
    found = {
        question: [law for name in names for law in families.get(name) or (laws.BUILTIN[name],)]
        for question, names in QUESTIONS.items()
    }
    found[ONE_COLUMN] = [law for law in found[ONE_COLUMN] if len(law.columns) == 1]
    asked = {law.name for members in found.values() for law in members}
    for family, members in families.items():
        if rest := [law for law in members if law.name not in asked]:
            found[family.capitalize()] = rest
    return found


def table_of_questions() -> str:
    """The laws by what is asked, with the columns that each takes."""
    blocks = []
    for question, members in answers().items():
        lines = [f"### {question}", "", *header("law", "what it is for", "columns", "predicts")]
        for law in dict.fromkeys(members):
            columns = ", ".join(f"`{name}`" for name in law.columns)
            lines.append(f"| `{law.name}` | {law.purpose} | {columns} | {law.response} |")
        lines += ["", MADE[question]] if question in MADE else []
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def papers() -> dict[str, list[tuple[str, str]]]:
    """Of each arXiv number what the paper is, or studies, and the law: from sources and names."""
    found: dict[str, list[tuple[str, str]]] = {}
    for law in laws.table():
        for text in (*law.source.split(";"), *law.also_known_as):
            before = re.split(rf"\(?(?:arXiv )?{ARXIV.pattern}\)?", text)
            for words, number in zip(before, ARXIV.findall(text), strict=False):
                said = words.strip(" ,(").removeprefix("and ") or law.purpose.rstrip(".")
                found.setdefault(number, []).append((said, law.name))
    return dict(sorted(found.items()))


def table_of_papers() -> str:
    """Every paper of the catalogue by its arXiv number, and the laws that its formula is."""
    lines = header("arXiv", "paper, or what it studies", "law")
    for number, entries in papers().items():
        words = "; ".join(dict.fromkeys(text for text, _ in entries))
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(name for _, name in entries))
        lines.append(f"| [{number}](https://arxiv.org/abs/{number}) | {words} | {names} |")
    return "\n".join(lines)


def table_of_notes() -> str:
    """Every code: its severity, what it means, and what to do about it."""
    lines = header("code", "severity", "what happened", "what to do")
    for name, code in CODES.items():
        severity = code.severity or "info or warning"
        lines.append(f"| `{name}` | {severity} | {code.meaning} | {code.remedy} |")
    return "\n".join(lines)


def table_of_datasets() -> str:
    """The public tables that are known by name, by the folder that may hold them."""
    frame = scalefit.datasets.list().to_frame()
    blocks = []
    for variable, part in frame.groupby("variable", sort=False):
        names = header("name", "rows", "what", "unit of the loss", "licence", "downloaded")
        place = f"In the folder of `{variable}`" if variable else "In the package"
        lines = [f"{place}:", "", *names]
        lines += [
            f"| `{item.name}` | {item.rows} | {item.what} | {item.unit} | {item.licence} "
            f"| {'✓' if item.download else ''} |"
            for item in part.itertuples(index=False)
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def table_of_modules() -> str:
    """Every module by room, in the order of the flow, with the first sentence of its docstring."""
    text = (DOCS / "architecture.md").read_text()
    blocks = []
    for room in flow(text):
        folder = SOURCE / room
        if folder.is_dir():
            lines = [f"### {room}", "", f"{summary(folder / '__init__.py')}.", ""]
            lines += header("module", "what it holds")
            files = sorted(path for path in folder.glob("*.py") if path.stem != "__init__")
            lines += [f"| `{path.stem}` | {summary(path)} |" for path in files]
        else:
            lines = [f"### {room}", "", f"{summary(SOURCE / f'{room}.py')}."]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def flow(text: str) -> list[str]:
    """The rooms in the order of the picture: each imports only from those before it."""
    picture = re.search(r"```text\n(errors →.*?)```", text, flags=re.DOTALL)
    assert picture, "no picture of the flow"
    return re.findall(r"\w+", picture[1])


def summary(path: Path) -> str:
    """The first sentence of a module's docstring."""
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]
    plain = re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", " ".join(first.split()))
    plain = re.sub(r"(?<=\b[ND])\*", r"\*", plain)
    return re.split(r"(?<! al)\.(?= |$)", plain, maxsplit=1)[0]


def header(*names: str) -> list[str]:
    """The first two lines of a table."""
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]


def table_of_examples() -> str:
    """The examples by their titles."""
    lines = header("example", "what it shows")
    for path in sorted((DOCS.parent / "examples").glob("*.py")):
        title = re.search(r"^# # (.+)$", path.read_text(), re.MULTILINE)
        if title is None:
            raise ValueError(
                f"{path.name} has no title: begin it with '# %% [markdown]' and '# # ...'"
            )
        lines.append(f"| [`{path.stem}`]({path.name}) | {title[1]} |")
    return "\n".join(lines)


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "laws": ("laws.md", table_of_laws),
    "questions": ("which_law.md", table_of_questions),
    "papers": ("which_law.md", table_of_papers),
    "notes": ("report.md", table_of_notes),
    "datasets": ("datasets.md", table_of_datasets),
    "modules": ("architecture.md", table_of_modules),
    "examples": ("../examples/README.md", table_of_examples),
}


def page(name: str) -> tuple[Path, str]:
    """The page of a table, and its text with the table renewed."""
    file, table = TABLES[name]
    text = (DOCS / file).read_text()
    start, end = (f"<!-- {mark} of {name}: docs/tables.py -->\n" for mark in ("table", "end"))
    before, rest = text.split(start)
    return DOCS / file, f"{before}{start}\n{table()}\n\n{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    for name in TABLES:
        path, text = page(name)
        path.write_text(text)
