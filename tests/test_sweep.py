"""The sweep that measured ``scalefit_bytes``: text, model, one tiny training, manifests, table."""

import hashlib
import io
import json
import lzma
import math
import sys
import tarfile
from concurrent.futures import Future
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

SWEEP = Path(__file__).parents[1] / "data" / "sweep"


@pytest.fixture(scope="module", autouse=True)
def scripts():
    """The scripts, which are no package, on the path; JAX as their users have it."""
    import jax

    strict = {
        name: getattr(jax.config, name)
        for name in ("jax_numpy_rank_promotion", "jax_numpy_dtype_promotion")
    }
    jax.config.update("jax_numpy_rank_promotion", "allow")
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    sys.path.insert(0, str(SWEEP))
    yield
    sys.path.remove(str(SWEEP))
    for name, value in strict.items():
        jax.config.update(name, value)


@pytest.fixture(scope="module")
def windows():
    """Training and held-out windows of a text that repeats itself."""
    from text import windows
    from train import CONTEXT

    words = np.random.default_rng(0).choice(["the ", "cat ", "sat ", "on ", "a ", "mat. "], 400_000)
    return windows("".join(words).encode(), CONTEXT)


@pytest.fixture(scope="module")
def tiny():
    from train import BATCH, Run

    return Run("tiny", "test", 8, 100, BATCH, 0.02, None, 0)


def test_a_tiny_run_learns_is_measured_and_repeats(windows, tiny):
    """Two trainings in one process: the same line but for the time; another seed, another loss."""
    from train import SYMBOLS, flops_per_byte, train

    line = train(tiny, *windows)
    assert line["D"] == 100 * 4 * 64 and line["status"] == "finished"
    # Far below a model that knows nothing, not below the entropy of the words, ln 6 for 4 bytes.
    assert math.log(6) / 6 < line["loss"] < 0.6 * math.log(SYMBOLS)
    assert line["flops_counted"] == flops_per_byte(8) * line["D"]
    # XLA counts elementwise work too, half as much again at the smallest widths.
    assert 1.0 < line["flops_measured"] / line["flops_counted"] < 2.0
    again = train(tiny, *windows)
    assert {key: again[key] for key in again if key != "seconds"} == {
        key: line[key] for key in line if key != "seconds"
    }
    other = train(replace(tiny, seed=1), *windows)
    assert other["loss"] != line["loss"]
    json.dumps(line, allow_nan=False)


def test_steps_past_the_end_change_nothing(windows, tiny):
    """A run is padded to whole segments by steps whose learning rate is zero."""
    import jax
    import jax.numpy as jnp
    from train import SEGMENT, initial, order, several_steps

    rows = order(len(windows[0]), SEGMENT * 4, 0).reshape(SEGMENT, 4)
    others = np.concatenate([rows[:3], rows[3:][::-1]])
    ended = [
        several_steps(initial(8, 0), jnp.asarray(windows[0]), part, 0.02, 3.0)[0].model
        for part in (rows, others)
    ]
    for one, other in zip(*map(jax.tree.leaves, ended), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (ended[0].embedding.weight != initial(8, 0).model.embedding.weight).any()


def test_a_run_that_diverges_stays_with_its_status(windows, tiny):
    from train import train

    line = train(replace(tiny, lr=1e30), *windows)
    assert line["status"] == "diverged" and line["loss"] is None
    json.dumps(line, allow_nan=False)


@pytest.mark.parametrize("width", [4, 8, 48])
def test_parameters_are_counted_as_the_model_holds_them(width):
    import equinox as eqx
    import jax
    from train import SYMBOLS, initial, sizes

    model = eqx.filter_eval_shape(initial, width, 0).model
    held = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(model))
    assert sizes(width) == (held, held - SYMBOLS * width)


def test_the_model_does_not_look_ahead():
    """A byte changes no logit before its own place, and some after it."""
    import jax.numpy as jnp
    from train import CONTEXT, initial

    model = initial(8, 0).model
    symbols = jnp.arange(CONTEXT) % 100
    changed = np.abs(model(symbols) - model(symbols.at[40].set(7))).max(axis=1)
    assert changed[:40].max() == 0 and changed[40:].min() > 0


def test_held_out_text_shares_no_byte_with_the_training_text():
    """Of a text in which every place is known: windows are whole, in order, and disjoint."""
    from text import BLOCK, PERIOD, windows

    count = 2 * PERIOD * BLOCK + 100
    # The blocks that are held out are the last of every PERIOD.
    digits = (np.arange(count) // BLOCK % PERIOD).astype(np.uint8)
    training, held_out = windows(digits.tobytes(), 64)
    assert set(np.unique(held_out)) == {PERIOD - 1} and PERIOD - 1 not in np.unique(training)
    assert len(training) == (PERIOD - 1) * len(held_out)
    # Each window goes on with the last byte of the one before it.
    training, _ = windows((np.arange(count) % 128).astype(np.uint8).tobytes(), 64)
    assert (np.diff(training[:20].astype(int)) % 128 == 1).all()
    assert (training[1:20, 0] == training[:19, -1]).all()


def test_the_package_is_read_as_debian_packs_it(tmp_path, monkeypatch):
    """An archive made here, with members of odd length; another text than the pinned is refused."""
    import gzip

    import pooch
    import text

    packed = gzip.compress(b"caf\xe9 au lait")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(text.MEMBER)
        member.size = len(packed)
        archive.addfile(member, io.BytesIO(packed))
    files = {b"debian-binary": b"2.0", b"data.tar.xz": lzma.compress(stream.getvalue())}
    content = b"!<arch>\n"
    for name, body in files.items():
        head = name.ljust(16) + b"0".ljust(32) + str(len(body)).encode().ljust(10) + b"`\n"
        content += head + body + b"\n" * (len(body) % 2)
    place = tmp_path / text.PACKAGE
    place.write_bytes(content)
    monkeypatch.setattr(pooch, "retrieve", lambda *given: str(place))
    with pytest.raises(ValueError, match="is pinned"):
        text.text(tmp_path)
    monkeypatch.setattr(text, "TEXT_SHA256", hashlib.sha256(b"caf? au lait").hexdigest())
    assert text.text(tmp_path) == b"caf? au lait"


def test_a_sweep_goes_on_where_it_was_cut_off(windows, tiny, tmp_path, monkeypatch):
    """A finished run is left alone, a line cut off in the middle is trained again."""
    import sweep as script

    class Pool:
        """In this process."""

        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, call, *given):
            done = Future()
            done.set_result(call(*given))
            return done

    trained = []
    monkeypatch.setattr(script, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(script, "as_completed", list)  # in order; else as they end
    monkeypatch.setattr(script, "_windows", lambda folder: windows)
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(
        script,
        "_train",
        lambda run, folder: trained.append(run.run) or {**asdict(run), "loss": 1.0, "seconds": 0.0},
    )
    runs = [replace(tiny, run=name) for name in ("one", "two", "three")]
    out = tmp_path / "runs.jsonl"
    script.sweep(runs[:2], out, tmp_path, 1)
    out.write_text(out.read_text()[:-5])
    script.sweep(runs, out, tmp_path, 1)
    assert trained == ["one", "two", "two", "three"]
    assert [line["run"] for line in script.results(out)] == ["one", "two", "three"]
    script.sweep(runs, out, tmp_path, 1)
    assert len(trained) == 4
    with pytest.raises(ValueError, match="had another lr"):
        script.sweep([replace(runs[0], lr=0.5)], out, tmp_path, 1)
