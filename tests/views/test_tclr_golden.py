"""Draws and pictures of TCLR's augmentation against the published code."""

import numpy as np
import pytest
import torch
from PIL import Image

from telltime.clips import sampling
from telltime.views.geometry import centre_crop, crop_resize
from telltime.views.tclr import PRETRAIN, PROBE, augment, draw, settle

OURS = {
    "uniform": "random_array",
    "erase_top": "x_erase",
    "erase_left": "y_erase",
    "scale": "cropping_factor",
    "left": "x0",
    "top": "y0",
    "contrast": "contrast",
    "hue": "hue",
    "saturation": "saturation",
    "brightness": "brightness",
    "gamma": "gamma",
    "erase_height": "erase_size1",
    "erase_width": "erase_size2",
    "channel": "color_dropped",
}


def test_draws_are_the_published_ones(golden):
    arrays = golden.npz("tclr_augment_draws.npz")
    rng = np.random.RandomState(int(arrays["np_seed"]))
    start = sampling.pretrain_start(200.0, rng)
    glob, local = sampling.pretrain_frames(start)
    drawn = draw(rng, 10, PRETRAIN, 240, 320)
    for ours, theirs in OURS.items():
        np.testing.assert_array_equal(drawn[ours], arrays[theirs], err_msg=ours)
    frames = np.repeat(np.concatenate([glob[None], local]), 2, axis=0)
    np.testing.assert_array_equal(frames, arrays["frames"])


def given(arrays, values, prefix=""):
    """The parameters of a golden file as :func:`settle` gives them, as tensors."""
    drawn = {ours: arrays[prefix + theirs] for ours, theirs in OURS.items()}
    drawn["side"] = (240 * drawn["scale"]).astype(np.int64)
    return {key: torch.from_numpy(value) for key, value in settle(drawn, values).items()}


def picture(golden, name, *size):
    return torch.from_numpy(golden.inputs.frame(name, golden.seed, *size)).permute(2, 0, 1)[None]


def difference(ours, theirs):
    """How far float views ``[N, 3, 1, S, S]`` are from uint8 pictures ``[N, 3, S, S]``."""
    return (ours[:, :, 0].mul(255).round().int() - torch.from_numpy(theirs).int()).abs()


def pillow_crop(frame, top, left, side, size):
    """``[1, 3, size, size]``, cut by Pillow itself."""
    image = Image.fromarray(frame[0].permute(1, 2, 0).contiguous().numpy()).crop((left, top, left + side, top + side))
    return torch.from_numpy(np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).copy()).movedim(-1, 0)[
        None
    ]


CASES = pytest.mark.parametrize(
    ("file", "prefix", "frame", "values"),
    [
        ("tclr_augment.npz", "", "tclr/frame", PRETRAIN),
        ("tclr_augment_eval.npz", "train_", "tclr/frame_eval", PROBE),
    ],
)


@CASES
@pytest.mark.parametrize("chunk", [1, 7])
def test_colours_are_the_published_ones(golden, file, prefix, frame, values, chunk):
    """From Pillow's own crops, so that only what happens on the device is compared."""
    arrays = golden.npz(file)
    expected = arrays[prefix + "out_uint8"]
    draws = given(arrays, values, prefix)
    boxes = zip(draws["top"].tolist(), draws["left"].tolist(), draws["side"].tolist(), strict=True)
    crops = [pillow_crop(picture(golden, f"{frame}/{i}"), *box, expected.shape[-1]) for i, box in enumerate(boxes)]
    far = difference(augment(torch.stack(crops), draws, chunk=chunk), expected)
    assert far.amax() <= 1
    assert (far > 0).double().mean() < 1e-3


@CASES
def test_pictures_are_the_published_ones(golden, file, prefix, frame, values):
    """With our crops, which are Pillow's to within 1; later operations may stretch that 1 where a bound is near."""
    arrays = golden.npz(file)
    expected = arrays[prefix + "out_uint8"]
    draws = given(arrays, values, prefix)
    boxes = list(zip(draws["top"].tolist(), draws["left"].tolist(), draws["side"].tolist(), strict=True))
    frames = [picture(golden, f"{frame}/{i}") for i in range(len(boxes))]
    crops = [crop_resize(f, *box, expected.shape[-1]) for f, box in zip(frames, boxes, strict=True)]
    for ours, f, box in zip(crops, frames, boxes, strict=True):
        assert (ours.int() - pillow_crop(f, *box, expected.shape[-1]).int()).abs().max() <= 1
    far = difference(augment(torch.stack(crops), draws), expected)
    assert (far > 1).double().mean() < 0.002
    assert far.amax() <= 8
    names = ("contrast_first", "contrast_last", "hue", "saturation", "brightness", "gamma")
    plain = torch.stack([draws[name].isnan() for name in names]).all(0)
    assert plain.any()
    assert far[plain].amax() <= 1


def test_test_frames_are_the_published_ones(golden):
    arrays = golden.npz("tclr_augment_eval.npz")
    sizes = [(240, 320), (240, 320), (256, 340), (180, 240)]
    for i, (size, expected) in enumerate(zip(sizes, arrays["test_out_uint8"], strict=True)):
        clip = centre_crop(picture(golden, f"tclr/frame_test/{i}", *size), 192, expected.shape[-1])
        assert difference(augment(clip[None], {}), expected[None]).max() <= 1


def test_a_mirrored_test_frame_is_the_published_one(golden):
    expected = golden.npz("tclr_augment_eval.npz")["test_hflip_out_uint8"]
    clip = centre_crop(picture(golden, "tclr/frame_test/0"), 192, expected.shape[-1])
    views = augment(clip[None], {"flip": torch.tensor([True])})
    assert difference(views, expected).amax() <= 1
