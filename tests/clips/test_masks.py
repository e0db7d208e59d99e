"""Labels for frames: the size of the frame decides, and a mask that does not fit is told once."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from telltime.clips.masks import annotated, first_appearances, labels_at_first, nearest, read_labels
from telltime.datasets import DatasetError, Record
from telltime.datasets.masks import BINARY, Masks, lookup
from telltime.media.mask import write_mask


def _record(root: Path, sizes: dict[int, tuple[int, int]], **more: object) -> Record:
    for i in range(4):
        (root / "frames").mkdir(exist_ok=True)
        Image.new("RGB", (16, 12)).save(root / f"frames/{i}.jpg")
    files = {}
    for at, size in sizes.items():
        labels = np.zeros(size, np.uint8)
        labels[:, size[1] // 2 :] = at + 1
        labels[0] = 255
        files[at] = root / f"{at}.png"
        write_mask(files[at], labels)
    return Record(f"clip-{root.name}", root / "frames", masks=Masks(files, **more))


def test_a_mask_one_pixel_off_is_resized_with_one_warning(tmp_path: Path) -> None:
    record = _record(tmp_path, {0: (12, 16), 2: (12, 15), 3: (6, 8)})
    assert annotated(record) == [0, 2, 3]
    with pytest.warns(UserWarning, match="frame 2 is 15x12 where the frame is 16x12"):
        labels = read_labels(record, [2, 0, 2, 3])
    assert labels.shape == (4, 12, 16)
    assert [set(np.unique(frame)) for frame in labels] == [{0, 3, 255}, {0, 1, 255}, {0, 3, 255}, {0, 4, 255}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_labels(record, [2], (3, 4)).shape == (1, 3, 4)


def test_frames_without_masks(tmp_path: Path) -> None:
    record = _record(tmp_path, {1: (12, 16)})
    with pytest.raises(DatasetError, match="frame 0 has no mask; those with one are 1"):
        read_labels(record, [1, 0])
    bare = Record("bare", tmp_path / "frames")
    assert annotated(bare) == []
    assert first_appearances(bare) == {}
    with pytest.raises(DatasetError, match="bare: no frame has a mask"):
        labels_at_first(bare)


def test_meanings(tmp_path: Path) -> None:
    record = _record(tmp_path, {0: (12, 16), 2: (12, 16)}, meaning=BINARY)
    assert set(np.unique(read_labels(record, [0, 2]))) == {0, 1}
    assert first_appearances(_record(tmp_path, {0: (12, 16), 2: (12, 16)})) == {1: 0, 3: 2}
    swapped = Masks({}, lookup({1: 3, 3: 1})).translate(np.array([0, 1, 2, 3, 255], np.uint8))
    assert swapped.tolist() == [0, 3, 255, 1, 255]


def test_a_picture_and_a_video_file(tmp_path: Path) -> None:
    from telltime.media.write import write_video

    write_mask(tmp_path / "m.png", np.full((10, 14), 5, np.uint8))
    Image.new("RGB", (28, 20)).save(tmp_path / "p.jpg")
    write_video(tmp_path / "v.mp4", list(np.zeros((3, 20, 28, 3), np.uint8)), rate=10)
    for name in ("p.jpg", "v.mp4"):
        record = Record(name, tmp_path / name, masks=Masks({0: tmp_path / "m.png"}))
        with pytest.warns(UserWarning, match="14x10 where the frame is 28x20"):
            assert (labels_at_first(record) == np.full((20, 28), 5)).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 5]), st.integers(0, 2**32 - 1))
def test_nearest_takes_centres_and_makes_no_labels(h: int, w: int, times: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 256, (h, w), dtype=np.uint8)
    large = nearest(labels, (times * h, times * w))
    assert (large == labels.repeat(times, 0).repeat(times, 1)).all()
    assert (nearest(large, (h, w)) == labels).all()
    assert set(nearest(labels, (7, 4)).ravel()) <= set(labels.ravel())
