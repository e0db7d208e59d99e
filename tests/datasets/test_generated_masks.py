"""Footage whose every pixel is known: what its masks say is what its frames show."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from telltime.datasets import DatasetError
from telltime.datasets.generated_masks import generate_masked, generate_voc
from telltime.media.mask import read_mask


def _sequence(root: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    pictures = sorted((root / "JPEGImages/480p" / name).iterdir())
    masks = sorted((root / "Annotations/480p" / name).iterdir())
    assert [p.stem for p in pictures] == [m.stem for m in masks]
    return np.stack([np.array(Image.open(p)) for p in pictures]), np.stack([read_mask(m) for m in masks])


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_masked(tmp_path_factory.mktemp("masked") / "new", sequences=4, frames=12, size=(60, 80))


def test_objects_of_the_first_frame_come_first_and_newcomers_later(footage: Path) -> None:
    told = json.loads((footage / "meta.json").read_text())["videos"]
    covered = 0
    for name in told:
        video, labels = _sequence(footage, name)
        assert video.shape == (*labels.shape, 3) == (12, 60, 80, 3)
        assert np.unique(labels[0]).tolist() == [0, 1, 2, 3]
        assert 4 in labels
        areas = np.stack([(labels == k).sum(axis=(1, 2)) for k in (1, 2, 3, 4)])
        assert areas[:3, 0].min() > 30
        assert (areas[1] == 0).any() or areas[1].min() < areas[1].max() / 3  # the second one leaves and returns
        covered += int((areas[0] < 0.8 * areas[0].max()).any())
        objects = told[name]["objects"]
        assert len({o["category"] for o in objects.values()}) == 4
        assert objects["4"]["frames"][0] == f"{np.flatnonzero(areas[3])[0]:05d}"
    assert covered, "in no sequence is the object that stays ever covered"


def test_masks_lie_where_colours_change(footage: Path) -> None:
    video, labels = _sequence(footage, "seq-000")
    grey = video.astype(np.float32).mean(-1)
    step = np.abs(np.diff(grey, axis=2))
    edge = labels[:, :, 1:] != labels[:, :, :-1]
    inside = ~edge & (labels[:, :, 1:] == 0)
    assert np.median(step[edge]) > 3 * np.median(step[inside])


def test_the_ground_moves(footage: Path) -> None:
    video, labels = _sequence(footage, "seq-001")
    ground = (labels[0] == 0) & (labels[-1] == 0)
    assert np.abs(video[0].astype(int) - video[-1].astype(int))[ground].mean() > 8


def test_the_same_seed_draws_the_same(footage: Path, tmp_path: Path) -> None:
    again = generate_masked(tmp_path / "again", sequences=4, frames=12, size=(60, 80), threads=1)
    files = sorted(p.relative_to(footage) for p in footage.rglob("*.*"))
    assert files == sorted(p.relative_to(again) for p in again.rglob("*.*"))
    assert all((footage / f).read_bytes() == (again / f).read_bytes() for f in files if f.suffix in (".png", ".txt"))
    other = generate_masked(tmp_path / "other", sequences=1, frames=2, size=(60, 80), seed=1)
    mask = "Annotations/480p/seq-000/00000.png"
    assert (other / mask).read_bytes() != (footage / mask).read_bytes()


def test_pictures_in_vocs_layout(tmp_path: Path) -> None:
    root = generate_voc(tmp_path / "voc", pictures=6, size=(48, 64), classes=4)
    val = (root / "sets/val.txt").read_text().split()
    train = (root / "sets/train.txt").read_text().split()
    assert (len(train), len(val)) == (4, 2)
    for name in train + val:
        ringed, plain = (
            read_mask(root / folder / f"{name}.png") for folder in ("SegmentationClass", "SegmentationClassAug")
        )
        assert set(np.unique(plain)) <= {0, 1, 2, 3, 4}
        assert (ringed == 255).any()
        assert (ringed[ringed != 255] == plain[ringed != 255]).all()
        assert 0.01 < (ringed == 255).mean() < 0.3


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    for draw in (generate_masked, generate_voc):
        with pytest.raises(DatasetError, match="holds other files"):
            draw(tmp_path)
    with pytest.raises(DatasetError, match="is a file"):
        generate_masked(tmp_path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("wrong", [{"sequences": 0}, {"size": (8, 80)}, {"classes": 13}, {"newcomers": -1}])
def test_arguments_out_of_range(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        generate_masked(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()
