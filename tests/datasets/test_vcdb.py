"""VCDB's annotation, in both layouts, whole and spoilt."""

import os
import pickle
from pathlib import Path

import pytest

from telltime.datasets import load
from telltime.datasets.record import DatasetError
from telltime.datasets.vcdb import find_annotation, read

CONTENT = {
    "video_pairs": [{"videos": ["a", "b"], "overlap": [0.5, 1.0]}, {"videos": ["c", "d"], "overlap": [1, 1]}],
    "index": ["b", "a", "d", "c", "x", "y", "x"],
    "negs": ["x", "y", "x", "z"],
}
TEXT = """a.flv,b.flv,00:00:01,00:00:09,00:00:00,00:00:08
b.flv,a.flv,00:01:01,00:01:09,00:00:00,00:00:08
a.flv,a.flv,00:00:01,00:00:09,00:00:11,00:00:19
c.mp4,d.mp4,00:00:01,00:00:09,00:00:11,00:00:19
"""


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    (tmp_path / "vcdb.pickle").write_bytes(pickle.dumps(CONTENT))
    return tmp_path / "vcdb.pickle"


def test_the_pickle(pickled: Path) -> None:
    found = read(pickled)
    assert found.core == ("b", "a", "d", "c")
    assert found.pairs == (("a", "b"), ("c", "d"))
    assert found.background == ("x", "y", "z")
    groups = found.groups()
    assert groups["a"] == groups["b"] != groups["c"] == groups["d"]


def test_the_official_text(tmp_path: Path) -> None:
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation" / "some_query.txt").write_text(TEXT)
    (tmp_path / "annotation" / "readme.txt").write_text("start and end, per line")
    found = read(tmp_path / "annotation")
    assert found.core == ("a", "b", "c", "d")
    assert found.pairs == (("a", "b"), ("c", "d"))
    assert found.background is None
    assert read(tmp_path / "annotation" / "some_query.txt") == found


REAL = Path(os.environ.get("TELLTIME_ANNOTATIONS", "nowhere"), "tca", "vcdb.pickle")


@pytest.mark.skipif(not REAL.is_file(), reason="TELLTIME_ANNOTATIONS names no folder with the real annotation")
def test_the_real_file_if_at_hand() -> None:
    found = read(REAL)
    assert (len(found.core), len(found.pairs), len(found.background or ())) == (528, 5612, 99176)


def test_videos_are_found_by_name(pickled: Path) -> None:
    for name in ("core/a.mp4", "core/b.flv", "background/x.mp4"):
        (pickled.parent / name).parent.mkdir(exist_ok=True)
        (pickled.parent / name).touch()
    table = load("vcdb", pickled.parent)
    assert [record.id for record in table.records] == ["b", "a", "x"]
    assert table.missing == ("d", "c", "y", "z")


class Attack:
    def __reduce__(self):
        return (os.system, ("true",))


@pytest.mark.parametrize("content", [pickle.dumps(Attack()), b"", b"nonsense", pickle.dumps([1]), pickle.dumps({})])
def test_what_is_no_annotation_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vcdb.pickle").write_bytes(content)
    with pytest.raises(DatasetError, match=r"vcdb\.pickle is no annotation"):
        read(tmp_path / "vcdb.pickle")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no annotation beside .*give --annotation"):
        find_annotation(tmp_path, None)
    with pytest.raises(DatasetError, match="there is no annotation"):
        read(tmp_path / "gone.pickle")
    (tmp_path / "bad.txt").write_text("a,b\n")
    with pytest.raises(DatasetError, match=r"bad\.txt, line 1: expected two videos and four times"):
        read(tmp_path / "bad.txt")
