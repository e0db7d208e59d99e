"""The feature forwarder against a plain form of it, and at its edges."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from telltime.losses.forwarding import Forwarder, forward_labels, largest, min_max


def plain(features: Tensor, first: Tensor, last: int, radius: int, topk: int, temperature: float) -> Tensor:
    """One clip ``[T, C, h, w]`` by full affinities, every place compared with every place."""
    height, width = features.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y, x = y.flatten(), x.flatten()
    near = ((y[:, None] - y).abs() <= radius) & ((x[:, None] - x).abs() <= radius) if radius else None
    rows = F.normalize(features.flatten(2).mT, dim=-1)
    maps = [first.flatten(1).T]
    for now in range(1, len(features)):
        asked = [0, *range(max(1, now - last), now)]
        affinity = [(rows[now] @ rows[frame].T / temperature).exp() for frame in asked]
        affinity = [each if near is None else each * near for each in affinity]
        joined = torch.cat(affinity, dim=1)
        least = joined.topk(min(topk, joined.shape[1]), dim=1).values[:, -1:]
        joined = torch.where(joined < least, 0, joined)
        maps.append(joined / joined.sum(1, keepdim=True) @ torch.cat([maps[frame] for frame in asked]))
    return torch.stack(maps[1:]).mT.unflatten(2, (height, width))


@settings(max_examples=8, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 4), st.integers(1, 13), st.integers(1, 21)),
    last=st.integers(0, 3),
    radius=st.integers(0, 5),
    topk=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_form(shape: tuple[int, int, int], last: int, radius: int, topk: int, seed: int) -> None:
    torch.manual_seed(seed)
    frames, height, width = shape
    features = torch.randn(2, frames, 6, height, width, dtype=torch.float64)
    first = torch.rand(2, 3, height, width, dtype=torch.float64).softmax(1)
    carried = forward_labels(features, first, last, radius, topk, 0.1)
    for i in range(2):
        torch.testing.assert_close(carried[i], plain(features[i], first[i], last, radius, topk, 0.1))
    torch.testing.assert_close(carried.sum(2), torch.ones(2, frames - 1, height, width, dtype=torch.float64))


def test_ties_all_count() -> None:
    features = torch.zeros(1, 2, 2, 1, 5)
    features[:, :, 0] = 1
    first = torch.tensor([[[[1.0, 0, 0, 0, 0]], [[0, 1.0, 1.0, 1.0, 1.0]]]])
    carried = forward_labels(features, first, radius=0, topk=2)
    torch.testing.assert_close(carried[0, 0, 0, 0], torch.full((5,), 0.2))


def test_streaming_keeps_only_the_frames_it_may_ask() -> None:
    torch.manual_seed(0)
    features, first = torch.randn(1, 6, 4, 9, 20), torch.rand(1, 2, 9, 20)
    forwarder = Forwarder(features[:, 0], first, last_frames=2, radius=3)
    steps = [forwarder.step(frame) for frame in features[:, 1:].unbind(1)]
    assert len(forwarder._last) == 2
    torch.testing.assert_close(torch.stack(steps, 1), forward_labels(features, first, last_frames=2, radius=3))


def test_nothing_beyond_the_radius_is_asked() -> None:
    features = torch.ones(1, 2, 3, 1, 40)
    first = torch.zeros(1, 1, 1, 40)
    first[..., 20] = 1
    carried = forward_labels(features, first, radius=4, topk=40)[0, 0, 0, 0]
    assert (carried.nonzero().flatten() == torch.arange(16, 25)).all()


def test_a_clip_of_one_frame_and_half_precision() -> None:
    assert forward_labels(torch.ones(2, 1, 3, 4, 5), torch.ones(2, 6, 4, 5)).shape == (2, 0, 6, 4, 5)
    half = forward_labels(torch.randn(1, 2, 3, 4, 5).bfloat16(), torch.ones(1, 6, 4, 5, dtype=torch.uint8))
    assert half.dtype == torch.float32


def test_min_max_leaves_empty_and_flat_maps() -> None:
    maps = torch.stack([torch.tensor([[0.2, 0.6]]), torch.zeros(1, 2), torch.full((1, 2), 0.5)])
    expected = torch.stack([torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2), torch.full((1, 2), 0.5)])
    torch.testing.assert_close(min_max(maps), expected)
    features = torch.randn(1, 3, 4, 5, 6)
    carried = forward_labels(features, torch.rand(1, 2, 5, 6), normalise="minmax")
    torch.testing.assert_close(carried.amax((-2, -1)), torch.ones(1, 2, 2))


@pytest.mark.parametrize("size", [3, 64, 640, 1003])
def test_largest(size: int) -> None:
    torch.manual_seed(size)
    values = torch.randint(0, 50, (4, 7, size)).float()
    torch.testing.assert_close(largest(values, 5), values.sort(-1, descending=True).values[..., :5])


def test_what_does_not_fit_is_refused() -> None:
    features, first = torch.ones(1, 2, 3, 4, 5), torch.ones(1, 2, 4, 5)
    with pytest.raises(ValueError, match="on one grid"):
        forward_labels(features, first[..., :4])
    with pytest.raises(ValueError, match="topk"):
        forward_labels(features, first, topk=0)
    with pytest.raises(ValueError, match="minmax"):
        forward_labels(features, first, normalise="max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="first frame"):
        Forwarder(features[:, 0], first).step(features[:, 1, :, :3])
