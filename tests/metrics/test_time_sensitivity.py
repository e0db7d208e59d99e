import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.metrics.classification import fused_scores
from telltime.metrics.time_sensitivity import arranged, class_drops, divergence, rearranged


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(0, 999))
def test_shuffled_frames_are_all_there_and_not_in_order(frames, seed):
    drawn = arranged(frames, "shuffled", np.random.RandomState(seed))
    assert sorted(drawn.tolist()) == list(range(frames))
    assert drawn.tolist() != list(range(frames))


def test_arrangements_of_a_clip():
    rng = np.random.RandomState(0)
    assert arranged(5, "reversed", rng).tolist() == [4, 3, 2, 1, 0]
    assert arranged(5, "frozen", rng).tolist() == [2] * 5
    assert arranged(1, "shuffled", rng).tolist() == [0]
    with pytest.raises(ValueError, match="not 'backwards'"):
        arranged(5, "backwards", rng)
    clips = torch.arange(2 * 3 * 4).view(2, 3, 4, 1, 1, 1)
    found = rearranged(clips, torch.tensor([[3, 2, 1, 0], [1, 1, 1, 1]]))
    assert found.shape == clips.shape
    assert found[0, 1].flatten().tolist() == [7, 6, 5, 4]
    assert found[1, 2].flatten().tolist() == [21] * 4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(2, 9))
def test_divergence_is_nothing_between_equals_and_more_between_others(seed, classes):
    rng = torch.Generator().manual_seed(seed)
    one, other = torch.randn(2, 5, classes, generator=rng).softmax(-1)
    assert divergence(one, one).max() < 1e-6
    expected = (one * (one / other).log()).sum(-1)
    assert torch.allclose(divergence(one, other), expected, rtol=1e-4, atol=1e-6)


def test_divergence_of_certain_answers_is_a_number():
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert torch.isfinite(divergence(one, other)).all()
    assert divergence(one, one) == 0


def test_classes_that_need_time_are_told_from_luck():
    labels = np.repeat([3, 5, 8], [20, 20, 2])
    right = {"ordered": np.ones(42), "shuffled": np.ones(42), "frozen": np.ones(42)}
    right["shuffled"][:20] = right["frozen"][:20] = np.arange(20) % 2  # half of class 3 is lost
    right["shuffled"][20:40] = 0  # class 5 can be told from a frozen frame
    right["shuffled"][40:] = right["frozen"][40:] = 0  # class 8 has two videos
    found = {drop.column: drop for drop in class_drops(right, labels, ("shuffled", "frozen"))}
    assert [drop.column for drop in class_drops(right, labels, ("shuffled", "frozen"))] == [8, 3, 5]
    assert found[3].needs
    assert found[3].drop == pytest.approx(0.5)
    assert found[3].chance == pytest.approx(0.5**10)
    assert not found[5].needs
    assert found[5].drop == 0
    assert not found[8].needs
    assert found[8].chance == pytest.approx(0.25)


def test_absent_views_say_nothing():
    logits = torch.tensor([[[1.0, -2.0], [9.0, 9.0]]])
    present = torch.tensor([[True, False]])
    assert fused_scores(logits, present, "sum").tolist() == [[1.0, -2.0]]
    assert fused_scores(logits, present, "max").tolist() == [[1.0, 0.0]]
    assert torch.allclose(fused_scores(logits, present, "softmax"), logits[:, 0].softmax(-1))
    with pytest.raises(ValueError, match="not 'mean'"):
        fused_scores(logits, present, "mean")
