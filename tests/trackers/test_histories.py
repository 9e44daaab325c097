"""Tables of histories: which loss stands for a run, which runs stay, which header is meant."""

import numpy as np
import pandas as pd
import pytest
from border import Row, check

import scalefit as sf
from scalefit.trackers.headers import USUAL, usual


def rules(table):
    return {item.row: item.rule for item in table.dropped}


def codes(result):
    return {note.code: note for note in result.notes}


def replaced(history, run, **cells):
    """The history with other losses of one run, by step: ``s500=nan``."""
    changed = history.copy()
    for step, loss in cells.items():
        at = (
            (changed["run"] == run)
            & (changed["_step"] == int(step[1:]))
            & changed["eval/loss"].notna()
        )
        assert at.sum() == 1
        changed.loc[at, "eval/loss"] = loss
    return changed


def test_the_last_loss_of_each_run_stands_for_it(histories, values, known):
    table = histories.table("eval/loss", tokens_per_step=1e6)
    assert values(table) == known
    assert table.sources["N"] == "model/n_params" and table.sources["loss"] == "eval/loss"
    assert table.notes == () and table.dropped == ()


def test_a_fit_takes_the_table():
    truth = {"E": 1.7, "A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.37}
    rows = [
        {
            "run": f"{N:g}-{D:g}",
            "_step": step,
            "loss": 1.7 + 400 * N**-0.34 + 2000 * D**-0.37 + above,
        }
        for N in (1e7, 1e8, 1e9)
        for D in (1e9, 1e10, 1e11)
        for step, above in ((D / 2e6, 0.5), (D / 1e6, 0.0))
    ]
    histories = sf.trackers.wandb(pd.DataFrame(rows)).with_config(r"(?P<N>[^-]+(?:\+\d+)?)-")
    fit = sf.fit(histories.table("loss", tokens_per_step=1e6), certify=False)
    assert fit.params == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        # Final losses are 3.5, 3.1, 2.8; those before them 0.5, 1 and 2 above.
        ({"take": "mean_last", "k": 2}, [3.75, 3.35, 3.05]),
        ({"take": "mean_last", "k": 3}, [4.0, 3.6, 3.3]),
        ({"take": "mean_last", "k": 2, "warmup": 1000}, [3.5, 3.1, 2.8]),
        ({"take": "best"}, [3.5, 3.1, 2.8]),
    ],
)
def test_what_is_taken_of_a_run(histories, options, loss):
    table = histories.table("eval/loss", tokens_per_step=1e6, **options)
    assert table.column("loss") == pytest.approx(loss)
    assert table.column("D").tolist() == [1e9] * 3


def test_the_best_loss_has_the_tokens_until_it_and_is_told_of(history, settings, values):
    risen = replaced(history, "small", s1000=4.2)
    histories = sf.trackers.wandb(risen).with_config(settings)
    table = histories.table("eval/loss", tokens_per_step=1e6, take="best")
    assert values(table)["small"] == (1e7, 7.5e8, pytest.approx(4.0))
    assert codes(table)["mid_schedule"].details["runs"] == ["small"]


def test_unfinished_runs_are_left_out_and_listed(histories, settings):
    longer = histories.with_config({"small": {"max_steps": 4000}, "large": {"state": "crashed"}})
    table = longer.table("eval/loss", tokens_per_step=1e6)
    assert list(table.rows) == ["middle"]
    assert rules(table) == {
        "small": "unfinished: it ended before its planned steps (max_steps)",
        "large": "unfinished: its state is 'crashed'",
    }
    kept = longer.table("eval/loss", tokens_per_step=1e6, include="unfinished")
    assert len(kept) == 3 and kept.dropped == ()
    assert codes(kept)["mid_schedule"].details["runs"] == ["small"]


def test_planned_steps_come_from_the_first_parameter_that_says_them(histories):
    said = {"small": {"max_steps": -1, "total_steps": 5000}, "middle": {"max_steps": -1}}
    table = histories.with_config(said).table("eval/loss", tokens_per_step=1e6)
    # The middle one has none, and the large one has max_steps as before.
    assert rules(table) == {"small": "unfinished: it ended before its planned steps (total_steps)"}


