"""Draws in a file: a document of JSON and arrays of numpy in one archive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.arguments import file_path
from scalefit.data import files
from scalefit.errors import ArgumentError
from scalefit.frozen import Frozen
from scalefit.inference.replicates import Replicates
from scalefit.inference.run_noise import KNOWN, RunNoise
from scalefit.laws import Law
from scalefit.notes import Note
from scalefit.results import archive
from scalefit.results.estimate import TailCorrection
from scalefit.results.fit import Fit
from scalefit.results.serialization import encoded

__all__ = ["load", "save"]

SCHEMA = 5

# Name of the part of a file of draws that is no array.
DOCUMENT = "draws.json"

# Fields of an ensemble that the document holds as they are.
PLAIN = ("method", "seed", "df_resid", "chains")

REPLICATES: Mapping[str, type[np.generic]] = Frozen(
    {
        "objective_value": np.float64,
        "newton_decrement": np.float64,
        "gradient_cosine": np.float64,
        "global_search": np.bool_,
        "improved": np.bool_,
    }
)


def save(path: str | Path, draws: Any) -> None:
    """Write an ensemble to one file of exactly this name; see :meth:`scalefit.Ensemble.save`.

    Args:
        path: of the file.
        draws: the ensemble.

    Raises:
        ArgumentError: the path is none, or no file can be written there, or one that holds
            something else than draws is there already.
    """
    place = file_path(path, "path", remedy="Pass the name of a file, as save('draws.npz')")
    try:
        exists = files.require_place(place)
        if exists and not archive.holds(place, DOCUMENT):
            raise FileExistsError("what is there already is no file of draws")
        parts = {DOCUMENT: _document(draws), **_arrays(draws)}
        files.write_whole(place, partial(archive.write_parts, parts=parts), overwrite=exists)
    except OSError as error:
        raise ArgumentError(
            f"the draws cannot be written to path={files.named(place)} ({files.reason(error)})",
            argument="path",
            value=path,
            remedy="Choose another name, in a folder that exists",
        ) from error


def _document(draws: Any) -> bytes:
    document = {
        "schema": SCHEMA,
        "fit": json.loads(draws.fit.to_json()),
        "parameters": list(draws.params),
        "draws": len(draws),
        "replicates": draws.replicates is not None,
        **{name: getattr(draws, name) for name in PLAIN},
        "tails": draws.tails._asdict(),
        "noise": {
            "source": draws.noise.source,
            "residual": draws.noise.residual,
            "runs": len(draws.noise.values),
            "df": draws.noise.df,
            "factors": len(draws.noise.factors) > 0,
        },
        "notes": [note.to_document() for note in draws.notes],
    }
    return json.dumps(encoded(document), indent=1, allow_nan=False).encode()


def _arrays(draws: Any) -> dict[str, bytes]:
    arrays = {
        "params": np.array(list(draws.params.values()), dtype=np.float64),
        "usable": np.asarray(draws.usable, dtype=np.bool_),
        "noise": np.asarray(draws.noise.values, dtype=np.float64),
    }
    if len(draws.noise.factors):
        arrays["noise_factors"] = np.asarray(draws.noise.factors, dtype=np.float64)
    if draws.replicates is not None:
        went = draws.replicates._asdict()
        arrays |= {
            f"replicates_{name}": np.asarray(went[name], dtype=kind)
            for name, kind in REPLICATES.items()
        }
    return {f"{name}.npy": archive.array_part(item) for name, item in arrays.items()}


def load(path: str | Path, law: Law | None = None) -> dict[str, Any]:
    """Fields of the ensemble in a file; see :meth:`scalefit.Ensemble.load`.

    Args:
        path: of the file.
        law: the law, unless it is built in.

    Raises:
        ArgumentError: the path is none, or there is no file that can be opened.
        DocumentError: it is no file of draws, not all of one, of another schema, or a field
            holds what no draws hold.
        LawError: the law is not built in, and not given.
    """
    # Imported here: it takes as long as a fit.
    from scalefit.results import schema as documents
    from scalefit.results.consistency import agree_draws

    place = file_path(path, "path", remedy="Pass the name that save was given")
    try:
        parts = archive.read_parts(place, DOCUMENT)
    except OSError as error:
        raise ArgumentError(
            f"no draws can be read from path={files.named(place)} ({files.reason(error)})",
            argument="path",
            value=path,
            remedy="Give the name that save was given, with its suffix",
        ) from error
    kind, schema = documents.EnsembleDocument, documents.ENSEMBLE_SCHEMA
    oldest = documents.OLDEST_ENSEMBLE
    found = documents.parsed(parts[DOCUMENT], kind, "draws", schema, oldest)
    fit = Fit.from_document(found.fit, law, within=("fit",))
    agree_draws(found)
    count = found.draws
    params = archive.array_in(parts, "params.npy", (len(found.parameters), count), np.float64)
    usable = archive.array_in(parts, "usable.npy", (count,), np.bool_)
    noise = archive.array_in(parts, "noise.npy", (found.noise.runs,), np.float64)
    factors = KNOWN
    if found.noise.factors:
        factors = archive.array_in(parts, "noise_factors.npy", (count,), np.float64)
    used = (("params.npy", params[:, usable]), ("noise.npy", noise), ("noise_factors.npy", factors))
    for name, numbers in used:
        if not np.isfinite(numbers).all():
            raise archive.bad_array(name, "NaN or infinite", "finite where it is used")
    went = {
        name: archive.array_in(parts, f"replicates_{name}.npy", (count,), dtype)
        for name, dtype in REPLICATES.items()
        if found.replicates
    }
    return {
        "fit": fit,
        "params": dict(zip(found.parameters, params, strict=True)),
        "usable": usable,
        "noise": RunNoise(noise, found.noise.source, found.noise.residual, found.noise.df, factors),
        "replicates": Replicates(**went) if went else None,
        "tails": TailCorrection(**found.tails.model_dump()),
        "notes": tuple(Note(**item.model_dump()) for item in found.notes),
        **{name: getattr(found, name) for name in PLAIN},
    }
