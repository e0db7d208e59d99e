"""What the published protocols do that the corrected ones do not, on collections small enough to see through."""

import numpy as np
import pytest

from telltime.datasets.retrieval import RetrievalSet
from telltime.metrics import video_retrieval as protocols
from telltime.metrics.video_retrieval import Scores


def a_set(related, gallery, protocol="ranking", tasks=None, **more):
    tasks = tasks or {"isvr": ("IS",)}
    return RetrievalSet("toy", tuple(related), tuple(gallery), related, tasks, protocol=protocol, **more)


def scores(queries, gallery, values):
    return Scores(tuple(queries), tuple(gallery), np.array(values, dtype=np.float32))


def test_a_query_in_its_own_list_is_lost_as_published_and_not_counted_as_corrected():
    given = a_set({"q": {"IS": ("a", "q")}}, "qab", "fivr")
    found = scores("q", "qab", [[1, 0.9, 0.1]])
    assert protocols.fivr(found, given)["isvr"]["q"] == 0.5
    assert protocols.corrected(found, given)["isvr"]["q"] == 1


def test_missing_videos_are_ignored_or_counted():
    given = a_set({"q": {"IS": ("a", "gone", "b")}}, ["a", "b", "gone"], "fivr")
    found = scores("q", "ab", [[0.9, 0.8]])
    assert protocols.fivr(found, given)["isvr"]["q"] == 1
    assert protocols.fivr(found, given, "count")["isvr"]["q"] == pytest.approx(2 / 3)
    covered = protocols.coverage(found, given)
    assert (covered.queries, covered.gallery, covered.positives) == pytest.approx((1, 2 / 3, 2 / 3))
    assert covered.missing["q"] == ("gone",)


def test_a_query_without_positives_has_no_score_and_no_weight():
    given = a_set({"q": {"IS": ("a",)}, "r": {"IS": ()}, "s": {"IS": ("gone",)}}, ["a", "b"], "fivr")
    found = scores("qr", "ab", [[0.9, 0.8], [0.9, 0.8]])
    by = protocols.fivr(found, given)["isvr"]
    assert np.isnan(by["r"])
    assert protocols.mean(by) == 1
    assert protocols.interval(by) == (1, 1)
    assert protocols.coverage(found, given).lost == ("s",)
    assert np.isnan(protocols.mean({"r": float("nan")}))


def test_equal_scores_are_averaged_over_and_said():
    given = a_set({"q": {"IS": ("b",)}}, "ab", "fivr")
    found = scores("q", "ab", [[0.5, 0.5]])
    assert protocols.fivr(found, given)["isvr"]["q"] == 0.5
    assert protocols.corrected(found, given)["isvr"]["q"] == 0.75
    assert protocols.tied(found, given) == 1
    assert protocols.tied(scores("q", "ab", [[0.4, 0.5]]), given) == 0


def test_what_is_excluded_leaves_ranking_and_positives():
    given = a_set({"q": {"IS": ("a", "b")}}, "abc", excluded={"q": ("b", "c")})
    found = scores("q", "abc", [[0.5, 0.1, 0.9]])
    assert protocols.corrected(found, given)["isvr"]["q"] == 1
    assert protocols.corrected(found, given, clean=False)["isvr"]["q"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert protocols.micro(found, given, "isvr") == 1


def test_scores_of_other_queries_count_in_micro_ap_only():
    given = a_set({"q": {"IS": ("a",)}, "r": {"IS": ("b",)}}, "ab")
    found = scores("qr", "ab", [[0.9, 0.8], [0.1, 0.2]])
    assert protocols.mean(protocols.corrected(found, given)["isvr"]) == 1
    assert protocols.micro(found, given, "isvr") == pytest.approx((1 + 2 / 3) / 2)


def test_groups_and_curves():
    given = a_set({"q": {"IS": ("a",)}, "r": {"IS": ("b",)}}, "abc", groups={"q": "e", "r": "f"})
    found = scores("qr", "abc", [[0.9, 0.8, 0.1], [0.3, 0.2, 0.1]])
    by = protocols.corrected(found, given)["isvr"]
    assert protocols.group_means(by, given.groups) == {"e": 1, "f": 0.5}
    curve = protocols.precision_recall(found, given, levels=3)["isvr"]
    np.testing.assert_allclose(curve, 0.75)
    assert protocols.published(found, given) == {}


def test_scores_must_fit():
    with pytest.raises(ValueError, match="cannot be"):
        scores("q", "ab", [[1, 2, 3]])
