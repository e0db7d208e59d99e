import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from telltime.backbones.timesformer import TimeSformer
from telltime.checkpoints.model import ClipSpec, Model, load
from telltime.clips.policy import BadMedia
from telltime.datasets import DatasetError
from telltime.datasets import load as load_data
from telltime.media.video import Video
from telltime.methods.time import TIME
from telltime.tasks import clip_outputs as shared
from telltime.tasks.action import Sights, action, view_scores
from telltime.tasks.clip_outputs import clip_outputs
from telltime.tasks.measuring import Reading
from telltime.tasks.vocabulary import columns_of
from telltime.training.start import exporter
from telltime.views.time_reader import TimeReader, TimeTestReader

CLASSES = ("ApplyEyeMakeup", "Archery", "BabyCrawling")


class Colours(nn.Module):
    """A network of clips that sees the mean of each colour of each frame."""

    channels = 3

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, clips):
        return self.scale * clips.mean((3, 4), keepdim=True)


def seer(**more):
    """A model whose classes are colours: right about nearly every video of ``tiny_ucf``."""
    classifier = nn.Linear(3, 3)
    nn.init.eye_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    clip = ClipSpec(frames=4, size=32, crop=1.0, order="rgb", sampling="segments")
    return Model(Colours(), clip, classifier=classifier, **more).eval()


@pytest.fixture
def test_split(tiny_ucf):
    return load_data("ucf101", tiny_ucf, "test")


def test_views_are_summed_and_all_is_kept(test_split, tmp_path):
    model = seer()
    result = action(model, test_split, Reading(batch=4), out=tmp_path)
    assert result.protocol == "1 x 3 views, sum"
    assert result.records == 6
    assert result.metrics["top1"] >= 0.8
    assert result.metrics["top5"] == 1.0
    assert result.details["confusion"].sum() == 6
    assert result.details["chance"] == {"top1": pytest.approx(1 / 3), "top5": 1.0}
    told = json.loads((tmp_path / "predictions.json").read_text())
    kept = load_file(tmp_path / "scores.safetensors")
    assert told["classes"] == list(CLASSES)
    assert [video["id"] for video in told["videos"]] == [record.id for record in test_split.records]
    assert np.mean([video["right"] for video in told["videos"]]) == pytest.approx(result.metrics["top1"])
    assert kept["labels"].tolist() == test_split.labels().tolist()
    for row, video in enumerate(told["videos"]):
        assert video["top"][0]["class"] == told["classes"][kept["scores"][row].argmax()]
    clips = TimeTestReader(32, 4, 1, 3)(Video(test_split.records[0].path))["clips"]
    assert torch.allclose(kept["scores"][0], model.classify(clips).sum(0), rtol=1e-4, atol=1e-5)
    mean = action(model, test_split, fuse="softmax", sights=Sights(2, 1), out=tmp_path)
    assert mean.protocol == "2 x 1 views, softmax"
    assert torch.allclose(load_file(tmp_path / "scores.safetensors")["scores"].sum(1), torch.ones(6))


def test_a_model_of_consecutive_frames_is_asked_at_ten_places(test_split, tiny_model):
    tiny_model.classifier = nn.Linear(16, 3)
    result = action(tiny_model, test_split)
    assert result.protocol == "10 x 1 views, sum"
    assert set(result.metrics) == {"top1", "top5", "mean_class_top1", "clip_top1"}
    with pytest.raises(DatasetError, match="leave --crops out"):
        action(tiny_model, test_split, sights=Sights(1, 3))


def test_classes_are_known_by_name(test_split):
    shuffled = ["[Archery]", "Surfing", "babycrawling", "ApplyEyeMakeup"]
    model = seer(meta={"labels": shuffled})
    model.classifier = nn.Linear(3, 4)
    columns, names = columns_of(model, test_split)
    assert columns[:3].tolist() == [3, 0, 2]
    assert names == tuple(shuffled)
    model.meta["labels"] = ["Archery", "Surfing", "BabyCrawling", "Diving"]
    with pytest.raises(DatasetError, match="does not know ApplyEyeMakeup of ucf101"):
        columns_of(model, test_split)
    model.meta = {}
    with pytest.raises(DatasetError, match="tells 4 classes, ucf101 has 3"):
        columns_of(model, test_split)
    model.meta = {"method": "tclr"}
    assert columns_of(model, test_split)[0].tolist() == [1, 2, 3]
    model.classifier = None
    with pytest.raises(DatasetError, match="no classifier to measure"):
        action(model, test_split)


def test_processes_share_videos_without_any_twice(test_split, monkeypatch):
    model = seer()
    odd = test_split.take(range(5))

    def say(batch, table):
        return {"scores": view_scores(model, batch, 4)}

    whole = clip_outputs(model, odd, TimeTestReader(32, 4, crops=1), Reading(batch=1), say)
    parts = []
    monkeypatch.setattr(shared, "gathered", lambda found: parts.append(found) or found)
    for rank in range(2):
        monkeypatch.setattr(shared, "processes", lambda rank=rank: (rank, 2))
        clip_outputs(model, odd, TimeTestReader(32, 4, crops=1), Reading(batch=1), say)
    assert sorted(parts[0]) == [0, 2, 4]
    assert sorted(parts[1]) == [1, 3]
    joined = parts[0] | parts[1]
    assert torch.allclose(torch.stack([joined[i]["scores"] for i in range(5)]), whole.values["scores"], atol=1e-5)


def test_nothing_readable_is_said(test_split, tmp_path):
    (tmp_path / "no.avi").write_text("no video")
    record = replace(test_split.records[0], path=tmp_path / "no.avi")
    reading = Reading(policy=BadMedia("skip", max_share=1.0))
    with pytest.raises(DatasetError, match="not one of 1 test videos"):
        action(seer(), replace(test_split, records=(record,)), reading)


def test_a_run_of_time_is_saved_with_its_classifier(test_split, tmp_path):
    torch.manual_seed(0)
    method = TIME(TimeSformer(4, 32, 16, 12, 1, 2), TimeReader(32, 4), classes=3).eval()
    exporter(method, {"recipe": "r", "data": "ucf101", "labels": list(CLASSES)})(tmp_path / "m", method.state_dict())
    model = load(tmp_path / "m")
    assert model.reads == "class"
    assert model.clip == ClipSpec(4, 2, 32, 1.0, "rgb", (0.5,) * 3, (0.5,) * 3, "segments")
    assert model.meta["labels"] == list(CLASSES)
    clips = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        seen = method.backbone.tokens_and_class(clips.transpose(1, 2) / 255 * 2 - 1)[1]
        assert torch.allclose(model.classify(clips), method.classifier(seen), atol=1e-5)
    assert action(model, test_split, sights=Sights(1, 1)).records == 6
    assert model.embed(torch.zeros(2, 4, 3, 32, 32, dtype=torch.uint8)).shape == (1, 48)
