"""Writes the table of notes into docs/report.md, between its two marks."""

from pathlib import Path

from scalefit.notes import CODES

PAGE = Path(__file__).with_name("report.md")
START = "<!-- table of notes: written by docs/notes_table.py -->\n"
END = "<!-- end of notes -->\n"


def rows() -> str:
    """Every code as Markdown: its severity, what it means, and what to do about it."""
    lines = ["| code | severity | what happened | what to do |", "|---|---|---|---|"]
    for name, code in CODES.items():
        severity = code.severity or "info or warning"
        lines.append(f"| `{name}` | {severity} | {code.meaning} | {code.remedy} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The text of a page with its table renewed."""
    before, rest = text.split(START)
    return f"{before}{START}\n{rows()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
