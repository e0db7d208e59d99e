import json

import numpy as np
import pytest
import torch
from torch import nn

from telltime.checkpoints.model import ClipSpec, Model
from telltime.clips.item import item_rng
from telltime.datasets import DatasetError, Record, Table
from telltime.media.write import write_video
from telltime.report.evaluation import report
from telltime.tasks.measuring import Reading
from telltime.tasks.time_probes import probe_features, probe_orders, probe_scores
from telltime.tasks.time_sensitivity import time_sensitivity


class Course(nn.Module):
    """A network that sees how the light of a clip goes, and how light it is in its first third and on the whole."""

    channels = 3

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, clips):
        light = clips.mean((1, 3, 4))
        t = torch.linspace(-1, 1, light.shape[1])
        seen = torch.stack([(light * t).mean(1), (light * (t.abs() - 0.5)).mean(1), light.mean(1)], 1)
        return self.scale * seen[..., None, None, None]


def model(classifier=True, frames=6):
    head = nn.Linear(3, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[-60.0, 0, 0], [60.0, 0, 0]]))
        head.bias.zero_()
    clip = ClipSpec(frames=frames, size=16, crop=1.0, order="rgb", sampling="segments")
    return Model(Course(), clip, classifier=head if classifier else None, meta={"labels": ["falls", "rises"]}).eval()


@pytest.fixture(scope="module")
def lights(tmp_path_factory):
    """Videos that grow lighter or darker: two classes that only time tells apart; train and test."""
    root = tmp_path_factory.mktemp("lights")
    tables = {}
    for split, count in (("train", 8), ("test", 10)):
        records = []
        for number in range(2 * count):
            label, rng = number % 2, np.random.default_rng([number, len(split)])
            levels = np.linspace(60, 180, 18) + rng.uniform(-20, 20) + rng.uniform(-3, 3, 18)
            path = root / split / f"{number}.avi"
            write_video(path, (np.full((16, 24, 3), v, np.uint8) for v in (levels if label else levels[::-1])))
            records.append(Record(f"{split}/{number}", path, label))
        tables[split] = Table("lights", split, root, ("falls", "rises"), tuple(records))
    return tables


def test_a_network_that_attends_to_time_loses_without_it(lights, tmp_path):
    result = time_sensitivity(model(), lights["train"], lights["test"], Reading(batch=8), out=tmp_path)
    metrics = result.metrics
    assert metrics["ordered_top1"] == 1.0
    assert metrics["reversed_top1"] == 0.0
    assert 0.2 < metrics["shuffled_top1"] < 0.8
    assert metrics["frozen_top1"] == 0.5
    assert metrics["frozen_confidence"] == pytest.approx(0.5, abs=0.01)
    assert metrics["shuffled_confidence"] < metrics["ordered_confidence"]
    assert metrics["reversed_confidence"] == pytest.approx(metrics["ordered_confidence"], abs=0.02)
    assert metrics["reversed_divergence"] > metrics["shuffled_divergence"] > 0
    assert metrics["classes_needing_time"] == 1  # the other is what a frozen clip is taken for
    assert result.details["chance"]["frame_order_accuracy"] == pytest.approx(1 / 6)
    told = json.loads((tmp_path / "time_sensitivity.json").read_text())["videos"]
    assert len(told) == 20
    assert all(video["ordered"]["right"] == 1 and video["reversed"]["right"] == 0 for video in told)
    page = report(result).html()
    assert page.count("data:image/webp") == 8
    assert "Which classes need time" in page
    assert "points above chance" in page
    again = time_sensitivity(model(), lights["train"], lights["test"], Reading(batch=3))
    assert again.metrics == pytest.approx(metrics)


def test_without_a_classifier_features_are_given_one(lights):
    result = time_sensitivity(model(classifier=False), lights["train"], lights["test"])
    assert result.metrics["ordered_top1"] >= 0.9
    assert result.metrics["reversed_top1"] <= 0.1
    assert any("has no classifier of its own" in note for note in result.details["notes"])
    with pytest.raises(DatasetError, match="no training videos to fit one"):
        time_sensitivity(model(classifier=False), None, lights["test"])


def test_without_training_videos_there_are_no_probes(lights):
    result = time_sensitivity(model(), None, lights["test"].take(range(4)))
    assert not [name for name in result.metrics if name.endswith("_accuracy")]
    with pytest.raises(DatasetError, match="clips of one frame"):
        time_sensitivity(model(frames=1), None, lights["test"])


@pytest.mark.parametrize("frames", [2, 3, 8])
def test_orders_that_probes_look_at_are_distinct_and_whole(frames):
    orders = probe_orders(frames)
    assert len(orders) == (7 if frames > 2 else 2)
    assert all(sorted(order.tolist()) == list(range(frames)) for order in orders)
    assert orders[0].tolist() == list(range(frames))
    assert orders[1].tolist() == list(range(frames))[::-1]
    assert len({tuple(order.tolist()) for order in [orders[0], *orders[2:]]}) == max(1, len(orders) - 1)


def test_probes_find_order_where_it_is_and_chance_where_it_is_not(lights):
    def clips(count, seed):
        rng = item_rng(seed, 0, "light")
        slope = torch.linspace(0.2, 0.8, 9) + torch.from_numpy(rng.uniform(-0.03, 0.03, (count, 1)))
        values = (slope * 255).to(torch.uint8)[:, None, :, None, None, None].expand(-1, 1, -1, 3, 8, 8)
        return {"clips": values, "present": torch.ones(count, 1, dtype=torch.bool)}

    def features(network, count, seed):
        seen = Model(network, ClipSpec(frames=9, size=8, order="rgb")).eval()
        return probe_features(seen, clips(count, seed), 16)["features"]

    class Light(Course):
        def forward(self, batch):
            return super().forward(batch).mul(torch.tensor([0.0, 0.0, 1.0])[:, None, None, None])

    table = lights["train"].take(range(12))
    found = probe_scores(features(Course(), 12, 0), table, features(Course(), 12, 1))
    assert found["arrow_of_time_accuracy"] == 1.0
    assert found["frame_order_accuracy"] > 0.6
    found = probe_scores(features(Light(), 12, 0), table, features(Light(), 12, 1))
    assert found["arrow_of_time_accuracy"] == pytest.approx(0.5, abs=0.2)
    assert found["frame_order_accuracy"] < 0.4
