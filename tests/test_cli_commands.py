"""Every command, in words and as JSON, against its schema."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from command_line import scalefit

import scalefit as sf
from scalefit.cli import completion
from scalefit.cli.application import app
from scalefit.cli.schema import DOCUMENTS
from scalefit.cli.translation import RULES, as_options
from scalefit.data.row_filter import FUNCTIONS
from scalefit.laws import BUILTIN
from scalefit.runtime import progress


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with runs.csv, its fit and draws of it, made by the commands."""
    path = tmp_path_factory.mktemp("sweep")
    runs = sf.simulate(sf.simulation.isoflop_design(points=7), noise=0.005, seed=3)
    runs[["N", "D", "loss"]].to_csv(path / "runs.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        assert scalefit("fit", "runs.csv", "--save", "fit.json").code == 0
        words = ("--fit", "fit.json", "--draws", "60", "--save", "draws.npz")
        assert scalefit("bootstrap", "runs.csv", *words).code == 0
    return path


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


JSON = {
    "fit": "runs.csv --bootstrap 20 --flops 1e22 --flops 1e24",
    "allocate": "draws.npz 1e22 1e24 --within 0.01 --serve 1e12 --limit D/N=20:",
    "next-runs": "runs.csv --fit fit.json --target 1e24 --budget 1e21 --count 3",
    "isoflop": "runs.csv --flops 1e24",
    "report": "runs.csv report.html --fit draws.npz --flops 1e24 --about optimizer=AdamW",
    "check": "runs.csv",
    "bootstrap": "runs.csv --fit fit.json --draws 20 --by N --flops 1e24 --level 0.8",
    "compare": "runs.csv --law chinchilla --law chinchilla_tied --robust none",
    "holdout": "runs.csv --hold 2 --scheme rolling",
    "bias": "runs.csv --fit draws.npz --flops 1e24",
    "laws": "--search BLEU",
    "datasets": "",
    "convert": "runs.csv clean.jsonl --overwrite",
    "demo": "--plot demo.png --overwrite",
}


# Its figures take seconds.
LONG = "report"


@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=pytest.mark.slow) if name == LONG else name for name in JSON],
)
def test_documents_are_of_their_schema(inside, command):
    jsonschema = pytest.importorskip("jsonschema")
    done = scalefit(command, *JSON[command].split(), "--json")
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["schema"] == f"scalefit/{command}/1"
    DOCUMENTS[command].model_validate_json(done.out)
    printed = scalefit("schema", command)
    assert printed.code == 0
    jsonschema.validate(document, json.loads(printed.out))
    assert "scalefit." not in document.get("answer", "")


def test_every_command_that_prints_json_has_a_schema():
    names = set(JSON) | {"error"}
    assert set(DOCUMENTS) == names
    assert scalefit("schema").out.split() == list(DOCUMENTS)
    told = {one.name for one in app.registered_commands} - {"schema", "study", "fit-many"}
    assert told == set(JSON)


@pytest.mark.parametrize("command", sorted(set(JSON) - {"report", "demo", "datasets", "laws"}))
def test_words_are_those_of_the_library_without_its_python(inside, command):
    done = scalefit(command, *JSON[command].split())
    assert (done.code, done.err) == (0, "")
    assert len(done.out.split("\n\n")[0]) >= 30
    assert not re.search(r"scalefit\.\w|to_frame|\n  more:|Next: \w+\.", done.out)
    # Tables may be wider; sentences are not.
    sentences = [line for line in done.out.splitlines() if not re.search(r"  +\S+  +", line)]
    assert max(map(len, sentences)) <= 88


# Budgets


def test_a_saved_fit_a_printed_one_and_draws_are_allocated(inside):
    printed = scalefit("fit", "runs.csv", "--json").out
    (inside / "printed.json").write_text(printed)
    fit = sf.Fit.from_json((inside / "fit.json").read_text())
    expected = float(sf.allocate(fit, 1e24).N)
    answers = [
        scalefit("allocate", "fit.json", "1e24", "--json"),
        scalefit("allocate", "printed.json", "1e24", "--json"),
        scalefit("allocate", "-", "1e24", "--json", given=printed.encode()),
        scalefit("allocate", "draws.npz", "1e24", "--json"),
    ]
    rows = [json.loads(done.out)["allocation"]["budgets"][0] for done in answers]
    assert [row["N"] for row in rows] == pytest.approx(4 * [expected])
    assert ["N_low" in row for row in rows] == [False, False, False, True]


