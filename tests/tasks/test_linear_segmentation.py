from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from squares import SIDE, Colours, table

from telltime.backbones.dense import DenseEncoder
from telltime.clips.policy import BadMedia
from telltime.datasets.record import DatasetError
from telltime.features.crops import Crops
from telltime.tasks.linear_segmentation import LinearHead, linear_segmentation, pixel_loss, settings_of
from telltime.tasks.measuring import Reading

SMALL = {"size": SIDE, "masks": 32, "epochs": 12, "drop": 8, "rate": 0.5, "batch": 4}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    root = tmp_path_factory.mktemp("squares")
    return table(root, "train", 8, 0, void=True), table(root, "test", 4, 1, void=True)


@pytest.mark.parametrize("preset", ["paper", "leopart"])
def test_colours_are_told_apart(splits, preset):
    result = linear_segmentation(Colours(), *splits, settings_of(preset, **SMALL), Reading())
    assert result.metrics["miou"] > 0.75
    assert set(result.details["per_class"]) == {"background", "red", "green"}
    losses = result.details["curves"]["training loss"]
    assert len(losses) == 12
    assert losses[-1] < 0.5 * losses[0]
    assert result.records == 4
    assert len(result.details["segmented"]) == 4


def test_whole_frames_are_encoded_once_and_crops_every_epoch(splits):
    whole, cropped = Colours(), Colours()
    settings = settings_of("paper", **(SMALL | {"epochs": 3}))
    linear_segmentation(whole, *splits, settings, Reading())
    linear_segmentation(cropped, *splits, replace(settings, crops=Crops((0.8, 1.0), flip=0.5)), Reading())
    assert whole.passes == 8 + 4
    assert cropped.passes == 3 * 8 + 4


def test_the_same_seed_gives_the_same_score_for_any_number_of_threads(splits):
    settings = settings_of("leopart", **(SMALL | {"epochs": 2}))
    one = linear_segmentation(Colours(), *splits, settings, Reading(), seed=3)
    two = linear_segmentation(Colours(), *splits, settings, Reading(workers=2), seed=3)
    assert one.metrics == two.metrics


def test_objects_of_videos_become_foreground(tmp_path):
    parts = table(tmp_path, "train", 6, 0, objects="instances"), table(tmp_path, "test", 2, 1, objects="instances")
    result = linear_segmentation(Colours(), *parts, settings_of("paper", **SMALL), Reading())
    assert set(result.details["per_class"]) == {"background", "foreground"}
    assert any("foreground and background" in note for note in result.details["notes"])


def test_scores_before_and_after_upsampling_are_the_same_as_of_upsampled_features():
    torch.manual_seed(0)
    head, grids = LinearHead(5, 3), torch.randn(2, 5, 4, 6)
    wide = F.interpolate(grids, (10, 13), mode="bilinear")
    torch.testing.assert_close(head(grids, (10, 13)), head.convolution(wide))


def test_void_pixels_have_no_loss():
    scores, labels = torch.randn(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8)
    half = labels.clone()
    half[:, :, 2:] = 255
    torch.testing.assert_close(pixel_loss(scores, half), pixel_loss(scores[..., :2], labels[..., :2]))
    assert pixel_loss(scores, torch.full_like(labels, 255)) == 0


def test_a_label_beyond_the_classes_is_told(tmp_path):
    parts = (table(tmp_path, part, 2, 0, classes=("background", "red")) for part in ("train", "test"))
    with pytest.raises(DatasetError, match="holds 2, but there are 2 classes"):
        linear_segmentation(Colours(), *parts, settings_of("paper", **SMALL), Reading())


def test_classes_without_names_are_counted(tmp_path):
    parts = [table(tmp_path, part, 3, seed, classes=()) for seed, part in enumerate(("train", "test"))]
    result = linear_segmentation(Colours(), *parts, settings_of("paper", **SMALL), Reading())
    assert set(result.details["per_class"]) == {"background", "label 1", "label 2"}


def test_a_broken_picture_is_left_out_and_named(tmp_path):
    train, test = table(tmp_path, "train", 5, 0), table(tmp_path, "test", 2, 1)
    train.records[2].path.write_bytes(b"no picture")
    policy = BadMedia("skip", tmp_path / "dropped.jsonl", 0.5)
    result = linear_segmentation(Colours(), train, test, settings_of("paper", **SMALL), Reading(policy=policy))
    assert result.dropped == 1
    assert "train2" in (tmp_path / "dropped.jsonl").read_text()


def test_learning_from_what_is_measured_is_said(splits):
    result = linear_segmentation(Colours(), splits[0], splits[0], settings_of("paper", **SMALL), Reading())
    assert any("Measured on what was learnt from" in note for note in result.details["notes"])


def test_unknown_presets_are_named():
    with pytest.raises(ValueError, match="paper, leopart, not quick"):
        settings_of("quick")


def test_the_probe_meets_the_reference(golden):
    """Tokens of a ViT-S/16 at 448 pixels, their classifier, its loss and gradients."""
    file = golden.npz("timet_linear.npz")
    seed = int(file["seed"])
    encoder = DenseEncoder("vit_small_patch16_224.dino", pretrained=False, position="published")
    weights = {"model.feature_extractor.backbone." + key: value for key, value in encoder.network.state_dict().items()}
    head = LinearHead(encoder.channels, file["head_weight_grad"].shape[0])
    weights |= {"finetune_head." + key: value for key, value in head.convolution.state_dict().items()}
    filled = golden.fill(weights, seed)
    for module, prefix in (
        (encoder.network, "model.feature_extractor.backbone."),
        (head.convolution, "finetune_head."),
    ):
        module.load_state_dict({key: filled[prefix + key] for key in module.state_dict()})
    labels = golden.timet_inputs.labels("timet.linear.labels", 2, len(head.convolution.weight), 100, 100, seed, cell=16)
    labels[:, :3] = 255
    with torch.no_grad():
        grids = encoder(golden.tensor("timet.linear", (2, 3, 448, 448), seed))
    scores = head(grids, (100, 100))
    loss = pixel_loss(scores, torch.from_numpy(labels))
    loss.backward()
    np.testing.assert_allclose(scores.detach()[:, :, ::10, ::10], file["logits_every10"], atol=2e-5)
    assert float(loss.detach()) == pytest.approx(float(file["loss"]), abs=1e-5)
    for grad, name in (
        (head.convolution.weight.grad, "head_weight_grad"),
        (head.convolution.bias.grad, "head_bias_grad"),
    ):
        np.testing.assert_allclose(grad, file[name], atol=1e-5 * np.abs(file[name]).max())
