"""Messages of the library in the syntax of the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scalefit.notes import Note

if TYPE_CHECKING:
    from scalefit.reporting.description import Description

__all__ = ["argument_as_option", "as_options", "in_words", "note_in_words"]

# Arguments of the library that are options by another name.
RENAMED = {
    "groups": "group",
    "n_draws": "bootstrap",
    "limits": "limit",
    "laws": "law",
    "train": "hardware",
}
# Arguments that are options: of one word or number, and of several by name.
PLAIN = (
    *("residual", "robust", "missing", "delta", "asymmetry", "loss_unit", "bytes_per_token"),
    *("flops", "usd", "seed", "level", "by", "hold", "scheme", "test", "tolerance", "method"),
    *("cost", "within", "noise", "count", "target", "budget", "replicates", "n_draws", "law"),
    *("utilisation", "hardware", "train", "limits", "bootstrap", "device", "keep"),
)
NAMED = "fixed|bounds|groups|limits|free|about"
QUANTITIES = "N|D|loss|C|weight|group|seed"
TEXT = r"'[^']*'"
NUMBER = r"-?(?:[\d][\d_.]*(?:e[+-]?\d+)?|inf|nan)(?![\w(])"
# One level of a grouped fit.
LEVEL = r"\w+\.at\((\w+)='?([^')]*)'?\)"
PAIR = re.compile(r"=\(([\w.+-]+), ([\w.+-]+)\)")
# Functions of the library that are commands, and what a command takes of their arguments.
COMMANDS = "fit|bootstrap|isoflop|bias|check|compare|holdout|next_runs|allocate|report|near_optimal"
# What is not an option: tables and results, passed by position.
HELD = frozenset({"runs", "fit", "table", "draws", "law", "found", "isoflop", "result", "..."})
SAVED = "fit.json"

Spelling = str | Callable[[re.Match[str]], str]


def as_options(message: str) -> str:
    """A message of the library with its arguments written as options of the command line.

    Calls that are commands become commands. Other calls are for Python, and stay whole.
    """
    for pattern, spelling in CALLS:
        message = pattern.sub(spelling, message)
    pieces = PYTHON.split(message)
    # Every other piece is a call.
    pieces[::2] = [_outside_calls(piece) for piece in pieces[::2]]
    return "".join(pieces)


def _outside_calls(text: str) -> str:
    for pattern, spelling in SPELLINGS:
        text = pattern.sub(spelling, text)
    return PAIR.sub(_ends, text)


def _ends(found: re.Match[str]) -> str:
    low, high = ("" if end == "None" else end for end in found.groups())
    return f"={low}:{high}".replace("np.inf", "inf")


def argument_as_option(name: str) -> str:
    """What an argument is called on the command line."""
    first = re.match(r"\w+", name)
    if first is None or first[0] not in (*PLAIN, *NAMED.split("|"), "tied", "certify"):
        return name
    return _option(first[0])


def note_in_words(note: Note) -> Note:
    """A note in the syntax of the command line."""
    return replace(note, message=as_options(note.message))


def in_words(said: Description) -> Description:
    """A description in the syntax of the command line, without what to call next in Python."""
    from scalefit.documents.content import NEXT_CALL

    return replace(
        said,
        headline=as_options(NEXT_CALL.split(said.headline)[0].strip()),
        facts={name: as_options(words) for name, words in said.facts.items()},
        tables=[replace(one, rest="--json has all") for one in said.tables],
        notes=[note_in_words(note) for note in said.notes],
        parts={},
    )


def _option(name: str) -> str:
    return f"--{RENAMED.get(name, name).replace('_', '-')}"


def _given(name: str, value: str) -> str:
    """An option with its value, which an equals sign leads where it begins with a minus."""
    bare = value[1:-1] if re.fullmatch(r"'[\w./:*-]+'", value) else value
    return f"{_option(name)}{'=' if bare.startswith('-') else ' '}{bare}"


def _plain(found: re.Match[str]) -> str:
    return _given(found[1], found[2])


def _each(found: re.Match[str]) -> str:
    """``fixed={'E': 1.7}`` as ``--fixed E=1.7``."""
    pairs = re.findall(rf"'([^']*)': '?(\([^)]*\)|{NUMBER}|[^,']+)", found[2])
    return " ".join(f"{_option(found[1])} {name}={value}" for name, value in pairs)


def _repeated(option: str, item: str) -> Callable[[re.Match[str]], str]:
    """Items of a list, each behind the option."""
    return lambda found: " ".join(f"{option} {one}" for one in re.findall(item, found[1]))


def _tied(found: re.Match[str]) -> str:
    return "--tied " + "=".join(re.findall(r"'([^']*)'", found[0]))


def _certify(found: re.Match[str]) -> str:
    answers = {"True": "--certify", "False": "--no-certify"}
    return answers.get(found[1], f"--boxes {found[1].replace('_', '')}")


def _call(found: re.Match[str]) -> str:
    """A call as the command it is; one that no command makes stays what it is."""
    name, words = found[1], []
    for item in _arguments(found[2]):
        key, equals, value = item.partition("=")
        if level := re.fullmatch(LEVEL, item):
            words.append(f"--at {level[1]}={level[2]}")
        elif equals and key.isidentifier():
            words.append(_keyword(key, value))
        elif re.fullmatch(TEXT, item):
            words.append(f"--law {item[1:-1]}")
        elif item.startswith("["):
            words += [f"--law {law}" for law in re.findall(r"'([^']*)'", item)]
        elif re.fullmatch(NUMBER, item):
            words.append(f"--flops {item}")
        elif item.split(".")[0] not in HELD:
            return found[0]
    return _spelled(name, [word for word in words if word != "--method clusters"])


def _spelled(name: str, words: list[str]) -> str:
    """A command with its table, or with a saved fit."""
    if name in ("allocate", "near_optimal"):
        words = [word.removeprefix("--flops ") for word in words]
        return " ".join(["scalefit allocate", SAVED, *words])
    return " ".join([f"scalefit {name.replace('_', '-')}", "TABLE", *words])


def _keyword(key: str, value: str) -> str:
    if named := re.fullmatch(rf"({NAMED})=\{{([^}}]*)\}}", f"{key}={value}"):
        return _each(named)
    if key in PLAIN:
        return _given(key, value)
    return f"--column {key}={value}" if re.fullmatch(TEXT, value) else f"{key}={value}"


def _arguments(text: str) -> list[str]:
    """Arguments of a call, by the commas that no bracket holds."""
    return [item.strip() for item in re.findall(r"(?:\[[^]]*\]|\([^)]*\)|'[^']*'|[^,])+", text)]


def _compiled(spellings: list[tuple[str, Spelling]]) -> list[tuple[re.Pattern[str], Spelling]]:
    return [(re.compile(pattern), spelling) for pattern, spelling in spellings]


INSIDE = rf"((?:[^()']|{TEXT}|\([^()]*\))*)"
# What rules of rows call, which are options whole.
RULES = "abs|sqrt|exp|log|log10|min|max|isna|notna|startswith|endswith|contains"
# A call of Python: its name, what it is called with, and the argument that it is for.
PYTHON = re.compile(
    rf"(\b(?!(?:{RULES})\()(?:\w+=)?[A-Za-z_][\w.]*\((?:[^()']|{TEXT}|\([^()]*\))*\))"
)
OPTIONS = "|".join(PLAIN)

CALLS: Any = _compiled(
    [
        (r"scalefit\.laws\.table\(\)", "scalefit laws"),
        (rf"scalefit\.laws\.search\(({TEXT})\)", r"scalefit laws --search \1"),
        (r"scalefit\.laws\.(\w+)(?![\w.(])", r"scalefit laws \1"),
        (r"scalefit\.datasets\.load\('(\w+)'\)", r"scalefit fit dataset:\1"),
        (r"scalefit\.datasets\.info\b(?!\()", "scalefit datasets NAME"),
        (r"scalefit\.datasets\.list\(\)", "scalefit datasets"),
        (rf"\bscalefit\.({COMMANDS})\({INSIDE}\)", _call),
        (rf"(?<![\w.])({COMMANDS})\((?=fit\b|runs\b|draws\b){INSIDE}\)", _call),
        (rf"\b{LEVEL}", r"--at \1=\2"),
    ]
)
SPELLINGS: Any = _compiled(
    [
        (rf"\b({NAMED})\['([^']*)'\](?:\[\d\])?=", lambda m: f"{_option(m[1])} {m[2]}="),
        (rf"\b({NAMED})=\{{([^}}]*)\}}", _each),
        (r"\btied(\[\d\]=\([^)]*\)|=\[[^]]*\])", _tied),
        (rf"\b({NAMED}|laws|tied)(?= names | has )", lambda m: _option(m[1])),
        (r"\bcertify=(\w+)", _certify),
        (rf"\b({QUANTITIES})=\('([^']*)', ({NUMBER})\)", r"--column \1='\2*\3'"),
        (rf"(?<!--at )(?<!--column )\b({QUANTITIES})=({TEXT})", r"--column \1=\2"),
        (rf"(?<![\w.-])loss=({NUMBER})", r"--loss \1"),
        (r"\bby=\[([^]]*)\]", lambda m: f"--by {m[1].replace(chr(39), '').replace(' ', '')}"),
        (r'\bkeep="([^"]*)"', r'--keep "\1"'),
        (r'\bkeep=\[((?:"[^"]*"(?:, )?)+)\]', _repeated("--keep", '"[^"]*"')),
        (r"\bkeep=\[\.\.\.\]", "--keep ... --keep ..."),
        (rf"\blaws=\[((?:{TEXT}(?:, )?)+)\]", _repeated("--law", r"(?<=')\w+(?=')")),
        (r"; or select rows before, as frame\[.*?\] < 1e21\]", ""),
        (r"\bsee fit\.verdict\b", "see the verdict of scalefit fit TABLE"),
        (r"a pair \(lowest, highest\) with None where", "LOWEST:HIGHEST with nothing where"),
        (r"\b(rules=\[[^]]*\]|keep_edges=False)", r"\1 (in Python)"),
        (rf"(?<![\w.-])({OPTIONS})=({TEXT}|{NUMBER})", _plain),
        (rf"(?<![\w.-])({OPTIONS})=\.\.\.", lambda m: f"{_option(m[1])} ..."),
        (rf"(?<![\w.-])({OPTIONS})=None", lambda m: f"no {_option(m[1])}"),
        (r"(?<![\w.-])(?<!--column )([A-Za-z]\w*)='\.\.\.'", r"--column \1='...'"),
        (rf"(?<![\w.-])({OPTIONS}|{NAMED}|tied)=(?!\.\.\.)(?=[,.;) ]|$)", lambda m: _option(m[1])),
        (r"\b(?:pass )?overwrite=True", "--overwrite"),
        (rf"\b(?:name|path|words)=({TEXT})", r"\1"),
        (r"\bpass law=(?=scalefit)", "in Python, law="),
        (r"\bkind='run' adds\b", "adds"),
    ]
)
