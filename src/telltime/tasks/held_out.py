"""How well a dense method does on videos that it is not trained on, with labels or without: chooses the best model."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from telltime.clips.item import item_rng
from telltime.clips.loader import ClipLoader
from telltime.clips.policy import BadMedia
from telltime.datasets.record import Record
from telltime.features.kmeans import FAISS_POINTS, centroids, drawn_places, nearest
from telltime.features.principal import ScaledComponents
from telltime.media.errors import MediaError
from telltime.media.video import Video
from telltime.metrics.segmentation import confusion, matched_iou
from telltime.metrics.shared_information import shared_information
from telltime.training.validation import Validator

_VOID = 255


class HeldOutClusters(Validator):
    """Clusters the places of held-out clips by their features.

    Args:
        by: what the score is. ``"clusters"``: how much of the clusters is found again in the clip's mirror image, whose
            places are clustered by themselves (normalised mutual information, 0 to 1); no label is asked. ``"loss"``:
            the method's own loss on held-out clips, negative. ``"labels"``: the matched IoU of as many clusters as the
            clip has labels; what was chosen by it must not be measured on the same videos.
        every, share: see :class:`~telltime.training.validation.Validator`.
        clusters: of a clip, without labels.
        frames: of a clip, evenly spread.
        size: side that frames are squashed to, in pixels.
        most: clips that are looked at.
    """

    def __init__(
        self,
        by: Literal["clusters", "loss", "labels"] = "clusters",
        every: int = 1,
        share: float = 0.1,
        clusters: int = 6,
        frames: int = 4,
        size: int = 224,
        most: int = 64,
    ) -> None:
        super().__init__(every, share)
        if by not in ("clusters", "loss", "labels"):
            raise ValueError(f'by is "clusters", "loss" or "labels", not {by!r}')
        if min(clusters, frames, size, most) < 1 or clusters < 2:
            raise ValueError(
                f"clusters are 2 or more, frames, size and most 1, not {clusters}, {frames}, {size}, {most}"
            )
        self.by, self.clusters, self.frames, self.size, self.most = by, clusters, frames, size, most

    def __call__(self, method: Any, records: tuple[Record, ...], seed: int, device: torch.device) -> dict[str, float]:
        """The score; clips that cannot be read are left out.

        Raises:
            ValueError: no clip could be read, or with ``by="labels"`` none has masks.
        """
        scores: list[float] = []
        if self.by == "loss":
            scores = self._losses(method, records[: self.most], seed, device)
        for record in records[: self.most] if self.by != "loss" else ():
            try:
                score = (
                    self._labelled(method, record, device)
                    if self.by == "labels"
                    else self._again(method, record, device)
                )
            except MediaError:
                continue
            scores += [] if score is None else [score]
        if not scores:
            lacking = "has masks" if self.by == "labels" else "could be read"
            raise ValueError(f"validation: none of {len(records)} held-out videos {lacking}")
        return {"score": float(np.mean(scores))}

    def _again(self, method: Any, record: Record, device: torch.device) -> float:
        with Video(record.path, span=record.span) as video:
            frames = self._squashed(video, np.linspace(0, video.probe().frames - 1, self.frames).round().astype(int))
        grids = [self._grid(method, each, device) for each in (frames, frames.flip(-1))]
        side = tuple(grids[0].shape[-2:])
        once, again = (self._clustered(grid, self.clusters, side) for grid in grids)
        return shared_information(once, again[:, :, ::-1])

    def _labelled(self, method: Any, record: Record, device: torch.device) -> float | None:
        from telltime.clips.masks import annotated, read_labels

        there = annotated(record)
        if not there:
            return None
        chosen = [there[i] for i in np.unique(np.linspace(0, len(there) - 1, self.frames).round().astype(int))]
        with Video(record.path, span=record.span) as video:
            grid = self._grid(method, self._squashed(video, np.array(chosen)), device)
        side = (self.size // 2, self.size // 2)
        labels = read_labels(record, chosen, side)
        present = [n for n in np.unique(labels).tolist() if n != _VOID]
        if not present:
            return None
        found = self._clustered(grid, len(present), side)
        return matched_iou(confusion(labels, found, _VOID + 1, max(1, len(present)), _VOID)).mean

    def _losses(self, method: Any, records: tuple[Record, ...], seed: int, device: torch.device) -> list[float]:
        """The same clips, seen the same way, each time."""
        share = BadMedia("skip", max_share=1.0)
        loader = ClipLoader(records, method.reader, 8, seed, policy=share, shuffle=False)
        generator = torch.Generator(device)
        losses = []
        for batch in loader.epoch(0):
            generator.manual_seed(int(item_rng(seed, 0, "\0validation").randint(2**31)))
            losses.append(-float(method(method.views(batch, generator))[0]))
        return losses

    def _squashed(self, video: Video, indices: np.ndarray) -> Tensor:
        """uint8 ``[n, 3, size, size]``."""
        from telltime.views.dense import squared

        return squared(video.frames(indices).pixels, self.size)

    def _grid(self, method: Any, frames: Tensor, device: torch.device) -> Tensor:
        """uint8 frames ``[n, 3, S, S]`` to scaled components of the features of their places, ``[n, D, h, w]``."""
        clip = frames.to(device).movedim(0, 1)[None].float() / 255
        grid = method.embed(clip).map[0].transpose(0, 1).float().cpu()
        learned = ScaledComponents()
        learned.add(grid.permute(0, 2, 3, 1).flatten(0, 2))
        return learned.grid(grid)

    def _clustered(self, grid: Tensor, k: int, side: tuple[int, ...]) -> np.ndarray:
        size = (side[0], side[1])
        means = centroids(drawn_places(grid, size, FAISS_POINTS * k), k)
        return nearest(grid, means, size)
