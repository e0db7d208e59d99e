from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.datasets.record import Record, Table
from telltime.tasks.fraction import take_fraction


def table(labels):
    records = tuple(Record(f"{i}.avi", Path(f"{i}.avi"), label) for i, label in enumerate(labels))
    return Table("t", "train", Path(), tuple("abcd"), records)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.floats(0.001, 1),
    st.floats(0.001, 1),
    st.integers(0, 5),
)
def test_shares_are_by_class_nested_and_never_empty(labels, one, two, seed):
    whole = table(labels)
    small, large = (take_fraction(whole, share, seed) for share in sorted((one, two)))
    assert {r.id for r in small.records} <= {r.id for r in large.records}
    for label in set(labels):
        kept = sum(r.label == label for r in large.records)
        assert kept >= 1
        assert abs(kept - max(one, two) * labels.count(label)) <= max(0.5, 1 - max(one, two) * labels.count(label))
    assert [r.id for r in large.records] == [r.id for r in whole.records if r in large.records]
    assert take_fraction(whole, 1.0, seed).records == whole.records
    assert f"{len(small)} of {len(labels)} videos" in small.notes[-1]


def test_the_seed_decides_and_a_missing_video_moves_no_other():
    whole = table([0] * 40)
    first = take_fraction(whole, 0.25, 1)
    assert first == take_fraction(whole, 0.25, 1)
    assert first != take_fraction(whole, 0.25, 2)
    assert len(first) == 10
    gone = next(i for i, r in enumerate(whole.records) if r not in first.records)
    left = take_fraction(whole.take([i for i in range(40) if i != gone]), 0.25, 1)
    assert {r.id for r in left.records} == {r.id for r in first.records}


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match="fraction must be"):
        take_fraction(table([0]), share)
