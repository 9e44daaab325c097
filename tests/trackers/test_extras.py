"""Readers without the packages that they need: each says which extra has it."""

import sys

import pytest

import scalefit as sf


def event_file(folder):
    path = folder / "events.out.tfevents.1.host"
    path.write_bytes(b"")
    return folder


def store(folder):
    (folder / "0").mkdir()
    (folder / "0/meta.yaml").write_text("")
    return folder


def log(folder):
    path = folder / "run-x.wandb"
    path.write_bytes(b"")
    return path


def config(folder):
    (folder / "files").mkdir()
    (folder / "files/config.yaml").write_text("lr: {value: 1}")
    return folder


@pytest.mark.parametrize(
    ("reader", "made", "package", "extra"),
    [
        ("tensorboard", event_file, "tensorboard", "tensorboard"),
        ("mlflow", store, "mlflow", "mlflow"),
        ("wandb", log, "wandb", "wandb"),
        ("wandb", config, "yaml", "wandb"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    tmp_path, monkeypatch, reader, made, package, extra
):
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(sf.errors.MissingExtraError, match=rf"pip install 'scalefit\[{extra}\]'"):
        getattr(sf.trackers, reader)(made(tmp_path))
