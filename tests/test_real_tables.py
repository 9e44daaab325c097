"""Tables as people have them: each is fitted as it is, or by the one call that its error prints."""

import json
import re
from ast import literal_eval
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

import scalefit as sf

# Sizes and tokens of few digits, as published tables have them.
RUNS = sf.simulate(
    sf.simulation.isoflop_design([1e18, 1e19, 1e20, 1e21], points=7)
    .assign(N=lambda f: [float(f"{value:.4g}") for value in f["N"]])
    .assign(D=lambda f: [float(f"{value:.5g}") for value in f["D"]]),
    noise=0.004,
    seed=3,
)
N, D, C, LOSS = (RUNS[name] for name in ("N", "D", "C", "loss"))
COUNT = len(RUNS)


@pytest.fixture(scope="module")
def right():
    return sf.fit(RUNS)


def frame(**columns):
    return pd.DataFrame(columns)


def named(**headers):
    """The runs under other headers."""
    return RUNS[["N", "D", "loss"]].rename(columns=headers)


def worded(value, unit, letter):
    return f"{value / unit:.12g}{letter}"


# Fitted as they are.
AS_THEY_ARE = {
    "columns of the papers": RUNS[["N", "D", "C", "loss"]],
    "Model Size and Training Tokens": frame(
        **{"Model Size": N, "Training Tokens": D, "Training FLOP": C, "loss": LOSS}
    ),
    "params, tokens, two kinds of FLOP": frame(
        params=N, tokens=D, flops=C, budget=C.round(-15), loss=LOSS, name="run"
    ),
    "num_params and num_tokens_training": frame(
        num_params=N, num_tokens_training=D, num_flops_training=C, val_loss=LOSS, seed=0
    ),
    "final_val_loss": named(loss="final_val_loss"),
    "D beside train_tokens of another run": RUNS.assign(train_tokens=1.0),
    "params_b, tokens_b": frame(params_b=N / 1e9, tokens_b=D / 1e9, loss=LOSS),
    "N_M, D_B": frame(N_M=N / 1e6, D_B=D / 1e9, loss=LOSS),
    "Params (M), Tokens (B)": frame(
        **{"Params (M)": N / 1e6, "Tokens (B)": D / 1e9, "Loss": LOSS}
    ),
    "model_size__m": frame(model_size__m=N / 1e6, tokens=D, loss=LOSS),
    "PF-days": frame(N=N, D=D, loss=LOSS, **{"compute (PF-days)": C / 8.64e19}),
    "70M and 1.4B in text": frame(
        model_size=[worded(value, 1e6, "M") for value in N],
        tokens=[worded(value, 1e9, "B") for value in D],
        loss=LOSS,
    ),
    "thousands with commas in text": frame(
        params=[f"{int(value):,}" for value in N], tokens=[f"{int(value):,}" for value in D],
        loss=[f"{value:.17g}" for value in LOSS],
    ),
    "a copied Markdown table": frame(
        params=[f"`{worded(value, 1e6, 'M')}`" for value in N],
        tokens=[f" {worded(value, 1e9, 'B')} tokens " for value in D],
        loss=[f"**{value!r}**" for value in LOSS],
    ),
    "decimal commas in text": frame(
        N=N, D=D, loss=[repr(value).replace(".", ",") for value in LOSS]
    ),
    "mixed text and numbers": frame(
        N=[value if place % 2 else worded(value, 1e6, "M") for place, value in enumerate(N)],
        D=D,
        loss=LOSS,
    ),
    "the size of a teacher beside": RUNS.assign(N_T=7e9, D_T=1e12),
    "the speed of the devices beside": RUNS[["N", "D", "loss"]].assign(tflops=412.0, mfu=0.4),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_fitted_as_it_is(name, right):
    fit = sf.fit(AS_THEY_ARE[name])
    assert_same(fit, right)
    # Nothing that was read as more than a plain number goes unsaid, and nothing else is.
    told = {note.code for note in fit.notes} - {"ambiguous_column"}
    assert told <= {"text_numbers", "header_unit", *(note.code for note in right.notes)}
    assert {note.severity for note in fit.notes if note.code in told} <= {"info"} | {
        note.severity for note in right.notes
    }


def assert_same(fit, right):
    for name, value in right.params.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-5), name


def pasted(message, runs):
    """The fit by the call, or by the option, that an error or a note prints."""
    if call := re.search(r"runs\.(melt|assign)\(.*?\)(?=$|\. )", message):
        return sf.fit(eval(call[0], {"runs": runs}))
    if call := re.search(r"scalefit\.fit\(runs, .*?'\)", message):
        return eval(call[0], {"runs": runs, "scalefit": sf})
    if rule := re.search(r"""keep=("[^"]*"|'[^']*')""", message):
        return sf.fit(runs, keep=literal_eval(rule[1]))
    options = message[message.index("Pass ") + len("Pass ") :]
    return sf.fit(runs, **eval(f"dict({options})"))


