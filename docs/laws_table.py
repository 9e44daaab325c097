"""Writes the table of built-in laws into docs/laws.md, between its two marks."""

from pathlib import Path

from scalefit import laws

PAGE = Path(__file__).with_name("laws.md")
START, END = "<!-- table of laws: written by docs/laws_table.py -->\n", "<!-- end of table -->\n"


def rows() -> str:
    """The built-in laws as Markdown, one table for each family."""
    blocks = []
    for family, members in laws.table().to_frame().groupby("family", sort=False):
        lines = [
            f"### {family.capitalize()}",
            "",
            "| law | what it is for | source |",
            "|---|---|---|",
        ]
        lines += [
            f"| `{item.name}`<br>`{item.formula}` | {item.purpose} | {item.source} |"
            for item in members.itertuples()
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def page(text: str) -> str:
    """The text of a page with its table renewed."""
    before, rest = text.split(START)
    return f"{before}{START}\n{rows()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
