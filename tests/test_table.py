"""Reading a loss table: which column is which, what is dropped, what is kept."""

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import LossTable
from scalefit.data.table import as_table


@pytest.fixture
def runs():
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.0)


@pytest.fixture
def three():
    return pd.DataFrame({"N": [1e7, 1e8, 1e9], "D": [2e9, 3e9, 4e9], "loss": [4.0, 3.5, 3.0]})


def notes(table):
    return {note.code: note for note in table.notes}


# Which column is which


def test_canonical_names_are_taken_as_they_are(runs):
    table = LossTable.from_frame(runs)
    assert dict(table.sources) == {"N": "N", "D": "D", "loss": "loss", "C": "C"}
    assert list(table.frame.columns) == ["N", "D", "C", "loss"]


@pytest.mark.parametrize(
    ("quantity", "header"),
    [
        ("N", "params"),
        ("N", "Model Size"),
        ("N", "model-size"),
        ("N", " Num  Params "),
        ("N", "PARAMETERS"),
        ("D", "tokens"),
        ("D", "Training-Tokens"),
        ("D", "num_tokens_training"),
        ("loss", "L"),
        ("loss", "Val Loss"),
        ("loss", "final_loss"),
        ("C", "FLOPs"),
        ("C", "training flop"),
    ],
)
def test_alias_is_recognised_and_renamed(runs, quantity, header):
    table = LossTable.from_frame(runs.rename(columns={quantity: header}))
    assert table.sources[quantity] == header
    assert header not in table.frame.columns
    np.testing.assert_array_equal(table.column(quantity), runs[quantity])


@pytest.mark.parametrize(
    ("quantity", "letter"), [("N", "n"), ("D", "d"), ("C", "c"), ("loss", "l")]
)
def test_single_letters_match_in_their_own_case_only(runs, quantity, letter):
    table = LossTable.from_frame(runs.rename(columns={quantity: letter}))
    assert quantity not in table.sources
    assert letter in table


def test_explicit_header_wins_over_the_alias_table(three):
    frame = three.rename(columns={"N": "params"}).assign(params_matmul=[1.0, 2.0, 3.0])
    table = LossTable.from_frame(frame, N="params_matmul")
    np.testing.assert_array_equal(table.column("N"), [1.0, 2.0, 3.0])
    assert table.sources["N"] == "params_matmul"
    np.testing.assert_array_equal(table.column("params"), three["N"])


def test_explicit_header_settles_an_ambiguity(three):
    frame = three.assign(val_loss=[1.0, 2.0, 3.0])
    table = LossTable.from_frame(frame, loss="val_loss")
    np.testing.assert_array_equal(table.column("loss"), [1.0, 2.0, 3.0])
    assert table.candidates == {}


def test_column_given_for_one_quantity_is_not_guessed_for_another(runs):
    table = LossTable.from_frame(runs, N="C")
    assert "C" not in table.sources
    np.testing.assert_array_equal(table.column("N"), runs["C"])


def test_column_whose_name_another_takes_is_noted(three):
    table = LossTable.from_frame(three.assign(other=[1.0, 2.0, 3.0]), N="other")
    note = notes(table)["column_replaced"]
    assert dict(note.details) == {"quantity": "N", "header": "other"}
    assert "own column N is left out" in note.message
    for headers in ({"N": "D", "D": "N"}, {}):
        assert "column_replaced" not in notes(LossTable.from_frame(three, **headers))


def test_quantities_can_swap_their_headers(three):
    table = LossTable.from_frame(three, N="D", D="N")
    np.testing.assert_array_equal(table.column("N"), three["D"])
    np.testing.assert_array_equal(table.column("D"), three["N"])


def test_header_given_for_another_quantity_is_no_longer_what_it_says(three):
    table = LossTable.from_frame(three, C="N")
    with pytest.raises(sf.errors.DataError, match="no column N"):
        table.column("N")


def test_recognised_column_is_reachable_by_its_header(three):
    table = LossTable.from_frame(three.rename(columns={"N": "Model Size"}))
    np.testing.assert_array_equal(table.column("Model Size"), three["N"])


