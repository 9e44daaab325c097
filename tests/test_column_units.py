"""Units of columns: of headers, on request, and of losses."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.data.column_names import ALIASES
from scalefit.data.column_units import scaled_header


@pytest.fixture(scope="module")
def runs():
    return sf.simulate(sf.simulation.isoflop_design(), noise=0.004, seed=1)


# What a reader of the header would take it for.
HEADERS = {
    "params_b": ("N", 1e9),
    "params_B": ("N", 1e9),
    "N_M": ("N", 1e6),
    "N_B": ("N", 1e9),
    "N (B)": ("N", 1e9),
    "Params (M)": ("N", 1e6),
    "Parameters [millions]": ("N", 1e6),
    "params in billions": ("N", 1e9),
    "model_size_m": ("N", 1e6),
    "million_params": ("N", 1e6),
    "M params": ("N", 1e6),
    "B tokens": ("D", 1e9),
    "n_params_1e9": ("N", 1e9),
    "N/1e6": ("N", 1e6),
    "tokens_b": ("D", 1e9),
    "Tokens (T)": ("D", 1e12),
    "D_B": ("D", 1e9),
    "tokens_bn": ("D", 1e9),
    "train_tokens_billion": ("D", 1e9),
    "flops_e18": ("C", 1e18),
    "flops_1e21": ("C", 1e21),
    "training_flops_1e18": ("C", 1e18),
    "train_eflops": ("C", 1e18),
    "gflops_total": ("C", 1e9),
    "compute_zettaflop": ("C", 1e21),
    "pf_days": ("C", 8.64e19),
    "compute (PF-days)": ("C", 8.64e19),
    "petaflop/s-days": ("C", 8.64e19),
}
# The size and tokens of a teacher, throughput of a device, counts, and other things.
NO_UNIT = [
    "N_T",
    "D_T",
    "tflops",
    "TFLOPS",
    "tflops_per_gpu",
    "total_tflops_per_gpu",
    "training flops",
    "gflops",
    "params",
    "tokens",
    "n_b",
    "batch_b",
    "params_matmul",
    "loss_m",
    "group_b",
]


@pytest.mark.parametrize(("header", "meant"), HEADERS.items())
def test_units_of_headers(header, meant):
    assert scaled_header(header, ALIASES) == meant


@pytest.mark.parametrize("header", NO_UNIT)
def test_headers_without_a_unit(header):
    assert scaled_header(header, ALIASES) is None


def in_billions(runs, n="params_b", d="tokens_b"):
    return pd.DataFrame({n: runs["N"] / 1e9, d: runs["D"] / 1e9, "loss": runs["loss"]})


def close(first, second):
    np.testing.assert_allclose(list(first.params.values()), list(second.params.values()), rtol=1e-6)


@pytest.fixture(scope="module")
def counted(runs):
    return sf.fit(runs)


def test_a_header_in_billions_is_fitted_as_counts_and_noted(runs, counted):
    fit = sf.fit(in_billions(runs))
    close(fit, counted)
    said = [note for note in fit.notes if note.code == "header_unit"]
    assert [note.details["quantity"] for note in said] == ["N", "D"]
    assert all(note.severity == "info" and "multiplied by 1e9" in note.message for note in said)
    assert "units" not in {note.code for note in fit.notes}
    best, right = sf.allocate(fit, 1e22), sf.allocate(counted, 1e22)
    assert best.N == pytest.approx(right.N, rel=1e-6) and best.D == pytest.approx(right.D, rel=1e-6)


def test_a_header_in_billions_over_counts_is_left_as_it_is(runs, counted):
    odd = in_billions(runs).assign(params_b=runs["N"])
    table = sf.LossTable.from_frame(odd)
    np.testing.assert_array_equal(table.column("N"), runs["N"])
    assert "are left as they are" in table.notes[0].message
    assert dict(table.scales) == {"D": 1e9}


def test_the_unit_of_a_header_that_is_given_counts_too(runs):
    other = pd.DataFrame({"Size (M)": runs["N"] / 1e6, "tflops": runs["C"] / 1e12})
    other = other.assign(D=runs["D"], loss=runs["loss"])
    table = sf.LossTable.from_frame(other, N="Size (M)", C="tflops")
    np.testing.assert_allclose(table.column("N"), runs["N"], rtol=1e-14)
    np.testing.assert_allclose(table.column("C"), runs["C"], rtol=1e-14)
    said = [note.message for note in table.notes if note.code == "header_unit"]
    assert len(said) == 2 and "Another unit: N=('Size (M)', 1.0)" in said[0]
    raw = sf.LossTable.from_frame(other, N=("Size (M)", 1.0), C=("tflops", 1.0))
    np.testing.assert_array_equal(raw.column("N"), other["Size (M)"])
    # A letter that belongs to the name: the numbers are counts already.
    counts = runs.rename(columns={"N": "params_m"})
    assert not sf.LossTable.from_frame(counts, N="params_m").scales


def test_a_plain_header_wins_over_one_with_a_unit(runs):
    both = runs.assign(params_b=runs["N"] / 1e9)
    table = sf.LossTable.from_frame(both)
    assert table.sources["N"] == "N" and not table.notes


def test_units_on_request(runs, counted):
    table = in_billions(runs, "size", "seen").assign(size=runs["N"] / 1e6)
    fit = sf.fit(table, N=("size", 1e6), D=("seen", 1e9))
    close(fit, counted)
    assert fit.provenance["column N"] == "size" and fit.provenance["unit of N"] == "1000000.0"
    # The same options everywhere a table is taken.
    again = sf.covariance(fit, table, N=("size", 1e6), D=("seen", 1e9))
    assert again.to_frame().shape[0] == 5
    read = sf.LossTable.from_frame(table, N=("size", 1e6), D=("seen", 1e9))
    assert "N='size x 1e6'" in repr(read) and "size x 1e6" in read.summary()
    with pytest.raises(sf.errors.DataError, match="these are not the 75 runs"):
        sf.covariance(fit, table, N=("size", 1e9), D=("seen", 1e9))


@pytest.mark.parametrize("unit", [0, -1e9, "1e9", None, np.nan])
def test_a_unit_that_is_none_is_refused(runs, unit):
    with pytest.raises(sf.errors.ArgumentError, match=r"as N=\('params_b', 1e9\)"):
        sf.fit(runs, N=("N", unit))


def test_an_exact_header_wins_over_other_names(runs):
    more = runs.assign(params=1.0, train_tokens=1.0, val_loss=9.0, budget=1.0)
    table = sf.LossTable.from_frame(more)
    assert dict(table.sources) == {"N": "N", "D": "D", "loss": "loss", "C": "C"}
    assert not table.notes


# Losses

LN2 = 0.6931471805599453


@pytest.mark.parametrize(
    ("unit", "there", "size", "named"),
    [
        ("nats", lambda nats: nats, None, "nats/token"),
        ("bits", lambda nats: nats / LN2, None, "nats/token"),
        ("perplexity", np.exp, None, "nats/token"),
        ("bits_per_byte", lambda nats: nats / LN2, None, "nats/byte"),
        ("nats_per_byte", lambda nats: nats, None, "nats/byte"),
        ("bits_per_byte", lambda nats: nats / LN2 / 4.2, 4.2, "nats/token"),
        ("nats_per_byte", lambda nats: nats / 4.2, 4.2, "nats/token"),
    ],
)
def test_losses_become_nats(runs, counted, unit, there, size, named):
    other = runs.assign(loss=there(runs["loss"]))
    table = sf.LossTable.from_frame(other, loss_unit=unit, bytes_per_token=size)
    np.testing.assert_allclose(table.column("loss"), runs["loss"], rtol=1e-14)
    assert table.loss_unit == named and not table.notes
    fit = sf.fit(other, loss_unit=unit, bytes_per_token=size)
    close(fit, counted)
    assert fit.loss_unit == named and fit.params.units["E"] == named
    assert named in fit.summary() and named in table.summary()
    assert sf.Fit.from_json(fit.to_json()).loss_unit == named
    # The table is read again as it was.
    np.testing.assert_allclose(fit.residuals(other), counted.residuals(runs), atol=1e-9)
    errors = sf.covariance(fit, other).standard_errors
    assert errors["alpha"] == pytest.approx(sf.covariance(counted, runs).standard_errors["alpha"])


def test_a_table_in_another_unit_than_the_fit_says_so(runs):
    other = runs.assign(ppl=np.exp(runs["loss"]))
    fit = sf.fit(other.drop(columns="loss"), loss="ppl", loss_unit="perplexity")
    expected = fit.residuals(other.drop(columns="loss"))
    np.testing.assert_allclose(fit.residuals(other, loss="loss"), expected, atol=1e-9)
    np.testing.assert_allclose(
        fit.residuals(other.assign(ppl=runs["loss"]), loss_unit="nats"), expected, atol=1e-9
    )


def test_rules_on_converted_losses(runs):
    other = runs.assign(ppl=np.exp(runs["loss"])).drop(columns="loss")
    kept = sf.LossTable.from_frame(other, loss="ppl", loss_unit="perplexity", keep="loss < 3")
    assert len(kept) == (runs["loss"] < 3).sum()
    kept = sf.LossTable.from_frame(other, loss="ppl", loss_unit="perplexity", keep="ppl < 20")
    assert len(kept) == (np.exp(runs["loss"]) < 20).sum()


def test_a_header_names_the_unit_of_its_losses(runs):
    def named(header):
        table = sf.LossTable.from_frame(runs.rename(columns={"loss": header}), loss=header)
        return table.loss_unit, [note.code for note in table.notes]

    assert named("val_bpb") == ("bits/byte", [])
    assert named("eval/paloma/c4_en/bpb") == ("bits/byte", [])
    assert named("bits-per-byte") == ("bits/byte", [])
    assert named("ce") == ("nats/token", [])
    # Small perplexities are no losses either.
    assert named("val_ppl") == ("", ["loss_unit"])


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"loss_unit": "bit"}, "Pass loss_unit='bits'"),
        ({"loss_unit": "bits", "bytes_per_token": 4}, "Leave it out"),
        ({"bytes_per_token": 4}, "loss_unit='bits_per_byte'"),
        ({"loss_unit": "bits_per_byte", "bytes_per_token": 0}, "bytes_per_token=4.2"),
    ],
)
def test_loss_units_that_make_no_sense_are_refused(runs, options, part):
    with pytest.raises(sf.errors.ArgumentError, match=part):
        sf.fit(runs, **options)
    with pytest.raises(sf.errors.ArgumentError, match="cannot be given for a LossTable"):
        sf.fit(sf.LossTable.from_frame(runs), loss_unit="bits")


def test_the_unit_is_on_every_axis_of_losses(runs):
    fit = sf.fit(runs, loss_unit="nats_per_byte")
    table = sf.LossTable.from_frame(runs, loss_unit="nats_per_byte")
    legend = sf.plot.surface(fit, table).get_legend().get_texts()
    assert "loss (nats/byte)" in [text.get_text() for text in legend]
    assert sf.plot.predictions(fit, table).get_xlabel() == "predicted loss (nats/byte)"
    assert sf.plot.isoflop(sf.isoflop(table), table).get_ylabel() == "loss (nats/byte)"
    assert sf.plot.curves(fit, table).get_ylabel() == "loss (nats/byte)"
    plt.close("all")


# One error


def test_everything_that_is_missing_is_one_error_with_one_call(runs):
    wandb = pd.DataFrame(
        {
            "Name": [f"run-{i}" for i in range(len(runs))],
            "config/n_params": runs["N"],
            "config/lr": 3e-4,
            "config/batch_tokens": 5e5,
            "summary/tokens_seen": runs["D"],
            "tokens_per_second": 1e6,
            "train/loss": runs["loss"] * 1.01,
            "eval/loss": runs["loss"],
            "param_norm": 12.0,
        }
    )
    with pytest.raises(sf.errors.DataError) as caught:
        sf.fit(wandb)
    message = str(caught.value)
    assert message.startswith("the table has no columns N, D, loss.")
    call = message[message.index("scalefit.fit(") :].split(". ")[0]
    assert call == (
        "scalefit.fit(runs, N='config/n_params', D='summary/tokens_seen', loss='eval/loss')"
    )
    assert "loss may also be train/loss" in message
    assert "tokens_per_second" not in message.split("Columns")[0]
    assert eval(call, {"runs": wandb, "scalefit": sf}).status.usable


@pytest.mark.parametrize(
    ("headers", "meant"),
    [
        (("n", "d", "LOSS"), ("n", "d", "LOSS")),
        (("Model Size (params)", "Train Tokens seen", "lm_loss"), None),
        (("num_non_embedding_params", "dataset_size", "smooth loss"), None),
        (("params_active_precise", "tokens_trained", "val_bpb"), None),
        (("N_no_emb", "ntokens", "c4_ppl"), None),
    ],
)
def test_guesses_of_names_that_tables_have(runs, headers, meant):
    frame = runs[["N", "D", "loss"]].set_axis(list(headers), axis=1).assign(seed_=1, lr=3e-4)
    with pytest.raises(sf.errors.DataError) as caught:
        sf.fit(frame)
    call = str(caught.value)
    call = call[call.index("scalefit.fit(") :].split("). ")[0] + ")"
    fit = eval(call, {"runs": frame, "scalefit": sf})
    assert [fit.provenance[f"column {name}"] for name in ("N", "D", "loss")] == list(headers)


def test_a_table_without_sizes_is_told_which_laws_answer(runs):
    for lacking in (["N"], ["N", "D"]):
        table = runs.drop(columns=lacking)
        with pytest.raises(sf.errors.DataError, match="these laws answer") as caught:
            sf.fit(table)
        calls = str(caught.value).split("answer: ")[1].split(". ")[0].split(" or ")
        for call in calls:
            assert eval(call, {"runs": table, "scalefit": sf}).nobs == len(runs), call
        assert any("power_offset" in call for call in calls)


def test_columns_of_a_law_are_guessed_by_what_they_mean(runs):
    table = runs.assign(unique_tokens=runs["D"] / 2, notes="x")
    with pytest.raises(sf.errors.DataError, match=r"fit\(runs, 'repeated_tokens', U='unique_tok"):
        sf.fit(table, "repeated_tokens")
    errors = runs.rename(columns={"loss": "error"})[["N", "D", "error"]]
    with pytest.raises(sf.errors.DataError) as caught:
        sf.fit(errors, "error_of_loss")
    call = str(caught.value).split("answer: ")[1].split(". ")[0]
    assert call == "scalefit.fit(runs, 'power_offset', x='D', loss='error')"
    assert eval(call, {"runs": errors, "scalefit": sf}).nobs == len(runs)


def test_what_is_not_fitted_is_told_the_columns_alone(runs):
    fit = sf.fit(runs)
    other = runs.rename(columns={"N": "my_params", "D": "d"})
    for ask in (
        fit.predict,
        sf.isoflop,
        lambda table: sf.covariance(fit, table),
        lambda table: sf.plot.surface(fit, table),
    ):
        with pytest.raises(sf.errors.DataError, match="no columns N, D") as caught:
            ask(other)
        assert "Perhaps: N='my_params', D='d'. Columns" in str(caught.value)


def test_a_table_spread_over_columns_is_told_to_melt(runs):
    wide = pd.DataFrame(
        {"D": [1e9, 2e9], "70M": [3.5, 3.4], "160M": [3.3, 3.2], "410M": [3.1, 3.0]}
    )
    with pytest.raises(sf.errors.DataError, match="are sizes") as caught:
        sf.fit(wide)
    text = str(caught.value)
    call = text[text.index("runs.melt(") :].split("). ")[0] + ")"
    long = eval(call, {"runs": wide})
    np.testing.assert_array_equal(
        np.unique(sf.LossTable.from_frame(long).column("N")), [70e6, 160e6, 410e6]
    )


def test_what_could_be_several_and_what_is_missing_are_one_error(runs):
    frame = runs.rename(columns={"N": "params", "D": "seen_tokens"}).assign(n_params=1.0)
    with pytest.raises(sf.errors.DataError) as caught:
        sf.LossTable.from_frame(frame)
    message = str(caught.value)
    assert "N could be any of the columns params, n_params" in message
    assert "has no column D" in message and "N='params', D='seen_tokens'" in message


def test_a_misspelt_option_is_no_column(runs):
    with pytest.raises(sf.errors.DataError, match="Did you mean the option missing="):
        sf.LossTable.from_frame(runs, missin="drop")


UNITS_IN_CELLS = {
    "some": (["0.5", "7B", "13 params"], {}, [5e8, 7e9, 13e9]),
    "all": (["500M", "7B", "13B"], {}, [5e8, 7e9, 13e9]),
    "a pair": (["0.5", "7B", "13"], {"N": ("params_b", 1e9)}, [5e8, 7e9, 13e9]),
    "after a rule": (["x", "7B", "13"], {"keep": "params_b != 'x'"}, [7e9, 13e9]),
}


@pytest.mark.parametrize(("sizes", "options", "N"), UNITS_IN_CELLS.values(), ids=UNITS_IN_CELLS)
def test_the_unit_in_a_cell_is_that_of_its_number(sizes, options, N):
    runs = pd.DataFrame({"params_b": sizes, "D": [1e10, 2e10, 4e10], "loss": [3.0, 2.5, 2.2]})
    assert sf.read(runs, **options).column("N").tolist() == N
