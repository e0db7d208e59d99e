import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.checkpoints.model import Model
from telltime.clips.policy import BadMedia
from telltime.datasets import load
from telltime.datasets.record import DatasetError, Record, Table
from telltime.tasks import neighbours as task
from telltime.tasks.measuring import Reading
from telltime.tasks.neighbours import chance, neighbours


@pytest.fixture
def splits(tiny_ucf):
    return load("ucf101", tiny_ucf, "train"), load("ucf101", tiny_ucf, "test")


class Colour(torch.nn.Module):
    """A backbone that knows a clip's mean colours: enough for the tiny data set."""

    channels = 3

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, clips):
        colours = clips.amax((3, 4), keepdim=True) * self.scale
        return colours - colours.mean(1, keepdim=True)


def test_a_model_that_sees_the_class_finds_it(splits, tiny_model, tmp_path):
    train, test = splits
    model = Model(Colour(), tiny_model.clip)
    result = neighbours(model, train, test, Reading(cache=tmp_path), positions=2, ks=(1, 5, 50), name="colours")
    assert result.metrics == {"recall@1": 1.0, "recall@5": 1.0, "recall@50": 1.0}
    assert (result.records, result.dropped) == (18, 0)
    assert result.model["name"] == "colours"
    data = result.data
    assert data["fold"] == 1
    assert data["train"] == {"videos": 12, "missing": 1, "published": 9537, "share": pytest.approx(12 / 9537, abs=1e-6)}
    said = " ".join(result.details["notes"])
    assert "12 of 9,537 published train videos" in said
    assert "gallery holds 12 videos" in said
    rows = result.details["neighbours"]
    assert len(rows) == 6
    for row in rows:
        assert row["query"]["frames"].shape == (3, 3, 48, 64)
        assert row["query"]["frames"].dtype == np.uint8
        assert [hit["correct"] for hit in row["hits"][:4]] == [True] * 4
        assert row["hits"][0]["label"] == row["query"]["label"]
        scores = [hit["score"] for hit in row["hits"]]
        assert scores == sorted(scores, reverse=True)
    assert set(result.details["per_class"]) == {"ApplyEyeMakeup", "Archery", "BabyCrawling"}


def test_a_class_the_gallery_lacks_counts_as_wrong_and_is_named(splits, tiny_model, tmp_path):
    train, test = splits
    train = train.take([i for i, record in enumerate(train.records) if record.label != 1])
    test = test.take([i for i, record in enumerate(test.records) if record.label != 2])
    result = neighbours(Model(Colour(), tiny_model.clip), train, test, positions=1, ks=(1, 50))
    assert result.metrics["recall@50"] == 0.5
    said = " ".join(result.details["notes"])
    assert "Archery: in the test split but not in the gallery" in said
    assert "BabyCrawling: in the gallery but not in the test split" in said


def test_a_second_run_reads_features_and_no_video(splits, tiny_model, tmp_path, monkeypatch):
    first = neighbours(tiny_model, *splits, Reading(cache=tmp_path), positions=2)
    monkeypatch.setattr(task, "still_frames", lambda *_: None)
    monkeypatch.setattr(type(tiny_model), "features", None)
    second = neighbours(tiny_model, *splits, Reading(cache=tmp_path), positions=2)
    assert second.metrics == first.metrics
    assert second.data["digest"] == first.data["digest"]


def test_without_labels_or_without_readable_videos_one_sentence_says_so(tiny_model, tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(b"nothing")
    bare = Table("folder", "train", tmp_path, (), (Record("a.avi", path),))
    with pytest.raises(DatasetError, match="needs labels"):
        neighbours(tiny_model, bare, bare)
    labelled = Table("folder", "train", tmp_path, ("x",), (Record("a.avi", path, 0),))
    reading = Reading(policy=BadMedia("skip", max_share=1.0))
    with pytest.raises(DatasetError, match="not one of 1 train videos"):
        neighbours(tiny_model, labelled, labelled, reading)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(1, 8), st.integers(1, 9))
def test_chance_is_what_a_random_order_gets(seed, size, k):
    rng = np.random.default_rng(seed)
    gallery, query = rng.integers(0, 3, size), rng.integers(0, 3, 4)
    orders = np.argsort(rng.random((4000, size)), axis=1)[:, :k]
    simulated = np.mean([(gallery[orders] == label).any(1).mean() for label in query])
    assert chance(query, gallery, k) == pytest.approx(simulated, abs=0.04)
