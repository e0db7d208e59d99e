import numpy as np
import pytest
import torch

from telltime.tasks.logistic import DEFAULT_PENALTY, PENALTIES, fit_logistic


def fit(features, labels, groups, classes):
    return fit_logistic(features, torch.ones(features.shape[:2], dtype=torch.bool), labels, groups, classes)


def blobs(videos, classes, clips=3, dim=8, noise=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = np.arange(videos) % classes
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
    features = centres[labels][:, None] + noise * torch.randn(videos, clips, dim, generator=generator)
    return features, labels, [f"{i // 2}" for i in range(videos)]


@pytest.mark.parametrize("classes", [2, 5])
def test_separated_classes_are_told_apart_and_an_unseen_class_never_wins(classes):
    features, labels, groups = blobs(40, classes)
    probe = fit(features, labels, groups, classes + 2)
    unseen, truth, _ = blobs(40, classes, seed=1)
    logits = probe.logits(unseen)
    assert logits.shape == (40, 3, classes + 2)
    assert (logits[:, 0].argmax(-1).numpy() == truth).mean() > 0.9
    assert logits.softmax(-1)[..., classes:].max() == 0
    assert probe.penalty in PENALTIES
    assert probe.chosen


def test_scale_and_offset_of_features_do_not_matter():
    features, labels, groups = blobs(30, 3)
    features[..., 0] = 5.0
    moved = features * torch.logspace(-3, 3, 8) + 10 * torch.arange(8)
    one, other = (fit(f, labels, groups, 3) for f in (features, moved))
    torch.testing.assert_close(one.logits(features), other.logits(moved), atol=0.05, rtol=0.05)


def test_one_video_a_class_leaves_nothing_to_choose_on():
    features, labels, groups = blobs(3, 3)
    probe = fit(features, labels, groups, 3)
    assert (probe.penalty, probe.chosen) == (DEFAULT_PENALTY, False)
    assert (probe.logits(features).argmax(-1).numpy() == labels[:, None]).all()


def test_noise_is_penalised_more_than_signal():
    generator = torch.Generator().manual_seed(0)
    labels, groups = np.arange(60) % 2, [str(i) for i in range(60)]
    noise = fit(torch.randn(60, 2, 30, generator=generator), labels, groups, 2)
    assert noise.penalty >= 0.1


def test_a_single_class_is_always_said_and_none_refused():
    probe = fit(torch.rand(4, 1, 2), np.full(4, 2), ["a", "b", "c", "d"], 3)
    assert probe.logits(torch.rand(5, 2)).softmax(-1)[:, 2].tolist() == [1.0] * 5
    assert not probe.chosen
    with pytest.raises(ValueError, match="there are none"):
        fit(torch.zeros(0, 1, 2), np.zeros(0, dtype=np.int64), [], 3)


def test_absent_clips_are_not_learned_from():
    features, labels, groups = blobs(20, 2)
    present = torch.ones(20, 3, dtype=torch.bool)
    present[::3, 1] = False
    spoilt = features.clone()
    spoilt[~present] = float("nan")
    one, other = (fit_logistic(f, present, labels, groups, 2) for f in (features, spoilt))
    torch.testing.assert_close(one.weight, other.weight)
