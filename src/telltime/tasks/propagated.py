"""One video under way through label propagation: its frames, its scores, and what of it the page shows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.datasets.record import Record
from telltime.media.errors import Unreadable
from telltime.media.video import Video
from telltime.metrics.video_objects import course, score_labels
from telltime.views.dense import resized

_SHOWN_FRAMES = 4
_SHOWN_SIDE = 192


@dataclass
class Scores:
    """J and F of the objects of one video, frame by frame as they come."""

    begun: dict[int, int]
    j: dict[int, list[float]] = field(default_factory=dict)
    f: dict[int, list[float]] = field(default_factory=dict)

    def add(self, frame: int, predicted: np.ndarray, truth: np.ndarray) -> None:
        objects = list(self.begun)
        j, f = score_labels(predicted[None], truth[None], objects)
        for at, label in enumerate(objects):
            if frame > self.begun[label]:
                self.j.setdefault(label, []).append(float(j[at, 0]))
                self.f.setdefault(label, []).append(float(f[at, 0]))

    def rows(self, video: str) -> list[dict[str, Any]]:
        """One row for each object that was scored at all."""
        found = []
        for label in self.j:
            j, f = course(np.array(self.j[label])), course(np.array(self.f[label]))
            row: dict[str, Any] = {"video": video, "object": label, "frames": len(self.j[label])}
            row |= {"J&F": (j.mean + f.mean) / 2, "J": j.mean, "F": f.mean, "J_recall": j.recall, "F_recall": f.recall}
            found.append(row | {"J_decay": j.decay, "F_decay": f.decay})
        return found

    def mean_j(self) -> float | None:
        """Over all frames of all objects."""
        return float(np.mean([value for values in self.j.values() for value in values])) if self.j else None


class Passing:
    """The frames of a video from ``first`` to ``last`` as they decode; the latest few can be asked for once more."""

    def __init__(self, video: Video, first: int, last: int) -> None:
        self._video, self._first, self._last = video, first, last
        self._held: dict[int, Tensor] = {}

    def __iter__(self) -> Iterator[Tensor]:
        due, probe = self._first, self._video.probe()
        for picture in self._video.pictures(range(self._first, self._last + 1)):
            if picture.index != due:
                break
            rows = np.empty((probe.height, probe.width, 3), dtype=np.uint8)
            picture.write(rows)
            self._held[due] = torch.from_numpy(rows).permute(2, 0, 1)
            yield self._held[due]
            due += 1
        if due <= self._last:
            raise Unreadable(
                self._video.path, f"frame {due} cannot be read, and all frames up to {self._last} are needed"
            )

    def take(self, index: int) -> Tensor:
        return self._held.pop(index)


class Shown:
    """A few scored frames of a video, small, for the page."""

    def __init__(self, wanted: bool, counted: list[int]) -> None:
        some = np.linspace(0, len(counted) - 1, min(_SHOWN_FRAMES, len(counted))).round().astype(int)
        self._at = {counted[i] for i in some} if wanted else set()
        self.frames: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, index: int, frame: Tensor, truth: np.ndarray, labels: np.ndarray) -> None:
        if index in self._at:
            height, width = frame.shape[-2:]
            size = (_SHOWN_SIDE, max(1, round(_SHOWN_SIDE * width / height)))
            self.frames.append(resized(frame[None], size)[0].numpy())
            self._truth.append(truth)
            self._labels.append(labels)

    def stacked(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.stack(self.frames), np.stack(self._truth), np.stack(self._labels)


def mask_names(record: Record, count: int) -> dict[int, str]:
    """What the mask of each frame is called: as the frame's picture, or by its number."""
    from telltime.media._folder import natural
    from telltime.media.image import SUFFIXES

    if not record.path.is_dir():
        return {i: f"{i:05d}" for i in range(count)}
    first = record.span[0] if record.span else 0
    files = sorted((file for file in record.path.iterdir() if file.suffix.lower() in SUFFIXES), key=natural)
    return {i: file.stem for i, file in enumerate(files[first : first + count])}
