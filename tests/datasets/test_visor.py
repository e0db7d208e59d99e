"""VISOR's official files, converted once: right, resumable, and without touching what is read."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mask_files import fingerprint
from PIL import Image

from telltime.clips.masks import annotated, labels_at_first, labels_present, read_labels
from telltime.datasets import DatasetError, load
from telltime.datasets.visor_convert import convert_visor, drawn


def _box(x: int, y: int, side: int = 200) -> list[list[float]]:
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


def _row(video: str, sequence: str, frame: int, objects: dict[str, Any]) -> dict[str, Any]:
    name = f"{video}_frame_{frame:010d}.jpg"
    image = {"image_path": f"{video}/{sequence}/{name}", "name": name, "video": video, "subsequence": sequence}
    return {"image": image, "annotations": [{"name": n, "segments": s} for n, s in objects.items()]}


@pytest.fixture
def visor(tmp_path: Path) -> Path:
    root = tmp_path / "visor"
    rows = [_row("P01_01", "P01_01_seq_00001", 10 * i, {"right hand": [_box(100 + i, 100)]}) for i in range(3)]
    rows[2]["annotations"].append({"name": "knife", "segments": [_box(900, 600)]})
    short = [_row("P01_01", "P01_01_seq_00002", 90, {"pan": [_box(0, 0)]})]
    val = [_row("P02_03", "P02_03_seq_00001", i, {"pan": [_box(300, 300)], "lid": [[]]}) for i in range(2)]
    val[1]["annotations"].append({"name": "newcomer", "segments": [_box(1500, 50)]})
    picture = io.BytesIO()
    Image.new("RGB", (192, 108), (50, 90, 130)).save(picture, "JPEG")
    for split, video, told in (("train", "P01_01", rows + short), ("val", "P02_03", val)):
        (root / "annotations" / split).mkdir(parents=True)
        (root / "annotations" / split / f"{video}.json").write_text(json.dumps({"video_annotations": told}))
        folder = root / "rgb_frames" / split / video[:3]
        folder.mkdir(parents=True)
        if split == "val":
            for row in told:
                (folder / row["image"]["name"]).write_bytes(picture.getvalue())
        else:
            with zipfile.ZipFile(folder / f"{video}.zip", "w") as archive:
                for row in told:
                    archive.writestr(f"{video}/{row['image']['name']}", picture.getvalue())
    return root


def test_what_is_converted_reads_as_visor(visor: Path, tmp_path: Path) -> None:
    before = fingerprint(visor)
    out = tmp_path / "out"
    done = convert_visor(visor, out)
    assert (done.sequences, done.written, done.missing) == ({"train": 1, "val": 1}, 6, [])
    assert fingerprint(visor) == before
    (train,) = load("visor", out).records
    assert (train.id, annotated(train)) == ("P01_01_seq_00001", [0, 1, 2])
    labels = read_labels(train, [0, 2])
    assert labels.shape == (2, 480, 854)
    assert [labels_present(frame) for frame in labels] == [[2], [1, 2]]  # knife, right hand
    assert labels[0, 48:132, 48:130].all()
    assert (labels[0] > 0).mean() == pytest.approx(200 * 200 / (1920 * 1080), rel=0.03)
    (val,) = load("visor", out, "test").records
    assert labels_present(read_labels(val, [0, 1])) == [1]  # the newcomer is not of the first frame
    assert json.loads((out / "objects.json").read_text())["P02_03_seq_00001"] == {"1": "pan"}


def test_it_goes_on_where_it_was_and_then_changes_nothing(visor: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    archive = visor / "rgb_frames/train/P01/P01_01.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    broken = convert_visor(visor, out)
    assert broken.sequences == {"val": 1}
    assert len(broken.missing) == 4
    archive.write_bytes(whole)
    mended = convert_visor(visor, out)
    assert (mended.written, mended.kept, mended.sequences) == (4, 2, {"train": 1, "val": 1})
    before = fingerprint(out)
    again = convert_visor(visor, out)
    assert (again.written, again.kept) == (0, 6)
    assert fingerprint(out) == before


def test_polygons_that_overlap_leave_a_hole() -> None:
    mask = drawn([("pan", [_box(0, 0, 1000), _box(450, 450, 225)]), ("lid", [_box(0, 0, 225)])], {"pan": 1, "lid": 2})
    assert (mask[20, 20], mask[240, 240], mask[400, 100]) == (2, 0, 1)
    assert drawn([("pan", [[[5, 5]], _box(-50, -50, 100), _box(1900, 1000, 900)])], {"pan": 1})[0, 0] == 1
    assert not drawn([("other", [_box(0, 0)])], {"pan": 1}).any()


def test_it_writes_only_beside_what_it_reads(visor: Path, tmp_path: Path) -> None:
    for out in (visor, visor / "davis"):
        with pytest.raises(DatasetError, match="lies in the folder that is read"):
            convert_visor(visor, out)
    with pytest.raises(DatasetError, match="no annotations"):
        convert_visor(visor / "rgb_frames", tmp_path / "new")
    (visor / "annotations/val/P02_03.json").write_text('{"video_annotations": [{"image": {}}]}')
    with pytest.raises(DatasetError, match=r"P02_03\.json has no 'image_path'"):
        convert_visor(visor, tmp_path / "new")


def test_the_command_tells_what_is_missing(visor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from telltime.cli.main import main

    assert main(["data", "convert-visor", str(visor), "--out", str(tmp_path / "out")]) == 0
    assert "1 train, 1 val sequences; 6 frames written" in capsys.readouterr().out
    (visor / "rgb_frames/train/P01/P01_01.zip").unlink()
    assert main(["data", "convert-visor", str(visor), "--out", str(tmp_path / "new"), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["missing"]) == 4


def test_a_first_label_is_that_of_the_first_frame(visor: Path, tmp_path: Path) -> None:
    convert_visor(visor, tmp_path / "out")
    record = load("visor", tmp_path / "out").records[0]
    assert labels_present(labels_at_first(record, (48, 85))) == [2]
    assert np.unique(labels_at_first(record)).tolist() == [0, 2]
