import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from telltime.backbones.scene_head import SceneHead
from telltime.clips.scene_frames import scene_frames, used_frames


@pytest.fixture(scope="module")
def stored(golden):
    return golden.npz("ticl_video_probe.npz")


@pytest.fixture(scope="module")
def head(golden, stored):
    classes, dim = stored["grad_classifier_weight"].shape
    made = SceneHead(dim, classes, stored["grad_conv_weight"].shape[1])
    made.load_state_dict(golden.fill(made.state_dict(), int(stored["seed"])))
    return made


def close(ours, reference, tolerance=2e-5):
    np.testing.assert_allclose(ours.detach().numpy(), reference, rtol=tolerance, atol=tolerance)


def test_frames_are_weighted_and_classified_as_published(head, stored):
    frames = torch.from_numpy(stored["frame_features"][:, stored["used_frames"]])
    close(head.aggregated(frames), stored["aggregated"])
    logits = head(frames)
    close(logits, stored["logits"])
    loss = cross_entropy(logits, torch.from_numpy(stored["labels"]))
    close(loss, stored["loss"])
    loss.backward()
    close(head.conv1x1.weight.grad, stored["grad_conv_weight"])
    close(head.conv1x1.bias.grad, stored["grad_conv_bias"])
    close(head.classifier.weight.grad, stored["grad_classifier_weight"])
    close(head.classifier.bias.grad, stored["grad_classifier_bias"])
    head.zero_grad()


def test_a_videos_own_features_stand_beside_its_frames(golden, stored):
    classes, dim = stored["grad_classifier_weight"].shape
    tokens = torch.from_numpy(stored["videomae_tokens"])
    made = SceneHead(dim, classes, len(stored["used_frames"]), tokens.shape[-1])
    seed = int(stored["seed"])
    for part in (made.norm, made.classifier):
        part.load_state_dict(golden.fill(part.state_dict(), seed))
    conv = golden.fill({f"conv1x1.{k}": v for k, v in made.conv1x1.state_dict().items()}, seed)
    made.conv1x1.load_state_dict({key.partition(".")[2]: value for key, value in conv.items()})
    frames = torch.from_numpy(stored["frame_features"][:, stored["used_frames"]])
    close(made(frames, tokens.mean(1)), stored["concat_logits"])
    with pytest.raises(ValueError, match="of the whole video"):
        made(frames)


def test_the_same_frames_are_read_as_published(stored):
    for frames, guarded, unguarded in zip(
        stored["video_lengths"].tolist(), stored["sampled_frames_guarded"], stored["sampled_frames_yup"], strict=True
    ):
        ours = scene_frames(frames)
        np.testing.assert_array_equal(ours, guarded)
        assert (unguarded == ours).all() or (unguarded == -1).all()
        np.testing.assert_array_equal(used_frames(frames), ours[stored["used_frames"]])


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 31, 10_000])
def test_any_length_gives_frames_that_exist(frames):
    chosen = scene_frames(frames)
    assert len(chosen) == 16
    assert chosen[0] == 0
    assert 0 <= chosen.min() <= chosen.max() < frames
    assert (np.diff(chosen) >= 0).all()


def test_no_frames_are_an_error():
    with pytest.raises(ValueError, match="0 frames"):
        scene_frames(0)