def diverged(word, *rows):
    losses = LOSS.astype(object)
    losses.iloc[list(rows)] = word
    return RUNS.assign(loss=losses)


SPREAD = np.array([2e9, 4e9, 8e9])


def surface(size):
    return 1.69 + 406.4 / size**0.34 + 410.7 / SPREAD**0.28


# Refused, or noted, with what makes the fit right.
ONE_TRY = {
    "a W&B export of runs": frame(
        **{
            "Name": [f"isoflop-{place}" for place in range(COUNT)],
            "State": "finished",
            "config/n_params": N,
            "config/lr": 3e-4,
            "config/batch_size_tokens": 524288,
            "summary/tokens_seen": D,
            "tokens_per_second": 1.2e6,
            "train/loss": LOSS * 0.99,
            "eval/loss": LOSS,
            "_runtime": 3600.0,
        }
    ),
    "nested headers with points": frame(
        **{"model.params": N, "data.tokens": D, "metrics.val_loss": LOSS, "model.n_layers": 12}
    ),
    "params_active_precise": named(
        N="params_active_precise", D="tokens_trained", loss="val_loss"
    ).assign(params_active_precise=N),
    "non-embedding sizes": named(N="N_no_emb", D="ntokens", loss="ce_loss"),
    "smooth loss": frame(**{"N": N, "D": D, "lr": 1e-3, "bs": 512, "smooth loss": LOSS}),
    "lower case letters": named(N="n", D="d", loss="LOSS"),
    "dataset_size": named(N="model_size", D="dataset_size"),
    "total and matmul parameters": frame(
        params_matmul=N, params_lm_head=N / 10, tokens=D, loss=LOSS
    ),
    "a benchmark's bits per byte": frame(
        params=N, tokens=D, **{"eval/paloma/c4_en/bpb": LOSS}
    ),
    "perplexities": frame(params=N, tokens=D, wiki_ppl=np.exp(LOSS)),
    "perplexities under another name": RUNS.assign(loss=np.exp(LOSS) * 1.0),
    "N and D in billions": frame(N=N / 1e9, D=D / 1e9, loss=LOSS),
    "N in millions, D in billions": frame(params=N / 1e6, tokens=D / 1e9, loss=LOSS),
    "D in billions beside FLOP": frame(N=N, D=D / 1e9, C=C, loss=LOSS),
    "FLOP in place of tokens": frame(N=N, flops=6 * N * D, loss=LOSS),
    "a table spread over columns": pd.DataFrame(
        {"D": SPREAD} | {f"{n}M": surface(n * 1e6) for n in (70, 160, 410, 1000)}
    ),
    "a diverged run by name": diverged("diverged", 3),
    "OOM twice": diverged("OOM", 3, 9),
    "infinite losses": diverged(np.inf, 5),
    "dashes": diverged("-", 2, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_TRY)
def test_one_try_from_error_to_fit(name, right):
    runs = ONE_TRY[name]
    try:
        fit = sf.fit(runs)
        warnings = [note.message for note in fit.notes if note.severity == "warning"]
        assert warnings, "neither an error nor a warning"
        message = warnings[0]
        if name == "perplexities under another name":
            message = "Pass loss_unit='perplexity'" if "loss_unit='perplexity'" in message else ""
    except sf.errors.DataError as error:
        message = str(error)
    fit = pasted(message, runs)
    assert fit.status.usable
    assert not {"units", "loss_unit"} & {note.code for note in fit.notes}
    if name == "a table spread over columns":
        assert fit.params["alpha"] == pytest.approx(0.34, rel=1e-5)
    elif len(fit.dropped):
        again = sf.fit(RUNS.drop(index=[item.row for item in fit.dropped]))
        assert_same(fit, again)
    else:
        assert_same(fit, right)


# The same runs as files, in containers, and as trackers leave them

NUMBERS = RUNS[["N", "D", "loss"]]


def written(text, name, encoding="utf-8"):
    """A file of text."""

    def make(folder):
        (folder / name).write_text(text, encoding=encoding)
        return folder / name

    return make


def exported(write, name):
    """A file that pandas or another library writes."""

    def make(folder):
        write(folder / name)
        return folder / name

    return make


GERMAN = "\n".join(
    ["Parameter (M);Tokens;loss"]
    + [
        f"{n / 1e6:.12g};{int(d)};{loss!r}".replace(".", ",")
        for n, d, loss in zip(N, D, LOSS, strict=True)
    ]
)
TABBED = NUMBERS.to_csv(sep="\t", index=False)
COMMENTED = "# sweep of March\n#\n" + TABBED
MARKDOWN = "| params | tokens | loss |\n|---|---|---|\n" + "\n".join(
    f"| {n / 1e6:.12g}M | {int(d):,} | **{loss!r}** |"
    for n, d, loss in zip(N, D, LOSS, strict=True)
)
NESTED = [
    {"name": f"r{i}", "config": {"n_params": n}, "summary": {"tokens": d, "val_loss": loss}}
    for i, (n, d, loss) in enumerate(zip(N, D, LOSS, strict=True))
]


class Run(NamedTuple):
    N: float
    D: float
    loss: float


ELSEWHERE = {
    "semicolons and decimal commas": written(GERMAN, "runs.csv", "cp1252"),
    "the same with a mark of byte order": written(GERMAN, "runs.csv", "utf-8-sig"),
    "tabs after comments": written(COMMENTED, "runs.txt"),
    "UTF-16, as a spreadsheet writes it": written(TABBED, "runs.txt", "utf-16"),
    "a page of Markdown": written(MARKDOWN, "runs.md"),
    "no suffix": written(NUMBERS.to_csv(index=False), "runs"),
    "gzipped CSV": exported(lambda path: NUMBERS.to_csv(path, index=False), "runs.csv.gz"),
    "zipped CSV": exported(lambda path: NUMBERS.to_csv(path, index=False), "runs.csv.zip"),
    "JSON records": written(json.dumps(NUMBERS.to_dict("records")), "runs.json"),
    "JSON columns": written(json.dumps(NUMBERS.to_dict("list")), "runs.json"),
    "JSON lines": written("\n".join(map(json.dumps, NUMBERS.to_dict("records"))), "runs.jsonl"),
    "nested JSON": written(json.dumps({"runs": NESTED}), "runs.json"),
    "Parquet": exported(NUMBERS.to_parquet, "runs.parquet"),
    "Feather": exported(NUMBERS.to_feather, "runs.feather"),
    "a workbook": exported(lambda path: NUMBERS.to_excel(path, index=False), "runs.xlsx"),
    "polars": lambda _: polars.from_pandas(NUMBERS),
    "a lazy frame": lambda _: polars.from_pandas(NUMBERS).lazy(),
    "an Arrow table": lambda _: pyarrow.Table.from_pandas(NUMBERS),
    "a dict of columns": lambda _: NUMBERS.to_dict("list"),
    "records": lambda _: NUMBERS.to_dict("records"),
    "named tuples": lambda _: [Run(*row) for row in NUMBERS.itertuples(index=False)],
    "a structured array": lambda _: NUMBERS.to_records(index=False),
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_files_and_containers_are_fitted_as_they_are(name, right, tmp_path):
    runs = ELSEWHERE[name](tmp_path)
    try:
        fit = sf.fit(runs)
    except sf.errors.DataError as error:
        assert name in (
            "nested JSON",
            "semicolons and decimal commas",
            "the same with a mark of byte order",
        )
        fit = pasted(str(error), runs)
    assert_same(fit, right)


def trainer_states(folder):
    for i, (n, d, loss) in enumerate(zip(N, D, LOSS, strict=True)):
        place = folder / f"run-{i}" / "checkpoint-100"
        place.mkdir(parents=True)
        log = [
            {"step": 50, "eval_loss": loss + 1.0},
            {"step": 100, "eval_loss": loss, "num_input_tokens_seen": d},
        ]
        state = {"global_step": 100, "max_steps": 100, "log_history": log}
        (place / "trainer_state.json").write_text(json.dumps(state))
        (place / "config.json").write_text(json.dumps({"model_type": "mine", "n_params": n}))
    return sf.trackers.huggingface(folder).table("eval_loss")


def weights_and_biases(folder):
    rows = [
        {
            "run": f"r{i}",
            "_step": step,
            "eval/loss": loss + 1.0 - step,
            "tokens": d * step,
            "cfg/n_params": n,
        }
        for i, (n, d, loss) in enumerate(zip(N, D, LOSS, strict=True))
        for step in (0.5, 1.0)
    ]
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    return sf.trackers.wandb(folder / "history.csv").table("eval/loss", N="n_params", D="tokens")


def text_logs(folder):
    for n, d, loss in zip(N, D, LOSS, strict=True):
        line = f"step 10: train loss {loss - 0.1:.6f}, val loss {{:.12g}}\n"
        (folder / f"N{n / 1e6:.12g}M-D{d / 1e9:.12g}B.log").write_text(line.format(loss))
    logs = sf.trackers.logs(folder, r"step (?P<step>\d+): .*val loss (?P<loss>\S+)")
    return logs.with_config(r"N(?P<N>[\d.]+M)-D(?P<D>[\d.]+B)").table("loss")


@pytest.mark.parametrize("make", [trainer_states, weights_and_biases, text_logs])
def test_what_trackers_leave_is_fitted(make, right, tmp_path):
    table = make(tmp_path)
    assert len(table) == COUNT and not table.dropped
    assert_same(sf.fit(table), right)
