"""Any frames of any video: the same pixels as decoding all of it, whatever the container."""

import pickle
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telltime.media import _pyav
from telltime.media._torchcodec import available
from telltime.media.errors import TooShort
from telltime.media.video import Video
from telltime.media.write import write_video

KINDS = {
    "one-keyframe.avi": ("mpeg4", {"g": 600}),
    "keyframes.avi": ("mpeg4", {"g": 12}),
    "b-frames.avi": ("mpeg4", {"g": 12, "bf": 2}),
    "b-frames-mpeg4.mkv": ("mpeg4", {"g": 12, "bf": 2}),
    "b-frames.mp4": ("libx264", {"g": 15, "bf": 3}),
    "b-frames-h264.avi": ("libx264", {"g": 15, "bf": 3}),
    "open-gop.mkv": ("libx264", {"g": 10, "x264-params": "open-gop=1"}),
    "intra-refresh.mp4": ("libx264", {"g": 20, "x264-params": "intra-refresh=1"}),
    "broadcast.ts": ("mpeg2video", {"g": 10, "bf": 2}),
    "dvd.mpg": ("mpeg2video", {"g": 10, "bf": 2}),
    "hidden-frames.webm": ("libvpx", {"g": 30, "auto-alt-ref": 1, "lag-in-frames": 16}),
    "vp9.webm": ("libvpx-vp9", {"g": 20, "cpu-used": 8}),
    "raw.h264": ("libx264", {"g": 10, "bf": 2}),
    "all-intra.mov": ("mjpeg", {}),
    "lossless.mkv": ("ffv1", {}),
}
COUNT = 40


def decode_all(path: Path) -> np.ndarray:
    """Every frame by decoding the whole file, uint8 ``[n, 3, H, W]``, turned upright."""
    with av.open(str(path)) as container:
        frames = [np.rot90(f.to_ndarray(format="rgb24"), round(f.rotation / 90) % 4) for f in container.decode(video=0)]
    return np.stack(frames).transpose(0, 3, 1, 2)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory, footage) -> Callable[[str], tuple[Path, np.ndarray]]:
    folder = tmp_path_factory.mktemp("zoo")
    made: dict[str, tuple[Path, np.ndarray]] = {}

    def get(name: str) -> tuple[Path, np.ndarray]:
        if name not in made:
            codec, options = KINDS[name]
            write_video(folder / name, footage(COUNT), codec=codec, **options)
            made[name] = folder / name, decode_all(folder / name)
        return made[name]

    return get


@pytest.mark.parametrize("name", KINDS)
def test_counts_frames_without_decoding(zoo, numbers, name):
    path, whole = zoo(name)
    assert len(whole) == COUNT
    assert numbers(whole) == list(range(COUNT))
    probe = Video(path).probe()
    assert probe.frames == COUNT
    assert (probe.width, probe.height, probe.rotation) == (80, 48, 0)
    assert probe.rate == pytest.approx(25)
    assert probe.seconds == pytest.approx(COUNT / 25, abs=0.05)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(indices=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=6))
def test_any_frames_equal_a_full_decode(zoo, name, indices):
    path, whole = zoo(name)
    frames = Video(path).frames(indices)
    np.testing.assert_array_equal(frames.pixels.numpy(), whole[indices])
    np.testing.assert_array_equal(frames.indices, indices)
    np.testing.assert_allclose(frames.times, np.array(indices) / 25, atol=1e-3)


@pytest.mark.parametrize("name", ["keyframes.avi", "b-frames.mp4", "one-keyframe.avi"])
def test_one_video_can_be_asked_again_and_again(zoo, name):
    path, whole = zoo(name)
    video = Video(path)
    for indices in ([39], [0], [5, 4, 3], range(40), [39, 0, 39]):
        np.testing.assert_array_equal(video.frames(indices).pixels.numpy(), whole[list(indices)])


