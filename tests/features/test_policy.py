from pathlib import Path

import pytest

from telltime.clips.policy import BadMedia, TooManyDropped
from telltime.datasets.record import Record
from telltime.features.policy import TablePolicy
from telltime.media.errors import Unreadable


def test_the_share_is_of_the_table_and_each_record_counts_once(tmp_path):
    user = BadMedia("skip", tmp_path / "dropped.jsonl", max_share=0.2)
    one, other = (TablePolicy(user, 10) for _ in range(2))
    for _ in range(3):
        for name in "ab":
            one.handle(Record(name, Path(name)), Unreadable(name, "no video"))
            one.check(2)
    other.report("c", "c", "gone")
    other.check(1)
    assert (one.dropped, other.dropped, user.dropped) == (2, 1, 3)
    assert len((tmp_path / "dropped.jsonl").read_text().splitlines()) == 3
    one.handle(Record("d", Path("d")), Unreadable("d", "no video"))
    with pytest.raises(TooManyDropped, match=r"3 of 10 videos \(30\.0%\).*20\.0% accepted.*dropped\.jsonl"):
        one.check(1000)


def test_raise_raises():
    with pytest.raises(Unreadable):
        TablePolicy(BadMedia(), 10).handle(Record("a", Path("a")), Unreadable("a", "no video"))