def test_a_run_whose_next_record_is_its_end_has_finished(histories):
    # Records every 250 steps: the next one is at 1250.
    assert len(histories.table("eval/loss", tokens_per_step=1e6, planned=1250)) == 3
    with pytest.raises(
        sf.errors.DataError, match=r"3 by 'unfinished: it ended before its planned steps'"
    ):
        histories.table("eval/loss", tokens_per_step=1e6, planned=1251)


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ({"s1000": np.inf}, "diverged: its loss is NaN or infinite at its end"),
        (
            {"s500": np.inf, "s750": np.inf, "s1000": np.inf},
            "diverged: its loss is NaN or infinite at its end",
        ),
        ({"s1000": 10.6}, "diverged: its last loss is above its first"),
        # ln 50000 = 10.8198.
        (
            {"s0": 20.0, "s1000": 11.0},
            "diverged: its loss is above 10.8198 of a uniform guess over its vocabulary",
        ),
    ],
)
def test_diverged_runs_are_left_out_and_listed(history, settings, cells, rule):
    histories = sf.trackers.wandb(replaced(history, "small", **cells)).with_config(settings)
    table = histories.table("eval/loss", tokens_per_step=1e6)
    assert rules(table) == {"small": rule}
    kept = histories.table("eval/loss", tokens_per_step=1e6, include=["diverged"])
    # No loss to keep where it is no number.
    assert len(kept) == (2 if np.isinf(cells["s1000"]) else 3)


def test_a_run_that_has_recovered_from_a_bad_step_stays(history, settings):
    histories = sf.trackers.wandb(replaced(history, "small", s500=np.inf)).with_config(settings)
    assert len(histories.table("eval/loss", tokens_per_step=1e6)) == 3
    curves = histories.curves("eval/loss", tokens_per_step=1e6)
    assert rules(curves)["small@500"] == "its loss is NaN or infinite"


def scheduled(rate, steps, planned=None):
    """A run of falling loss under a schedule of the learning rate."""
    rows = [{"_step": s, "loss": 4 - s / 1e4, "learning_rate": rate(s)} for s in steps]
    config = {"run": {"n_params": 1e8} | ({"max_steps": planned} if planned else {})}
    return sf.trackers.wandb(pd.DataFrame(rows)).with_config(config)


def cosine(s):
    return 0.1 + 0.45 * (1 + np.cos(np.pi * s / 1000))


@pytest.mark.parametrize(
    ("rate", "last", "amid"),
    [
        (cosine, 200, True),
        (cosine, 500, True),
        (cosine, 1000, False),
        (lambda s: 1 - s / 1000, 600, True),
        (lambda s: 1 - s / 1000, 1000, False),
        # Warm-up and constant: there is nothing to come.
        (lambda s: min(1.0, s / 100), 1000, False),
        # Down to a third, and level.
        (lambda s: 1 / 3 + 1 / 3 * (1 + np.cos(np.pi * s / 1000)), 1000, False),
    ],
)
def test_a_loss_from_the_middle_of_a_schedule_is_told_of(rate, last, amid):
    table = scheduled(rate, range(0, last + 1, 20)).table("loss", tokens_per_step=1e6)
    assert ("mid_schedule" in codes(table)) == amid
    assert codes(table)["run_end_unknown"].details["runs"] == ["run"]


def test_tokens_of_a_whole_run_are_too_many_for_its_middle(histories):
    longer = histories.with_config({run: {"tokens": 4e9} for run in ("small", "middle", "large")})
    table = longer.table("eval/loss", planned=4000, include="unfinished")
    assert "Their D, 'tokens', is that of the whole run." in codes(table)["mid_schedule"].message
    assert "of the whole run" not in str(longer.table("eval/loss").notes)
    computed = longer.table("eval/loss", tokens_per_step=1e6, planned=4000, include="unfinished")
    assert "of the whole run" not in codes(computed)["mid_schedule"].message


def test_a_loss_long_before_the_end_of_its_run_is_told_of(history, settings):
    stopped = history[(history["_step"] <= 500) | history["eval/loss"].isna()]
    table = sf.trackers.wandb(stopped).with_config(settings).table("eval/loss", tokens_per_step=1e6)
    assert codes(table)["mid_schedule"].details["runs"] == ["small", "middle", "large"]
    assert table.column("D").tolist() == [5e8] * 3


def test_curves_have_every_checkpoint_after_the_first_update(histories):
    curves = histories.curves("eval/loss", tokens_per_step=1e6)
    assert len(curves) == 12 and rules(curves)["large@0"] == "no token has been seen yet"
    frame = curves.frame.set_index(["run", "step"])
    assert frame.loc[("middle", 500), ["N", "D", "loss"]].tolist() == [4e7, 5e8, pytest.approx(4.1)]
    assert len(histories.curves("eval/loss", tokens_per_step=1e6, warmup=750)) == 6


