"""The objects of a video's foreground told apart, and carried through all its frames."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.features.watching import Watched
from telltime.losses.forwarding import Forwarder
from telltime.views.dense import upsampled
from telltime.views.flow import positions
from telltime.views.guided import guided

_POSITION, _MOTION = 1.5, 0.5
_RADIUS = 12
_WINDOW = 30


@torch.no_grad()
def objects(watched: Watched, scores: Tensor, count: int, seed: int = 0) -> Tensor | None:
    """How much each place belongs to each of ``count`` objects.

    In the frame where the foreground is surest its places are parted by k-means on features, position and own motion.
    The parts, the largest first, are carried to the other frames, both ways, by the likeness of places
    (:class:`telltime.losses.forwarding.Forwarder`).

    Args:
        scores: float ``[T, h, w]``, above 0 in the foreground.
        count: objects wanted; there are fewer where that frame has fewer places of foreground.
        seed: of k-means.

    Returns:
        float ``[T, count, h, w]``; ``None`` where there is no foreground at all.
    """
    key = int(scores.clamp(min=0).flatten(1).sum(1).argmax())
    front = scores[key] > 0
    there = int(front.sum())
    if not there:
        return None
    if min(count, there) == 1:
        return torch.ones_like(scores)[:, None]
    parts = front.new_zeros(front.shape, dtype=torch.long)
    parts[front] = 1 + _parted(watched, key, front, min(count, there), seed)
    first = F.one_hot(parts).permute(2, 0, 1)[None].float()
    found = {key: first[0, 1:]}
    for way in (range(key + 1, len(watched)), range(key - 1, -1, -1)):
        forwarder = Forwarder(watched.grids[key][None].float(), first, radius=_RADIUS)
        for frame in way:
            found[frame] = forwarder.step(watched.grids[frame][None].float())[0, 1:]
    return torch.stack([found[frame] for frame in range(len(watched))])


@torch.no_grad()
def labels(frame: Tensor, scores: Tensor, parts: Tensor | None, guide_side: int = 240) -> np.ndarray:
    """Labels of one frame's pixels: where the foreground is, by the picture's own edges, and whose it is.

    Args:
        frame: uint8 ``[3, H, W]``.
        scores: float ``[h, w]``, above 0 in the foreground.
        parts: float ``[K, h, w]`` of :func:`objects`; ``None`` gives background alone.
        guide_side: shorter side at which edges are looked for, where the frame is not smaller.

    Returns:
        uint8 ``[H, W]``: 0 background, 1 to K.
    """
    size = (int(frame.shape[-2]), int(frame.shape[-1]))
    if parts is None:
        return np.zeros(size, dtype=np.uint8)
    scale = min(1.0, guide_side / min(size))
    small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    guide = F.interpolate(frame[None].to(scores.device), small, mode="bilinear", antialias=True).float() / 255
    fine = F.interpolate(scores[None, None], small, mode="bicubic", align_corners=False)
    fine = guided(guide, fine, max(1, min(small) // _WINDOW))
    front = upsampled(fine, size)[0, 0] > 0
    whose = 1 + upsampled(parts[None], size)[0].argmax(0)
    return np.asarray(torch.where(front, whose, 0).to(torch.uint8).cpu().numpy())


def _parted(watched: Watched, key: int, front: Tensor, count: int, seed: int) -> Tensor:
    """Which of ``count`` parts each place of the foreground is in, int64 ``[n]``; part 0 is the largest."""
    from sklearn.cluster import KMeans

    height, width = front.shape
    at = positions(height, width, watched.rest) / (min(height, width) / 2)
    rest = watched.rest[key]
    rest = rest / rest.norm(dim=0).flatten().quantile(0.95).clamp(min=1e-3)
    told = torch.cat([watched.grids[key].float(), _POSITION * at, _MOTION * rest])[:, front].mT.cpu().numpy()
    found = KMeans(count, n_init=10, random_state=seed).fit_predict(told)
    order = np.argsort(-np.bincount(found, minlength=count), kind="stable")
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    return torch.from_numpy(rank[found]).to(front.device)
