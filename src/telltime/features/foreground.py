"""Which places of a video are its object: learnt from the video alone, from what moves in it.

1. Evidence: places that move otherwise than the camera, followed along the flow; less of it far from the centre of the
   frame, where films seldom keep what they show; and some for places whose features tell centres from edges, so that
   what stands still for long is not lost.
2. Votes: a linear rule is fitted that tells the evidence from a place's features and position, over all frames
   together. What looks as moving things do is then the object in every frame, and waves, leaves and errors of the flow,
   which look as the ground does, are not. The idea is that of Faktor and Irani, "Video Segmentation by Non-Local
   Consensus voting", BMVC 2014.
3. The score is the votes times the root of the evidence, cut where Otsu's threshold parts all scores of the video.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from telltime.features.watching import Watched
from telltime.views.flow import positions, warp

_BINS = 256
_POSITION = 0.5


@dataclass(frozen=True)
class Settings:
    """How evidence is weighed.

    Attributes:
        centre: how fast evidence fades away from the centre: it is ``exp(-centre)`` at the middle of an edge.
        still: share of the evidence that goes by features of centre and edges instead of motion, 0 to 1.
        steps: how often evidence is averaged with that of the frames before and after, along the flow.
        ridge: how much the rule is held back, in mean squared lengths of the features.
    """

    centre: float = 0.5
    still: float = 0.2
    steps: int = 3
    ridge: float = 0.01


@torch.no_grad()
def foreground(watched: Watched, settings: Settings | None = None) -> Tensor:
    """Scores float32 ``[T, h, w]``, above 0 where the object is; of standard deviation 1 where they differ at all."""
    settings = settings or Settings()
    height, width = watched.moves.shape[-2:]
    far = _distance(height, width, watched.moves)
    moves = followed(watched.moves, watched.onward, watched.backward, settings.steps)
    evidence = (1 - settings.still) * moves
    if settings.still:
        inner = voted(watched, lambda t: torch.exp(-2 * far), settings.ridge, position=0).clamp(min=0)
        inner = inner * torch.exp(-far)
        high = float(np.quantile(inner.cpu().numpy(), 0.99))
        evidence = evidence + settings.still * inner / max(high, 1e-6)
    evidence = evidence * torch.exp(-settings.centre * far)
    votes = voted(watched, lambda t: evidence[t], settings.ridge).clamp(min=0)
    scores = votes * evidence.sqrt()
    spread = scores.std(unbiased=False)
    if not spread > 1e-6:
        return torch.zeros_like(scores)
    return (scores - otsu(scores.cpu().numpy())) / spread


def followed(values: Tensor, onward: Tensor, backward: Tensor, steps: int) -> Tensor:
    """Values ``[T, h, w]``, the mean of themselves, twice, and of those a frame before and after, repeatedly."""
    for _ in range(steps if len(values) > 1 else 0):
        total, weight = 2 * values, values.new_full((len(values), 1, 1), 2.0)
        total[:-1] += warp(values[1:, None], onward)[:, 0]
        total[1:] += warp(values[:-1, None], backward)[:, 0]
        weight[:-1] += 1
        weight[1:] += 1
        values = total / weight
    return values


def voted(watched: Watched, wanted: Callable[[int], Tensor], ridge: float, position: float = _POSITION) -> Tensor:
    """What a linear rule on features, fitted to ``wanted``, says of each place: ``[T, h, w]``.

    Args:
        wanted: the values ``[h, w]`` to meet in a frame.
        ridge: penalty on the squares of the rule's weights.
        position: how much x, y and their squares and product count beside the features; 0 leaves them out.
    """
    count, numbers, height, width = watched.grids.shape
    place = _place(height, width, watched.moves) * position if position else watched.moves.new_zeros(height * width, 0)
    one = place.new_ones(height * width, 1)

    def rows(frame: int) -> Tensor:
        return torch.cat([watched.grids[frame].flatten(1).mT.float(), place, one], dim=1)

    size = numbers + place.shape[1] + 1
    squares = torch.zeros(size, size, dtype=torch.float64, device=place.device)
    products = squares.new_zeros(size)
    for frame in range(count):
        these = rows(frame)
        squares += these.mT @ these
        products += these.mT @ wanted(frame).flatten()
    held = torch.eye(size, dtype=torch.float64, device=place.device) * ridge * count * height * width / (size - 1)
    rule = torch.linalg.solve(squares + held, products).float()
    return torch.stack([(rows(frame) @ rule).view(height, width) for frame in range(count)])


def otsu(values: np.ndarray) -> float:
    """The threshold that parts values into two groups of least variance within (Otsu 1979)."""
    low, high = np.quantile(values, (0.001, 0.999))
    counts, edges = np.histogram(values, _BINS, (low, high if high > low else low + 1))
    middles = (edges[:-1] + edges[1:]) / 2
    share = np.cumsum(counts) / max(counts.sum(), 1)
    mean = np.cumsum(counts * middles) / max(counts.sum(), 1)
    between = (mean[-1] * share - mean) ** 2 / np.maximum(share * (1 - share), 1e-9)
    return float(edges[1 + between[:-1].argmax()])


def _distance(height: int, width: int, like: Tensor) -> Tensor:
    """Squared distance from the centre, 1 at the middle of each edge."""
    x, y = positions(height, width, like)
    return ((2 * x + 1) / width - 1) ** 2 + ((2 * y + 1) / height - 1) ** 2


def _place(height: int, width: int, like: Tensor) -> Tensor:
    x, y = (each.flatten() for each in positions(height, width, like))
    x, y = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
    return torch.stack([x, y, x * x, y * y, x * y], dim=1)
