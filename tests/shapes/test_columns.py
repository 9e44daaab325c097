"""Tables with a shape in every row."""

import numpy as np
import pandas as pd
import pytest
from border import Row, check

import scalefit as sf
from scalefit.shapes import Transformer, fill

RUNS = pd.DataFrame(
    {
        "hidden_size": [768, 1024, 768],
        "n_layer": [12.0, 24.0, 12.0],
        "Num Heads": [12, 16, 12],
        "tokens": [1e9, 2e9, 3e9],
        "loss": [3.2, 3.0, 3.1],
    },
    index=["a", "b", "c"],
)
SAME = {"vocab": 50257, "gated": False, "tied": True, "seq": 1024}


def shapes():
    return [
        Transformer(width=width, layers=layers, heads=heads, **SAME)
        for width, layers, heads in ((768, 12, 12), (1024, 24, 16), (768, 12, 12))
    ]


def test_every_row_gets_the_counts_of_its_shape():
    before = RUNS.copy()
    found = fill(RUNS, convention="porian", **SAME)
    pd.testing.assert_frame_equal(RUNS, before)
    pd.testing.assert_frame_equal(found[list(RUNS)], RUNS)
    assert list(found)[-4:] == ["N", "N_no_embedding", "flops_per_token", "C"]
    assert found["N"].to_list() == [shape.parameters.total for shape in shapes()]
    without = [shape.parameters.without_embeddings for shape in shapes()]
    assert found["N_no_embedding"].to_list() == without
    flops = np.array([shape.flops_per_token("porian") for shape in shapes()])
    np.testing.assert_array_equal(found["flops_per_token"], flops)
    np.testing.assert_array_equal(found["C"], flops * RUNS["tokens"])
    assert sf.LossTable.from_frame(found).sources["N"] == "N"


def test_sizes_headers_and_tokens_are_named():
    runs = RUNS.rename(columns={"hidden_size": "d", "tokens": "seen"})
    found = fill(runs, width="d", size="blocks", convention="6N", tokens="seen", **SAME)
    # 12 l d^2
    assert found["N"].to_list() == [84934656, 301989888, 84934656]
    np.testing.assert_array_equal(found["C"], 6.0 * found["N"] * runs["seen"])
    assert "C" not in fill(runs, width="d", **SAME)


def test_experts_and_flags_may_differ_by_row():
    runs = pd.DataFrame(
        {
            **{
                "d_model": [256, 256],
                "depth": [4, 4],
                "gated": [True, False],
                "tied": [False, True],
            },
            **{"num_experts": [0, 8], "num_experts_per_tok": [0, 2]},
        }
    )
    found = fill(runs, vocab=1000, size="active", feed_forward=512)
    other = {"width": 256, "layers": 4, "vocab": 1000, "feed_forward": 512}
    routed = Transformer(**other, gated=False, tied=True, experts=8, active_experts=2)
    assert found["N"].to_list() == [
        Transformer(**other).parameters.total,
        routed.parameters.active,
    ]


def test_a_table_without_rows_or_columns_of_a_shape_is_filled_too():
    assert fill(RUNS.iloc[:0], **SAME)["N"].dtype.kind == "i"
    found = fill(RUNS[["loss"]], width=768, layers=12, **SAME)
    assert found["N"].to_list() == [shapes()[0].parameters.total] * 3


def refused(frame, **options):
    with pytest.raises(sf.errors.DataError) as caught:
        fill(frame, **options)
    error = caught.value
    assert error.remedy and str(error).endswith(error.remedy)
    return error


def test_what_a_table_lacks_is_said_at_once():
    error = refused(RUNS[["tokens"]], gated=False)
    assert "no column of width, layers, vocab" in str(error)
    assert len(fill(RUNS[["tokens"]], width=768, layers=12, vocab=50304)) == 3
    assert "no column 'd' for width" in str(refused(RUNS, **SAME, width="d"))


def test_columns_that_could_be_one_are_asked_for():
    error = refused(RUNS.assign(d_model=768), **SAME)
    assert error.remedy == "Say which one: width='d_model'"
    assert len(fill(RUNS.assign(d_model=768), **SAME, width="d_model")) == 3
    error = refused(RUNS.assign(D=1e9), **SAME)
    assert error.remedy == "Say which one: tokens='tokens'"


def test_nothing_is_overwritten():
    runs = RUNS.assign(N=1.0)
    error = refused(runs, **SAME)
    frame = runs
    assert error.column == "N" and "runs.drop(columns=['N'])" in error.remedy
    assert len(fill(frame.drop(columns=["N"]), **SAME)) == 3


@pytest.mark.parametrize(
    ("column", "values", "rows", "said"),
    [
        ("n_layer", [12, None, 12], ["b"], "is None in row b, not a whole number of at least 1"),
        ("n_layer", [12, 1.5, 0], ["b", "c"], "is 1.5 in row b (2 such rows: b, c)"),
        ("n_layer", [12, "many", 12], ["b"], "'many'"),
        ("hidden_size", [768, -1, 768], ["b"], "is -1 in row b"),
        ("tokens", [1e9, 0.0, 1e9], ["b"], "D (column 'tokens') is"),
        ("tied", [True, None, "no"], ["b", "c"], "not True or False"),
        ("Num Heads", [12, 16, 7], ["c"], "no shape in row c: heads=7 does not divide the width"),
    ],
)
def test_cells_that_are_no_field_are_named(column, values, rows, said):
    runs = RUNS.assign(**{column: pd.array(values, dtype=object)})
    same = {name: value for name, value in SAME.items() if name != column}
    error = refused(runs, **same)
    assert list(error.rows) == rows and said in str(error)
    assert len(fill(runs.drop(index=rows), **same)) == 3 - len(rows)


def filled(**options):
    return fill(**{"runs": RUNS, **SAME, **options})


@pytest.mark.parametrize(
    "row",
    [
        Row("no table", filled, {"runs": [1, 2]}, "runs", {"runs": RUNS}),
        Row("an unknown size", filled, {"size": "n"}, "size"),
        Row("an unknown convention", filled, {"convention": "kaplan2020"}, "convention"),
        Row("no field", filled, {"n_layers": 12}, "field", {"n_layers": ..., "layers": 12}),
        Row("no column of tokens", filled, {"tokens": "D"}, "tokens", {"tokens": "tokens"}),
        Row("a value of no field", filled, {"norm": "batch"}, "norm"),
    ],
    ids=str,
)
def test_options_that_are_none_are_refused(row):
    check(row)


def test_step_law_counts_the_matrices_of_its_blocks(data_folder):
    """Li et al. 2025, arXiv 2503.04715: its N is to the last parameter that of gated blocks."""
    runs = pd.read_csv(data_folder / "steplaw_dense.csv")
    found = fill(runs.drop(columns="flops"), vocab=65536, size="blocks")
    np.testing.assert_array_equal(found["N"], runs["params"])


@pytest.mark.parametrize("name", ["marin_comma", "marin_dclm"])
def test_marin_counts_every_parameter_and_matrix_product(data_folder, name):
    """Its N to the last parameter, and its reported FLOPs but for softmax and the like."""
    runs = pd.read_csv(data_folder / f"{name}.csv").assign(hidden=lambda runs: 4 * runs["width"])
    shape = {"vocab": 128256, "head_size": 128, "query_key_norm": "head", "seq": 4096}
    found = fill(runs.drop(columns="flops"), feed_forward="hidden", **shape)
    np.testing.assert_array_equal(found["N"], runs["params"])
    np.testing.assert_allclose(found["C"], runs["flops_reported"], rtol=0.0014)