def test_budgets_are_flop_dollars_or_losses(inside):
    fit = sf.Fit.from_json((inside / "fit.json").read_text())
    cost = sf.allocation.lifetime_usd(0, 1e12, train="A100-80GB bf16")
    options = ("--serve", "1e12", "--hardware", "A100-80GB bf16", "--limit", "D/N=:50")
    dollars = scalefit("allocate", "fit.json", "--usd", "1e6", *options, "--json")
    found = json.loads(dollars.out)["allocation"]
    best = sf.allocate(fit, usd=1e6, cost=cost, limits={"D/N": (None, 50)})
    assert found["unit"] == "USD"
    assert found["budgets"][0]["N"] == pytest.approx(float(best.N))
    losses = scalefit("allocate", "fit.json", "--loss", "2.1", "--loss", "2.0", "--json")
    rows = json.loads(losses.out)["allocation"]["budgets"]
    assert [row["loss"] for row in rows] == pytest.approx([2.1, 2.0])
    for words in (["1e24", "--usd", "1e6"], [], ["1e24", "--cost", "6ND", "--serve", "1e12"]):
        done = scalefit("allocate", "fit.json", *words)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("words", ["allocate fit.json 1e24", "isoflop runs.csv"])
def test_pictures_are_written(inside, words):
    done = scalefit(*words.split(), "--plot", "picture.svg", "--overwrite")
    assert (done.code, done.err) == (0, "")
    assert "\npicture: picture.svg\n" in done.out
    assert "<svg" in (inside / "picture.svg").read_text()


def test_a_fit_is_saved_and_reported(inside):
    assert "exists already" in scalefit("fit", "runs.csv", "--save", "fit.json").err
    words = ("--save", "fit.json", "--overwrite", "--report", "fit.html", "--flops", "1e22")
    done = scalefit("fit", "runs.csv", *words)
    assert done.code == 0
    assert "\nsaved: fit.json\nreport: fit.html\nNext: scalefit bootstrap runs.csv" in done.out
    assert "<html" in (inside / "fit.html").read_text()


def test_what_comes_next_can_be_pasted(inside):
    other = pd.read_csv("runs.csv").rename(columns={"N": "my params"})
    other.to_csv("other.csv", index=False)
    words = ("--column", "N=my params", "--keep", "D < 1e12", "--law", "chinchilla_tied")
    for command in ("check", "fit"):
        done = scalefit(command, "other.csv", *words)
        _, _, steps = done.out.partition("\nNext: ")
        for step in steps.splitlines():
            _, *following = shlex.split(step.split(" for ")[0])
            more = ("--draws", "20") if "bootstrap" in following else ()
            assert scalefit(*following, *more).code == 0, step


@pytest.mark.parametrize("wanted", ["--certify", "--no-certify"])
def test_what_comes_next_proves_as_the_fit_did(inside, wanted):
    assert f"scalefit bootstrap runs.csv {wanted} for" in scalefit("fit", "runs.csv", wanted).out


def test_a_bootstrap_answers_with_its_intervals(inside):
    done = scalefit("bootstrap", "runs.csv", "--fit", "draws.npz", "--draws", "20", "--json")
    assert "20 bootstrap draws" in json.loads(done.out)["answer"]