def test_extra_column_is_reachable_by_its_header(three):
    table = LossTable.from_frame(three.assign(U=[1, 2, 3], corpus=["a", "b", "c"]))
    np.testing.assert_array_equal(table.column("U"), [1.0, 2.0, 3.0])
    assert table.column("U").dtype == np.float64
    assert "corpus" in table


def test_extra_quantity_takes_an_explicit_header(three):
    table = LossTable.from_frame(three.assign(unique_tokens=[1, 2, 3]), U="unique_tokens")
    np.testing.assert_array_equal(table.column("U"), [1.0, 2.0, 3.0])


def test_ambiguous_compute_is_an_error_only_when_asked_for(runs):
    table = LossTable.from_frame(runs.rename(columns={"C": "compute"}).assign(flops=1.0))
    assert "C" not in table.sources
    with pytest.raises(
        sf.errors.DataError, match=r"C could be any of the columns compute, flops.*C='compute'"
    ):
        table.column("C")
    np.testing.assert_array_equal(table.column("flops"), np.ones(len(runs)))


def test_table_without_a_recognised_column_says_so_when_asked():
    table = LossTable.from_frame(pd.DataFrame({"size": [1.0], "data": [2.0]}))
    assert table.sources == {}
    with pytest.raises(
        sf.errors.DataError, match=r"no column N .*params.*Perhaps: N='size'. Columns: size, data"
    ):
        table.column("N")


def test_missing_tokens_beside_compute_suggest_computing_them(runs):
    table = LossTable.from_frame(runs.drop(columns="D"))
    with pytest.raises(sf.errors.DataError, match=r"tokens=runs\['C'\] / \(6.0 \* runs\['N'\]\)"):
        table.column("D")


# Numbers


def test_integers_become_floats_before_products(three):
    sizes = {"N": np.int64(7e9), "D": np.int64(2e12)}
    frame = three.assign(**sizes)
    assert (6 * frame["N"] * frame["D"] != 8.4e22).all()
    table = LossTable.from_frame(frame)
    assert table.frame["N"].dtype == table.frame["D"].dtype == np.float64
    assert (6 * table.column("N") * table.column("D") == 8.4e22).all()
    assert (6 * table.frame["N"] * table.frame["D"] == 8.4e22).all()


@pytest.mark.parametrize("rule", ["6 * N * D < 1e23", "6 * params * tokens < 1e23"])
def test_products_in_rules_do_not_wrap_around(three, rule):
    frame = three.assign(N=np.int64(7e9), D=np.array([1, 2, 3]) * np.int64(10**12))
    table = LossTable.from_frame(frame.rename(columns={"N": "params", "D": "tokens"}), keep=rule)
    assert list(table.rows) == [0, 1]


@pytest.mark.parametrize(
    "dtype", ["float32", "int64", "Int64", "object", "str", "category", "float64[pyarrow]"]
)
def test_columns_of_any_numeric_kind_are_read(three, dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    frame = three.assign(N=three["N"].astype(dtype))
    values = LossTable.from_frame(frame).column("N")
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, three["N"])


def test_integers_beyond_64_bits_are_read(three):
    table = LossTable.from_frame(three.assign(C=[10**21, 10**22, 10**23]))
    np.testing.assert_array_equal(table.column("C"), [1e21, 1e22, 1e23])


def test_negative_losses_are_read(three):
    table = LossTable.from_frame(three.assign(loss=[-1.0, 0.0, 1.0]))
    np.testing.assert_array_equal(table.column("loss"), [-1.0, 0.0, 1.0])


def test_column_is_read_only(three):
    values = LossTable.from_frame(three).column("N")
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1.0


def test_column_is_cached(three):
    table = LossTable.from_frame(three.assign(U=1.0))
    assert table.column("N") is table.column("N")
    assert table.column("U") is table.column("U")


# What the table keeps of its source


def test_dataframe_is_never_modified(three):
    frame = three.rename(columns={"N": "Model Size"}).assign(D=[1, 2, 3], weight=[1, 1, 2])
    frame.loc[2, "loss"] = np.nan
    before = frame.copy(deep=True)
    table = LossTable.from_frame(frame, keep="N > 2e7", missing="drop")
    table.frame.loc[1, "N"] = 0.0
    assert len(table) == 1
    pd.testing.assert_frame_equal(frame, before)


