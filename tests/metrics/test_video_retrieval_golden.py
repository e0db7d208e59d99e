"""Protocols against the reference outputs: toy collections, and the real annotations where they are at hand."""

import os
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from telltime.datasets import cc_web, evve, fivr, vcdb_retrieval
from telltime.datasets._pickled import read_pickled
from telltime.metrics import video_retrieval as protocols
from telltime.metrics.ranking import Places, trapezoid_average_precision
from telltime.metrics.video_retrieval import Scores, group_means, mean


@pytest.fixture(scope="module")
def toys(golden):
    return golden.json("tca_protocols.json")


def each(toy, known, keep=None):
    """Scores of one query at a time, since every toy query has its own order of equal scores."""
    for query, results in toy["similarities"]:
        shown = [(video, score) for video, score in results if keep is None or video in keep]
        values = np.array([[score for _, score in shown]], dtype=np.float64)
        yield Scores((query,), tuple(video for video, _ in shown), values, frozenset(known))


def close(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-9), key


@pytest.mark.parametrize(("missing", "key"), [("ignore", "ap"), ("count", "ap_all_known")])
def test_fivr(toys, missing, key):
    toy = toys["fivr"]
    content = {"annotation": toy["annotation"], "5k": {"queries": toy["queries"], "database": set(toy["database"])}}
    given = fivr.convert(content, "5k")
    found = {}
    for scores in each(toy, toy["all_db"], set(given.ids)):
        for task, values in protocols.fivr(scores, given, missing).items():
            found.setdefault(task.upper(), {}).update(values)
    for task, expected in toy[key].items():
        close(found[task], expected)
    if missing == "ignore":
        close({task: mean(values) for task, values in found.items()}, toy["mean"])


def test_cc_web(toys):
    toy = toys["cc_web"]
    content = toy | {
        "vid2index": dict(toy["vid2index"]),
        "ground_truth": [dict(map(tuple, labels)) for labels in toy["ground_truth"]],
    }
    given = cc_web.convert(content)
    found = {}
    for scores in each(toy, ()):
        for name, values in protocols.cc_web(scores, given).items():
            found.setdefault(name, {}).update(values)
    close({name: mean(values) for name, values in found.items()}, toy["mean"])


def test_evve(toys):
    toy = toys["evve"]
    events = {
        event: (
            [query for query in toy["queries"] if query in given[0]],
            set(given[1]),
            set(given[2] if len(given) > 2 else ()),
        )
        for event, given in toy["events"].items()
    }
    given = evve.convert({"annotation": events, "queries": toy["queries"], "database": toy["database"]})
    found = {}
    for scores in each(toy, toy["all_db"], set(toy["all_db"])):
        found |= protocols.evve(scores, given)
    close(found, toy["ap"])
    assert mean(found) == pytest.approx(toy["mean"])
    close(group_means(found, given.groups), {k: pytest.approx(v, abs=6e-5) for k, v in toy["event_printed"].items()})


def test_evve_trapezoids(toys):
    for case in toys["evve"]["trapezoid"]:
        ranks = np.array(case["ranks"], dtype=np.int64) + 1
        found = trapezoid_average_precision(Places(ranks, ranks - 1, np.ones_like(ranks)), case["nres"])
        assert found == pytest.approx(case["ap"])


def test_vcdb(toys):
    toy = toys["vcdb"]
    given = vcdb_retrieval.of_pairs(map(tuple, toy["pairs"]), [*toy["core"], *toy["background"]])
    with_self, without = {}, {}
    for scores in each(toy, toy["all_db"], set(toy["all_db"])):
        with_self |= protocols.vcdb(scores, given)
        without |= protocols.vcdb(scores, given, itself=False)
    close(with_self, toy["ap_ref"])
    close({query: value for query, value in without.items() if not np.isnan(value)}, toy["ap_without_self"])
    assert mean(with_self) == pytest.approx(toy["mean_ref"])


# --- the real annotations, with made-up scores ------------------------------------------------------------------------

FOLDER = Path(os.environ.get("TELLTIME_ANNOTATIONS", "no-such-folder"))
FILES = {name: next(iter(sorted(FOLDER.rglob(f"{name}*.pickle"))), None) for name in ("cc_web", "evve", "fivr", "vcdb")}
real = pytest.mark.skipif(None in FILES.values(), reason="TELLTIME_ANNOTATIONS names no folder of official annotations")


def chance(*words):
    return crc32("|".join(words).encode()) / 2**32


