"""Objects of videos that are made of numbers: a camera that moves, and places that move otherwise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.features.camera import moving, own_motion
from telltime.features.foreground import followed, foreground, otsu
from telltime.features.objects import labels, objects
from telltime.features.watching import Basis, Watched
from telltime.views.flow import positions

H, W, T = 12, 20, 6


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=12, max_size=12), st.floats(1, 4))
def test_a_cameras_motion_is_taken_away(terms: list[float], own: float) -> None:
    x, y = (each / 40 - 1 for each in positions(64, 96, torch.zeros(1)))
    basis = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])
    flows = torch.einsum("kt,thw->khw", torch.tensor(terms).view(2, 6), basis)[None]
    rest, _ = own_motion(flows)
    assert rest.abs().max() < 0.05
    flows[:, :, 24:40, 40:60] += own
    sure = moving(own_motion(flows)[1])[0]
    assert sure[7:9, 11:14].min() > 0.9
    assert sure[:, :5].max() < 0.2


def scene(boxes: list[tuple[int, int]], moves: bool = True, seed: int = 0) -> tuple[Watched, torch.Tensor]:
    """Objects of 4 x 4 places, each with features of its own over a ground of two kinds."""
    torch.manual_seed(seed)
    kinds = torch.nn.functional.normalize(torch.randn(len(boxes) + 2, 16), dim=1)
    truth = torch.zeros(T, H, W, dtype=torch.long)
    for t in range(T):
        for k, (top, left) in enumerate(boxes, 1):
            truth[t, top : top + 4, left + t // 2 : left + t // 2 + 4] = k
    ground = torch.zeros(T, H, W, dtype=torch.long)
    ground[:, H // 2 :] = len(boxes) + 1
    grids = kinds[torch.where(truth > 0, truth, ground)].permute(0, 3, 1, 2) + 0.05 * torch.randn(T, 16, H, W)
    surely = (truth > 0).float() * (0.8 if moves else 0.0) * (torch.rand(T, H, W) > 0.3)
    flows = torch.zeros(T - 1, 2, H, W)
    return Watched((grids - grids.mean((0, 2, 3), True)).half(), surely, torch.zeros(T, 2, H, W), flows, flows), truth


def iou(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found & truth).sum() / (found | truth).sum())


def test_what_moves_teaches_what_the_object_is() -> None:
    watched, truth = scene([(4, 7)])
    watched.moves[:3] = 0  # it stands still for half the time
    assert iou(foreground(watched) > 0, truth > 0) > 0.8


def test_without_motion_what_is_in_the_middle_is_the_object() -> None:
    watched, truth = scene([(4, 7)], moves=False)
    assert iou(foreground(watched) > 0, truth > 0) > 0.5


def test_without_anything_there_is_no_object() -> None:
    flows = torch.zeros(0, 2, H, W)
    watched = Watched(torch.zeros(1, 8, H, W).half(), torch.zeros(1, H, W), torch.zeros(1, 2, H, W), flows, flows)
    scores = foreground(watched)
    assert torch.isfinite(scores).all()
    if (parts := objects(watched, scores, 3)) is not None:
        assert torch.isfinite(parts).all()


def test_two_objects_are_told_apart_and_carried() -> None:
    watched, truth = scene([(1, 3), (7, 11)])
    parts = objects(watched, torch.where(truth > 0, 1.0, -1.0), 2)
    assert parts is not None
    assert parts.shape == (T, 2, H, W)
    whose = 1 + parts.argmax(1)
    for label in (1, 2):
        of = truth == label
        assert max(float((whose[of] == name).float().mean()) for name in (1, 2)) > 0.95


def test_more_objects_than_places_are_as_many_as_places() -> None:
    watched, _ = scene([(4, 7)])
    scores = torch.full((T, H, W), -1.0)
    scores[2, 5, 5:8] = 1
    parts = objects(watched, scores, 40)
    assert parts is not None
    assert parts.shape[1] == 3
    assert objects(watched, scores - 5, 4) is None


@pytest.mark.parametrize("size", [(17, 31), (480, 640), (1, 9)])
def test_labels_are_as_large_as_the_frame(size: tuple[int, int]) -> None:
    frame = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    found = labels(frame, torch.ones(H, W), torch.rand(2, H, W))
    assert found.shape == size
    assert set(np.unique(found)) <= {1, 2}
    assert not labels(frame, torch.ones(H, W), None).any()


def test_values_follow_the_flow() -> None:
    values = torch.zeros(2, 1, 8)
    values[0, 0, 2] = values[1, 0, 4] = 1
    there = torch.zeros(1, 2, 1, 8)
    there[:, 0] = 2
    found = followed(values, there, -there, 1)
    torch.testing.assert_close(found, values)
    assert followed(values, 0 * there, 0 * there, 1).max() < 1


def test_otsu_parts_two_humps() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 0.1, 900), rng.normal(3, 0.1, 100)])
    assert 0.3 < otsu(values) < 2.7
    assert np.isfinite(otsu(np.zeros(10)))


def test_components_keep_lengths() -> None:
    torch.manual_seed(0)
    maps = [[torch.randn(6, 4, 5) * 50 + 7, torch.randn(3, 4, 5) / 50] for _ in range(8)]
    basis = Basis(maps, 64)
    found = torch.stack([basis.reduce(each) for each in maps]).float()
    assert found.shape == (8, 9, 4, 5)
    assert found.mean((0, 2, 3)).abs().max() < 0.01
    assert float(found.square().sum(1).mean()) == pytest.approx(1, abs=0.01)