def test_a_stopped_command_says_nothing_more(inside, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    for form in ([], ["--json"]):
        for place in ("scalefit.cli.fit_commands.fit_of", "scalefit.cli.application.app"):
            with monkeypatch.context() as patched:
                patched.setattr(place, stop)
                assert scalefit("fit", "runs.csv", *form) == (130, "", "")


def test_a_command_is_stopped_while_python_calls_back(inside, monkeypatch):
    class Lost:
        def __del__(self):
            raise KeyboardInterrupt

    def work(*_):
        Lost()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            pass

    before = sys.unraisablehook
    monkeypatch.setattr("scalefit.cli.fit_commands.fit_of", work)
    assert scalefit("fit", "runs.csv") == (130, "", "")
    assert sys.unraisablehook is before


def test_options_of_a_fit_beside_a_saved_one_are_refused(inside):
    done = scalefit("bias", "runs.csv", "--flops", "1e24", "--fit", "fit.json", "--law", "kaplan")
    assert (done.code, "leave --law out" in done.err) == (2, True)


# Tables


def test_a_table_is_seen_and_written_as_it_was_read(inside):
    other = pd.read_csv("runs.csv").rename(columns={"N": "params_b"})
    other["params_b"] /= 1e9
    other.to_csv("other.csv", index=False)
    words = ("convert", "other.csv", "--column", "N=params_b*1e9", "--keep", "D < 1e12")
    assert "params_b" in scalefit(*words).out
    for name in ("clean.csv", "clean.tsv", "clean.json", "clean.jsonl"):
        done = scalefit(*words, name, "--overwrite")
        assert (done.code, done.out.endswith(f"\nwritten: {name}\n")) == (0, True)
        table = sf.read(name)
        np.testing.assert_allclose(table.column("N"), sf.read("runs.csv").column("N"), rtol=1e-12)
    printed = scalefit(*words, "-").out
    assert printed.splitlines()[0].split(",")[0] == "N"
    assert "known suffixes" in scalefit("convert", "runs.csv", "clean.docx").err


def test_registered_tables_are_named_where_files_are(inside):
    done = scalefit("check", "dataset:scalefit_bytes", "--keep", "held_out == 0")
    assert (done.code, "61 runs" in done.out) == (0, True)
    done = scalefit("fit", "dataset:nothing")
    assert (done.code, done.err.startswith("scalefit: 'nothing' is not the name")) == (2, True)


@pytest.mark.parametrize("command", ["isoflop", "check", "convert", "holdout"])
def test_standard_input_is_read_by_every_command(inside, command):
    done = scalefit(command, "-", given=(inside / "runs.csv").read_bytes())
    assert (done.code, done.err) == (0, "")


# What there is


def test_laws_are_listed_found_and_shown():
    listed = scalefit("laws").out
    assert [name for name in BUILTIN if name not in listed] == []
    assert "power_product" in scalefit("laws", "--search", "visual tokens").out
    shown = scalefit("laws", "chinchilla").out
    assert "irreducible loss" in shown
    done = scalefit("laws", "chinchila")
    assert (done.code, "Did you mean 'chinchilla'? scalefit laws lists" in done.err) == (2, True)
    (law,) = json.loads(scalefit("laws", "kaplan", "--json").out)["laws"]
    assert [column["name"] for column in law["columns"]] == ["N", "D"]


def test_datasets_are_listed_and_described():
    listed = scalefit("datasets").out
    assert [name for name in sf.datasets.list() if name not in listed] == []
    assert "nats per byte" in scalefit("datasets", "scalefit_bytes").out


def test_the_shell_completes_laws_datasets_quantities_and_headers(inside):
    assert set(completion.laws("")) == set(BUILTIN)
    assert completion.laws("chinchilla_n") == ["chinchilla_n", "chinchilla_nonembedding"]
    assert completion.tables("dataset:scale") == ["dataset:scalefit_bytes"]
    assert set(completion.datasets("")) == set(sf.datasets.list())

    given = SimpleNamespace(params={"table": "runs.csv"})
    assert completion.headers(given, "l") == ["loss"]
    assert completion.quantities(given, "D") == ["D="]
    assert completion.quantities(given, "N=") == ["N=N", "N=D", "N=loss"]


def test_version_help_and_completion_wait_for_no_library(tmp_path):
    code = """
import sys
from scalefit.cli import main
for words in (["--version"], ["fit", "--help"]):
    sys.argv = ["scalefit", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code
from scalefit.cli import completion
completion.laws("c"), completion.datasets("c")
heavy = {"jax", "numpy", "pandas", "matplotlib", "scipy", "scalefit.laws"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"scalefit {sf.__version__}\n")
    assert done.stdout.endswith("[]\n")
    words = {"COMP_WORDS": "scalefit fit runs.csv --law kap", "COMP_CWORD": "4"}
    done = subprocess.run(
        [sys.executable, "-m", "scalefit"],
        env={**os.environ, **words, "_SCALEFIT_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["kaplan", "kaplan_steps"]


# Progress


@pytest.mark.parametrize(
    ("line", "more", "shown"),
    [
        (progress._TerminalLine, [], True),
        (None, [], False),
        (progress._TerminalLine, ["--json"], False),
    ],
    ids=["terminal", "pipe", "json"],
)
def test_progress_is_shown_on_a_terminal_and_never_with_json(
    inside, monkeypatch, line, more, shown
):
    seen = []
    draws = sf.Ensemble.load("draws.npz")

    @progress.with_progress
    def answer(*_, **__):
        seen.append(progress._running.get() is not None)
        return draws

    monkeypatch.setattr(sf, "bootstrap", answer)
    monkeypatch.setattr(progress, "_line_of_here", lambda: line)
    assert scalefit("bootstrap", "runs.csv", "--fit", "fit.json", *more).code == 0
    assert seen == [shown]


# Errors under --json

ERRORS = {
    "fit runs.csv --law chinchila": ("LawError", None, 2),
    "fit runs.csv --delta 0": ("ArgumentError", "--delta", 2),
    "fit runs.csv --level 2": ("ArgumentError", "--level", 2),
    "fit runs.csv --nonsense": ("UsageError", "--nonsense", 2),
    "fit runs.csv --flops many": ("UsageError", "--flops", 2),
    "fit nowhere.csv": ("DataError", None, 2),
    "fit runs.csv --boxes 0": ("ArgumentError", "--boxes", 2),
    "convert runs.csv -": ("ScalefitError", None, 2),
    "allocate fit.json 1e24 --serve=-1": ("ArgumentError", "--serve", 2),
    "allocate fit.json 1e24 --utilisation 3": ("ArgumentError", "--utilisation", 2),
    "next-runs runs.csv --budget 1e21": ("UsageError", "--target", 2),
    "allocate nowhere.json 1e24": ("ArgumentError", "FIT", 2),
    "allocate runs.csv 1e24": ("ArgumentError", "FIT", 2),
    "bootstrap runs.csv --fit runs.csv": ("ArgumentError", "--fit", 2),
    "allocate fit.json 1e24 --cost nonsense": ("ArgumentError", "--cost", 2),
    "holdout runs.csv --scheme all": ("ArgumentError", "--scheme", 2),
    "compare runs.csv --law chinchilla": ("ScalefitError", None, 2),
    "nonsense": ("UsageError", None, 2),
}


@pytest.mark.parametrize("words", ERRORS)
def test_errors_are_documents_under_json(inside, words):
    done = scalefit(*words.split(), "--json")
    found = DOCUMENTS["error"].model_validate_json(done.out)
    assert done.err == ""
    assert (found.error.type, found.error.argument, done.code) == ERRORS[words]
    assert found.exit_code == done.code
    assert found.error.message


def test_a_document_of_an_error_names_column_and_rows(inside):
    broken = pd.read_csv("runs.csv")
    broken.loc[[2, 5], "loss"] = -1.0
    broken.to_csv("broken.csv", index=False)
    error = json.loads(scalefit("fit", "broken.csv", "--json").out)["error"]
    assert (error["column"], error["rows"]) == ("loss", [2, 5])
    assert error["message"].endswith(error["remedy"])


# Messages in the syntax of the command line

SAID = {
    "scalefit.bootstrap(fit, runs, method='clusters', by='run')": "scalefit bootstrap TABLE --by "
    "run",
    "allocate(fit, loss=2.1, limits={'N': 1e9})": "scalefit allocate fit.json --loss 2.1 --limit "
    "N=1e9",
    "scalefit.allocate(fit.at(format='fp8'), flops=1e22)": "scalefit allocate fit.json --at "
    "format=fp8 1e22",
    "isoflop(runs, keep='6 * N * D > 1e20')": "scalefit isoflop TABLE --keep '6 * N * D > 1e20'",
    "scalefit.fit(runs, 'power_offset', x='FLOP')": "scalefit fit TABLE --law power_offset "
    "--column x='FLOP'",
    "as limits={'N': (1e6, None), 'D/N': (20, 200)}": "as --limit N=1e6: --limit D/N=20:200",
    "grouped (by=, tolerance=), or by=['N', 'D']": "grouped (--by, --tolerance), or --by N,D",
    "Say which column it is: U='...'": "Say which column it is: --column U='...'",
    "Say which column it is: N='...', D='...'": "Say which column it is: --column N='...', "
    "--column D='...'",
    """keep=["epochs <= 1", "variant == 'base'"] leaves 33""": """--keep "epochs <= 1" --keep """
    """"variant == 'base'" leaves 33""",
    "laws names one law twice. Pass laws=['kaplan', 'farseer']": "--law names one law twice. Pass "
    "--law kaplan --law farseer",
    "in [...]; or select rows before, as frame[frame['C'] < 1e21]": "in [...]",
    "leave it out with rules=['weak_curvature']": "leave it out with rules=['weak_curvature'] (in "
    "Python)",
    "it does not: see fit.verdict. Only": "it does not: see the verdict of scalefit fit TABLE. "
    "Only",
    "scalefit.laws.search('visual tokens')": "scalefit laws --search 'visual tokens'",
    "robust='none', hold=2, test='C > 1e21'": "--robust none, --hold 2, --test 'C > 1e21'",
    # What no command does stays Python, and whole.
    "covariance(fit, runs, by='run')": "covariance(fit, runs, by='run')",
    "cost=scalefit.allocation.measured(runs)": "cost=scalefit.allocation.measured(runs)",
    "L(N, D) = E + A N^-alpha": "L(N, D) = E + A N^-alpha",
}


@pytest.mark.parametrize("message", SAID)
def test_arguments_are_written_as_options(message):
    assert as_options(message) == SAID[message]


def test_calls_inside_rules_are_no_python():
    assert set(RULES.split("|")) == set(FUNCTIONS)
    said = "leave the rows out with keep='abs(U) < inf'"
    assert as_options(said) == "leave the rows out with --keep 'abs(U) < inf'"
