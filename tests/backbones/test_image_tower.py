"""Image towers: what a row is made of, pictures of any shape, and the same function however it is computed."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from telltime.backbones import clip_vision
from telltime.backbones.image_tower import ImageTower
from telltime.checkpoints.build import build, describe


@pytest.fixture(scope="module")
def tower():
    return ImageTower(precision="float32")


def pictures(count, size, seed=0):
    return torch.randint(
        0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def test_the_embedded_tower_needs_nothing_and_tells_light_from_dark(tower):
    given = torch.stack([torch.full((3, 224, 224), value, dtype=torch.uint8) for value in (20, 40, 220)])
    with torch.no_grad():
        rows = tower(given)
    assert rows.shape == (3, tower.dim)
    assert rows.dtype == torch.float32
    assert sum(tower.parts) == tower.dim
    assert torch.isfinite(rows).all()
    assert rows.min() < 0, "no row is taken for an adapter's output"
    assert (rows[0] - rows[1]).norm() < 0.5 * (rows[0] - rows[2]).norm()


def test_where_in_the_picture_the_light_is_shows(tower):
    given = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    given[0, :, :, :112] = 250
    given[1, :, :, 112:] = 250
    with torch.no_grad():
        rows = tower(given)
    cells = rows[:, : tower.parts[0]].unflatten(1, (-1, 4, 4))
    torch.testing.assert_close(cells[0, :, 1, 0], cells[1, :, 1, 3], rtol=0.5, atol=0.5)
    assert (cells[0, :, 1, 0] - cells[0, :, 1, 3]).abs().max() > 0.2


def test_fast_slow_and_saved_are_the_same_function(tower):
    given = pictures(3, 224)
    with torch.no_grad():
        fast = tower(given)
    slow = tower.rows(tower.normalised(given).requires_grad_()).detach()
    torch.testing.assert_close(fast, slow, rtol=1e-3, atol=2e-3)
    again = build(**describe(tower))
    again.load_state_dict(tower.state_dict())
    with torch.no_grad():
        assert torch.equal(again(given), fast)
        assert torch.equal(copy.deepcopy(tower)(given), fast)
        torch.testing.assert_close(tower(given[1:2]), fast[1:2], rtol=1e-3, atol=1e-3)


def test_new_weights_are_seen_by_the_fast_copy():
    made = ImageTower("resnet18", size=64, pretrained=False, precision="float32")
    given = pictures(2, 64)
    with torch.no_grad():
        before = made(given)
        for value in made.network.parameters():
            value.mul_(1.1)
        assert not torch.allclose(made(given), before)


def test_half_precision_is_near(tower):
    low = ImageTower(precision="bfloat16")
    given = pictures(2, 224)
    with torch.no_grad():
        a, b = tower(given), low(given)
    assert b.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(a, b).min() > 0.999


def test_stages_cells_and_spread_make_the_row():
    made = ImageTower("resnet18", size=64, stages=[1, 4], cells=[2, 1], spread=[2], pretrained=False)
    assert made.parts == (64 * 4, 512, 128)
    given = pictures(2, 64)
    with torch.no_grad():
        rows = made(given)
        maps = made.network.forward_intermediates(
            made.normalised(given), indices=[1, 2, 4], output_fmt="NCHW", intermediates_only=True
        )
    expected = torch.cat(
        [
            torch.nn.functional.adaptive_avg_pool2d(maps[0], 2).flatten(1),
            maps[2].mean((2, 3)),
            maps[1].flatten(2).std(2, correction=0),
        ],
        1,
    )
    torch.testing.assert_close(rows, expected, rtol=1e-2, atol=1e-2)


def test_the_tower_is_never_in_training_mode(tower):
    holder = torch.nn.ModuleList([ImageTower("resnet18", size=32, pretrained=False)]).train()
    assert not any(each.training for each in holder[0].modules())


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["own", "reference", "clip"]))
@settings(max_examples=25, deadline=None)
def test_pictures_of_any_shape_become_squares(width, height, profile):
    made = _small(profile)
    array = np.random.default_rng(width * 100 + height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    ready = made.prepare(Image.fromarray(array))
    assert ready.shape == (3, 32, 32)
    assert torch.equal(ready, made.prepare(torch.from_numpy(array).permute(2, 0, 1)))
    assert ready.float().std() < 150
    assert made.prepare(Image.new("L", (width, height), 77)).unique().tolist() == [77]


_MADE = {}


def _small(profile):
    if profile not in _MADE:
        _MADE[profile] = ImageTower("resnet18", profile, size=32, pretrained=False)
    return _MADE[profile]


def test_what_does_not_fit_is_refused():
    for wrong, message in (
        ({"profile": "mine"}, "profile is one of own, reference, clip, not 'mine'"),
        ({"precision": "int8"}, "precision is one of"),
        ({"stages": [3, 1]}, "ascending"),
        ({"stages": [9]}, "from 0 to 5"),
        ({"stages": [1], "cells": [1, 2]}, "for each of 1 stages"),
        ({"stages": [1], "spread": [7]}, "spread names stages"),
        ({"cells": [2]}, "go with stages"),
    ):
        with pytest.raises(ValueError, match=message):
            ImageTower("resnet18", pretrained=False, **wrong)
    made = _small("own")
    with pytest.raises(ValueError, match="uint8"):
        made(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"uint8 \[3, H, W\]"):
        made.prepare(torch.zeros(3, 5, 5))


def test_a_state_without_a_clip_is_refused():
    with pytest.raises(ValueError, match="no CLIP vision tower"):
        clip_vision.vision_part({"weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="no whole CLIP"):
        clip_vision.shape_of({"visual_projection.weight": torch.zeros(2, 2)})