def test_curves_have_the_envelope_of_their_law():
    rows = [
        {
            "run": f"{N:.3g}",
            "_step": step,
            "loss": 1.69 + 406.4 * N**-0.34 + 410.7 * (1e6 * step) ** -0.28,
        }
        for N in np.geomspace(1e7, 1e10, 40)
        for step in np.geomspace(1e2, 1e6, 200).round()
    ]
    histories = sf.trackers.wandb(pd.DataFrame(rows)).with_config(r"(?P<N>.+)")
    envelope = sf.approach2.envelope(histories.curves("loss", tokens_per_step=1e6), run="run")
    # beta / (alpha + beta) of Hoffmann et al.
    assert envelope.n_exponent == pytest.approx(0.28 / (0.34 + 0.28), abs=0.01)


def test_a_metric_is_taken_at_the_step_of_the_loss(history, settings):
    counted = history.assign(tokens=history["_step"] * 2e6, flops=history["_step"] * 1e15)
    histories = sf.trackers.wandb(counted).with_config(settings)
    table = histories.table("eval/loss", C="flops", take="best", warmup=500)
    assert table.column("D").tolist() == [2e9] * 3 and table.column("C").tolist() == [1e18] * 3


def test_tokens_of_a_step_are_a_product_of_parameters(histories):
    table = histories.table("eval/loss", tokens_per_step=["batch", 1000])
    assert table.column("D").tolist() == [1e9] * 3
    assert table.sources["D"] == "step * tokens_per_step"


def test_the_trainers_count_of_updates_wins_over_the_trackers(history, settings):
    # Two records of each step: a tracker counts its own calls.
    calls = history.assign(_step=range(len(history)))
    calls["trainer/global_step"] = history["_step"]
    histories = sf.trackers.wandb(calls).with_config(settings)
    assert histories.table("eval/loss", tokens_per_step=1e6).column("D").tolist() == [1e9] * 3
    own = histories.table("eval/loss", tokens_per_step=1e6, step="step", include="unfinished")
    assert own.column("D").tolist() == [9e6, 19e6, 29e6]


def test_names_are_found_by_their_last_parts_and_refused_where_they_are_several(histories):
    assert (
        histories.table("eval.loss", N="n_params", tokens_per_step=1e6).sources["loss"]
        == "eval/loss"
    )
    with pytest.raises(
        sf.errors.DataError,
        match=r"loss could be any of .*train/loss, eval/loss.*loss='train/loss'",
    ):
        histories.table("loss", tokens_per_step=1e6)
    with pytest.raises(
        sf.errors.DataError,
        match=r"called 'evil/loss', which loss was to be. Did you mean 'eval/loss'",
    ):
        histories.table("evil/loss", tokens_per_step=1e6)
    two = histories.with_config({run: {"num_params": 1e6} for run in ("small", "middle", "large")})
    with pytest.raises(
        sf.errors.DataError, match="N could be any of the columns model/n_params, num_params"
    ):
        two.table("eval/loss", tokens_per_step=1e6)


def test_runs_without_the_metric_or_the_size_are_listed(history, settings):
    del settings["small"]["model"]
    history = history[(history["run"] != "middle") | history["eval/loss"].isna()]
    table = sf.trackers.wandb(history).with_config(settings).table("eval/loss", tokens_per_step=1e6)
    assert rules(table) == {"middle": "no eval/loss", "small": "no N"}


def test_runs_that_ended_before_their_first_update_are_listed(history, settings):
    began = history[(history["run"] != "small") | (history["_step"] == 0)]
    histories = sf.trackers.wandb(began).with_config(settings)
    table = histories.table("eval/loss", tokens_per_step=1e6, include="unfinished")
    assert rules(table) == {"small": "no token has been seen yet"}
    first = sf.trackers.wandb(history[history["_step"] == 0]).with_config(settings)
    with pytest.raises(sf.errors.DataError, match="no run is left: 3 by 'no token has been seen"):
        first.table("eval/loss", tokens_per_step=1e6, include="unfinished")


def test_a_resumed_run_counts_by_what_it_recorded_last(settings):
    first = [(0, 9.0), (100, 8.0), (200, 7.0), (300, 6.0)]
    again = [(150, 7.9), (250, 6.9), (1000, 3.0)]
    history = pd.DataFrame([*first, *again], columns=["_step", "loss"]).assign(run="small")
    histories = sf.trackers.wandb(history)
    assert histories.records["step"].tolist() == [0, 100, 150, 250, 1000]
    assert codes(histories)["records_replaced"].details["runs"] == {"small": 2}
    twice = pd.concat([history[:4], history[:4].assign(loss=5.0)])
    assert sf.trackers.wandb(twice).records["loss"].tolist() == [5.0] * 4


