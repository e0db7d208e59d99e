"""Masks for any video: of what moves in it, found without a label, or of what a first mask shows.

>>> found = segment(encoder, Path("clip.mp4"), Path("out"), k=2)
>>> found.masks, found.video, found.gif          # a folder of DAVIS's palette PNGs, and two ways to look at them
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from telltime.backbones.dense import DenseEncoder
from telltime.clips.masks import annotated, nearest, read_labels
from telltime.datasets.own_masks import masks_of
from telltime.datasets.record import Record
from telltime.datasets.sequences import listed
from telltime.features.embed import Progress
from telltime.features.foreground import foreground
from telltime.features.objects import labels, objects
from telltime.features.propagation import Settings, preset, propagate, usual_preset
from telltime.features.watching import watch
from telltime.media.errors import Unreadable
from telltime.media.footage import Footage
from telltime.media.image import SUFFIXES
from telltime.media.mask import read_mask, write_mask
from telltime.media.overlay import Overlays
from telltime.media.video import Limits, Video
from telltime.media.write import write_video
from telltime.metrics.video_objects import region_j
from telltime.views.dense import resized

_SHOWN, _SHOWN_SIDE = 4, 192


@dataclass
class Segmented:
    """What came of one video.

    Attributes:
        path: the video.
        name: what its files are called.
        frames: how many have a mask.
        labels: objects that any mask shows, ascending.
        masks: folder of the masks; ``video`` and ``gif`` show them over the frames.
        seconds: it took.
        scores: ``J``, all objects found together against all true ones; ``J_objects``, each true object against the
            found one that the truth would choose for it; means over ``scored`` frames. Empty without true masks.
        shown: frames, truth and prediction for the page, as :mod:`telltime.report.dense` takes them.
    """

    path: Path
    name: str
    frames: int
    labels: list[int]
    masks: Path
    video: Path
    gif: Path
    seconds: float
    scores: dict[str, float] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Everything but pictures."""
        told = {k: str(v) if isinstance(v, Path) else v for k, v in vars(self).items() if k != "shown"}
        return told | {"seconds": round(self.seconds, 3)}


def segment(
    encoder: DenseEncoder,
    path: Path,
    out: Path,
    *,
    k: int = 2,
    every: int = 1,
    side: int = 480,
    mask: Path | None = None,
    name: str | None = None,
    settings: Settings | None = None,
    told: Progress | None = None,
    limits: Limits | None = None,
) -> Segmented:
    """Segment a video and write ``masks/NAME/FRAME.png``, ``NAME.mp4`` and ``NAME.gif`` below ``out``.

    Args:
        encoder: on the device to compute on.
        path: a video file or a folder of frames.
        k: labels in all, background among them; 2 gives one object. Without ``mask`` only.
        every: take one frame of so many.
        side: shorter side in pixels that frames are encoded at.
        mask: a file with the labels of the first frame, to be carried through the video instead of finding objects.
        name: of the files; by default the video's.
        settings: how ``mask`` is carried.
        told: called with frames done and to do.

    Raises:
        MediaError: the video or the mask cannot be read.
        ValueError: ``k`` is below 2.
    """
    if k < 2:
        raise ValueError(f"k counts the background too: at least 2, not {k}")
    started, name = time.monotonic(), name or (path.name if path.is_dir() else path.stem)
    with Video(path, limits=limits or Limits()) as video:
        footage = Footage(video, every)
        if mask is not None:
            found = carried(encoder, footage, mask, settings or _settings(encoder, side), told)
        else:
            found = discovered(encoder, footage, k, side, told)
        masks = out / "masks" / name
        names = _frame_names(path, footage.numbers)
        pages = _Pages(path, footage, len(footage))
        seen: set[int] = set()
        overlays = Overlays(out / f"{name}.gif", footage)

        def drawn() -> Iterator[np.ndarray]:
            for at, (frame, those) in enumerate(found):
                write_mask(masks / f"{names[at]}.png", those)
                seen.update(np.unique(those).tolist())
                pages.add(at, frame, those)
                yield overlays.add(at, frame, those)

        write_video(out / f"{name}.mp4", drawn(), footage.rate)
        overlays.write()
    return Segmented(
        path,
        name,
        len(footage),
        sorted(seen - {0, 255}),
        masks,
        out / f"{name}.mp4",
        out / f"{name}.gif",
        time.monotonic() - started,
        pages.scores(),
        pages.shown(name),
    )


