from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.backbones.dense import DenseEncoder
from telltime.features.fine_grid import fine_grid, looked_at
from telltime.features.propagation import Carrier, Settings, first_map, preset, propagate, seen_size, usual_preset

SIDE = 64
SHAPE = {"patch": 16, "dim": 48, "depth": 2, "heads": 3, "grid": 4}


class Colours(torch.nn.Module):
    """Mean colours of cells of 8 pixels."""

    stride, channels, name = 8, 3, "colours"

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("std", torch.full((3, 1, 1), 0.25))
        self.batches: list[int] = []

    def prepare(self, frames: Tensor) -> Tensor:
        return (frames / 255 - 0.5) / self.std

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        return F.avg_pool2d(images, 8)


def moving(frames: int = 6) -> tuple[Tensor, np.ndarray]:
    """A red and a green square that move over grey: frames uint8 ``[T, 3, H, W]``, and their labels."""
    pixels = torch.full((frames, 3, SIDE, SIDE), 128, dtype=torch.uint8)
    labels = np.zeros((frames, SIDE, SIDE), dtype=np.uint8)
    for t in range(frames):
        for label, top, left in ((1, 8, 8 * t), (2, 40, 40 - 8 * t)):
            box = (slice(top, top + 16), slice(max(left, 0), left + 16))
            pixels[t, :, *box] = torch.tensor([20, 20, 20])[:, None, None]
            pixels[t, label - 1][box] = 250
            labels[t][box] = label
    return pixels, labels


SMALL = Settings(side=SIDE, multiple=8, radius=3)


def same(found: np.ndarray, truth: np.ndarray) -> None:
    """Equal at the centre of every place; between them corners are round."""
    np.testing.assert_array_equal(found[:, 4::8, 4::8], truth[:, 4::8, 4::8])
    assert (found != truth).mean() < 0.02


def test_the_published_rectangles_give_the_published_labels(golden: Any) -> None:
    file = golden.npz("timet_vos_dino.npz")
    frames, height, width, dim, _, last, radius, topk = file["config"].tolist()
    seed, up = int(file["seed"]), file["hard"].shape[1] // height
    base = golden.tensor("timet.vos.base", (height, width, dim), seed)
    noise = golden.tensor("timet.vos.noise", (frames, height * width, dim), seed).unflatten(1, (height, width))
    grids = torch.stack([base.roll(t, dims=1) for t in range(frames)]) + 0.3 * noise
    given = file["first"][0].astype(np.uint8).repeat(up, 0).repeat(up, 1)
    settings = Settings(side=min(given.shape), multiple=up, last_frames=last, radius=radius, topk=topk)
    carrier = Carrier(settings, given.shape)
    labels = [carrier.step(grid, None if t else given) for t, grid in enumerate(grids.permute(0, 3, 1, 2))]
    np.testing.assert_array_equal(labels[0], given)
    np.testing.assert_array_equal(np.stack(labels[1:]), file["hard"])


def test_squares_are_followed_in_batches_of_any_size() -> None:
    pixels, truth = moving()
    encoder = Colours()
    found = np.stack(list(propagate(encoder, pixels, {0: truth[0]}, SMALL)))
    same(found, truth)
    assert encoder.batches == [4, 2]
    again = np.stack(list(propagate(encoder, iter(pixels), {0: truth[0]}, SMALL, batch=1)))
    np.testing.assert_array_equal(again, found)


def test_objects_that_come_later_join_those_of_the_first_frame() -> None:
    pixels, truth = moving()
    first, later = np.where(truth[0] == 1, 1, 0).astype(np.uint8), np.where(truth[2] == 2, 2, 0).astype(np.uint8)
    found = np.stack(list(propagate(Colours(), pixels, {0: first, 2: later}, SMALL)))
    same(found[:2], np.where(truth[:2] == 1, 1, 0))
    same(found[2:], truth[2:])


