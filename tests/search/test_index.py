"""The index as people use it: files come, change, move and go, runs break off, disks fill up, others write too."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from pixels import pixels, whitened
from scenes import scene

import telltime
from telltime.checkpoints.describer import Describer
from telltime.media.errors import Unreadable
from telltime.media.write import write_video
from telltime.search import derive
from telltime.search.errors import Busy, Damaged, NoIndex, NoRoom, OtherEncoder, SearchError
from telltime.search.index import Index
from telltime.search.lock import WriterLock
from telltime.search.tables import Tables


def names(index: Index) -> list[str]:
    return [Path(video.path).name for video in index.list()]


@pytest.fixture
def index(footage: Path, tmp_path: Path) -> Index:
    made = Index(tmp_path / "index", pixels())
    made.add(footage)
    return made


def test_what_is_indexed_is_found(index: Index, footage: Path) -> None:
    assert telltime.Index is Index
    assert len(index) == 9
    hits = index.search(footage / "scene-3.avi", top=3)
    assert [Path(hit.path).name for hit in hits][:2] == ["scene-3.avi", "darker-3.mp4"]
    assert hits[0].score > 0.999
    assert hits[1].score > hits[2].score + 0.2
    assert hits[0].probability >= hits[1].probability > hits[2].probability
    first = hits[1].spans[0]
    assert first.query_start < 0.5
    assert first.query_end > 3.0


def test_a_video_that_is_not_in_the_index_is_searched_for(index: Index, tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    write_video(clip, scene(5)[30:90], rate=25)
    hit = index.search(clip, top=1)[0]
    assert Path(hit.path).name == "scene-5.avi"
    assert index.search(clip, top=1, mode="scenes")[0].path == hit.path
    with pytest.raises(ValueError, match="copies, scenes"):
        index.search(clip, mode="copy")


def test_an_excerpt_finds_the_long_video_and_where(tmp_path: Path) -> None:
    long = np.concatenate([scene(seed, 150) for seed in (20, 21, 22, 23)])
    folder = tmp_path / "videos"
    write_video(folder / "long.avi", long, rate=25)
    for seed in range(30, 50):
        write_video(folder / f"{seed}.avi", scene(seed), rate=25)
    clip = tmp_path / "clip.avi"
    write_video(clip, scene(22, 150)[25:125], rate=25)  # seconds 13 to 17 of the long one
    index = Index(tmp_path / "index", pixels())
    index.add(folder)
    hit = index.search(clip, top=2)[0]
    assert Path(hit.path).name == "long.avi"
    assert abs(hit.spans[0].target_start - 13) <= 1
    assert abs(hit.spans[0].target_end - 17) <= 1


def test_a_second_run_looks_only_at_what_changed(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[str] = []
    stream = Describer.stream

    def counting(self: Describer, videos: object, readers: int = 1) -> object:
        held = list(videos)  # type: ignore[call-overload]
        described.extend(video.path.name for video in held)
        return stream(self, held, readers)

    monkeypatch.setattr(Describer, "stream", counting)
    index = Index(tmp_path / "index", pixels())
    assert index.add(own).new == 9
    described.clear()
    assert index.add(own).same == 9
    assert described == []

    os.utime(own / "scene-0.avi")  # touched, not changed
    held = os.stat(own / "scene-1.avi")
    content = bytearray((own / "scene-1.avi").read_bytes())
    write_video(own / "scene-2.avi", scene(77), rate=25)
    (own / "scene-3.avi").rename(own / "renamed.avi")
    shutil.copy(own / "scene-4.avi", own / "again.avi")
    (own / "scene-5.avi").unlink()
    write_video(own / "new.avi", scene(99), rate=25)
    content[-5000] ^= 255  # other content, same size and time
    (own / "scene-1.avi").write_bytes(content)
    os.utime(own / "scene-1.avi", ns=(held.st_atime_ns, held.st_mtime_ns))
    done = index.add(own)
    assert sorted(described) == ["new.avi", "scene-1.avi", "scene-2.avi"]
    assert (done.new, done.changed, done.moved, done.removed, done.same) == (1, 2, 2, 2, 5)
    assert set(names(index)) == {p.name for p in own.rglob("*.*")}
    assert Path(index.search(own / "renamed.avi", top=1)[0].path).name == "renamed.avi"
    assert index.add(own).same == 10


def test_other_folders_are_left_alone_and_an_empty_one_is_no_order_to_remove(own: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    write_video(more / "a.avi", scene(50), rate=25)
    index = Index(tmp_path / "index", pixels())
    index.add([own, more / "a.avi"])
    assert index.add(own).removed == 0
    assert len(index) == 10
    (more / "a.avi").unlink()  # as when a disk is not mounted
    with pytest.raises(SearchError, match="no video found in"):
        index.add(more)
    shutil.rmtree(more)
    with pytest.raises(SearchError, match="there is no file or folder"):
        index.add(more)
    assert len(index) == 10
    assert index.remove(more) == 1
    assert index.remove([own / "copies", own / "scene-0.avi"]) == 2
    assert len(index) == 7
    with pytest.raises(SearchError, match="holds nothing at"):
        index.remove(own / "scene-0.avi")
    assert (own / "scene-0.avi").exists()


def test_what_cannot_be_read_is_left_out_and_named(own: Path, tmp_path: Path) -> None:
    (own / "empty.mp4").touch()
    (own / "noise.mp4").write_bytes(b"\0" * 5000)
    sound = _sound(own / "sound.mp4")
    index = Index(tmp_path / "index", pixels())
    done = index.add(own)
    assert (done.new, done.dropped) == (9, 3)
    lines = index.dropped_log.read_text().splitlines()
    assert {name for name in ("empty.mp4", "noise.mp4", "sound.mp4") if any(name in line for line in lines)} == {
        "empty.mp4",
        "noise.mp4",
        "sound.mp4",
    }
    with pytest.raises(Unreadable, match=r"sound\.mp4"):
        index.search(sound)
    with pytest.raises(Unreadable, match=r"empty\.mp4: empty file"):
        index.add(own / "empty.mp4", bad_media="raise")
    (own / "scene-0.avi").write_bytes(b"")  # was fine before
    assert index.add(own).removed == 1
    assert "scene-0.avi" not in names(index)


def _sound(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_another_encoder_is_refused_with_what_to_do(index: Index, footage: Path) -> None:
    for use in (lambda i: i.add(footage), lambda i: i.describer()):
        with pytest.raises(OtherEncoder, match=r"was made with the model pixels .* give --model pixels") as refused:
            use(Index(index.where, pixels(grey=True)))
        assert "\n" not in str(refused.value)
    assert len(index) == 9


def test_an_index_is_wanted_where_there_is_none(tmp_path: Path, footage: Path) -> None:
    with pytest.raises(NoIndex, match="there is no index in"):
        Index(tmp_path / "none").list()
    with pytest.raises(NoIndex, match="there is no index in"):
        Index(tmp_path / "none", pixels()).search(footage / "scene-0.avi")
    with pytest.raises(NoIndex, match="there is no index in"):
        Index(tmp_path / "none", pixels()).remove(footage)
    assert not (tmp_path / "none").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(SearchError, match="exists and is no index"):
        Index(tmp_path / "other", pixels()).add(footage)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_a_killed_run_leaves_the_index_readable_and_the_next_goes_on(footage: Path, tmp_path: Path) -> None:
    where = tmp_path / "index"
    command = [sys.executable, "-c", "import sys, pixels; pixels.main(*sys.argv[1:])", where, footage]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line.split()[0]) >= 4:
                writer.send_signal(signal.SIGKILL)
                break
        writer.wait()
    index = Index(where, pixels())
    there = len(index)
    assert 3 <= there < 9
    found = {Path(video.path).name for video in index.list()}
    query = next(iter(sorted(found)))
    assert Path(index.search(index.list()[0].path, top=1)[0].path).name == query
    done = index.add(footage)
    assert (done.same, done.new) == (there, 9 - there)
    assert len(index.search(footage / "scene-3.avi", top=20)) == 9


def test_one_writes_at_a_time_and_others_read(index: Index, footage: Path) -> None:
    with WriterLock(index.where):
        with pytest.raises(Busy, match=rf"is being written to by process {os.getpid()} on .*--wait SECONDS"):
            Index(index.where, pixels()).add(footage)
        assert len(Index(index.where).list()) == 9
        assert index.search(footage / "scene-1.avi", top=1)
    lock = WriterLock(index.where).__enter__()
    threading.Timer(0.3, lock.__exit__).start()
    assert Index(index.where, pixels(), wait=20).add(footage).same == 9


def test_a_reader_sees_what_a_writer_has_added_since(index: Index, footage: Path, tmp_path: Path) -> None:
    reader = Index(index.where, pixels())
    assert len(reader.search(footage / "scene-1.avi", top=20)) == 9
    write_video(tmp_path / "late.avi", scene(60), rate=25)
    index.add(tmp_path / "late.avi")
    assert Path(reader.search(tmp_path / "late.avi", top=1)[0].path).name == "late.avi"
    index.remove(tmp_path / "late.avi")
    assert len(reader.search(footage / "scene-1.avi", top=20)) == 9


@pytest.mark.parametrize("kind", ["data", "manifest", "gone"])
@pytest.mark.parametrize("table", ["videos", "about"])
def test_damage_is_one_sentence(index: Index, footage: Path, table: str, kind: str) -> None:
    folder = Path(index.where) / f"{table}.lance"
    if kind == "gone":
        shutil.rmtree(folder / "data")
    for path in folder.glob("data/*" if kind == "data" else "_versions/*.manifest"):
        path.write_bytes(path.read_bytes()[:100])
    reader = Index(index.where, pixels())
    with pytest.raises(Damaged) as refused:
        reader.search(footage / "scene-0.avi")
    assert "remove" in str(refused.value)
    assert "index again" in str(refused.value)
    assert "cargo" not in str(refused.value)


def test_a_full_disk_is_one_sentence_and_costs_nothing(
    index: Index, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "more.avi", scene(60), rate=25)
    real = Tables.table

    class Full:
        def __init__(self, table: object) -> None:
            self._real = table

        def add(self, rows: object) -> None:
            raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28), /x/y.rs:1:2")

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    with monkeypatch.context() as full:
        full.setattr(Tables, "table", lambda self, name: Full(real(self, name)))
        with pytest.raises(NoRoom, match=r"there is no room left for .*make room and run the same command again"):
            index.add(tmp_path / "more.avi")
    assert len(Index(index.where).list()) == 9
    assert index.add(tmp_path / "more.avi").new == 1


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process")
def test_a_disk_that_fills_up_for_real(footage: Path, tmp_path: Path) -> None:
    where = tmp_path / "index"
    Index(where, pixels()).add(footage / "scene-0.avi")
    script = (
        "import resource, sys; from pixels import pixels; from telltime.search.index import Index\n"
        "index = Index(sys.argv[1], pixels()); index.collection()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try: index.add(sys.argv[2])\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, where, footage], capture_output=True, text=True, timeout=100)
    assert ran.stdout.startswith("NoRoom there is no room left for"), ran.stdout + ran.stderr
    index = Index(where, pixels())
    assert len(index) == 1
    assert index.add(footage).new == 8


def test_whitening_is_fitted_once_there_is_enough_and_again_when_asked(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derive, "LEAST", 30)
    index = Index(tmp_path / "index", pixels())
    assert not index.add([own / f"scene-{seed}.avi" for seed in range(4)]).refitted
    assert index.add(own).refitted
    about = index.about
    assert about.whitening is not None
    assert about.fitted_on == sum(video.frames for video in index.list())
    hits = index.search(own / "scene-3.avi", top=2)
    assert Path(hits[1].path).name == "darker-3.mp4"
    write_video(own / "more.avi", scene(60), rate=25)
    assert not index.add(own).refitted
    assert index.about.generation == about.generation
    assert index.add(own, refit=True).refitted
    assert index.about.generation == about.generation + 1
    tables = [name for name in Tables(index.where).names() if name.startswith("rows")]
    assert index.about.rows in tables
    assert Path(index.search(own / "more.avi", top=1)[0].path).name == "more.avi"
    index.add(own)
    assert [name for name in Tables(index.where).names() if name.startswith("rows")] == [index.about.rows]


def test_a_model_with_its_own_whitening_keeps_it(footage: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "index", whitened())
    assert not index.add(footage).refitted
    assert index.about.whitening is None
    assert index.collection().rows is not None
    assert index.collection().rows.rows.shape[1] == 16
    with pytest.raises(SearchError, match="brings its own whitening"):
        index.add(footage, refit=True)


def test_tables_may_lie_elsewhere(footage: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "here", pixels(), storage=str(tmp_path / "there.lance"))
    index.add(footage)
    assert not list((tmp_path / "here").glob("*.lance"))
    assert len(Index(tmp_path / "here").list()) == len(Index(tmp_path / "there.lance").list()) == 9
    with pytest.raises(SearchError, match="is kept at"):
        Index(tmp_path / "here", pixels(), storage=str(tmp_path / "other")).add(footage)
    remote = Index(f"file-object-store://{tmp_path}/remote", pixels())
    remote.add(footage)
    assert len(Index(remote.where, pixels()).search(footage / "scene-1.avi")) == 9
    with pytest.raises(SearchError, match="nonsense://x does not answer"):
        Index("nonsense://x", pixels()).add(footage)


def test_file_names_are_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    odd = os.fsencode(folder) + b"/caf\xe9 ' \xf0\x9f\x8e\xac.avi"
    write_video(folder / "plain.avi", scene(1), rate=25)
    shutil.move(folder / "plain.avi", os.fsdecode(odd))
    index = Index(tmp_path / "index", pixels())
    index.add(folder)
    assert index.list()[0].path == os.fsdecode(odd)
    assert index.search(os.fsdecode(odd))[0].path == os.fsdecode(odd)
    assert index.add(folder).same == 1


def test_a_large_collection_goes_through_the_first_stage(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telltime.search import collection, writing

    monkeypatch.setattr(collection, "EXACT_FRAMES", 10)
    monkeypatch.setattr(writing, "EXACT_FRAMES", 10)
    index = Index(tmp_path / "index", pixels())
    index.add(footage)
    assert index.collection().rows is None
    assert [Path(hit.path).name for hit in index.search(footage / "scene-3.avi", top=2)] == [
        "scene-3.avi",
        "darker-3.mp4",
    ]
    groups = index.copies(rate=0.001).groups  # 0.01 of 36 pairs would expect a false one in every third collection
    assert [sorted(Path(path).name for path in group.paths) for group in groups] == [["darker-3.mp4", "scene-3.avi"]]
    index.remove(footage / "copies")
    assert len(index.search(footage / "scene-3.avi", top=20)) == 8


def test_groups_of_copies(index: Index) -> None:
    found = index.copies()
    assert [sorted(Path(path).name for path in group.paths) for group in found.groups] == [
        ["darker-3.mp4", "scene-3.avi"]
    ]
    assert found.expected == pytest.approx(found.rate * 36)
    assert found.groups[0].pairs[0].score >= found.threshold
    told = found.to_json()
    assert told["expected_false_positive_rate"] == found.rate
    assert len(told["groups"][0]["videos"]) == 2


def test_errors_of_tables_name_no_source_lines() -> None:
    words = "lance error: LanceError(IO): odd thing, /home/me/.cargo/registry/src/x-1/lance-9/src/writer/a.rs:258:9"
    told = str(Tables("s3://bucket/x")._sentence("videos", RuntimeError(words)))
    assert told == "s3://bucket/x does not answer as an index should: odd thing"
