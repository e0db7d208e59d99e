"""Contrast along time: the parts of one video must stay apart from each other.

Source: Dave et al., "TCLR: Temporal Contrastive Learning for Video Representation", CVIU 2022, whose local-local and
global-local losses these are, before the published sums over videos and versions.
"""

import torch
from torch import Tensor

from telltime.losses.contrast import nt_xent


def local_local(first: Tensor, second: Tensor, temperature: float = 0.1) -> Tensor:
    """Each local clip is told from the other clips of its video by its other version.

    :func:`~telltime.losses.contrast.nt_xent` inside every video: the positive of a clip is its second version, its
    negatives are the other clips of the same video in both versions (6 for four clips).

    Args:
        first: ``[B, K, C]`` unit vectors, ``K`` local clips of ``B`` videos.
        second: ``[B, K, C]``, the same clips under other augmentations.
        temperature: divides the similarities, above 0.

    Returns:
        ``[B]``, one loss a video. TCLR sums them over the batch.
    """
    return nt_xent(first, second, temperature)


def global_local(slices: Tensor, clips: Tensor, temperature: float = 0.1) -> Tensor:
    r"""Each time slice of a global clip is matched with the local clip that covers it, and each clip with its slice.

    With :math:`S_{kl} = \langle slice_k, clip_l \rangle / temperature`, the cross-entropy of the diagonal over the rows
    and over the columns of ``S``, averaged over the ``2 K`` classifications and over all pairs of versions.

    TCLR sums the pairs of versions and divides by twice the batch: 4 times the batch mean of this for one pair,
    16 times for its 2 x 2 pairs.

    Args:
        slices: ``[B, K, C]`` or ``[U, B, K, C]`` unit vectors: ``K`` time slices of ``U`` versions of the global clip.
        clips: ``[B, K, C]`` or ``[W, B, K, C]``: the ``K`` local clips in ``W`` versions.
        temperature: divides the similarities, above 0.

    Returns:
        ``[B]``, one loss a video.
    """
    if slices.shape[-3:] != clips.shape[-3:]:
        raise ValueError(f"every slice needs its local clip: {tuple(slices.shape)} does not fit {tuple(clips.shape)}")
    slices, clips = (x[None] if x.ndim == 3 else x for x in (slices, clips))
    similarity = torch.einsum("ubkc,wblc->uwbkl", slices, clips) / temperature
    matched = similarity.diagonal(0, -2, -1)
    rows = similarity.logsumexp(-1) - matched
    columns = similarity.logsumexp(-2) - matched
    return (rows + columns).mean((0, 1, 3)) / 2
