"""Colours against torchvision on Pillow images, value for value."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as pil

from telltime.views import colour

VIEWS, FRAMES, SIZE = 3, 2, 40


@pytest.fixture(scope="module")
def pixels():
    """uint8 ``[N, T, H, W, 3]``: noise, near-greys, and the corners of the colour cube."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (VIEWS, FRAMES, SIZE, SIZE, 3))
    noise[1] = np.clip(noise[1, ..., :1] + rng.integers(-9, 10, noise[1].shape), 0, 255)
    noise[2] = rng.choice([0, 1, 127, 254, 255], noise[2].shape)
    return noise.astype(np.uint8)


def planes_of(pixels):
    return torch.from_numpy(pixels).movedim(-1, 0).float()


def on_each(pixels, operation):
    """``operation(image, view)`` on every frame, uint8 ``[3, N, T, H, W]``."""
    frames = [[np.asarray(operation(Image.fromarray(f), n)) for f in view] for n, view in enumerate(pixels)]
    return torch.from_numpy(np.array(frames)).movedim(-1, 0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colour.brightness_, pil.adjust_brightness),
        (colour.contrast_, pil.adjust_contrast),
        (colour.saturation_, pil.adjust_saturation),
    ],
)
@pytest.mark.parametrize("factors", [(0.75, 1.0, 1.25), (0.0, 0.93, 2.5)])
def test_blends(pixels, ours, theirs, factors):
    expected = on_each(pixels, lambda image, view: theirs(image, factors[view]))
    changed = ours(planes_of(pixels), torch.tensor(factors))
    assert torch.equal(changed, expected.float())


@pytest.mark.parametrize("turns", [(-0.1, 0.0, 0.1), (0.5, -0.5, 0.03)])
def test_hue(pixels, turns):
    expected = on_each(pixels, lambda image, view: pil.adjust_hue(image, turns[view]))
    changed = colour.hue_(planes_of(pixels), torch.tensor(turns).double().mul(255).trunc().float())
    far = (changed - expected).abs()
    assert far.max() <= 1
    assert (far > 0).float().mean() < 1e-4


def test_every_hue_is_pillows():
    """All pairs of channel differences, the only thing the 8-bit hue depends on."""
    green, blue = np.mgrid[0:256:3, 0:256:3]
    for red in (0, 85, 170, 255):
        picture = np.stack([np.full_like(green, red), green, blue], -1).astype(np.uint8)
        theirs = np.asarray(Image.fromarray(picture).convert("HSV"))[..., 0]
        place = 511 * (red - green + 255) + green - blue + 255
        ours = colour._hues(torch.device("cpu")).numpy()[place]
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("exponents", [None, (0.75, 1.0, 1.25)])
def test_grey_and_gamma(pixels, exponents):
    def theirs(image, view):
        grey = pil.to_grayscale(image, 3)
        return pil.adjust_gamma(grey, exponents[view]) if exponents else grey

    changed = colour.grey_(planes_of(pixels), torch.tensor(exponents) if exponents else None)
    assert torch.equal(changed, on_each(pixels, theirs).float())


def test_dropped_channels_are_black_and_the_others_untouched(pixels):
    before = planes_of(pixels)
    after = colour.drop_channel_(before.clone(), torch.tensor([0, 2, 1]))
    for view, channel in enumerate((0, 2, 1)):
        kept = [c for c in range(3) if c != channel]
        assert after[channel, view].max() == 0
        assert torch.equal(after[kept, view], before[kept, view])
