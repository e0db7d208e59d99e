"""Files that are no video, or only half of one: each is named with its reason, and nothing hangs."""

import os
import pickle
from pathlib import Path

import av
import numpy as np
import pytest

from telltime.media import errors
from telltime.media.errors import DecodeTimeout, LimitExceeded, MediaError, MediaNotFound, TooShort, Unreadable
from telltime.media.video import Limits, Video
from telltime.media.write import write_video


def refuses(path: Path, error: type[MediaError], reason: str, **arguments: object) -> None:
    for ask in (Video.probe, lambda video: video.frames([0]), lambda video: video.frames([0], partial=True)):
        with pytest.raises(error, match=reason) as caught:
            ask(Video(path, **arguments))
        assert caught.value.path == path
        assert str(path) in str(caught.value)


def test_missing(tmp_path):
    refuses(tmp_path / "gone.avi", MediaNotFound, "no such file")
    refuses(tmp_path / "gone" / "a.avi", MediaNotFound, "no such file")


def test_empty(tmp_path):
    (tmp_path / "empty.mp4").touch()
    refuses(tmp_path / "empty.mp4", Unreadable, "empty file")


@pytest.mark.parametrize(
    "text", ["just a few words\n" * 40, "caf\xe9 \u4e2d\n", "ffconcat version 1.0\nfile other.avi\n"]
)
@pytest.mark.parametrize("name", ["text.avi", "text.txt", "text.mp4"])
def test_text(tmp_path, text, name):
    (tmp_path / name).write_text(text, encoding="utf-8")
    refuses(tmp_path / name, Unreadable, "text|list")


def test_playlists_lead_nowhere(tmp_path, clip):
    (tmp_path / "list.avi").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{clip}\n#EXT-X-ENDLIST\n")
    refuses(tmp_path / "list.avi", Unreadable, "text|list")


def test_noise(tmp_path):
    (tmp_path / "noise.avi").write_bytes(np.random.default_rng(0).bytes(5000))
    refuses(tmp_path / "noise.avi", Unreadable, "no format of video|damaged")


def test_sound_only(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    refuses(path, Unreadable, "no video stream, only sound")


def test_mp4_without_its_index(tmp_path, footage):
    write_video(tmp_path / "whole.mp4", footage(40), codec="libx264")
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    refuses(tmp_path / "cut.mp4", Unreadable, "cut short.*moov atom")


def test_avi_cut_short_gives_what_is_there(tmp_path, clip, numbers):
    data = clip.read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    video = Video(tmp_path / "cut.avi")
    count = video.probe().frames
    assert 5 < count < 55
    assert numbers(video.frames([0, count - 3]).pixels) == [0, count - 3]
    with pytest.raises(TooShort):
        video.frames([59])


@pytest.mark.parametrize("special", ["fifo", "socket"])
def test_special_files_are_not_waited_for(tmp_path, special):
    path = tmp_path / "special.avi"
    if special == "fifo":
        os.mkfifo(path)
    else:
        import socket

        socket.socket(socket.AF_UNIX).bind(str(path))
    refuses(path, Unreadable, "neither a regular file nor a folder")


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is forbidden to the superuser")
def test_forbidden(tmp_path, clip):
    (tmp_path / "locked.avi").write_bytes(clip.read_bytes())
    (tmp_path / "locked.avi").chmod(0)
    refuses(tmp_path / "locked.avi", Unreadable, "permission denied")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, footage) -> Path:
    """40 frames of H.264, keyframes at 0 and 20; the packet of frame 8 is no picture any more."""
    folder = tmp_path_factory.mktemp("damaged")
    write_video(folder / "whole.mp4", footage(40), codec="libx264", g=20, bf=0, **{"x264-params": "scenecut=0"})
    data = bytearray((folder / "whole.mp4").read_bytes())
    with av.open(str(folder / "whole.mp4")) as container:
        packet = next(p for i, p in enumerate(container.demux(video=0)) if i == 8)
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    (folder / "damaged.mp4").write_bytes(data)
    return folder / "damaged.mp4"


def test_damage_leaves_the_frames_before_it(damaged, numbers):
    video = Video(damaged)
    assert video.probe().frames == 40
    assert numbers(video.frames([0, 7, 3]).pixels) == [0, 7, 3]
    with pytest.raises(Unreadable, match="decoding stops at frame 8 of 40, frame 9 was asked for"):
        video.frames([3, 9])


def test_damage_leaves_what_a_later_keyframe_gives(damaged, numbers):
    frames = Video(damaged).frames([25, 9, 3, 8, 20], partial=True)
    np.testing.assert_array_equal(frames.indices, [25, 3, 20])
    assert numbers(frames.pixels) == [25, 3, 20]


def test_flipped_bytes_never_surprise(tmp_path, clip):
    rng = np.random.default_rng(0)
    data = np.frombuffer(clip.read_bytes(), np.uint8)
    seen = set()
    for case in range(30):
        flipped = data.copy()
        where = rng.integers(0, len(data) if case % 2 else 600, 20)
        flipped[where] ^= rng.integers(1, 256, 20, dtype=np.uint8)
        path = tmp_path / f"{case}.avi"
        path.write_bytes(flipped.tobytes())
        try:
            frames = Video(path, limits=Limits(max_pixels=10**6)).frames([0, 30, 59], partial=True)
            assert frames.pixels.shape[0] == len(frames.indices) <= 3
            seen.add("read")
        except MediaError as error:
            seen.add(type(error).__name__)
    assert seen >= {"read", "Unreadable"}


def test_limits(clip):
    refuses(clip, LimitExceeded, "80x48 pixels are more than the limit of 3000", limits=Limits(max_pixels=3000))
    refuses(clip, LimitExceeded, "more than the limit of 59 frames", limits=Limits(max_frames=59))
    assert Video(clip, limits=Limits(max_pixels=80 * 48, max_frames=60)).probe().frames == 60


def test_time_limit(clip):
    refuses(clip, DecodeTimeout, "longer than the limit of 0 seconds", limits=Limits(seconds=0))


@pytest.mark.parametrize("name", ["MediaNotFound", "Unreadable", "TooShort", "LimitExceeded", "DecodeTimeout"])
def test_errors_travel_between_processes(name):
    error = pickle.loads(pickle.dumps(getattr(errors, name)("a/b.avi", "empty file")))
    assert type(error).__name__ == name
    assert (error.path, error.reason, str(error)) == (Path("a/b.avi"), "empty file", "a/b.avi: empty file")
