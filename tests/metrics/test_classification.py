import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.metrics.classification import confusion, per_class, topk_accuracy, validation_loss, video_scores


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 20), st.integers(2, 6), st.integers(1, 8))
def test_topk_counts_classes_that_score_as_high(seed, rows, classes, k):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 3, (rows, classes)).astype(float), rng.integers(0, classes, rows)
    hits = [sum(other >= row[label] for other in row) <= k for label, row in zip(labels, scores, strict=True)]
    assert topk_accuracy(torch.tensor(scores), torch.tensor(labels), (k,))[k] == pytest.approx(np.mean(hits))


def test_without_ties_topk_is_membership_in_a_sort():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((50, 7)), rng.integers(0, 7, 50)
    order = np.argsort(-scores, axis=1)[:, :3]
    expected = np.mean([label in row for label, row in zip(labels, order, strict=True)])
    assert topk_accuracy(torch.tensor(scores), torch.tensor(labels), (3,))[3] == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 5))
def test_confusion_counts_pairs(seed, rows, classes):
    rng = np.random.default_rng(seed)
    labels, predictions = rng.integers(0, classes, rows), rng.integers(0, classes, rows)
    matrix = confusion(labels, predictions, classes)
    assert matrix.sum() == rows
    for a in range(classes):
        for b in range(classes):
            assert matrix[a, b] == np.sum((labels == a) & (predictions == b))
        mine = labels == a
        expected = np.mean(predictions[mine] == a) if mine.any() else np.nan
        np.testing.assert_equal(per_class(matrix)[a], expected)


def test_a_video_score_ignores_absent_clips_whatever_they_hold():
    logits = torch.tensor([[[2.0, 0.0], [float("nan"), 1.0]], [[1.0, 1.0], [5.0, 0.0]]])
    present = torch.tensor([[True, False], [False, False]])
    scores = video_scores(logits, present)
    torch.testing.assert_close(scores[0], logits[0, 0].softmax(0))
    assert scores[1].tolist() == [0.0, 0.0]


def test_validation_loss_averages_batches_not_clips():
    logits = torch.tensor([[[9.0, 0.0]], [[9.0, 0.0]], [[0.0, 9.0]]])
    labels, present = torch.zeros(3, dtype=torch.int64), torch.ones(3, 1, dtype=torch.bool)
    right, wrong = np.log1p(np.exp(-9)), 9 + np.log1p(np.exp(-9))
    assert validation_loss(logits, labels, present, batch=2) == pytest.approx((right + wrong) / 2, rel=1e-5)
    assert np.isnan(validation_loss(logits, labels, ~present))


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit 2 classes"):
        topk_accuracy(torch.zeros(1, 2), torch.tensor([2]))
    with pytest.raises(ValueError, match="not numbers"):
        topk_accuracy(torch.full((1, 2), float("nan")), torch.tensor([1]))
    with pytest.raises(ValueError, match="no rows"):
        topk_accuracy(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
