"""Retrieval by time of day: who asks whom, what counts as found, and what is left out."""

import numpy as np
import pytest
from clocks import clock, photos, tower

from telltime.datasets.record import DatasetError
from telltime.report.evaluation import write_report
from telltime.tasks.time_retrieval import time_retrieval


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return photos(tmp_path_factory.mktemp("photos"), 120)


def test_the_first_two_of_every_hour_ask(table, tmp_path):
    result = time_retrieval(tower(), table, name="random")
    assert result.data["queries"] == 48
    assert result.data["database"] == 120 - 48
    found, chance = result.metrics, result.details["chance"]
    assert found["recall@1"] > chance["recall@1"]
    assert found["recall@1_low"] <= found["recall@1"] <= found["recall@1_high"]
    assert found["recall@1_published"] == found["recall@1"]
    assert found["recall@20_published"] <= found["recall@20"]
    assert found["recall@1"] <= found["recall@3"] <= found["recall@20"]
    assert 0 < chance["map"] < found["map"] <= 1
    hours = [row["hour"] for row in result.details["per_query"]]
    assert np.bincount(np.floor(hours).astype(int), minlength=24).tolist() == [2] * 24
    page = write_report(result, tmp_path).read_text()
    assert "Retrieval by time of day" in page
    assert "has the query&#x27;s time" in page


def test_leave_one_out_never_finds_the_query(table):
    result = time_retrieval(tower(), table, protocol="leave-one-out", similarity="cosine")
    assert result.data["queries"] == 120
    for row in result.details["per_query"]:
        assert row["id"] not in row["found"]
        assert len(row["found"]) == 5


def test_other_days_only(table):
    result = time_retrieval(tower(), table, protocol="leave-one-out", apart=True)
    group = {record.id: record.group for record in table.records}
    assert all(group[row["id"]] != group[i] for row in result.details["per_query"] for i in row["found"])
    assert result.protocol.endswith("other days and places")
    assert result.details["chance"]["recall@1"] > 0


def test_nothing_is_near_enough(table):
    result = time_retrieval(tower(), table, within_hours=0.5, degrees=0.0)
    everywhere = time_retrieval(tower(), table, within_hours=0.5)
    assert result.metrics["positives"] == everywhere.metrics["positives"], "all were taken at one place"
    alone = time_retrieval(tower(), table, within_hours=0.0)
    assert alone.metrics["recall@20"] <= everywhere.metrics["recall@20"]
    assert any("no photo of their time" in note for note in alone.details["notes"])


def test_a_clock_is_asked_by_its_own_features_and_of_new_photos(table):
    model = clock(table, list(range(0, 120, 3)))
    result = time_retrieval(model, table, protocol="leave-one-out")
    assert result.records == 80
    assert result.data["learnt"] == 40
    bare = time_retrieval(tower(), table.take([i for i in range(120) if i % 3]), protocol="leave-one-out")
    assert result.metrics["mae_hours@10"] < bare.metrics["mae_hours@10"] + 0.5


def test_too_few_photos_are_said(table):
    with pytest.raises(DatasetError, match=r"too few.*leave-one-out"):
        time_retrieval(tower(), table.take([0, 60]))
    with pytest.raises(ValueError, match="protocol is one of"):
        time_retrieval(tower(), table, protocol="all")