def test_row_labels_are_preserved(three):
    frame = three.set_axis(["small", "middle", "large"])
    table = LossTable.from_frame(frame, keep="N < 5e8")
    assert list(table.rows) == ["small", "middle"]
    assert [(item.row, item.rule) for item in table.dropped] == [("large", "N < 5e8")]


def test_repeated_row_labels_are_allowed(three):
    table = LossTable.from_frame(three.set_axis([7, 7, 8]), keep="N > 2e7")
    assert list(table.rows) == [7, 8]
    assert [item.row for item in table.dropped] == [7]


def test_length_membership_and_representation(three):
    table = LossTable.from_frame(three.rename(columns={"N": "params"}), keep="D < 4e9")
    assert len(table) == 2
    assert "N" in table
    assert "U" not in table
    assert repr(table) == "<LossTable: 2 rows, 1 dropped; N='params', D, loss>"
    assert "2 runs, 1 dropped" in table._repr_html_()


def test_a_table_is_looked_into_like_a_dataframe(three):
    table = LossTable.from_frame(three.rename(columns={"N": "params"}), keep="D < 4e9")
    assert table.columns == list(table) == ["N", "D", "loss"]
    pd.testing.assert_series_equal(table["params"], table["N"])
    assert table["N"].to_list() == [1e7, 1e8]
    assert len(table.head(1)) == 1
    with pytest.raises(sf.errors.DataError, match=r"no column M.*Columns: params, D, loss"):
        table["M"]
    copied = table.to_frame()
    copied.loc[0, "loss"] = 9.0
    assert table["loss"][0] == 4.0


def test_summary_of_a_table_says_what_its_columns_are(three):
    frame = three.rename(columns={"N": "params"}).assign(corpus="web", flag=[True, False, True])
    text = LossTable.from_frame(frame, keep="D < 4e9").summary()
    assert "2 runs, 1 dropped. Next: scalefit.fit(table)." in text
    assert "  N         params     10.0M     100M  parameters" in text.splitlines()
    assert "dropped        1 by 'D < 4e9'" in text and "other columns  corpus, flag" in text
    assert "4.0000  web     True" in text


# Rows left out


@pytest.mark.parametrize("rule", ["N < 5e8", "params < 5e8", "`params` < 5e8", "not N >= 5e8"])
def test_rule_speaks_of_headers_and_of_canonical_names(three, rule):
    table = LossTable.from_frame(three.rename(columns={"N": "params"}), keep=rule)
    assert list(table.rows) == [0, 1]


def test_rule_can_quote_a_header_with_spaces(three):
    frame = three.rename(columns={"N": "Model Size"})
    assert list(LossTable.from_frame(frame, keep="`Model Size` < 5e8").rows) == [0, 1]


def test_rule_can_use_text_columns(three):
    frame = three.assign(corpus=["web", "code", "web"])
    assert list(LossTable.from_frame(frame, keep="corpus == 'web'").rows) == [0, 2]


def test_row_is_listed_under_the_first_rule_it_fails(three):
    table = LossTable.from_frame(three, keep=["N < 5e8", "D < 3e9"])
    dropped = [(item.row, item.rule) for item in table.dropped]
    assert list(table.rows) == [0]
    assert dropped == [(2, "N < 5e8"), (1, "D < 3e9")]


def test_no_rule_drops_nothing(three):
    table = LossTable.from_frame(three)
    assert len(table) == 3
    assert table.dropped == ()


@pytest.mark.parametrize("dtype", ["float64", "Float64", "object"])
def test_missing_value_fails_a_comparison_however_it_is_marked(three, dtype):
    flag = pd.Series([1.0, np.nan, 2.0]).astype(dtype)
    table = LossTable.from_frame(three.assign(flag=flag), keep="flag < 3")
    assert [item.row for item in table.dropped] == [1]


def test_rule_may_be_a_nullable_boolean_column(three):
    flag = pd.array([True, None, False], dtype="boolean")
    assert list(LossTable.from_frame(three.assign(flag=flag), keep="flag").rows) == [0]