def test_config_comes_from_a_mapping_a_frame_or_names(history, settings, values, known):
    bare = sf.trackers.wandb(history)
    frame = pd.DataFrame({"run": list(settings), "n_params": [1e7, 4e7, 1.6e8], "max_steps": 1000})
    for config in (frame, frame.set_index("run"), settings):
        assert values(bare.with_config(config).table("eval/loss", tokens_per_step=1e6)) == known
    named = history.assign(
        run=history["run"].map({"small": "N10M", "middle": "N40M", "large": "N0.16b-x"})
    )
    found = sf.trackers.wandb(named).with_config(r"N(?P<N>[\d.]+[MBmb])")
    assert found.runs["N"].tolist() == [1e7, 4e7, 1.6e8]
    part = bare.with_config({"small": {"n_params": 1}, "other": {"n_params": 2}})
    assert codes(part)["runs_unmatched"].details == {
        "absent": ["middle", "large"],
        "unused": ["other"],
    }


def test_parameters_of_the_names_of_our_columns_stay_what_they_are(history, settings):
    for value in settings.values():
        value |= {"run": "other", "step": 7, "weight": "imagenet", "loss": "cross-entropy"}
    histories = sf.trackers.wandb(history).with_config(settings)
    assert histories.runs["run"].tolist() == ["small", "middle", "large"]
    table = histories.table("eval/loss", tokens_per_step=1e6)
    assert table.column("loss") == pytest.approx([3.5, 3.1, 2.8])
    assert table.frame["config/weight"].tolist() == ["imagenet"] * 3
    assert table.frame["config/step"].tolist() == [7] * 3 and table.column("step")[0] == 1000
    weighted = histories.table("eval/loss", tokens_per_step=1e6, weight="config/step")
    assert weighted.weight.tolist() == [7.0] * 3


def test_histories_show_themselves(histories):
    text = histories.summary()
    assert "3 runs, 15 records of 3 metrics. Next: histories.table(loss)." in text
    assert (
        "eval/loss" in text and "model/n_params" in text and "eval/loss" in histories._repr_html_()
    )
    assert len(histories) == 3 and histories.metrics == ["train/loss", "lr", "eval/loss"]
    assert histories.to_frame().equals(histories.records)


def ask(histories, **options):
    return histories.table(**{"loss": "eval/loss", "tokens_per_step": 1e6} | options)


OPTIONS = [
    ("take", {"take": "first"}, None),
    ("k", {"take": "mean_last", "k": 0}, None),
    ("include", {"include": "crashed"}, None),
    ("loss", {"loss": 3}, None),
    ("N", {"N": 1e8}, {"N": "n_params"}),
    ("warmup", {"warmup": -1}, {"warmup": 0}),
    ("planned", {"planned": [1]}, {"planned": 1000}),
    ("tokens_per_step", {"tokens_per_step": 0}, {"tokens_per_step": 1e6}),
    ("tokens_per_step", {"tokens_per_step": []}, {"tokens_per_step": "batch"}),
    ("step", {"step": 3}, {"step": "step"}),
    ("D", {"D": "batch"}, {"D": None}),
    ("C", {"C": 3}, {"C": "lr"}),
]


@pytest.mark.parametrize(("argument", "given", "mended"), OPTIONS, ids=lambda item: str(item))
def test_options_that_make_no_sense_are_refused_and_mended_as_is_said(
    histories, argument, given, mended
):
    check(Row(argument, lambda **options: ask(histories, **options), given, argument, mended))


@pytest.mark.parametrize(
    "config",
    [3, {}, {"small": 3}, "no groups", "(", pd.DataFrame({"run": ["small", "small"], "x": 1})],
)
def test_a_config_that_makes_no_sense_is_refused(histories, config):
    with pytest.raises(sf.errors.ArgumentError, match="config"):
        histories.with_config(config)


@pytest.mark.parametrize("name", [item for key in ("N", "D") for item in USUAL[key]])
def test_every_usual_name_is_one_header(name):
    headers = ["loss", f"config/{name}", "lr"]
    key = "N" if name in USUAL["N"] else "D"
    assert usual(key, headers) == [f"config/{name}"]
