import numpy as np
import pytest
import torch
from torch import nn

from telltime.checkpoints.model import Model, load
from telltime.datasets import load as load_data
from telltime.tasks.clips import new_classifier
from telltime.tasks.linear import linear
from telltime.tasks.linear_paper import PaperProbe, linear_paper
from telltime.tasks.measuring import Reading
from telltime.tasks.probe_schedule import ProbeSchedule, validates


@pytest.fixture
def splits(tiny_ucf):
    return load_data("ucf101", tiny_ucf, "train"), load_data("ucf101", tiny_ucf, "test")


def weights(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def test_frozen_learns_colours_and_leaves_the_model_alone(splits, tiny_model, tmp_path):
    before = weights(tiny_model)
    result = linear(tiny_model, *splits, Reading(cache=tmp_path), positions=4)
    assert same(before, tiny_model.state_dict())
    assert set(result.metrics) == {"top1", "top5", "mean_class_top1", "train_top1"}
    assert result.metrics["top1"] >= 0.8
    assert result.metrics["top5"] == 1.0
    assert result.protocol == "frozen"
    details = result.details
    assert details["classes"] == ["ApplyEyeMakeup", "Archery", "BabyCrawling"]
    assert details["confusion"].sum() == 6
    assert np.trace(details["confusion"]) / 6 == pytest.approx(result.metrics["top1"])
    assert details["chance"]["top1"] == pytest.approx(1 / 3)
    again = linear(tiny_model, *splits, Reading(cache=tmp_path), positions=4)
    assert again.metrics == result.metrics


def test_frozen_with_a_class_missing_in_train_names_it(splits, tiny_model):
    train, test = splits
    train = train.take([i for i, record in enumerate(train.records) if record.label != 1])
    result = linear(tiny_model, train, test, positions=2)
    assert result.details["per_class"]["Archery"] == 0
    assert any("Archery: in the test split but not in the training split" in note for note in result.details["notes"])
    only = train.take([i for i, record in enumerate(train.records) if record.label == 0])
    result = linear(tiny_model, only, test, positions=2)
    assert result.metrics["top1"] == pytest.approx(1 / 3)
    assert "holds one class only, ApplyEyeMakeup" in " ".join(result.details["notes"])


def test_paper_reports_best_and_last_and_keeps_the_model(splits, tiny_model, tmp_path):
    before = weights(tiny_model)
    result = linear_paper(tiny_model, *splits, epochs=2, positions=2, batch=4, out=tmp_path)
    assert same(before, tiny_model.state_dict())
    assert result.metrics["top1"] >= result.metrics["top1_last"]
    assert result.metrics["epochs"] == 2
    assert len(result.details["curves"]["train loss"][1]) == 2
    probe = load(tmp_path / "model")
    assert probe.classifier.out_features == 3
    drifted = probe.state_dict()["backbone.stem.1.running_mean"]
    assert not torch.equal(drifted, before["backbone.stem.1.running_mean"])
    assert torch.equal(probe.state_dict()["backbone.stem.0.weight"], before["backbone.stem.0.weight"])
    again = linear_paper(tiny_model, *splits, epochs=2, positions=2, batch=4)
    assert again.metrics == result.metrics


def test_schedule_of_the_reference(golden):
    file = golden.json("tclr_linear_protocol.json")
    schedule, rates = ProbeSchedule(), []
    for loss in file["train_losses"]:
        rates.append(schedule.begin())
        if schedule.end(loss):
            break
    assert rates == pytest.approx(file["lrs"], rel=1e-12)
    ran = range(len(rates))
    assert [epoch for epoch in ran if validates(epoch, last=99)] == file["val_epochs"]
    saved = [entry[0] for entry in file["files"] if entry[1] == "model_temp.pth"]
    assert saved == [epoch + 1 for epoch in ran]


def test_the_probe_ends_after_an_epoch_below_the_floor():
    schedule, rates = ProbeSchedule(), []
    for loss in [1.0, *[2.0] * 99]:
        rates.append(schedule.begin())
        if schedule.end(loss):
            break
    assert rates == pytest.approx([1e-2] * 4 + [1e-3] * 3 + [1e-4] * 3 + [1e-5] * 3 + [1e-6])


def test_forward_and_three_batches_of_the_reference(golden, tmp_path):
    torch.set_num_threads(2)
    file = golden.npz("tclr_linear_forward.npz")
    keys = golden.json("tclr_r3d18_mlp_keys.json")
    blank = {k: torch.zeros(s, dtype=torch.int64 if k.endswith("tracked") else torch.float32) for k, s in keys.items()}
    state = golden.fill(blank, golden.seed)
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "published.pth")
    model = load(tmp_path / "published.pth")
    classes, channels = file["fc_weight_after"].shape
    classifier = nn.Linear(channels, classes)
    filled = golden.fill({f"fc.{key}": value for key, value in classifier.state_dict().items()}, golden.seed)
    classifier.load_state_dict({key[3:]: value for key, value in filled.items()})

    clips = golden.tensor("tclr/clip_lin", (len(file["logits_eval"]), 3, 16, 64, 64), golden.seed)
    with torch.no_grad():
        logits = classifier(model.encode(clips).pooled)
    np.testing.assert_allclose(logits, file["logits_eval"], atol=2e-4)

    labels = torch.from_numpy(file["labels"])
    probe = PaperProbe(model.double(), classifier.double())
    batches = []
    for i, own in enumerate(labels):
        batch = golden.tensor(f"tclr/linear/clip{i}", (len(own), 16, 3, 40, 40), golden.seed)
        batches.append((batch.transpose(1, 2).double(), own))
    loss = probe.train_epoch(batches, rate=1e-2)
    assert loss == pytest.approx(float(file["train_loss_mean"]), rel=1e-9)
    np.testing.assert_allclose(classifier.weight.detach(), file["fc_weight_after"], atol=1e-9)
    np.testing.assert_allclose(classifier.bias.detach(), file["fc_bias_after"], atol=1e-9)
    after = probe.model.backbone.state_dict()
    for key, value in file.items():
        if key.startswith("after:"):
            np.testing.assert_allclose(after[key[6:]], value, rtol=1e-9, atol=1e-12)


def test_a_probe_without_batches_says_so(tiny_model):
    probe = PaperProbe(tiny_model, new_classifier(16, 3, 0))
    with pytest.raises(ValueError, match="not one batch"):
        probe.train_epoch([], 1e-2)
    assert isinstance(probe.model, Model)