def test_a_first_frame_without_objects_waits_for_them() -> None:
    pixels, truth = moving()
    found = np.stack(list(propagate(Colours(), pixels, {0: np.zeros_like(truth[0]), 3: truth[3]}, SMALL)))
    assert not found[:3].any()
    same(found[3:], truth[3:])


def test_void_is_told_as_given_and_is_carried_nowhere() -> None:
    pixels, truth = moving()
    given = truth[0].copy()
    given[28:36] = 255
    found = np.stack(list(propagate(Colours(), pixels, {0: given}, SMALL)))
    assert not (found[1:] == 255).any()
    same(found[1:], truth[1:])


def test_labels_that_do_not_fit_are_an_error() -> None:
    pixels, truth = moving()
    with pytest.raises(ValueError, match="frame 0"):
        next(propagate(Colours(), pixels, {1: truth[1]}, SMALL))
    with pytest.raises(ValueError, match=r"\[32, 64\] where the frames are \[64, 64\]"):
        next(propagate(Colours(), pixels, {0: truth[0][:32]}, SMALL))
    with pytest.raises(ValueError, match="object 1 is told a second time"):
        list(propagate(Colours(), pixels, {0: truth[0], 2: truth[2]}, SMALL))


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"first": "mean"}, "nearest, area"), ({"side": 0}, "at least 1"), ({"side": 48}, "shorter than the multiple")],
)
def test_settings_out_of_range_are_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        preset("dino", **changed)
    with pytest.raises(ValueError, match="dino, fine"):
        preset("best")


def test_sizes_are_those_of_the_protocol() -> None:
    assert seen_size((480, 854), Settings()) == (480, 832)
    assert seen_size((1080, 1920), Settings()) == (480, 832)
    assert seen_size((854, 480), Settings()) == (832, 480)
    assert seen_size((500, 500), Settings()) == (480, 448)
    assert seen_size((100, 101), Settings(side=100, multiple=16)) == (100, 96)


def test_places_know_their_shares_by_area() -> None:
    labels = np.zeros((8, 8), dtype=np.uint8)
    labels[:4, :2], labels[4:, 4:] = 1, 5
    labels[0, 7] = 255
    maps = first_map(labels, [1, 5], (2, 2), "area")
    np.testing.assert_allclose(maps[1], [[0.5, 0], [0, 0]])
    np.testing.assert_allclose(maps[2], [[0, 0], [0, 1]])
    np.testing.assert_allclose(maps.sum(0), [[1, 15 / 16], [1, 1]])
    np.testing.assert_array_equal(first_map(labels, [1, 5], (2, 2))[1], [[0, 0], [0, 0]])


@pytest.fixture(scope="module")
def embedded() -> DenseEncoder:
    return DenseEncoder()


def test_a_convolutional_network_has_finer_places_of_its_own(embedded: DenseEncoder) -> None:
    frames = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        fine, own = fine_grid(embedded, frames, 8), fine_grid(embedded, frames)
    assert fine.shape == (1, 40 + 112, 8, 12)
    assert own.shape == (1, 112, 4, 6)
    for grid in (fine, own):
        torch.testing.assert_close(grid.norm(dim=1), torch.ones_like(grid[:, 0]))
    up = F.normalize(F.interpolate(own, (8, 12), mode="bilinear"), dim=1)
    torch.testing.assert_close(F.normalize(fine[:, 40:], dim=1), up, atol=2e-2, rtol=0)
    assert usual_preset(embedded) == "fine"


def test_a_transformer_sees_a_larger_picture() -> None:
    encoder = DenseEncoder("vit", shape=SHAPE, pretrained=False)
    frames = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    assert looked_at(encoder, (64, 96), 8) == (128, 192)
    with torch.inference_mode():
        assert fine_grid(encoder, frames, 8).shape == (1, 48, 8, 12)
        assert fine_grid(encoder, frames).shape == (1, 48, 4, 6)
    assert usual_preset(encoder) == "dino"