def test_pixels_are_rgb_channels_last(tmp_path):
    red = np.zeros((32, 48, 3), np.uint8)
    red[..., 0] = 255
    write_video(tmp_path / "red.mkv", [red] * 3, codec="ffv1")
    pixels = Video(tmp_path / "red.mkv").frames([0, 2]).pixels
    assert pixels.shape == (2, 3, 32, 48)
    assert pixels.stride() == (32 * 48 * 3, 1, 48 * 3, 3)
    np.testing.assert_array_equal(pixels[1].permute(1, 2, 0).numpy(), red)


def test_decodes_only_from_the_keyframe_to_the_last_frame_asked(zoo, monkeypatch):
    path, whole = zoo("keyframes.avi")
    fed = []
    decode = _pyav.PyAVSource._decode

    def spy(self, *args):
        for position, frame in decode(self, *args):
            fed.append(position)
            yield position, frame

    monkeypatch.setattr(_pyav.PyAVSource, "_decode", spy)
    np.testing.assert_array_equal(Video(path).frames([14, 38]).pixels.numpy(), whole[[14, 38]])
    assert fed == [12, 13, 14, 36, 37, 38]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_passes_over_frames_that_no_other_is_built_from(tmp_path, footage, monkeypatch, codec):
    path = tmp_path / "long.mkv"
    write_video(path, footage(40), codec=codec, g=40, bf=3)
    whole = decode_all(path)
    came = []
    decode = _pyav.PyAVSource._decode

    def spy(self, *args):
        for position, frame in decode(self, *args):
            came.append(frame.pts)
            yield position, frame

    monkeypatch.setattr(_pyav.PyAVSource, "_decode", spy)
    for wanted in ([33], [5, 6, 7, 30], [1, 17, 38, 39], list(range(40))):
        came.clear()
        np.testing.assert_array_equal(Video(path).frames(wanted).pixels.numpy(), whole[wanted])
        assert len(came) < wanted[-1] + 1 or len(wanted) == 40


@pytest.mark.parametrize("size", [(48, 80), (49, 81), (50, 83), (63, 70)])
@pytest.mark.parametrize("codec", ["mpeg4", "ffv1"])
def test_odd_sizes(tmp_path, footage, size, codec):
    path = tmp_path / "odd.mkv"
    write_video(path, footage(6, *size), codec=codec)
    np.testing.assert_array_equal(Video(path).frames(range(6)).pixels.numpy(), decode_all(path))


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_applied(tmp_path, footage, rotation):
    path = tmp_path / "phone.mp4"
    write_video(path, footage(5), rotation=rotation)
    probe = Video(path).probe()
    assert abs(probe.rotation) == abs(rotation)
    assert (probe.width, probe.height) == ((80, 48) if rotation == 180 else (48, 80))
    np.testing.assert_array_equal(Video(path).frames([0, 4]).pixels.numpy(), decode_all(path)[[0, 4]])


def test_mirrored_display_matrix(tmp_path, footage):
    path = tmp_path / "selfie.mp4"
    frames = list(footage(4))
    write_video(path, frames)
    plain = Video(path).frames(range(4)).pixels.numpy()
    data = path.read_bytes()
    identity = b"".join(v.to_bytes(4, "big") for v in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    mirror = b"".join((v % 2**32).to_bytes(4, "big") for v in (-1 << 16, 0, 0, 0, 1 << 16, 0, 80 << 16, 0, 1 << 30))
    at = data.index(identity, data.index(b"tkhd"))
    path.write_bytes(data[:at] + mirror + data[at + 36 :])
    np.testing.assert_array_equal(Video(path).frames(range(4)).pixels.numpy(), plain[..., ::-1])


def test_variable_frame_rate_keeps_each_frames_time(tmp_path, footage):
    path, times = tmp_path / "vfr.mkv", [0, 40, 50, 200, 210, 1000, 1030]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"g": "3"})
        stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for pixels, time in zip(footage(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames = Video(path).frames([5, 1, 6])
    np.testing.assert_allclose(frames.times, [1.0, 0.04, 1.03], atol=1e-3)
    np.testing.assert_array_equal(frames.pixels.numpy(), decode_all(path)[[5, 1, 6]])


def test_metadata_that_is_no_utf8_is_of_no_concern(tmp_path, footage):
    path = tmp_path / "latin.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "XXXXXXXX"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
        for pixels in footage(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"XXXXXXXX", b"caf\xe9 \xff\xfe!"))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(path))
    assert Video(path).frames([2]).pixels.shape == (1, 3, 48, 80)