def discovered(
    encoder: DenseEncoder, footage: Footage, k: int = 2, side: int = 480, told: Progress | None = None
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Each frame with its labels uint8 ``[H, W]``: 0 the ground, 1 to ``k - 1`` the objects, the largest first."""
    watched = watch(encoder, footage, side, told=told)
    scores = foreground(watched)
    parts = objects(watched, scores, k - 1)
    for at, frame in enumerate(footage):
        yield frame, labels(frame, scores[at], None if parts is None else parts[at])


def carried(
    encoder: DenseEncoder,
    footage: Footage,
    mask: Path,
    settings: Settings | None = None,
    told: Progress | None = None,
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Each frame with its labels uint8 ``[H, W]``, those of the first as in the file ``mask``, as large as the frame.

    A mask of 0 and 255 alone is of one object; otherwise 255 is of nothing.
    """
    first = read_mask(mask)
    if set(np.unique(first).tolist()) <= {0, 255}:
        first = (first > 0).astype(np.uint8)
    if not np.isin(first, (0, 255), invert=True).any():
        raise Unreadable(mask, "no object in this mask, all of it is background")
    first = nearest(first, footage.size)
    settings = settings or preset(usual_preset(encoder))
    held: deque[Tensor] = deque()

    def passing() -> Iterator[Tensor]:
        for frame in footage:
            held.append(frame)
            yield frame

    for at, those in enumerate(propagate(encoder, passing(), {0: first}, settings), 1):
        yield held.popleft(), those
        if told is not None:
            told(at, len(footage))


class _Pages:
    """Frames for the page, and scores where the video has masks of its own."""

    def __init__(self, path: Path, footage: Footage, count: int) -> None:
        self._record = Record(path.name, path, masks=masks_of(path))
        self._numbers = footage.numbers
        self._true = set(annotated(self._record)) & set(footage.numbers)
        some = sorted(at for at in range(count) if not self._true or footage.numbers[at] in self._true)
        self._at = {some[i] for i in np.linspace(0, len(some) - 1, min(_SHOWN, len(some))).round().astype(int)}
        self._frames: list[np.ndarray] = []
        self._truths: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._j: list[float] = []
        self._met: dict[tuple[int, int], list[int]] = {}

    def add(self, at: int, frame: Tensor, those: np.ndarray) -> None:
        truth = None
        if self._numbers[at] in self._true:
            truth = read_labels(self._record, [self._numbers[at]], those.shape[:2])[0]
            self._score(truth, those)
        if at in self._at:
            height, width = those.shape
            size = (_SHOWN_SIDE, max(1, round(_SHOWN_SIDE * width / height)))
            self._frames.append(resized(frame[None], size)[0].numpy())
            self._labels.append(those)
            self._truths += [truth] if truth is not None else []

    def scores(self) -> dict[str, float]:
        if not self._j:
            return {}
        true, found = ({pair[i] for pair in self._met} - {0} for i in (0, 1))
        best = [max((self._iou(t, f) for f in found | {0}), default=0.0) for t in sorted(true)]
        told = {"J": float(np.mean(self._j)), "scored": float(len(self._j))}
        return told | ({"J_objects": float(np.mean(best))} if best else {})

    def shown(self, name: str) -> dict[str, Any]:
        truth = np.stack(self._truths) if self._truths and len(self._truths) == len(self._frames) else None
        frames, predicted = np.stack(self._frames), np.stack(self._labels)
        return {"id": name, "frames": frames, "truth": truth, "predicted": predicted, "score": self.scores().get("J")}

    def _score(self, truth: np.ndarray, those: np.ndarray) -> None:
        void = truth == 255
        self._j.append(float(region_j(those > 0, (truth > 0) & ~void, void)))
        pairs, counts = np.unique(np.stack([truth[~void], those[~void]]), axis=1, return_counts=True)
        for (true, found), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            self._met.setdefault((true, found), []).append(count)

    def _iou(self, true: int, found: int) -> float:
        """Over all scored frames together."""
        both = sum(self._met.get((true, found), []))
        either = sum(sum(counts) for pair, counts in self._met.items() if pair[0] == true or pair[1] == found)
        return both / either if either else 0.0


def _settings(encoder: DenseEncoder, side: int) -> Settings:
    """Those recommended for the encoder, at another size."""
    usual = preset(usual_preset(encoder))
    return replace(usual, side=side, multiple=min(usual.multiple, side))


def _frame_names(path: Path, numbers: Iterable[int]) -> list[str]:
    """What the mask of each frame is called: as the frame's picture, or by its number."""
    if not path.is_dir():
        return [f"{i:05d}" for i in numbers]
    names = listed(path, frozenset(SUFFIXES))
    return [Path(names[i]).stem for i in numbers]
