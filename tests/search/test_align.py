"""Spans in planted copies."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.clips.ragged import Ragged
from telltime.search.align import Alignment, align, align_many, dp

DIM = 48


def film(seconds, seed, rate=1.0, start=0.0, speed=1.0, noise=0.0):
    """Descriptors of a video that changes steadily, and their times: frame ``i`` shows second ``start + speed * t``."""
    times = np.arange(0, seconds, 1 / rate)
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(400, DIM, generator=generator)
    at = torch.from_numpy(start + speed * times)
    low = at.floor().long()
    part = (at - low)[:, None].float()
    rows = (1 - part) * keys[low] + part * keys[low + 1]
    rows = rows + noise * torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed + 1))
    return F.normalize(rows, dim=1), times


def joined(*parts):
    """Films one after the other."""
    rows, times, end = [], [], 0.0
    for part, seconds in parts:
        rows.append(part[0])
        times.append(part[1] + end)
        end += seconds
    return torch.cat(rows), np.concatenate(times)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 40), st.floats(8, 20), st.sampled_from([0.5, 0.8, 1.0, 1.25, 2.0]), st.integers(0, 50))
def test_an_excerpt_is_found_to_the_second(start, seconds, speed, seed):
    whole, excerpt = film(90, seed), film(seconds, seed, start=start, speed=speed, noise=0.05)
    spans = align(excerpt[0], whole[0], excerpt[1], whole[1])
    assert spans
    best = spans[0]
    assert best.query_start == pytest.approx(0, abs=1)
    assert best.query_end == pytest.approx(seconds, abs=1)
    assert best.target_start == pytest.approx(start + speed * best.query_start, abs=1)
    assert best.target_end == pytest.approx(start + speed * best.query_end, abs=1)
    assert 0.5 < best.score <= 1.001


def test_a_copied_stretch_between_other_footage_is_cut_at_both_ends():
    query = joined((film(12, 1), 12), (film(15, 2, start=30), 15), (film(9, 3), 9))
    target = joined((film(25, 4), 25), (film(50, 2, start=10), 50), (film(20, 5), 20))
    (span,) = align(query[0], target[0], query[1], target[1])
    np.testing.assert_allclose(span[:4], (12, 27, 45, 60), atol=1)


def test_stretches_in_another_order_are_two_spans_the_longer_first():
    first, second = (film(14, 7), 14), (film(9, 8), 9)
    query, target = joined(first, second), joined(second, (film(20, 9), 20), first)
    one, two = align(query[0], target[0], query[1], target[1])
    np.testing.assert_allclose(one[:4], (0, 14, 29, 43), atol=1)
    np.testing.assert_allclose(two[:4], (14, 23, 0, 9), atol=1)


def test_a_stretch_that_comes_again_is_found_again_on_request():
    query, times = film(10, 3)
    target = joined((film(10, 3), 10), (film(12, 5), 12), (film(10, 3), 10))
    assert len(align(query, target[0], times, target[1])) == 1
    spans = align(query, target[0], times, target[1], Alignment(repeats=True))
    assert sorted(round(span.target_start) for span in spans) == [0, 22]


def test_nothing_matches_nothing():
    assert align(film(30, 1)[0], film(40, 2)[0]) == []
    assert align(film(1, 1)[0], film(1, 2)[0]) == []


def test_a_flash_does_not_part_a_span_and_a_long_insert_does():
    plain, times = film(40, 4)
    flashed = plain.clone()
    flashed[20:22] = F.normalize(torch.randn(2, DIM), dim=1)
    assert len(align(plain, flashed, times, times)) == 1
    flashed[12:22] = F.normalize(torch.randn(10, DIM), dim=1)
    assert len(align(plain, flashed, times, times)) == 2


def test_single_frames_and_still_scenes():
    still = F.normalize(torch.ones(1, DIM), dim=1)
    (span,) = align(still, still)
    assert span == (0, 0, 0, 0, pytest.approx(1))
    (span,) = align(still.expand(10, -1), still.expand(10, -1))
    assert span[:4] == (0, 9.5, 0, 9.5)
    doubled = np.array([0.0, 1, 2, 2])  # the published sampler repeats the last frame
    (span,) = align(film(4, 1)[0], film(4, 1)[0], doubled, doubled)
    assert span[:4] == (0, 2.5, 0, 2.5)


def test_many_at_once_give_what_each_gives():
    query, times = film(15, 2, start=20)
    targets = [film(60, 2), film(30, 3), film(1, 2, start=25), film(25, 2, start=15, noise=0.3), film(90, 2, rate=0.5)]
    held = Ragged.of([rows for rows, _ in targets])
    found = align_many(query, held, times, [when for _, when in targets])
    assert [bool(spans) for spans in found] == [True, False, True, True, True]
    for spans, (rows, when) in zip(found, targets, strict=True):
        alone = align(query, rows, times, when)
        assert len(spans) == len(alone)
        for one, other in zip(spans, alone, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="3 frames need 3 times"):
        align(film(3, 1)[0], film(3, 1)[0], [0.0, 1.0])
    with pytest.raises(ValueError, match="no frames"):
        align(torch.zeros(0, DIM), film(3, 1)[0])


def test_dp_is_one_for_what_is_contained_and_nothing_for_strangers():
    queries = Ragged.of([film(10, 2, start=5)[0], film(30, 4)[0]])
    gallery = Ragged.of([film(40, 2)[0], film(20, 3)[0], film(30, 4)[0]])
    scores = dp(queries, gallery)
    np.testing.assert_allclose(scores[[0, 1], [0, 2]], 1, atol=1e-5)
    assert scores[[0, 0, 1, 1], [1, 2, 0, 1]].max() < 0.1