def test_scaling_while_converting(clip):
    full, small = Video(clip).frames([0, 30]), Video(clip).frames([0, 30], short_side=24)
    assert small.pixels.shape == (2, 3, 24, 40)
    means = full.pixels.float().reshape(2, 3, 24, 2, 40, 2).mean((3, 5))
    assert (small.pixels.float() - means).abs().mean() < 4
    assert Video(clip).frames([0], short_side=200).pixels.shape == (1, 3, 48, 80)


def test_span_is_a_video_of_its_own(clip, numbers):
    part = Video(clip, span=(20, 31))
    assert part.probe().frames == 11
    frames = part.frames([10, 0])
    assert numbers(frames.pixels) == [30, 20]
    np.testing.assert_array_equal(frames.indices, [10, 0])
    with pytest.raises(TooShort, match="holds 11 frames, frame 11"):
        part.frames([11])
    assert Video(clip, span=(50, 900)).probe().frames == 10
    with pytest.raises(TooShort, match="the span starts at frame 60"):
        Video(clip, span=(60, 70)).probe()


def test_past_the_end(clip):
    with pytest.raises(TooShort, match="holds 60 frames, frame 63 was asked for"):
        Video(clip).frames([1, 63])
    frames = Video(clip).frames([70, 3, 99, 59, 3], partial=True)
    np.testing.assert_array_equal(frames.indices, [3, 59, 3])
    assert len(Video(clip).frames([99], partial=True)) == 0
    assert Video(clip).frames([]).pixels.shape == (0, 3, 48, 80)


@pytest.mark.parametrize("indices", [[-1], [0.5], [[1, 2]], ["1"]])
def test_impossible_indices(clip, indices):
    with pytest.raises(ValueError, match=r"frame numbers|indices"):
        Video(clip).frames(indices)


@pytest.mark.parametrize("arguments", [{"backend": "opencv"}, {"span": (5, 5)}, {"span": (-1, 5)}])
def test_impossible_videos(clip, arguments):
    with pytest.raises(ValueError):
        Video(clip, **arguments)


def test_travels_to_another_process(clip, numbers):
    video = Video(clip)
    video.frames([1])
    assert numbers(pickle.loads(pickle.dumps(video)).frames([7]).pixels) == [7]


def test_says_nothing_on_the_terminal(clip, tmp_path, capfd):
    data = bytearray(clip.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    (tmp_path / "damaged.avi").write_bytes(data)
    Video(tmp_path / "damaged.avi").frames(range(60), partial=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not available(), reason="torchcodec or its FFmpeg libraries are not installed")
@pytest.mark.parametrize("name", ["keyframes.avi", "b-frames.mp4", "vp9.webm", "open-gop.mkv", "all-intra.mov"])
def test_torchcodec_gives_the_same_pixels(zoo, name):
    path, whole = zoo(name)
    frames = Video(path, backend="torchcodec").frames([39, 3, 4, 3])
    tolerance = 2 if name == "keyframes.avi" else 0
    np.testing.assert_allclose(frames.pixels.numpy().astype(int), whole[[39, 3, 4, 3]].astype(int), atol=tolerance)
    np.testing.assert_allclose(frames.times, np.array([39, 3, 4, 3]) / 25, atol=1e-3)
    assert Video(path, backend="torchcodec").probe() == Video(path).probe()


@pytest.mark.skipif(not available(), reason="torchcodec or its FFmpeg libraries are not installed")
def test_torchcodec_applies_rotation(tmp_path, footage):
    write_video(tmp_path / "phone.mp4", footage(5), codec="libx264", rotation=90)
    frames = Video(tmp_path / "phone.mp4", backend="torchcodec").frames([4, 0])
    np.testing.assert_array_equal(frames.pixels.numpy(), decode_all(tmp_path / "phone.mp4")[[4, 0]])
