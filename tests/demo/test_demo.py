"""The demo: shots are cut where they change, and every number on its page was measured."""

import json
import re

import numpy as np
import pytest

from telltime.demo import segments
from telltime.demo.page import last_screen, write_page
from telltime.demo.segments import AFTER, BEFORE
from telltime.demo.shots import cuts, packaged_clips, write_shots
from telltime.demo.walk import LEARNED, RANDOM, DemoError, shot_table, walk
from telltime.media.video import Video
from telltime.training.progress import Sink


def clip(colours, frames=12):
    rng = np.random.default_rng(0)
    flat = np.concatenate([np.full((frames, 24, 32, 3), colour, np.int16) for colour in colours])
    return np.clip(flat + rng.integers(-4, 5, flat.shape), 0, 255).astype(np.uint8)


def test_cuts_are_where_the_colours_change():
    assert cuts(clip([(200, 20, 20), (20, 200, 20), (20, 20, 200)])) == [12, 24]
    assert cuts(clip([(120, 90, 60)])) == []


def test_slow_changes_are_no_cuts():
    picture = np.random.default_rng(1).integers(0, 150, (16, 16, 3))
    fade = picture + np.linspace(0, 100, 60).astype(int)[:, None, None, None]
    assert cuts(fade.astype(np.uint8)) == []


def test_packaged_clips_become_halves_of_shots(tmp_path):
    assert len(packaged_clips()) == 4
    paths = write_shots(tmp_path, short_side=64)
    firsts, seconds = (shot_table(tmp_path, paths, half) for half in "ab")
    assert len(firsts) == len(seconds) == len(paths) / 2 >= 6
    assert firsts.classes == seconds.classes
    assert sorted(firsts.labels()) == list(range(len(firsts)))
    assert all(Video(path).probe().frames >= 20 for path in paths)


def test_a_short_walk_measures_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "SIZE", 96)
    out = tmp_path / "demo"
    small = {"classes": 2, "videos_per_class": 4, "groups": 4, "frames": 72, "size": (40, 48)}
    masks = {"sequences": 3, "frames": 4, "size": (48, 64), "objects": 1, "newcomers": 0}
    told = walk(out, Sink(), seed=1, max_steps=6, footage_options=small, masks_options=masks)
    page = write_page(told)
    numbers = json.loads((out / "demo.json").read_text())
    for name in ("recall@1", "top1", "temporal_distinctness"):
        assert set(numbers["scores"][name]) == {LEARNED, RANDOM}
        assert all(0 <= value <= 1 for value in numbers["scores"][name].values())
    assert [row["step"] for row in numbers["loss"]][-1] == 6
    assert numbers["times"]["mae_hours"] < numbers["times"]["mae_hours_of_a_constant"]
    assert sorted(found["wrong"] for found in numbers["times"]["offsets"].values()) == [False, True]
    tuned = numbers["segments"]
    assert set(tuned["miou"]) == {BEFORE, AFTER}
    assert all(0 <= value <= 1 for value in tuned["miou"].values())
    assert tuned["steps"] <= 6
    html = page.read_text()
    assert f"{100 * tuned['miou'][AFTER]:.1f} %" in html
    assert told.segments is not None
    for shot in told.segments.shots:
        assert shot.name in html
        assert {labels.shape for labels in shot.clusters.values()} == {(3, *shot.frames.shape[-2:])}
        assert np.bincount(shot.clusters[BEFORE].ravel()).argmax() == 0
    assert html.count('class="card"') == 8
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)
    screen = last_screen(told, page)
    for scores in told.scores.values():
        assert f"{scores[LEARNED]:.3f}" in screen
    assert "telltime fit tclr-small" in screen
    with pytest.raises(DemoError, match="not empty"):
        walk(out, Sink())