@pytest.fixture(scope="module")
def salt(golden):
    return f"s{golden.tca_seed}"


def made_up(salt, given, queries, videos, right, rounded):
    """Scores that favour the videos that are right, always made in float64."""
    values = np.empty((len(queries), len(videos)))
    for row, query in enumerate(queries):
        wanted = right(query)
        made = (0.7 * chance(salt, query, video) + 0.3 * (video in wanted) for video in videos)
        values[row] = [round(score, 2) if rounded else score for score in made]
    return Scores(tuple(queries), tuple(videos), values)


def variants(expected, name):
    return [(key, key.endswith("round2")) for key in expected if key.startswith(name)]


@real
@pytest.mark.slow
def test_real_fivr(golden, salt):
    expected = golden.json("tca_protocols_full.json")
    content = read_pickled(FILES["fivr"])
    for subset in ("5k", "200k"):
        given = fivr.convert(content, subset)
        videos = [video for video in given.gallery if chance("keep", salt, video) < 0.9]
        queries = given.queries
        for key, rounded in variants(expected, f"fivr_{subset}"):
            scores = made_up(salt, given, queries, videos, lambda q, g=given: g.positives(q, "isvr"), rounded)
            found = {task.upper(): mean(by) for task, by in protocols.fivr(scores, given).items()}
            for task, value in expected[key].items():
                assert found[task] == pytest.approx(value, abs=1e-9), (key, task)


@real
def test_real_cc_web(golden, salt):
    expected = golden.json("tca_protocols_full.json")
    given = cc_web.convert(read_pickled(FILES["cc_web"]))
    asked = set(given.queries)
    videos = [video for video in given.gallery if video in asked or chance("keep", salt, video) < 0.95]
    for key, rounded in variants(expected, "cc_web"):
        scores = made_up(salt, given, given.queries, videos, lambda q: given.positives(q, "cc_web"), rounded)
        found_by_itself_only = [scores.column[query] for query in asked if chance("keep", salt, query) >= 0.95]
        scores.values[:, found_by_itself_only] = -np.inf
        for row, query in enumerate(scores.queries):
            scores.values[row, scores.column[query]] = 1.0
        close({name: mean(by) for name, by in protocols.cc_web(scores, given).items()}, expected[key])


@real
def test_real_evve(golden, salt):
    expected = golden.json("tca_protocols_full.json")
    given = evve.convert(read_pickled(FILES["evve"]))
    videos = [video for video in given.gallery if chance("keep", salt, video) < 0.8]
    queries = [query for query in given.queries if chance("keep", salt, query) < 0.8]
    for key, rounded in variants(expected, "evve"):
        scores = made_up(salt, given, queries, videos, lambda q: given.positives(q, "evve"), rounded)
        found = protocols.evve(scores, given)
        assert (len(videos), len(queries)) == (expected[key]["database"], expected[key]["queries"])
        assert mean(found) == pytest.approx(expected[key]["overall"], abs=1e-9)
        close(group_means(found, given.groups), expected[key]["events"])


@real
def test_real_vcdb(golden, salt):
    expected = golden.json("tca_protocols_full.json")["vcdb_every8"]
    given = vcdb_retrieval.convert(read_pickled(FILES["vcdb"]))
    videos = [video for video in given.gallery if chance("keep", salt, video) < 0.5]
    queries = [query for query in given.gallery[:528:8] if chance("keep", salt, query) < 0.5]
    scores = made_up(salt, given, queries, videos, lambda q: given.positives(q, "vcdb"), False)
    without = protocols.vcdb(scores, given, itself=False)
    assert len(queries) == expected["queries"]
    assert sum(not np.isnan(value) for value in without.values()) == expected["queries_with_positive"]
    assert mean(protocols.vcdb(scores, given)) == pytest.approx(expected["ref"], abs=1e-9)
    assert mean(without) == pytest.approx(expected["without_self"], abs=1e-9)


@real
def test_ceilings_of_the_published_protocols():
    """A perfect ranking of everything: what published scores cannot exceed."""
    given = vcdb_retrieval.convert(read_pickled(FILES["vcdb"]))
    values = np.zeros((len(given.queries), len(given.queries)), dtype=np.float32)
    scores = Scores(given.queries, given.queries, values)
    for row, query in enumerate(given.queries):
        values[row, scores.columns(given.positives(query, "vcdb"))] = 1
    assert mean(protocols.vcdb(scores, given)) == pytest.approx(0.9305, abs=5e-5)
    assert mean(protocols.corrected(scores, given)["vcdb"]) == 1
