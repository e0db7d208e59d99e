"""Label propagation on generated footage, whose every pixel is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from squares import Colours, table

from telltime.clips.masks import read_labels
from telltime.clips.policy import BadMedia
from telltime.datasets import load
from telltime.datasets.generated_masks import generate_masked
from telltime.datasets.masks import Masks
from telltime.datasets.record import DatasetError, Table
from telltime.features.propagation import Settings
from telltime.media.errors import TooShort
from telltime.media.frames import Limits
from telltime.media.mask import read_mask
from telltime.metrics.video_objects import score_labels
from telltime.tasks.measuring import Reading
from telltime.tasks.propagation import propagation

SMALL = Settings(side=64, multiple=16, radius=4)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Table:
    root = tmp_path_factory.mktemp("footage") / "masks"
    return load("davis", generate_masked(root, sequences=2, frames=8, size=(64, 96), objects=2), "all")


def test_scores_are_those_of_the_masks_that_are_written(footage: Table, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in footage.root.rglob("*") if path.is_file()}
    result = propagation(Colours(), footage, SMALL, Reading(), out=tmp_path, masks=True)
    assert before == {path: path.read_bytes() for path in footage.root.rglob("*") if path.is_file()}
    assert result.metrics["J&F"] == pytest.approx((result.metrics["J"] + result.metrics["F"]) / 2)
    rows = json.loads((tmp_path / "objects.json").read_text())["objects"]
    assert len(rows) == result.metrics["objects"]
    assert np.mean([row["J"] for row in rows]) == pytest.approx(result.metrics["J"])
    for record in footage.records:
        written = sorted((tmp_path / "masks" / record.id).iterdir())
        assert [path.name for path in written] == [f"{i:05d}.png" for i in range(8)]
        predicted, truth = np.stack([read_mask(path) for path in written]), read_labels(record, range(8))
        np.testing.assert_array_equal(predicted[0], truth[0])
        labels = [row["object"] for row in rows if row["video"] == record.id]
        j, f = score_labels(predicted, truth, labels)
        for at, row in enumerate(row for row in rows if row["video"] == record.id):
            scored = slice(7 - row["frames"], 7)
            assert row["J"] == pytest.approx(j[at, scored].mean())
            assert row["F"] == pytest.approx(f[at, scored].mean())
    assert result.protocol == "own settings, inner frames"
    assert result.model["input"] == "64x96"
    assert len(result.details["segmented"]) == 2
    assert result.details["segmented"][0]["truth"].shape == result.details["segmented"][0]["predicted"].shape


def test_likeness_beats_copying_the_first_mask(footage: Table) -> None:
    result = propagation(Colours(), footage, SMALL, Reading(), scored="rest")
    copied = []
    for record in footage.records:
        truth = read_labels(record, range(8))
        first = np.broadcast_to(truth[0], truth[1:].shape)
        copied += score_labels(np.where(first <= 2, first, 0), truth[1:], [1, 2, 3])[0][:2].mean(1).tolist()
    assert result.metrics["J"] > np.mean(copied)
    assert result.data["settings"]["scored"] == "rest"


def test_newcomers_are_told_when_they_come_and_scored_after(footage: Table, tmp_path: Path) -> None:
    propagation(Colours(), footage, SMALL, Reading(), scored="rest", out=tmp_path)
    rows = json.loads((tmp_path / "objects.json").read_text())["objects"]
    frames = {(row["video"], row["object"]): row["frames"] for row in rows}
    for record in footage.records:
        truth = read_labels(record, range(8))
        for label in (1, 2, 3):
            seen = np.flatnonzero((truth == label).any((1, 2)))
            left = 7 - seen[0] if len(seen) else 0
            assert frames.get((record.id, label), 0) == left


def test_sparse_masks_are_carried_through_the_frames_between(footage: Table) -> None:
    first = footage.records[0]
    assert first.masks is not None
    sparse = Masks({i: first.masks.files[i] for i in (1, 4, 7)}, first.masks.meaning)
    result = propagation(Colours(), replace(footage, records=(replace(first, masks=sparse),)), SMALL, Reading())
    assert result.metrics["objects"] >= 2
    assert result.details["segmented"][0]["frames"].shape[0] == 1


def test_what_cannot_be_scored_is_left_out_by_name_or_written(footage: Table, tmp_path: Path) -> None:
    first, second = footage.records
    assert first.masks is not None
    single = replace(first, masks=Masks({0: first.masks.files[0]}, first.masks.meaning))
    some = replace(footage, records=(single, second))
    with pytest.raises(TooShort, match="has 1 annotated frames, 3 are needed"):
        propagation(Colours(), some, SMALL, Reading(policy=BadMedia("raise")))
    kept = propagation(Colours(), some, SMALL, Reading(policy=BadMedia("skip", tmp_path / "dropped.jsonl", 0.9)))
    assert (kept.records, kept.dropped) == (1, 1)
    alone = replace(footage, records=(single,))
    written = propagation(Colours(), alone, SMALL, Reading(), out=tmp_path, masks=True)
    assert written.metrics == {"objects": 0.0}
    assert len(list((tmp_path / "masks" / first.id).iterdir())) == 8
    assert any("predictions were written" in note for note in written.details["notes"])


def test_a_mask_past_the_end_and_a_damaged_frame_are_told(footage: Table, tmp_path: Path) -> None:
    first = footage.records[0]
    assert first.masks is not None
    past = replace(first, masks=Masks({**first.masks.files, 8: first.masks.files[7]}, first.masks.meaning))
    with pytest.raises(TooShort, match="holds 8 frames, frame 8 has a mask"):
        propagation(Colours(), replace(footage, records=(past,)), SMALL, Reading(policy=BadMedia("raise")))
    folder = tmp_path / "frames"
    folder.mkdir()
    for file in first.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "00003.jpg").write_bytes(b"no picture")
    torn = replace(footage, records=(replace(first, path=folder),))
    with pytest.raises(Exception, match="frame 3 cannot be read, and all frames up to 6 are needed"):
        propagation(Colours(), torn, SMALL, Reading(policy=BadMedia("raise")))


def test_the_time_limit_is_of_decoding_alone(footage: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    monkeypatch.setattr("telltime.media.frames.time.monotonic", lambda: passed[0])

    class Slow(Colours):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            passed[0] += 100.0
            return super().forward(images)

    assert propagation(Slow(), footage, SMALL, Reading(limits=Limits(seconds=5.0))).records == 2


def test_pictures_are_no_videos(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="propagation needs videos"):
        propagation(Colours(), table(tmp_path, "test", 2, 0), SMALL, Reading())
    with pytest.raises(ValueError, match="inner, rest"):
        propagation(Colours(), table(tmp_path, "test", 2, 0), SMALL, Reading(), scored="all")
