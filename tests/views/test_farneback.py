"""Motion estimation as its users see it: other sizes, batches, quiet pictures, and OpenCV's results."""

import math

import pytest
import torch

from telltime.views.farneback import direction_labels, farneback, flow_labels


def walk(step: tuple[int, int], frames: int = 3, size: tuple[int, int] = (64, 80), seed: int = 0) -> torch.Tensor:
    """Grey blobs that all walk by ``step`` (right, down) pixels a frame, ``[1, T, H, W]`` in 0..255."""
    noise = torch.randn(1, 1, size[0] // 8, size[1] // 8, generator=torch.Generator().manual_seed(seed))
    wide = torch.nn.functional.interpolate(noise, size=size, mode="bicubic", align_corners=False)[0, 0]
    ground = (128 + 40 * wide).clamp(0, 255)
    return torch.stack([ground.roll((t * step[1], t * step[0]), (0, 1)) for t in range(frames)])[None]


@pytest.mark.parametrize("step", [(2, 0), (0, -3), (-2, 2)])
def test_a_walk_is_measured(step: tuple[int, int]) -> None:
    inner = farneback(walk(step))[0, :, :, 16:-16, 16:-16]
    assert inner.mean((0, 2, 3)).tolist() == pytest.approx(step, abs=0.4)


@pytest.mark.parametrize("size", [(33, 47), (96, 64), (20, 20), (130, 101)])
def test_it_is_what_opencv_computes(size: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    frames = walk((2, 1), 3, size, 1) + torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2))
    ours = farneback(frames)[0]
    for t in range(2):
        pair = (frames[0, t].numpy(), frames[0, t + 1].numpy())
        theirs = torch.from_numpy(cv2.calcOpticalFlowFarneback(*pair, None, 0.5, 3, 15, 3, 5, 1.2, 0)).permute(2, 0, 1)
        assert (ours[t] - theirs).abs().quantile(0.99) < 1e-3


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    clips = torch.cat([walk((2, 0)), walk((0, 2), seed=3)])
    torch.testing.assert_close(farneback(clips), torch.cat([farneback(clip[None]) for clip in clips]))


def test_what_stands_still_has_no_direction() -> None:
    still = torch.rand(1, 1, 3, 96, 96, generator=torch.Generator().manual_seed(0)).expand(2, 4, -1, -1, -1)
    assert flow_labels(still, (6, 6), floor=0.1).tolist() == [[[0] * 36] * 3] * 2
    moved = farneback(still[:, :, 0] * 255)
    assert moved[..., 40:-40, 40:-40].abs().max() < 1e-5
    assert moved[..., -8:, -8:].abs().max() > 0  # as OpenCV's: the last row and column have nothing to be compared with
    assert flow_labels(torch.zeros(1, 2, 3, 40, 56), (5, 7)).shape == (1, 1, 35)


def test_eighths_of_a_turn_and_the_floor() -> None:
    angles = torch.arange(8) * math.pi / 4 + math.pi / 8
    vectors = torch.stack([angles.cos(), angles.sin()]).view(2, 2, 4)
    vectors = torch.cat([vectors, torch.zeros(2, 1, 4)], 1)
    assert direction_labels(vectors).tolist() == [*range(1, 9), 0, 0, 0, 0]
    assert not direction_labels(vectors / 10, floor=0.5).any()
    trembling = vectors * 1e-4
    assert direction_labels(trembling).any()  # as published: the largest motion of a pair is motion
    assert not direction_labels(trembling, floor=0.1).any()
