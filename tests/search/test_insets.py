"""Searching for a video that is shown small upon another one."""

from pathlib import Path

import numpy as np
import torch
from pixels import pixels

from telltime.media.video import Video
from telltime.search.index import Index
from telltime.search.insets import FRAMES, inset_rows
from telltime.views.edits import inset


def test_an_inset_stands_where_it_is_put() -> None:
    frames = torch.full((2, 3, 8, 12), 200, dtype=torch.uint8)
    drawn = inset(frames, torch.zeros_like(frames), 0.5, 1.0, 0.0)
    assert (drawn[..., 4:, :6] == 200).all()
    assert (drawn[..., :4, :] == 0).all()
    assert (drawn[..., 6:] == 0).all()


def test_rows_of_a_long_video_are_few(footage: Path) -> None:
    with Video(footage / "scene-1.avi") as video:
        rows = inset_rows(pixels(), video)
        count = len(np.unique(pixels().reader.wanted(video)))
    assert len(rows) == 4
    assert set(rows.lengths.tolist()) == {min(FRAMES, count)}


def test_insets_can_only_raise_scores_and_only_in_copies(footage: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "index", pixels())
    index.add(footage)
    asked = footage / "scene-1.avi"
    plain = {hit.path: hit.score for hit in index.search(asked, top=50, mode="scenes")}
    assert index.query(asked).insets is None
    assert index.query(asked, "copies").insets is not None
    small = {hit.path: hit.score for hit in index.search(asked, top=50)}
    assert set(small) == set(plain)
    assert max(small.values()) <= 1.0
