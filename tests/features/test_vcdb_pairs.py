"""Training on VCDB's pairs from a store and from the published HDF5 layout."""

import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from telltime.checkpoints.encoder import load_encoder
from telltime.cli.main import main
from telltime.features.frame_store import FrameStore

TINY = [
    "--set", "method.encoder.dim=16", "--set", "method.reader.dim=16", "--set", "method.encoder.feedforward=16",
    "--set", "batch_size=2", "--set", "epochs=1", "--set", "method.bank=64", "--set", "method.reader.negatives=2",
]  # fmt: skip
CORE, BACKGROUND = ("a", "b", "c", "d"), ("x", "y", "z")


@pytest.fixture
def features(tmp_path: Path) -> Path:
    content = {
        "video_pairs": [{"videos": [a, b]} for a, b in (("a", "b"), ("a", "c"), ("b", "c"), ("a", "d"))],
        "index": [*CORE, *BACKGROUND],
        "negs": list(BACKGROUND),
    }
    (tmp_path / "vcdb.pickle").write_bytes(pickle.dumps(content))
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "features.h5", "w") as file:
        for name in ("a", "b", "c", "x", "y"):
            file[name] = rng.standard_normal((rng.integers(2, 7), 16), dtype=np.float32)
    return tmp_path / "features.h5"


def fit(*arguments: object) -> int:
    torch.set_num_threads(1)
    return main(["fit", "tca-vcdb", *TINY, *map(str, arguments)])


def test_a_run_from_the_published_layout(features: Path, tmp_path: Path, capsys: Any) -> None:
    assert fit("--root", features, "--out", tmp_path / "run") == 0
    assert "3 of 4 pairs, 2 background videos" in capsys.readouterr().out
    missing = [json.loads(line)["id"] for line in (tmp_path / "run" / "dropped.jsonl").read_text().splitlines()]
    assert missing == ["d", "z"]
    assert load_encoder(tmp_path / "run").channels == 16
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 1


def test_a_store_gives_the_same_training(features: Path, tmp_path: Path) -> None:
    store = FrameStore.create(tmp_path / "store", {"made": "by hand"})
    with h5py.File(features) as file:
        for name in file:
            store.add(name, "1", torch.from_numpy(file[name][:]), np.arange(len(file[name])))
    told = ("--annotation", tmp_path / "vcdb.pickle")
    assert fit("--root", features, "--out", tmp_path / "first", *told) == 0
    assert fit("--root", tmp_path / "store", "--out", tmp_path / "second", *told) == 0
    first, second = (load_encoder(tmp_path / name).state_dict() for name in ("first", "second"))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_rows_of_another_width_are_refused(features: Path, tmp_path: Path, capsys: Any) -> None:
    assert fit("--root", features, "--out", tmp_path / "run", "--set", "method.reader.dim=8") != 0
    assert "rows of 16 numbers, method.reader.dim is 8" in capsys.readouterr().err


def test_nothing_to_pair_is_refused(features: Path, tmp_path: Path, capsys: Any) -> None:
    with h5py.File(features, "a") as file:
        del file["x"], file["y"]
    assert fit("--root", features, "--out", tmp_path / "run") != 0
    assert "0 background videos are there" in capsys.readouterr().err
