"""The command line: what it prints, what it writes, and its exit codes."""

import gzip
import io
import json
import math
import shlex
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import scalefit as sf
from scalefit import cli
from scalefit.data import limits
from scalefit.laws import BUILTIN

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.0)


@pytest.fixture(scope="module")
def table(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "runs.csv"
    runs.to_csv(path, index=False)
    return str(path)


@pytest.fixture(scope="module")
def found(table):
    return sf.fit(sf.read(table))


@pytest.fixture
def scalefit(monkeypatch, capsys):
    """Run the command as the shell would: its exit code, standard output and standard error."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["scalefit", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return run


@pytest.fixture
def asked(monkeypatch, found):
    """What the command asks of sf.fit, which answers with a fit made before."""
    calls = []

    def answer(table, law="chinchilla", **options):
        calls.append({"table": table, "law": law, **options})
        return found

    monkeypatch.setattr(sf, "fit", answer)
    return calls


def table_of(report):
    """The first table of a report, as it is printed."""
    return report.split("\n\n")[1]


# Help


def test_help_names_the_commands():
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    assert "fit" in result.output
    assert "demo" in result.output


COMMANDS = [
    *("fit", "allocate", "next-runs", "isoflop", "report", "check", "bootstrap", "compare"),
    *("holdout", "bias", "laws", "datasets", "convert", "schema", "demo", "study", "fit-many"),
]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_screen(command):
    result = CliRunner().invoke(cli.app, [*command.split(), "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert result.output.count("\n") <= 40
    assert not set(BUILTIN) - {"chinchilla", "power"} & set(result.output.split())
    assert ("scalefit laws" in result.output) == ("--law" in result.output)


def test_help_all_shows_what_is_rare():
    for command, option in [
        ("fit", "--bounds"),
        ("holdout", "--asymmetry"),
        ("bias", "--hardware"),
    ]:
        shown = [
            CliRunner().invoke(cli.app, [command, word], env={"COLUMNS": "80"}).output
            for word in ("--help", "--help-all")
        ]
        assert [option in text for text in shown] == [False, True]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "Usage"),
        (["fit"], "Missing argument"),
        (["fit", "runs.csv", "--nonsense"], "No such option"),
        (["fit", "runs.csv", "--flops", "many"], "--flops"),
        (["fitt"], "No such command"),
    ],
)
def test_usage_errors_exit_2(words, complaint):
    result = CliRunner().invoke(cli.app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert complaint in result.output


# What it prints and writes


def test_fit_prints_the_report(scalefit, table, found):
    code, out, err = scalefit("fit", table)
    assert (code, err) == (0, "")
    assert out.startswith(found.summary().split("\n")[0])
    assert table_of(found.summary()) in out
    assert out.endswith(
        f"\nNext: scalefit bootstrap {table} for intervals\n"
        f"      scalefit fit {table} --flops 1e24 for the best N and D\n"
    )


def test_one_budget_is_allocated(scalefit, table, found):
    code, out, _ = scalefit("fit", table, "--flops", "1e22")
    assert code == 0
    assert table_of(sf.allocate(found, 1e22).summary()) in out


def test_several_budgets_are_allocated_together(scalefit, table, found):
    code, out, _ = scalefit("fit", table, "--flops", "1e21", "--flops", "1e22", "--json")
    budgets = json.loads(out)["allocation"]["budgets"]
    best = sf.allocate(found, [1e21, 1e22])
    assert code == 0
    assert [budget["flops"] for budget in budgets] == [1e21, 1e22]
    assert [budget["N"] for budget in budgets] == pytest.approx(list(best.N), rel=1e-6)


def test_json_holds_the_fit_and_the_allocation(scalefit, table, found):
    code, out, err = scalefit("fit", table, "--json", "--flops", "1e23")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert sorted(document) == ["allocation", "answer", "fit", "schema"]
    again = sf.Fit.from_json(json.dumps(document["fit"]))
    assert dict(again.params) == pytest.approx(dict(found.params), rel=1e-9)
    assert document["allocation"]["law"] == "chinchilla"
    assert document["allocation"]["cost"] == "6ND"
    assert [note["code"] for note in document["allocation"]["notes"]] == ["extrapolation"]


def test_json_without_budgets_holds_the_fit_alone(scalefit, table):
    code, out, _ = scalefit("fit", table, "--json")
    assert code == 0
    assert list(json.loads(out)) == ["schema", "answer", "fit"]


def test_bootstrap_gives_intervals(scalefit, tmp_path):
    runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.005, seed=3)
    path = tmp_path / "noisy.csv"
    runs.to_csv(path, index=False)
    words = ("fit", path, "--bootstrap", 50, "--level", 0.8, "--flops", 1e22)
    code, out, _ = scalefit(*words)
    assert code == 0
    assert "80 % intervals" in out
    assert "80 % intervals of the optimum" in out
    code, out, _ = scalefit(*words, "--json", "--plot", tmp_path / "surface.png")
    document = json.loads(out)
    table = sf.read(path)
    draws = sf.bootstrap(sf.fit(table), table, n_draws=50)
    expected = draws.conf_int(0.8).loc["alpha", "low"]
    assert document["intervals"]["parameters"]["alpha"]["low"] == pytest.approx(expected)
    assert (document["intervals"]["replicates"], document["intervals"]["failed"]) == (50, 0)
    noted = [note["code"] for note in document["intervals"]["notes"]]
    assert noted == [note.code for note in draws.notes]
    (budget,) = document["allocation"]["budgets"]
    assert budget["N_low"] < budget["N"] < budget["N_high"]
    assert (tmp_path / "surface.png").read_bytes().startswith(PNG)


def test_a_bootstrap_of_clusters_names_their_column(scalefit, tmp_path):
    runs = sf.simulate(sf.simulation.isoflop_design(points=6), noise=0.005, seed=3)
    path = tmp_path / "corpora.csv"
    runs.assign(corpus=[f"part {i % 10}" for i in range(len(runs))]).to_csv(path, index=False)
    code, out, _ = scalefit("fit", path, "--bootstrap", 50, "--by", "corpus", "--json")
    assert code == 0
    table = sf.read(path)
    draws = sf.bootstrap(sf.fit(table), table, n_draws=50, method="clusters", by="corpus")
    found = json.loads(out)["intervals"]["parameters"]["alpha"]["low"]
    assert found == pytest.approx(draws.conf_int().loc["alpha", "low"])
    code, _, error = scalefit("fit", path, "--by", "corpus")
    assert code == 2 and "--bootstrap 1000" in error


def test_plot_writes_a_picture_and_says_where(scalefit, table, tmp_path):
    code, out, _ = scalefit("fit", table, "--plot", tmp_path / "surface.png", "--flops", "1e22")
    assert code == 0
    assert f"\npicture: {tmp_path / 'surface.png'}\n" in out
    assert (tmp_path / "surface.png").read_bytes().startswith(PNG)


def test_plot_beside_json_leaves_the_output_parseable(scalefit, table, tmp_path):
    code, out, _ = scalefit("fit", table, "--json", "--plot", tmp_path / "surface.svg")
    assert code == 0
    assert "fit" in json.loads(out)
    assert "<svg" in (tmp_path / "surface.svg").read_text()


def test_constrained_fit_from_renamed_columns(scalefit, runs, tmp_path):
    runs.rename(columns={"N": "params_matmul"}).to_csv(tmp_path / "runs.tsv", sep="\t", index=False)
    code, out, err = scalefit(
        *("fit", tmp_path / "runs.tsv", "--json", "--column", "N=params_matmul"),
        *("--fixed", "E=1.69", "--bounds", "alpha=0.2:0.6", "--tied", "alpha=beta"),
    )
    fit = sf.Fit.from_json(json.dumps(json.loads(out)["fit"]))
    assert (code, err) == (0, "")
    assert fit.params["E"] == 1.69
    assert fit.params["alpha"] == fit.params["beta"]
    assert fit.bounds["alpha"] == (0.2, 0.6)
    assert fit.provenance["column N"] == "params_matmul"


@pytest.fixture(scope="module")
def formats(runs, tmp_path_factory):
    """A file of runs in two formats, and its grouped fit."""
    better = runs["loss"] - 20 * runs["N"] ** -0.34
    mixed = runs.assign(format=np.where(runs.index % 2, "fp8", "bf16"))
    mixed["loss"] = runs["loss"].where(mixed["format"] == "fp8", better)
    path = tmp_path_factory.mktemp("tables") / "formats.csv"
    mixed.to_csv(path, index=False)
    return path, sf.fit(sf.read(path), groups={"A": "format"})


def test_one_level_of_a_grouped_fit_is_allocated(scalefit, formats):
    path, grouped = formats
    words = ("fit", path, "--group", "A=format", "--flops", "1e22", "--json")
    code, out, err = scalefit(*words, "--at", "format=fp8")
    best = sf.allocate(grouped.at(format="fp8"), 1e22)
    assert (code, err) == (0, "")
    assert json.loads(out)["allocation"]["budgets"][0]["N"] == pytest.approx(float(best.N))
    assert sf.Fit.from_json(json.dumps(json.loads(out)["fit"])).groups == grouped.groups
    code, out, err = scalefit(*words)
    assert (code, err) == (2, "")
    assert "--at format=bf16. Levels: bf16, fp8" in json.loads(out)["error"]["message"]
    code, out, err = scalefit(*words[:-1], "--at", "format=fp4")
    assert (code, out) == (2, "")
    assert "'fp4' is not a level of format" in err


# What it asks


def test_defaults_are_those_of_fit(scalefit, asked, table):
    scalefit("fit", table)
    (call,) = asked
    assert call.pop("table").sources["N"] == "N"
    defaults = {"law": "chinchilla", "residual": "log", "robust": "huber", "delta": 1e-3}
    defaults["asymmetry"] = 10.0
    defaults |= {"certify": None, "seed": 0, "device": None}
    assert call == {**defaults, "fixed": {}, "bounds": {}, "tied": [], "groups": {}}


def test_options_reach_fit(scalefit, asked, table):
    code, _, _ = scalefit(
        *("fit", table, "--law", "chinchilla_n", "--residual", "raw", "--robust", "none"),
        *("--delta", "0.01", "--asymmetry", "4", "--fixed", "E=1.7", "--fixed", "A=4e2"),
        *("--bounds", "alpha=0.2:0.6", "--bounds", "B=-1:inf", "--tied", "alpha=beta=gamma"),
        *("--group", "A=format", "--group", "B=w_bits,a_bits"),
    )
    (call,) = asked
    assert code == 0
    assert call["law"] == "chinchilla_n"
    assert (call["residual"], call["robust"], call["delta"]) == ("raw", "none", 0.01)
    assert call["asymmetry"] == 4.0
    assert call["fixed"] == {"E": 1.7, "A": 400.0}
    assert call["bounds"] == {"alpha": (0.2, 0.6), "B": (-1.0, float("inf"))}
    assert call["tied"] == [("alpha", "beta", "gamma")]
    assert call["groups"] == {"A": ("format",), "B": ("w_bits", "a_bits")}


def test_rules_and_columns_reach_the_table(scalefit, asked, runs, tmp_path):
    runs.assign(other=2 * runs["N"]).to_csv(tmp_path / "runs.csv", index=False)
    scalefit(
        *("fit", tmp_path / "runs.csv", "--column", "N=other"),
        *("--keep", "C < 1e20", "--keep", "C > 1e17"),
    )
    table = asked[0]["table"]
    assert table.sources["N"] == "other"
    assert len(table) == 30
    assert {item.rule for item in table.dropped} == {"C < 1e20", "C > 1e17"}


def test_units_reach_the_table(scalefit, asked, runs, tmp_path):
    other = runs.assign(size=runs["N"] / 1e9, bpb=runs["loss"] / np.log(2) / 4)
    other.drop(columns=["N", "loss"]).to_csv(tmp_path / "runs.csv", index=False)
    scalefit(
        *("fit", tmp_path / "runs.csv", "--column", "N=size*1e9", "--column", "loss=bpb"),
        *("--loss-unit", "bits_per_byte", "--bytes-per-token", "4"),
    )
    table = asked[0]["table"]
    np.testing.assert_allclose(table.column("N"), runs["N"], rtol=1e-12)
    np.testing.assert_allclose(table.column("loss"), runs["loss"], rtol=1e-12)


def test_the_one_call_for_missing_columns_can_be_pasted(scalefit, runs, tmp_path):
    renamed = {"N": "cfg/n_params", "D": "seen_tokens", "loss": "val_ppl"}
    runs.rename(columns=renamed).to_csv(tmp_path / "runs.csv", index=False)
    code, _, err = scalefit("fit", tmp_path / "runs.csv")
    assert code == 2
    call = err[err.index("scalefit fit TABLE") :].split(". ")[0]
    assert call == (
        "scalefit fit TABLE --column N='cfg/n_params' --column D='seen_tokens' "
        "--column loss='val_ppl' --loss-unit perplexity"
    )
    words = shlex.split(call.replace("TABLE", str(tmp_path / "runs.csv")))
    assert scalefit(*words[1:])[0] == 0


def test_missing_rows_are_dropped_on_request(scalefit, asked, runs, tmp_path):
    runs.assign(loss=runs["loss"].where(runs.index != 4)).to_csv(tmp_path / "r.csv", index=False)
    scalefit("fit", tmp_path / "r.csv", "--missing", "drop")
    assert [(item.row, item.rule) for item in asked[0]["table"].dropped] == [(4, "missing loss")]


def test_demo_fits_the_lines_of_our_own_sweep(scalefit, asked, tmp_path):
    scalefit("demo", "--plot", tmp_path / "demo.png")
    frame = sf.datasets.frame("scalefit_bytes")
    lines = frame[frame["held_out"] == 0]
    assert [call["law"] for call in asked] == ["chinchilla_outer", "chinchilla"]
    for call in asked:
        np.testing.assert_array_equal(call["table"].column("loss"), lines["loss"])


def test_demo_allocates_its_budget_or_the_one_given(scalefit, asked, tmp_path):
    for words, budget in [((), 1e14), (("--flops", "1e22"), 1e22)]:
        code, out, _ = scalefit(
            *("demo", "--json", "--plot", tmp_path / "demo.png", "--overwrite", *words)
        )
        assert code == 0
        assert [item["flops"] for item in json.loads(out)["allocation"]["budgets"]] == [budget]


# Exit code 2: bad input

BAD_OPTIONS = {
    "--law chinchila": "Did you mean 'chinchilla'?",
    "--fixed E": "--fixed 'E' is not of the form NAME=NUMBER",
    "--fixed E=": "--fixed 'E=' is not of the form NAME=NUMBER",
    "--fixed =1.7": "--fixed '=1.7' is not of the form NAME=NUMBER",
    "--fixed E=big": "--fixed 'E=big' is not of the form NAME=NUMBER",
    "--fixed E=1.7 --fixed E=1.8": "--fixed is given twice for 'E'",
    "--fixed gamma=1": "--fixed names 'gamma'",
    "--bounds alpha": "--bounds 'alpha' is not of the form NAME=LOWER:UPPER",
    "--bounds alpha=0.2": "--bounds 'alpha=0.2' is not of the form NAME=LOWER:UPPER",
    "--bounds alpha=1:2:3": "--bounds 'alpha=1:2:3' is not of the form NAME=LOWER:UPPER",
    "--bounds alpha=0.6:0.2": "--bounds alpha=0.6:0.2 is empty: no number lies between. Pass pairs "
    "(lower, upper) by name, as --bounds alpha=0.2:0.6, or fix a parameter, as --fixed E=1.7",
    "--tied alpha": "--tied alpha is not a group of different names. Pass groups of two or more "
    "names, as --tied alpha=beta",
    "--tied alpha=gamma": "--tied names 'gamma'",
    "--column N": "--column 'N' is not of the form QUANTITY=HEADER",
    "--column N=prams": "no column 'prams' for N",
    "--column n=N": "--column names 'n', which is not a quantity. Quantities: N, D, loss",
    "--column keep=N": "--column names 'keep', which is not a quantity",
    "--column N=C --column N=D": "--column is given twice for 'N'",
    "--boxes 0": "--boxes=0 is not a whole number of at least 1",
    "--keep 'C <'": "the rule 'C <' makes no sense at its end",
    "--keep 'C < 1'": "no row is left",
    "--missing ignore": "--missing ignore is not one of",
    "--residual logg": "--residual logg is not one of 'log', 'relative', 'raw'. Pass --residual",
    "--robust hubr": "--robust hubr is not one of",
    "--robust asymmetric --asymmetry 1": "--asymmetry 1.0 is not a number above 1",
    "--fixed E=nan": "--fixed E=nan is not a number. Pass numbers by name, as --fixed E=1.7",
    "--bounds alpha=nan:1": "--bounds alpha=nan is not a number",
    "--delta 0": "--delta 0.0 is not a positive number. Pass --delta 1e-3",
    "--group A": "--group 'A' is not of the form NAME=COLUMN,COLUMN",
    "--group A=format --group A=C": "--group is given twice for 'A'",
    "--group A=format": "no column 'format' to group by",
    "--group A=C,": "--group A='' is not text",
    "--group alpha=C": "--group names 'alpha' of 'chinchilla', which enters nonlinearly",
}


@pytest.mark.parametrize(("options", "complaint"), BAD_OPTIONS.items(), ids=BAD_OPTIONS)
def test_bad_option_exits_2_with_one_line(scalefit, table, options, complaint):
    code, out, err = scalefit("fit", table, *shlex.split(options))
    assert (code, out) == (2, "")
    assert err.startswith("scalefit: ")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["nowhere.csv", "folder", "runs.xlsx"])
def test_unreadable_table_exits_2_with_one_line(scalefit, tmp_path, name):
    (tmp_path / "folder").mkdir()
    code, out, err = scalefit("fit", tmp_path / name)
    assert (code, out) == (2, "")
    assert name in err
    assert err.count("\n") == 1


def piped(monkeypatch, content):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet", "csv.gz"])
def test_standard_input_is_a_table(scalefit, asked, monkeypatch, runs, kind):
    held = io.BytesIO()
    match kind:
        case "csv" | "csv.gz":
            content = runs.to_csv(index=False).encode()
            content = gzip.compress(content) if kind == "csv.gz" else content
        case "tsv":
            content = runs.to_csv(index=False, sep="\t").encode()
        case "parquet":
            pytest.importorskip("pyarrow")
            runs.to_parquet(held)
            content = held.getvalue()
        case _:
            rows = runs.to_dict(orient="records")
            lines = "\n".join(map(json.dumps, rows))
            content = (json.dumps(rows) if kind == "json" else lines).encode()
    piped(monkeypatch, content)
    assert scalefit("fit", "-")[0] == 0
    np.testing.assert_array_equal(asked[0]["table"].column("loss"), runs["loss"])


@pytest.mark.parametrize("content", [b"", b"Dear reader,\nhow are you today?\n", b"\x80\4]\x94."])
def test_standard_input_of_no_table_exits_2_with_one_line(scalefit, monkeypatch, content):
    piped(monkeypatch, content)
    code, out, err = scalefit("fit", "-")
    assert (code, out) == (2, "")
    assert err.startswith("scalefit: cannot tell the format of standard input. ")
    assert err.count("\n") == 1


def test_standard_input_is_limited_as_files_are(scalefit, monkeypatch):
    monkeypatch.setattr(limits, "MOST_ROWS", 40)
    piped(monkeypatch, b"N,D,loss\n" + 60 * b"1e8,2e9,3.5\n")
    code, _, err = scalefit("fit", "-")
    assert (code, "'standard input' holds more than 40 rows" in err) == (2, True)
    assert "pandas.read_csv(sys.stdin.buffer, nrows=40)" in err


NONSENSE = {
    "--flops=-1e22": "--flops=-1e+22 is not a positive number",
    "--flops nan": "--flops=nan is not a positive number",
    "--flops 1e400": "--flops=inf is not a positive number",
    "--level 2": "--level=2.0 is not a number above 0 and below 1. 95 % is --level 0.95",
    "--level nan": "--level=nan is not a number",
    "--bootstrap 999999999999": "--bootstrap=999999999999 would take 2.56e+05 GB",
    "--bootstrap=-1": "--bootstrap=-1 is not a whole number",
    "--bootstrap 1": "--bootstrap=1 is not a whole number",
    "--seed=-1": "--seed=-1 is not a whole number of at least 0",
    "--plot ''": "--plot='' is not the path of a file",
    "--plot /": "'/' cannot be written ('/' is a folder, not a file)",
    "--plot .": "'.' cannot be written ('.' is a folder, not a file)",
    "--plot /dev/full": "'/dev/full' cannot be written ('/dev/full' is a pipe or a device",
    "--plot /dev/null --overwrite": "'/dev/null' is a pipe or a device",
    "--plot nowhere/surface.png": "there is no folder 'nowhere'",
    "--plot surface.nonsense": "known suffixes: .",
    "--plot surface": "known suffixes: .",
    "--plot .png": "known suffixes: .",
    "--plot there.png": "--plot 'there.png' exists already. Choose another name, or replace it",
}


@pytest.mark.parametrize(
    ("command", "options", "complaint"),
    [
        pytest.param(command, *item, id=f"{command} {item[0]}")
        for command in ("fit", "demo")
        for item in NONSENSE.items()
        if command == "fit" or not item[0].startswith(("--level", "--bootstrap", "--seed"))
    ],
)
def test_nonsense_exits_2_with_one_line_before_anything_is_fitted(
    scalefit, asked, table, tmp_path, monkeypatch, command, options, complaint
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").write_bytes(b"theirs")
    code, out, err = scalefit(
        command, *([table] if command == "fit" else []), *shlex.split(options)
    )
    assert (code, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1
    assert not asked
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]
    assert (tmp_path / "there.png").read_bytes() == b"theirs"


def test_a_picture_is_replaced_when_asked_for(scalefit, asked, table, tmp_path):
    path = tmp_path / "there.png"
    path.write_bytes(b"theirs")
    code, out, _ = scalefit("fit", table, "--plot", path, "--overwrite")
    assert (code, f"\npicture: {path}\n" in out) == (0, True)
    assert path.read_bytes().startswith(PNG)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("suffix", ["pdf", "svg", "SVGZ", "jpg", "eps"])
def test_a_picture_is_of_the_format_of_its_suffix(scalefit, asked, table, tmp_path, suffix):
    begins = {
        "pdf": b"%PDF",
        "svg": b"<?xml",
        "SVGZ": b"\x1f\x8b",
        "jpg": b"\xff\xd8",
        "eps": b"%!PS",
    }
    path = tmp_path / f"surface.{suffix}"
    code, _, err = scalefit("fit", table, "--plot", path)
    assert (code, err) == (0, "")
    assert path.read_bytes().startswith(begins[suffix])


def test_a_picture_that_fails_half_way_leaves_nothing(
    scalefit, asked, table, tmp_path, monkeypatch
):
    def fail(self, file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    code, out, err = scalefit("fit", table, "--plot", tmp_path / "surface.png")
    assert (code, out) == (2, "")
    assert "surface.png' cannot be written (No space left on device)" in err
    assert list(tmp_path.iterdir()) == []


def test_the_picture_of_a_demo_is_drawn_once(scalefit, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert scalefit("demo")[1].endswith("picture: scalefit-demo.png\n")
    (tmp_path / "scalefit-demo.png").write_bytes(b"theirs")
    code, out, err = scalefit("demo")
    assert (code, err) == (0, "")
    assert out.endswith(
        "\nscalefit-demo.png exists already and is left as it is: see --overwrite\n"
    )
    assert "picture:" not in out
    code, out, err = scalefit("demo", "--json")
    assert (code, "exists already" in err) == (0, True)
    assert json.loads(out)
    assert (tmp_path / "scalefit-demo.png").read_bytes() == b"theirs"
    assert scalefit("demo", "--overwrite")[0] == 0
    assert (tmp_path / "scalefit-demo.png").read_bytes().startswith(PNG)


def test_numbers_that_are_none_leave_the_output_json(scalefit, table, found, monkeypatch):
    unknown = replace(
        found, residual_rms=math.nan, diagnostics=replace(found.diagnostics, condition=math.inf)
    )
    monkeypatch.setattr(sf, "fit", lambda *_, **__: unknown)

    def refuse(text):
        raise AssertionError(text)

    _, out, _ = scalefit("fit", table, "--json", "--flops", "1e22")
    json.loads(out, parse_constant=refuse)


# Exit code 3: no usable fit


def test_fit_error_exits_3_with_one_line(scalefit, table, monkeypatch):
    def fail(*arguments, **options):
        raise sf.errors.FitError("nothing is finite")

    monkeypatch.setattr(sf, "fit", fail)
    assert scalefit("fit", table) == (3, "", "scalefit: nothing is finite\n")


@pytest.mark.parametrize("status", [sf.Status.STALLED, sf.Status.ITERATION_LIMIT])
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["report", "json"])
def test_unusable_fit_is_printed_and_exits_3(scalefit, table, found, monkeypatch, status, form):
    monkeypatch.setattr(sf, "fit", lambda *_, **__: replace(found, status=status))
    code, out, err = scalefit("fit", table, "--flops", "1e22", *form)
    assert (code, err) == (3, "")
    if form:
        assert json.loads(out)["fit"]["status"] == status.name
    else:
        assert status.value.split()[0] in out


def test_exact_fit_is_usable(scalefit, table, found, monkeypatch):
    exact = replace(found, status=sf.Status.EXACT)
    monkeypatch.setattr(sf, "fit", lambda *_, **__: exact)
    assert scalefit("fit", table)[0] == 0


# The installed command


def installed(*words, **options):
    command = Path(sysconfig.get_path("scripts")) / "scalefit"
    return subprocess.run([command, *words], text=True, timeout=120, check=False, **options)


def test_installed_demo_fits_allocates_and_draws(tmp_path):
    done = installed("demo", cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "61 language models on bytes, trained for this" in done.stdout
    assert "is doubtful here" in done.stdout and "verdict    good" in done.stdout
    assert "1e14 FLOP" in done.stdout
    assert "picture: scalefit-demo.png" in done.stdout
    assert (tmp_path / "scalefit-demo.png").read_bytes().startswith(PNG)


def test_a_picture_does_not_go_where_the_report_goes(tmp_path):
    with open(tmp_path / "report.png", "w") as report:
        done = installed(
            *("demo", "--plot", "/dev/stdout", "--overwrite"), stdout=report, stderr=subprocess.PIPE
        )
    assert done.returncode == 2
    assert "the report goes there" in done.stderr
    assert (tmp_path / "report.png").read_bytes() == b""


def test_a_report_that_cannot_be_printed_exits_2_with_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        done = installed("demo", cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.startswith("scalefit: the report cannot be printed ([Errno 28]")
    assert done.stderr.count("\n") == 1


def test_several_responses_are_fitted_at_once(scalefit, tmp_path):
    runs = sf.simulate(sf.simulation.isoflop_design(points=5)).rename(columns={"loss": "code"})
    runs["web"] = 1.5 * runs["code"]
    runs.to_csv(tmp_path / "wide.csv", index=False)
    words = ("fit", tmp_path / "wide.csv", "--responses", "code,web", "--json")
    fitted = sf.fit(runs, responses=["code", "web"])
    options = ("--at", "response=web", "--flops", "1e22")
    for more in ((), options):
        code, out, _ = scalefit(*words, *more)
        assert code == 0
        found = sf.Fit.from_json(json.dumps(json.loads(out)["fit"]))
        assert dict(found.params) == pytest.approx(dict(fitted.params))
        assert found.responses == ("code", "web")
    code, _, err = scalefit("fit", tmp_path / "wide.csv", "--responses", "code")
    assert code == 2
    assert "--column loss='code'" in err
