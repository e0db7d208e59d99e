"""What must hold of TCLR's augmentation for any numbers drawn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.views.tclr import PRETRAIN, PROBE, Values, augment, draw, settle

SEEDS = st.integers(0, 2**32 - 1)
ALWAYS = Values(p_contrast=1, p_hue=1, p_saturation=1, p_brightness=1, p_flip=1, p_erase=1, erase=(2, 6))


def settled(seed, views=6, values=PRETRAIN, height=48, width=64, size=16, crop="full"):
    drawn = draw(np.random.RandomState(seed), views, values, height, width, size, crop)
    return {key: torch.from_numpy(value) for key, value in settle(drawn, values).items()}


def noise(*shape, seed=0):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(8, 400), st.integers(8, 400), st.sampled_from(["full", "reference"]))
def test_boxes_lie_inside_frames_of_any_shape(seed, height, width, crop):
    drawn = draw(np.random.RandomState(seed), 10, PRETRAIN, height, width, crop=crop)
    short = min(height, width)
    assert (drawn["side"] >= int(0.6 * short)).all()
    assert (drawn["left"] >= 0).all()
    assert (drawn["top"] >= 0).all()
    assert (drawn["left"] + drawn["side"] <= width).all()
    assert (drawn["top"] + drawn["side"] <= height).all()


def test_the_published_crop_never_sees_the_right_of_a_wide_frame():
    def rightmost(crop):
        drawn = draw(np.random.RandomState(0), 4000, PRETRAIN, 240, 320, crop=crop)
        return (drawn["left"] + drawn["side"]).max()

    assert rightmost("reference") <= 272
    assert rightmost("full") == 320


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([PRETRAIN, ALWAYS]))
def test_all_frames_of_a_view_change_alike(seed, values):
    still = noise(6, 1, 3, 16, 16, seed=1).expand(6, 4, 3, 16, 16)
    views = augment(still, settled(seed, values=values))
    assert torch.equal(views, views[:, :, :1].expand_as(views))


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([PRETRAIN, PROBE, ALWAYS]), st.sampled_from([2, 5, 64]))
def test_a_view_does_not_depend_on_its_neighbours(seed, values, chunk):
    clips, draws = noise(6, 3, 3, 16, 16, seed=2), settled(seed, values=values)
    together = augment(clips, draws, chunk=chunk)
    alone = [augment(clips[v : v + 1], {k: d[v : v + 1] for k, d in draws.items()}) for v in range(6)]
    assert torch.equal(together, torch.cat(alone))
    assert together.min() >= 0
    assert together.max() <= 1
    assert torch.equal((together * 255).round() / 255, together)


def test_leading_axes_may_be_any_and_in_any_order():
    clips, draws = noise(6, 3, 3, 16, 16), settled(5)
    flat = augment(clips, draws)
    folded = {k: d.unflatten(0, (2, 3)) for k, d in draws.items()}
    assert torch.equal(augment(clips.unflatten(0, (2, 3)), folded).flatten(0, 1), flat)
    swapped = augment(clips.unflatten(0, (2, 3)).transpose(0, 1), {k: d.transpose(0, 1) for k, d in folded.items()})
    assert torch.equal(swapped.transpose(0, 1).flatten(0, 1), flat)
    assert torch.equal(augment(clips[0], {k: d[0] for k, d in draws.items()}), flat[0])


def test_result_is_channels_last_and_the_input_untouched():
    clips = noise(2, 4, 3, 16, 16)
    before = clips.clone()
    views = augment(clips, settled(3, views=2, values=ALWAYS))
    assert views.shape == (2, 3, 4, 16, 16)
    assert views.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(clips, before)


def test_nothing_waits_for_the_device():
    """On tensors without values, anything that asked the device for one would fail."""
    views = augment(noise(6, 4, 3, 16, 16).to("meta"), settled(3, values=ALWAYS))
    assert views.shape == (6, 3, 4, 16, 16)
    partly = augment(noise(40, 2, 3, 16, 16).to("meta"), settled(4, views=40), chunk=20)
    assert partly.device.type == "meta"


def test_without_draws_only_the_scale_changes():
    clips = noise(2, 4, 3, 16, 16)
    assert torch.equal(augment(clips, {}), clips.transpose(1, 2).float() / 255)


def test_flip_mirrors_and_erase_is_black_where_it_says():
    clips = noise(2, 4, 3, 16, 16).clamp(min=1)
    draws = {"flip": torch.tensor([True, False]), "erase": torch.tensor([[0, 0, 0, 0], [12, 3, 9, 5]])}
    views = augment(clips, draws)
    assert torch.equal(views[0], augment(clips.flip(-1)[:1], {})[0])
    black = (views[1] == 0).all(0)
    assert black.sum() == 4 * 4 * 5
    assert black[:, 12:, 3:8].all()


def test_how_often_each_operation_happens():
    views = settle(draw(np.random.RandomState(0), 40000, PRETRAIN, 240, 320), PRETRAIN)
    share = {name: np.mean(~np.isnan(views[name])) for name in ("contrast_first", "contrast_last", "hue", "gamma")}
    share |= {"grey": views["grey"].mean(), "drop": (views["channel"] >= 0).mean(), "flip": views["flip"].mean()}
    share["erase"] = (views["erase"][:, 2] > 0).mean()
    expected = {"contrast_first": 0.125, "contrast_last": 0.125, "hue": 0.3, "gamma": 0.175 * 0.75}
    expected |= {"grey": 0.175, "drop": 0.125, "flip": 0.5, "erase": 0.5}
    assert share == pytest.approx(expected, abs=0.01)
    assert not (views["grey"] & (views["channel"] >= 0)).any()


def test_weaker_values_leave_clips_alone():
    off = Values(p_contrast=0, p_hue=0, p_saturation=0, p_brightness=0, p_grey=0, p_drop=0, p_flip=0, p_erase=0)
    clips = noise(6, 2, 3, 16, 16)
    assert torch.equal(augment(clips, settled(1, values=off)), augment(clips, {}))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"p_hue": 1.5}, "p_hue"),
        ({"hue": (0.1, -0.1)}, "hue"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (0.5, 1.5)}, "scale"),
        ({"p_grey": 0.8, "p_drop": 0.4}, "p_grey"),
        ({"erase": (9, 9)}, "erase"),
    ],
)
def test_impossible_values_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Values(**wrong)


def test_an_unknown_crop_is_refused():
    with pytest.raises(ValueError, match="'middle'"):
        draw(np.random.RandomState(0), 2, PRETRAIN, 48, 64, crop="middle")


def test_values_from_a_recipe_are_lists():
    assert Values(hue=[-0.1, 0.1]) == PRETRAIN
