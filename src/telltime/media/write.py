"""Writing videos."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from telltime.media.files import whole

_QUALITY = {"mpeg4": 3, "mpeg2video": 3, "mjpeg": 3}
"""Fixed quantiser of codecs that otherwise aim at a tiny bit rate; 1 is best, 31 worst."""

_PIXELS = {"mjpeg": "yuvj420p", "ffv1": "bgr0", "libx264rgb": "rgb24", "png": "rgb24", "rawvideo": "rgb24"}


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    rate: float | Fraction = 25,
    codec: str = "mpeg4",
    pix_fmt: str | None = None,
    rotation: int = 0,
    **options: Any,
) -> None:
    """Write frames to a video file, whole or not at all.

    FFmpeg's own encoders (``mpeg4``, ``mjpeg``, ``ffv1``, ...) give the same bytes for the same frames.

    Args:
        path: where to; the suffix names the container (``.avi``, ``.mp4``, ``.mkv``, ...).
        frames: uint8 ``[H, W, 3]``, RGB, all of one size; taken one by one.
        rate: frames per second.
        codec: FFmpeg's name of an encoder, e.g. ``"mpeg4"``, ``"libx264"``, ``"ffv1"`` (lossless).
        pix_fmt: how pixels are stored; by default 4:2:0 except for lossless codecs.
        rotation: degrees counter-clockwise by which players shall turn the picture, where the container can say so.
        options: the encoder's own, e.g. ``g=12``, ``bf=2``, ``crf=18``.

    Raises:
        ValueError: there are no frames, one is no uint8 picture or not as large as the first, or the encoder refuses.
    """
    path = Path(path)
    rate = Fraction(rate).limit_denominator(1001)
    given = {name: str(value) for name, value in options.items()}
    if codec in _QUALITY and not {"b", "qscale", "global_quality"} & given.keys():
        given |= {"flags": given.get("flags", "") + "+qscale", "global_quality": str(118 * _QUALITY[codec])}
    with whole(path) as beside:
        try:
            container = av.open(str(beside), "w", options={"fflags": "+bitexact"})
        except ValueError:
            raise ValueError(f"{path}: no container of video is known by the suffix {path.suffix!r}") from None
        try:
            with container:
                _encode(container, frames, rate, codec, pix_fmt or _PIXELS.get(codec, "yuv420p"), rotation, given)
        except (av.error.FFmpegError, av.codec.codec.UnknownCodecError) as error:
            raise ValueError(f"{path}: {codec} cannot write these frames: {error}") from None


def _encode(
    container: Any,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    codec: str,
    pix_fmt: str,
    rotation: int,
    options: dict[str, str],
) -> None:
    stream: Any = None
    reformatter = VideoReformatter()
    for index, pixels in enumerate(frames):
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"frame {index} must be uint8 [H, W, 3], not {pixels.dtype} {list(pixels.shape)}")
        if stream is None:
            height, width, _ = pixels.shape
            stream = container.add_stream(codec, rate=rate, options={"flags": "+bitexact"} | options)
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            stream.codec_context.thread_count = 1
            if rotation:
                stream.set_display_rotation(rotation)
        if pixels.shape[:2] != (height, width):
            raise ValueError(f"frame {index} is {pixels.shape[1]}x{pixels.shape[0]}, the first is {width}x{height}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = reformatter.reformat(frame, format=pix_fmt, threads=1)
        frame.pts = index
        frame.time_base = 1 / rate
        container.mux(stream.encode(frame))
    if stream is None:
        raise ValueError("there are no frames to write")
    container.mux(stream.encode(None))
