"""The retrieval schema, and converters of annotations in the published layouts."""

import json
import pickle

import pytest

from telltime.datasets import cc_web, evve, fivr, vcdb_retrieval
from telltime.datasets.record import DatasetError
from telltime.datasets.retrieval import from_json, read
from telltime.datasets.retrieval_sets import load_set


def content(**changes):
    return {
        "format": "telltime-retrieval",
        "version": 1,
        "name": "mine",
        "queries": ["q", "r"],
        "gallery": ["a", "b", "c"],
        "related": {"q": {"ND": ["a"], "CS": ["a", "b"]}},
    } | changes


def test_what_is_written_is_read_again(tmp_path):
    made = from_json(content(excluded={"q": ["c"]}, groups={"q": "event"}, source="by hand"))
    assert read(made.write(tmp_path / "set.json")) == made
    assert made.positives("q", "dsvr") == {"a"}
    assert made.positives("q", "csvr") == {"a", "b"}
    assert made.positives("r", "csvr") == set()
    assert made.labelled("q") == ("a", "b")
    assert made.ids == ("q", "r", "a", "b", "c")
    assert set(made.tasks) == {"dsvr", "csvr", "isvr"}
    assert set(from_json(content(related={"q": {"same": ["a"]}})).tasks) == {"related"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "telltime-retrieval"),
        ({"version": 2}, "version 2"),
        ({"querys": []}, "did you mean 'queries'"),
        ({"queries": "q"}, "queries must be a list"),
        ({"gallery": ["a", "a"]}, "'a' twice"),
        ({"queries": [1]}, "queries must be a list"),
        ({"related": {"x": {"ND": []}}}, "'x', which is not among the queries"),
        ({"related": {"q": ["a"]}}, "related must be an object of dict"),
        ({"tasks": {"t": ["XX"]}}, "counts XX"),
        ({"protocol": "other"}, "protocol 'other'"),
        ({"excluded": {"q": "c"}}, "excluded must be"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(DatasetError, match=message):
        from_json(content(**changes))


def test_files_that_are_none(tmp_path):
    with pytest.raises(DatasetError, match="No such file"):
        read(tmp_path / "no.json")
    (tmp_path / "text.json").write_text("hello")
    with pytest.raises(DatasetError, match="not JSON"):
        read(tmp_path / "text.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DatasetError, match=r"list\.json"):
        read(tmp_path / "list.json")


FIVR = {"q": {"ND": ["a", "a"], "DS": ["b"], "IS": ["q"]}, "r": {"DA": ["c"]}}


def test_fivr_of_the_pickle_and_of_the_official_file(tmp_path):
    subset = {"queries": ["q"], "database": {"b", "a"}}
    given = fivr.convert({"annotation": FIVR, "5k": subset, "200k": subset}, "5k")
    assert (given.name, given.queries, given.gallery) == ("fivr-5k", ("q",), ("a", "b"))
    assert given.related["q"]["ND"] == ("a",)
    assert set(given.tasks) == {"dsvr", "csvr", "isvr"}
    (tmp_path / "annotation.json").write_text(json.dumps(FIVR))
    (tmp_path / "youtube_ids.txt").write_text("a\nb\nz\n")
    official = load_set("fivr-200k", tmp_path / "annotation.json")
    assert official.gallery == ("a", "b", "z")
    assert "davr" in official.tasks
    assert official.source.startswith("annotation.json ")
    with pytest.raises(DatasetError, match="pickle of ViSiL"):
        load_set("fivr-5k", tmp_path / "annotation.json")


@pytest.mark.parametrize("layout", ["vid2index", "index"])
def test_cc_web_in_both_layouts(layout):
    names = ["1_1_Y", "1_2_Y", "2_1_Y"]
    given = {
        "queries": ["1_1_Y"],
        "ground_truth": [{1: "E", 2: "x", 9: "S"}],
        "excluded": [{3, 77}],
        "index": {f"1/{name}": number for number, name in enumerate(names, 1)},
    }
    if layout == "vid2index":
        given |= {"index": ["", *names], "vid2index": {name: number for number, name in enumerate(names, 1)}}
    made = cc_web.convert(given)
    assert made.gallery == tuple(names)
    assert made.related["1_1_Y"] == {"E": ("1_1_Y",), "S": ("#9",), "X": ("1_2_Y",)}
    assert made.positives("1_1_Y", "cc_web") == {"1_1_Y", "#9"}
    assert made.excluded == {"1_1_Y": ("2_1_Y",)}


def test_evve_and_vcdb():
    events = {"e": ({"q"}, {"a", "b"}, set()), "f": ({"r"}, {"c"}, {"n"})}
    made = evve.convert({"annotation": events, "queries": ["q", "r"], "database": ["a", "b", "c", "n"]})
    assert made.groups == {"q": "e", "r": "f"}
    assert made.related["r"] == {"positive": ("c",), "null": ("n",)}
    pairs = [{"videos": ["a", "b"], "overlap": [1, 1]}, {"videos": ["a", "a"], "overlap": [1, 1]}]
    made = vcdb_retrieval.convert({"video_pairs": pairs, "index": ["b", "a", "z", "z"], "negs": ["z"]})
    assert (made.queries, made.gallery) == (("b", "a"), ("b", "a", "z"))
    assert made.related["a"] == {"copy": ("b",)}


@pytest.mark.parametrize("name", ["cc-web", "evve", "vcdb", "fivr-200k"])
def test_another_file_is_refused(name, tmp_path):
    path = tmp_path / "other.pickle"
    path.write_bytes(pickle.dumps({"something": [1]}))
    with pytest.raises(DatasetError, match=r"other\.pickle"):
        load_set(name, path)


def test_sets_are_found_beside_the_root_and_unknown_names_are_refused(tmp_path):
    root = tmp_path / "videos"
    root.mkdir()
    with pytest.raises(DatasetError, match="--annotation FILE"):
        load_set("evve", None, root)
    (tmp_path / "evve.pickle").write_bytes(
        pickle.dumps({"annotation": {"e": ({"q"}, {"a"}, set())}, "queries": ["q"], "database": ["a"]})
    )
    assert load_set("evve", None, root).queries == ("q",)
    with pytest.raises(DatasetError, match="no annotation"):
        load_set("evve", tmp_path / "nothing.pickle")
    with pytest.raises(DatasetError, match="choose one of"):
        load_set("imagenet")
    folder = tmp_path / "annotation"
    folder.mkdir()
    (folder / "topic.txt").write_text("a.flv,b.mp4,00:00:01,00:00:05,00:00:02,00:00:06\n")
    assert load_set("vcdb", folder).related == {"a": {"copy": ("b",)}, "b": {"copy": ("a",)}}


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    path = tmp_path / "evve.pickle"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DatasetError, match=r"builtins\.print"):
        load_set("evve", path)
