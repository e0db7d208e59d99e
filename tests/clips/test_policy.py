"""Nothing is lost silently: bad media is raised, or written down once and counted."""

import json

import pytest

from telltime.clips.policy import BadMedia, LoadingError, TooManyDropped
from telltime.datasets.record import Record
from telltime.media.errors import TooShort, Unreadable


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_raise_names_the_file(tmp_path):
    error = Unreadable(tmp_path / "a.avi", "empty file")
    with pytest.raises(Unreadable) as caught:
        BadMedia("raise", tmp_path / "dropped.jsonl").handle(Record("a.avi", tmp_path / "a.avi"), error)
    assert caught.value is error
    assert not (tmp_path / "dropped.jsonl").exists()


def test_skip_writes_one_line_a_record(tmp_path):
    log = tmp_path / "runs" / "one" / "dropped.jsonl"
    policy = BadMedia("skip", log, max_share=1)
    for _ in range(3):
        policy.handle(Record("x/a é.avi", tmp_path / "a é.avi"), Unreadable(tmp_path / "a é.avi", "empty file"))
    policy.handle(Record("x/b.avi", tmp_path / "b.avi"), TooShort(tmp_path / "b.avi", "holds 12 frames"))
    assert lines(log) == [
        {"id": "x/a é.avi", "path": str(tmp_path / "a é.avi"), "kind": "Unreadable", "reason": "empty file"},
        {"id": "x/b.avi", "path": str(tmp_path / "b.avi"), "kind": "TooShort", "reason": "holds 12 frames"},
    ]
    assert policy.dropped == 2
    assert policy.summary(10) == f"2 of 10 videos left out (1 unreadable, 1 too short), see {log}"


def test_share_above_which_the_run_fails(tmp_path):
    policy = BadMedia("skip", tmp_path / "dropped.jsonl", max_share=0.1)
    policy.report("a", "a.avi", "empty file")
    policy.check(10)
    policy.report("b", "b.avi", "empty file")
    with pytest.raises(
        TooManyDropped, match=r"2 of 10 videos \(20\.0%\) .* 10\.0% accepted; .*dropped\.jsonl"
    ) as caught:
        policy.check(10)
    assert isinstance(caught.value, LoadingError)
    assert "\n" not in str(caught.value)


def test_no_share_is_accepted(tmp_path):
    policy = BadMedia("skip", max_share=0)
    policy.check(5)
    policy.report("a", "a.avi", "empty file")
    with pytest.raises(TooManyDropped, match="1 of 5"):
        policy.check(5)


def test_missing_files_are_named_but_do_not_count(tmp_path):
    policy = BadMedia("skip", tmp_path / "dropped.jsonl", max_share=0)
    policy.missing(["c/a.avi", "c/b.avi"], tmp_path)
    policy.missing(["c/a.avi"], tmp_path)
    policy.check(1)
    assert policy.dropped == 0
    assert policy.summary(1) == ""
    assert [(entry["id"], entry["reason"]) for entry in lines(tmp_path / "dropped.jsonl")] == [
        ("c/a.avi", "listed but not on disk"),
        ("c/b.avi", "listed but not on disk"),
    ]


def test_a_resumed_run_goes_on_with_the_log(tmp_path):
    log = tmp_path / "dropped.jsonl"
    BadMedia("skip", log).report("a", "a.avi", "empty file")
    with log.open("a") as file:
        file.write('{"id": "torn')
    again = BadMedia("skip", log, max_share=0.5)
    again.report("a", "a.avi", "empty file")
    again.report("b", "b.avi", "empty file")
    entries = log.read_text().splitlines()
    assert [json.loads(entries[0])["id"], json.loads(entries[2])["id"]] == ["a", "b"]
    assert len(entries) == 3
    assert again.dropped == 2
    with pytest.raises(TooManyDropped):
        again.check(3)


def test_a_name_that_is_no_text_is_still_written(tmp_path):
    policy = BadMedia("skip", tmp_path / "dropped.jsonl")
    policy.report("caf\udce9.avi", "caf\udce9.avi", "empty file")
    assert lines(tmp_path / "dropped.jsonl")[0]["reason"] == "empty file"
    assert policy.dropped == 1


@pytest.mark.parametrize("arguments", [{"mode": "ignore"}, {"max_share": 1.5}, {"max_share": -0.1}])
def test_impossible_policies(arguments):
    with pytest.raises(ValueError):
        BadMedia(**arguments)