def test_rule_can_leave_out_what_would_be_refused(three):
    frame = three.assign(loss=[4.0, np.inf, np.nan], N=[1e7, -1.0, 1e9])
    table = LossTable.from_frame(frame, keep="abs(`loss`) < inf")
    assert list(table.rows) == [0]


def test_missing_rows_are_dropped_on_request_and_listed(three):
    frame = pd.concat([three, three], ignore_index=True).assign(weight=1.0)
    for row, column in enumerate(["N", "D", "loss", "weight"]):
        frame.loc[row, column] = np.nan
    table = LossTable.from_frame(frame, missing="drop")
    assert list(table.rows) == [4, 5]
    assert [(item.row, item.rule) for item in table.dropped] == [
        (0, "missing N"),
        (1, "missing D"),
        (2, "missing loss"),
        (3, "missing weight"),
    ]


def test_rules_come_before_missing_rows(three):
    three.loc[1, "loss"] = np.nan
    table = LossTable.from_frame(three, keep="N < 5e7", missing="drop")
    assert [(item.row, item.rule) for item in table.dropped] == [(1, "N < 5e7"), (2, "N < 5e7")]


# Weights


def test_weights_are_ones_by_default(three):
    np.testing.assert_array_equal(LossTable.from_frame(three).weight, np.ones(3))


@pytest.mark.parametrize("header", ["weight", "Weights", "sample-weight"])
def test_weights_are_read(three, header):
    table = LossTable.from_frame(three.assign(**{header: [0, 1, 2]}))
    np.testing.assert_array_equal(table.weight, [0.0, 1.0, 2.0])


def test_weights_follow_their_rows(three):
    table = LossTable.from_frame(three.assign(w=[5, 6, 7]), weight="w", keep="N > 2e7")
    np.testing.assert_array_equal(table.weight, [6.0, 7.0])


# Notes


def test_clean_table_has_no_notes(runs):
    assert LossTable.from_frame(runs).notes == ()


def test_ambiguous_column_is_noted(runs):
    two = runs.rename(columns={"C": "compute"}).assign(flops=1.0)
    note = notes(LossTable.from_frame(two))["ambiguous_column"]
    assert note.severity == "info"
    assert "compute, flops" in note.message
    assert "C='compute'" in note.message
    assert dict(note.details) == {"quantity": "C", "columns": ["compute", "flops"]}


def test_ambiguous_weights_are_a_warning_because_none_are_used(three):
    table = LossTable.from_frame(three.assign(sample_weight=2.0, weights=3.0))
    assert notes(table)["ambiguous_column"].severity == "warning"
    np.testing.assert_array_equal(table.weight, np.ones(3))


def test_duplicate_rows_are_noted_and_kept(three):
    frame = pd.concat([three, three.iloc[[1]]]).set_axis(["a", "b", "c", "again"])
    table = LossTable.from_frame(frame)
    note = notes(table)["duplicate_rows"]
    assert len(table) == 4
    assert "again" in note.message
    assert dict(note.details) == {"rows": ["again"]}


def test_repeated_designs_with_other_losses_are_no_duplicates(three):
    frame = pd.concat([three, three.assign(loss=three["loss"] + 0.01)], ignore_index=True)
    assert "duplicate_rows" not in notes(LossTable.from_frame(frame))


def test_runs_without_a_loss_are_no_duplicates(three):
    frame = pd.concat([three, three]).drop(columns="loss")
    assert "duplicate_rows" not in notes(LossTable.from_frame(frame))


def test_duplicates_that_a_rule_drops_are_not_noted(three):
    frame = pd.concat([three, three], ignore_index=True).assign(seed=[0, 0, 0, 1, 1, 1])
    assert "duplicate_rows" not in notes(LossTable.from_frame(frame, keep="seed == 0"))


# Digest


def digest(frame, **options):
    return LossTable.from_frame(frame, **options).digest(["N", "D", "loss"])


