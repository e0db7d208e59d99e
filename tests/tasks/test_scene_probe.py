"""The classifier on fixed features: does it come to its optimum, and does it choose on what was held out?"""

import numpy as np
import pytest
import torch

from telltime.tasks.scene_probe import SceneInputs, fit_scene_probe
from telltime.tasks.scenes_published import PublishedInputs, PublishedProbe, train_published


def made(seed=0, videos=90, classes=3, noise=1.0):
    """Videos whose class is in the difference of the first two of their four frames, and in no frame alone."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(videos) % classes
    ground = torch.randn(videos, 1, 8, generator=rng) * 3
    frames = ground + noise * 0.3 * torch.randn(videos, 4, 8, generator=rng)
    frames[:, 0, :classes] += torch.eye(classes)[labels]
    frames[:, 1, :classes] -= torch.eye(classes)[labels]
    return frames, labels.numpy()


def test_the_frames_are_weighted_as_the_classes_need_it():
    frames, labels = made()
    asked, wanted = made(1)
    probe = fit_scene_probe(SceneInputs(frames), labels, 3, groups=[str(i) for i in range(len(labels))])
    assert probe.chosen
    told = probe.logits(SceneInputs(asked)).argmax(1).numpy()
    assert (told == wanted).mean() > 0.9
    mix = probe.mix / probe.mix.abs().max()
    assert mix[0] * mix[1] < -0.3
    mean = fit_scene_probe(SceneInputs(frames.mean(1, keepdim=True)), labels, 3)
    assert (mean.logits(SceneInputs(asked.mean(1, keepdim=True))).argmax(1).numpy() == wanted).mean() < 0.7


def test_features_of_the_whole_video_stand_beside_the_frames():
    frames, labels = made(noise=20)
    rng = torch.Generator().manual_seed(5)
    video = torch.eye(3)[torch.as_tensor(labels)] + 0.2 * torch.randn(len(labels), 3, generator=rng)
    both = fit_scene_probe(SceneInputs(frames, video), labels, 3)
    alone = fit_scene_probe(SceneInputs(None, video), labels, 3)
    for probe, inputs in ((both, SceneInputs(frames, video)), (alone, SceneInputs(None, video))):
        assert (probe.logits(inputs).argmax(1).numpy() == labels).mean() > 0.95


def test_units_do_not_matter():
    frames, labels = made()
    scale = torch.logspace(-3, 3, 8)
    one = fit_scene_probe(SceneInputs(frames), labels, 3)
    other = fit_scene_probe(SceneInputs(frames * scale + 7), labels, 3)
    torch.testing.assert_close(
        one.logits(SceneInputs(frames)), other.logits(SceneInputs(frames * scale + 7)), atol=5e-2, rtol=5e-2
    )


def test_classes_without_training_videos_are_never_told():
    frames, labels = made()
    probe = fit_scene_probe(SceneInputs(frames), labels * 2, 6)
    told = probe.logits(SceneInputs(frames)).argmax(1).numpy()
    assert set(told) <= {0, 2, 4}
    single = fit_scene_probe(SceneInputs(frames), np.full(len(labels), 4), 6)
    assert (single.logits(SceneInputs(frames)).argmax(1) == 4).all()


def test_a_validation_split_chooses_and_is_not_fitted():
    frames, labels = made()
    held, wrong = made(2)
    probe = fit_scene_probe(SceneInputs(frames), labels, 3, (SceneInputs(held), (wrong + 1) % 3))
    assert probe.chosen
    assert probe.penalty == 1.0  # where the held-out labels are wrong, the least sure probe is the best


def test_no_videos_are_an_error():
    with pytest.raises(ValueError, match="there are none"):
        fit_scene_probe(SceneInputs(torch.zeros(0, 4, 8)), np.zeros(0, dtype=int), 3)


def published(seed=0):
    frames, labels = made()
    turned = frames.flip(2)
    probe = PublishedProbe(8, 3, 4, hidden=6, seed=seed)
    train = PublishedInputs(frames, torch.as_tensor(labels), turned)
    asked = PublishedInputs(frames, torch.as_tensor(labels))
    return probe, train_published(probe, train, asked, asked, 1e-3, 3, seed)


def test_the_published_program_learns_and_is_the_same_for_a_seed():
    probe, found = published()
    assert len(found.losses) == len(found.scores) == 3
    assert found.losses[-1] < found.losses[0]
    assert found.scores[found.epoch - 1] == max(found.scores)
    again = published()[1]
    torch.testing.assert_close(found.last, again.last)
    assert not torch.equal(published(1)[1].last, again.last)
    assert probe.adapter is not None


def test_its_layers_are_drawn_as_it_draws_them():
    probe = PublishedProbe(400, 50, 4, hidden=300)
    for weight in (probe.adapter.adapter[0].weight, probe.head.classifier.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not probe.head.classifier.bias.any()
    assert probe.head.conv1x1.weight.std() > 0.05
    assert PublishedProbe(8, 3, 4).adapter is None
