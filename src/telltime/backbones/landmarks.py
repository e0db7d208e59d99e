"""Cheaper stand-ins for attention to every frame: tokens look at a few landmarks, and landmarks at the frames.

Queries ``[R, S, d]``, keys and values ``[R, T * P, d]``, frame after frame, with one row ``R`` for each clip and head;
the result ``[R, S, T, d]`` is what each query finds in each frame.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_TAKEN = 10.0
"""Above any cosine: what was chosen is not chosen again."""

_INVERSE_STEPS = 6


@torch.no_grad()
def orthogonal_landmarks(queries: Tensor, count: int, first: Tensor) -> Tensor:
    """``count`` of the queries ``[R, S, d]`` of each row that point in ways as different as possible.

    One after the other, the query is taken whose largest absolute cosine to those taken before is the smallest.

    Args:
        first: int64 ``[R]``, which query to begin with.

    Returns:
        ``[R, count, d]``, in the order of the queries, without gradient.

    Raises:
        ValueError: there are fewer queries than that.
    """
    if not 1 <= count <= queries.shape[1]:
        raise ValueError(f"{count} landmarks are asked of {queries.shape[1]} tokens")
    unit = F.normalize(queries, dim=-1)
    nearest = queries.new_zeros(queries.shape[:2])
    chosen = first[:, None]
    indices = [chosen]
    for _ in range(count - 1):
        cosines = (unit @ unit.take_along_dim(chosen[..., None], 1).transpose(1, 2))[..., 0].abs()
        nearest = torch.maximum(nearest, cosines).scatter(1, chosen, _TAKEN)
        chosen = nearest.argmin(1, keepdim=True)
        indices.append(chosen)
    return queries.take_along_dim(torch.cat(indices, 1).sort(1).values[..., None], 1)


def orthoformer(queries: Tensor, keys: Tensor, values: Tensor, frames: int, landmarks: int, first: Tensor) -> Tensor:
    """Attention through orthogonal landmarks that all frames share.

    Source: Patrick et al., "Keeping Your Eye on the Ball: Trajectory Attention in Video Transformers", NeurIPS 2021.
    """
    scale = queries.shape[-1] ** -0.25
    queries, keys = queries * scale, keys * scale
    chosen = orthogonal_landmarks(queries, landmarks, first)
    seen = _frame_by_frame(chosen, keys, values, frames)
    return torch.einsum("rsl,rlfd->rsfd", (queries @ chosen.transpose(1, 2)).softmax(-1), seen)


def nystrom(
    queries: Tensor, keys: Tensor, values: Tensor, frames: int, landmarks: int, across_time: bool = False
) -> Tensor:
    """Nystrom's method: landmarks are means of neighbouring tokens, and a pseudo-inverse corrects for their likeness.

    Args:
        across_time: neighbours are the same patch in other frames; otherwise patches of the same frame.

    Source: Xiong et al., "Nystromformer: A Nystrom-based Algorithm for Approximating Self-Attention", AAAI 2021, with
    the softmax over the tokens of each frame apart.
    """
    queries = queries * queries.shape[-1] ** -0.5
    of_queries, of_keys = (segment_means(x.detach(), frames, landmarks, across_time) for x in (queries, keys))
    among = (of_queries @ of_keys.transpose(1, 2)).softmax(-1)
    weights = (queries @ of_keys.transpose(1, 2)).softmax(-1) @ pseudo_inverse(among)
    return torch.einsum("rsl,rlfd->rsfd", weights, _frame_by_frame(of_queries, keys, values, frames))


def segment_means(tokens: Tensor, frames: int, count: int, across_time: bool) -> Tensor:
    """Means of ``count`` runs of tokens ``[R, T * P, d]``, as equal as can be, the shorter ones first.

    Raises:
        ValueError: there are fewer tokens than runs.
    """
    if not 1 <= count <= tokens.shape[1]:
        raise ValueError(f"{count} landmarks are asked of {tokens.shape[1]} tokens")
    if across_time:
        tokens = tokens.unflatten(1, (frames, -1)).transpose(1, 2).flatten(1, 2)
    short, longer = divmod(tokens.shape[1], count)
    split = (count - longer) * short
    first = tokens[:, :split].unflatten(1, (-1, short)).mean(2)
    if not longer:
        return first
    return torch.cat([first, tokens[:, split:].unflatten(1, (longer, -1)).mean(2)], 1)


def pseudo_inverse(matrix: Tensor) -> Tensor:
    """Of square matrices ``[..., L, L]`` whose rows are shares that sum to 1, by six steps of the third order.

    Source: Razavi et al., "A New Iterative Method for Finding Approximate Inverses of Complex Matrices", 2014.
    """
    inverse = matrix.transpose(-1, -2) / matrix.sum(-2).amax(-1)[..., None, None]
    one = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    for _ in range(_INVERSE_STEPS):
        product = matrix @ inverse
        inverse = inverse @ (13 * one - product @ (15 * one - product @ (7 * one - product))) / 4
    return inverse


def _frame_by_frame(landmarks: Tensor, keys: Tensor, values: Tensor, frames: int) -> Tensor:
    """What each landmark finds in each frame, ``[R, L, T, d]``."""
    scores = (landmarks @ keys.transpose(1, 2)).unflatten(-1, (frames, -1))
    return torch.einsum("rlfp,rfpd->rlfd", scores.softmax(-1), values.unflatten(1, (frames, -1)))
