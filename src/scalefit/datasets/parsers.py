"""Original files as tables: one function for each table, which gives its registered columns.

Each takes the bytes of a file whose SHA-256 was checked, and may leave columns of the file beside.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from scalefit.data.separated_text import read_csv
from scalefit.datasets.registry import Dataset
from scalefit.errors import MissingExtraError
from scalefit.frozen import Frozen

__all__ = ["parsed"]

# Budgets of Hoffmann et al. 2022, Figure 3, FLOP; a run within a tenth of one belongs to it.
CHINCHILLA_BUDGETS = np.array([6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21])
BUDGET_SHARE = 0.1
# Runs of the published fit of ml-scalefit are below this, FLOP.
SCALEFIT_FLOPS = 1e21
# Besiroglu et al. 2024 leave out as many of the largest losses.
OUTLIERS = 5

# Of Clark et al. 2022: sequences of a step, and tokens of a sequence.
ROUTED_SEQUENCES, ROUTED_LENGTH = 256, 2048


def parsed(entry: Dataset, content: bytes) -> pd.DataFrame:
    """The table that is made from a source's file.

    Args:
        entry: of a table with an original file.
        content: of that file.

    Returns:
        The columns of the registry in its order, but those that the file lacks; equal to the table
        as CSV, to the last bit.

    Raises:
        MissingExtraError: the file is a Parquet file, and pyarrow is not installed.
    """
    lacks = entry.original.lacks if entry.original else ()
    found = PARSERS[entry.name](content)
    return found[[header for header in entry.columns if header not in lacks]]


def chinchilla_epoch(content: bytes) -> pd.DataFrame:
    """Points of Figure 4 of Hoffmann et al. 2022, by Besiroglu et al. 2024."""
    found = _csv(content).rename(
        columns={"Model Size": "params", "Training FLOP": "flops", "x": "svg_x", "y": "svg_y"}
    )
    flops = found["flops"].to_numpy()
    apart = np.abs(flops[:, None] / CHINCHILLA_BUDGETS - 1)
    nearest = CHINCHILLA_BUDGETS[apart.argmin(axis=1)]
    found["tokens"] = flops / (6 * found["params"])
    found["budget"] = np.where(apart.min(axis=1) <= BUDGET_SHARE, nearest, np.nan)
    found["besiroglu_keep"] = (found["loss"] < found["loss"].nlargest(OUTLIERS).min()).astype(int)
    return found[
        [
            "params",
            "tokens",
            "loss",
            "flops",
            "besiroglu_keep",
            "budget",
            "svg_x",
            "svg_y",
            "hex_color",
        ]
    ]


def chinchilla_scalefit(content: bytes) -> pd.DataFrame:
    """The same points as ml-scalefit has them, in the order of the Epoch table."""
    found = chinchilla_epoch(content).query("besiroglu_keep == 1").reset_index(drop=True)
    below = 6 * found["params"] * found["tokens"] < SCALEFIT_FLOPS
    found["fit_c_lt_1e21"] = below.astype(int)
    return found


def llama3_isoflops(content: bytes) -> pd.DataFrame:
    """Points of Figure 2 of Llama 3, which the file has twice: with the loss, and with its exp."""
    every = _csv(content)
    found = every.query("condition == 'raw_loss'").reset_index(drop=True)
    found["flops"] = found["budget"]
    found["loss_exp"] = every.query("condition == 'exp_loss'")["loss"].to_numpy()
    return found


def farseer(content: bytes) -> pd.DataFrame:
    """The English runs of Farseer."""
    try:
        found = pd.read_parquet(io.BytesIO(content), engine="pyarrow")
    except ImportError as error:
        raise MissingExtraError(
            "the source of 'farseer' is a Parquet file, and pyarrow is not installed",
            extra="parquet",
        ) from error
    return found.rename(columns={"N": "params", "D": "tokens"})


def quest(content: bytes) -> pd.DataFrame:
    """Runs of QuEST, without the options of their training."""
    return pd.DataFrame(json.loads(content)).rename(columns={"non_embedding_parameters": "params"})


def mpt_overtrained(content: bytes) -> pd.DataFrame:
    """Runs of Sardana et al. 2024, without their benchmarks."""
    return _csv(content).rename(
        columns={
            "Parameters": "params",
            "Tokens": "tokens",
            "Smoothed Loss": "loss",
            "Tokens/Params": "tokens_per_param",
        }
    )


def steplaw_dense(content: bytes) -> pd.DataFrame:
    """Dense runs of Step Law, with the smoothed loss as the loss."""
    found = _csv(content).rename(
        columns={
            "N": "params",
            "D": "tokens",
            "smooth loss": "loss",
            "bs": "batch_size",
            "loss": "loss_last",
            "ti": "steps",
            "h": "width",
            "ffnh": "ffn",
            "numh": "heads",
            "numl": "depth",
            "exp_name": "run",
        }
    )
    # In floats: 6ND of the largest runs is beyond 64-bit integers.
    found["flops"] = 6.0 * found["params"] * found["tokens"]
    return found


def vocab_scaling(content: bytes) -> pd.DataFrame:
    """Runs of Tao et al. 2024; tokens by their FLOP, to a thousandth."""
    found = _csv(content).rename(
        columns={
            "Non_vocab_parameters": "params",
            "Lossu": "loss",
            "FLOPs": "flops",
            "num_characters": "characters",
        }
    )
    found["vocab_params"] = found["vocab_size"] * found["embed_dim"]
    found["tokens"] = (found["flops"] / (6 * (found["params"] + found["vocab_params"]))).round(3)
    return _counts(found, ["params", "tokens", "vocab_size", "embed_dim", "vocab_params"])


def routed_lm(content: bytes) -> pd.DataFrame:
    """Routed models of Clark et al. 2022: the last step of each run."""
    found = _routed(content)
    return found.loc[found.groupby("run", sort=False)["step"].idxmax()].reset_index(drop=True)


def routed_lm_curves(content: bytes) -> pd.DataFrame:
    """Routed models of Clark et al. 2022: every step but the first, at which nothing is trained."""
    return _routed(content).query("step > 0").reset_index(drop=True)


def _routed(content: bytes) -> pd.DataFrame:
    found = _csv(gzip.decompress(content)).rename(
        columns={
            "hyper_id": "run",
            "dense_parameter_count": "params",
            "total_parameter_count": "total_params",
            "loss_validation": "loss",
            "num_experts": "experts",
            "router_type": "router",
            "k": "topk",
            "d_model": "width",
            "num_blocks": "depth",
            "num_heads": "heads",
            "model_size_label": "size_label",
        }
    )
    found["tokens"] = found["step"] * ROUTED_SEQUENCES * ROUTED_LENGTH
    return _counts(found, ["params", "total_params", "flop_increase", "flops_per_step"])


def _csv(content: bytes) -> pd.DataFrame:
    return read_csv(io.BytesIO(content))


def _counts(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The frame with whole numbers that its file writes as 4096.0 as integers."""
    return frame.astype(dict.fromkeys(names, "int64"))


PARSERS: Mapping[str, Callable[[bytes], pd.DataFrame]] = Frozen(
    {
        parser.__name__: parser
        for parser in (
            chinchilla_epoch,
            chinchilla_scalefit,
            llama3_isoflops,
            farseer,
            quest,
            mpt_overtrained,
            steplaw_dense,
            vocab_scaling,
            routed_lm,
            routed_lm_curves,
        )
    }
)