def test_digest_is_of_the_numbers_alone(three):
    assert digest(three) == digest(three.set_axis(["a", "b", "c"]))
    assert digest(three) == digest(three.rename(columns={"N": "params"}))
    assert digest(three) == digest(three.assign(N=three["N"].astype("int64"), note="x"))
    assert digest(three) == digest(three.assign(weight=1))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: f.assign(loss=f["loss"] * (1 + 1e-15)), id="loss"),
        pytest.param(lambda f: f.assign(N=f["D"], D=f["N"]), id="columns swapped"),
        pytest.param(lambda f: f.iloc[::-1], id="row order"),
        pytest.param(lambda f: f.iloc[:2], id="fewer rows"),
        pytest.param(lambda f: f.assign(weight=[1, 1, 2]), id="weights"),
    ],
)
def test_digest_changes_with_the_data(three, change):
    assert digest(change(three)) != digest(three)


def test_digest_of_labels_is_of_what_they_say(three):
    def of(labels):
        return LossTable.from_frame(three.assign(bits=labels)).digest(["N"], ["bits"])

    assert of([4, 4, 8]) == of([4.0, 4.0, 8.0]) == of(["4", "4", "8"])
    assert of([4, 4, 8]) != of([4, 8, 8])


def test_digest_names_its_columns(three):
    table = LossTable.from_frame(three.assign(U=three["N"]))
    assert table.digest(["N", "D"]) != table.digest(["U", "D"])


# Files


def write(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif "json" in path.name:
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    else:
        frame.to_csv(path, index=False, sep="\t" if "tsv" in path.name else ",")


@pytest.mark.parametrize(
    "name",
    ["r.csv", "R.CSV", "r.tsv", "r.jsonl", "r.ndjson", "r.csv.gz", "r.tsv.gz", "r.jsonl.gz"],
)
def test_text_file_reads_as_the_frame_it_was_written_from(runs, tmp_path, name):
    write(runs, tmp_path / name)
    table = sf.read(tmp_path / name)
    for column in runs:
        np.testing.assert_allclose(table.column(column), runs[column], rtol=1e-15)


def test_parquet_file_reads_as_the_frame_it_was_written_from(runs, tmp_path):
    pytest.importorskip("pyarrow")
    write(runs, tmp_path / "runs.parquet")
    pd.testing.assert_frame_equal(sf.read(tmp_path / "runs.parquet").frame, runs)


def test_json_lines_are_read_to_the_last_bit(runs, tmp_path):
    lines = [json.dumps(row) for row in runs.to_dict(orient="records")]
    (tmp_path / "runs.jsonl").write_text("\n".join(lines))
    np.testing.assert_array_equal(sf.read(tmp_path / "runs.jsonl").column("loss"), runs["loss"])


def test_json_lines_keep_text_that_looks_like_a_date(three, tmp_path):
    write(three.assign(date="2024-05-01"), tmp_path / "runs.jsonl")
    assert set(sf.read(tmp_path / "runs.jsonl").frame["date"]) == {"2024-05-01"}


def test_read_takes_text_paths_and_all_options(three, tmp_path):
    three.loc[0, "loss"] = np.nan
    frame = three.rename(columns={"N": "size"}).assign(besiroglu_keep=[1, 1, 0])
    write(frame, tmp_path / "runs.csv")
    table = sf.read(
        str(tmp_path / "runs.csv"), keep="besiroglu_keep == 1", missing="drop", N="size"
    )
    assert list(table.rows) == [1]
    assert [(item.row, item.rule) for item in table.dropped] == [
        (2, "besiroglu_keep == 1"),
        (0, "missing loss"),
    ]
    assert table.sources["N"] == "size"


@pytest.mark.parametrize("keep", [(), []])
def test_options_that_change_nothing_may_be_given_for_a_table(runs, keep):
    table = LossTable.from_frame(runs)
    assert as_table(table, keep=keep, missing="raise") is table
    with pytest.raises(sf.errors.ArgumentError, match="keep cannot be given for a LossTable"):
        as_table(table, keep="N > 0")


def test_a_table_without_a_known_loss_says_which_column_may_be_it():
    runs = {"N": [1e8, 2e8], "D": [1e9, 2e9], "eval/valid_nll": [3.0, 2.9]}
    said = "No column is known as a loss: perhaps loss='eval/valid_nll', where it is read."
    assert said in sf.read(runs).summary().replace("\n", " ")
