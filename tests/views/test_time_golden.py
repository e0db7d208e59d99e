"""TIME's frames, views and flow labels against those of the published data set."""

import json
from random import Random

import numpy as np
import pytest
import torch
from numpy.random import RandomState

from telltime.clips.segments import even_frames, random_frames, segment_bounds
from telltime.views import time_published as published
from telltime.views.farneback import flow_labels
from telltime.views.geometry import window
from telltime.views.time import PRESETS, draw_window, even_windows, scaled_shape

SIZE, PAPER = 224, PRESETS["paper"]


@pytest.fixture(scope="module")
def case(golden):
    file = golden.npz("time_data.npz")
    config = json.loads(str(file["config"]))
    made = golden.time_inputs.clip
    seed, sizes = config["seed"], config["sizes"]
    file["clips"] = [made(f"time/clip{j}", 20 + 5 * j, h, w, seed) for j, (h, w) in enumerate(sizes)]
    return file | config | {"clip": file["val_index_0"].shape[0]}


def signed(clip):
    """0..255 to -1..1, every 16th pixel."""
    return clip[..., ::16, ::16].numpy() / 127.5 - 1


def views(case, kind):
    for j, frames in enumerate(case["clips"]):
        if f"{kind}_{j}" in case:
            yield j, frames


def test_frames_of_segments(case):
    for clip in case["frames"]:
        for row, frames in enumerate(case["lengths"]):
            assert even_frames(frames, clip)[0].tolist() == case[f"test_indices_{clip}"][row].tolist()
            low, high = segment_bounds(frames, clip)
            assert low.tolist() == case[f"train_low_{clip}"][row].tolist()
            assert high.tolist() == case[f"train_high_{clip}"][row].tolist()
            drawn = random_frames(frames, clip, Random(case["seed"] + row))
            assert drawn.tolist() == case[f"train_indices_{clip}"][row].tolist()


def test_test_crops(case):
    for j, frames in views(case, "test_crops"):
        wanted = even_frames(len(frames), case["clip"])[0]
        pixels = torch.from_numpy(frames[wanted]).movedim(-1, 1)
        shape = scaled_shape(*pixels.shape[-2:], SIZE)
        crops = [signed(window(pixels, shape, *corner, SIZE)) for corner in even_windows(*shape, SIZE, 3)]
        np.testing.assert_allclose(np.stack(crops), case[f"test_crops_{j}"], atol=2e-5)


def test_jitter_and_crop(case):
    for kind in ("val", "train"):
        for j, frames in views(case, f"{kind}_view"):
            seed = case["seed"] + j
            shape, top, left = draw_window(RandomState(seed), PAPER.jitter, *frames.shape[1:3], SIZE, "reference")
            assert [min(shape), left, top] == case[f"{kind}_size_x_y"][j].tolist()
            wanted = (
                even_frames(len(frames), case["clip"])[0]
                if kind == "val"
                else random_frames(len(frames), case["clip"], Random(seed))
            )
            assert wanted.tolist() == case[f"{kind}_index_{j}"].tolist()
            seen = window(torch.from_numpy(frames[wanted]).movedim(-1, 1), shape, top, left, SIZE)
            np.testing.assert_allclose(signed(seen), case[f"{kind}_view_{j}"], atol=2e-5)


def test_lengths_of_the_shorter_side(case):
    rng = RandomState(case["seed"])
    short, long = (round(share * SIZE) for share in PAPER.jitter)
    drawn = [round(1 / rng.uniform(1 / long, 1 / short)) for _ in case["jitter_sizes"]]
    assert drawn == case["jitter_sizes"].tolist()


def test_rand_augment_with_its_published_slip(case):
    """Pillow's filters may differ a little from version to version."""
    for j, frames in enumerate(case["clips"]):
        for k in range(100):
            if f"randaug_{j}_{k}" not in case:
                break
            dice, rng = Random(case["seed"] + 10 * j + k), RandomState(case["seed"] + 10 * j + k)
            wanted = random_frames(len(frames), case["clip"], dice)
            seen = published.transform(frames[wanted], dice, rng, PAPER, SIZE)
            apart = np.abs(seen[..., ::32, ::32].numpy() / 127.5 - 1 - case[f"randaug_{j}_{k}"])
            assert (apart > 0.02).mean() < 0.01


def test_directions_of_what_rand_augment_made(case):
    """Only as equal as Pillow's filters and the pictures they make."""
    for j, frames in enumerate(case["clips"][:2]):
        dice, rng = Random(case["seed"] + 10 * j), RandomState(case["seed"] + 10 * j)
        seen = published.transform(frames[random_frames(len(frames), case["clip"], dice)], dice, rng, PAPER, SIZE)
        told = case[f"randaug_flow_{j}_0"]
        side = round(told.shape[1] ** 0.5)
        ours = flow_labels(seen[None] / 255, (side, side))[0].numpy()
        assert (ours == told).mean() > 0.97
