"""How far class scores hang on the order of a video's frames."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor

LEAST_DROP = 0.1
LEVEL = 0.05


def divergence(shares: Tensor, changed: Tensor) -> Tensor:
    """Kullback-Leibler divergence in nats of what is said of changed clips from what was said before, ``[...]``.

    Args:
        shares, changed: of classes, ``[..., K]``; rows sum to 1. What ``changed`` gives no share counts as 1e-12.
    """
    return (torch.xlogy(shares, shares) - torch.xlogy(shares, changed.clamp_min(1e-12))).sum(-1).clamp_min(0.0)


class ClassDrop(NamedTuple):
    """What one class loses without the order of frames.

    Attributes:
        column: the class.
        videos: of it.
        right: share that is right under each arrangement.
        drop: ``right`` in order less the larger of the others asked about.
        chance: how often so uneven a change would come about if order did not matter (sign test, one-sided, the larger
            of the arrangements' own).
        needs: the drop is at least :data:`LEAST_DROP` and ``chance`` below :data:`LEVEL`.
    """

    column: int
    videos: int
    right: dict[str, float]
    drop: float
    chance: float
    needs: bool


def class_drops(right: dict[str, np.ndarray], labels: np.ndarray, against: tuple[str, ...]) -> list[ClassDrop]:
    """What each class loses, the most first.

    Args:
        right: arrangement to float ``[N]``, how right each video is (a share where it was arranged several times), with
            an ``"ordered"`` one.
        labels: int ``[N]``.
        against: arrangements, all of which must do worse for a class to need time.
    """
    drops = []
    for column in np.unique(labels):
        mine = labels == column
        shares = {name: float(values[mine].mean()) for name, values in right.items()}
        tests = [_sign_test(right["ordered"][mine], right[name][mine]) for name in against]
        drop = shares["ordered"] - max(shares[name] for name in against)
        needs = drop >= LEAST_DROP and max(tests) < LEVEL
        drops.append(ClassDrop(int(column), int(mine.sum()), shares, drop, max(tests), needs))
    return sorted(drops, key=lambda one: (-one.drop, one.chance, one.column))


def _sign_test(before: np.ndarray, after: np.ndarray) -> float:
    """Probability of at least so many falls among all changes, were falls and rises as likely."""
    falls, rises = int((before > after).sum()), int((before < after).sum())
    return float(binomtest(falls, falls + rises, alternative="greater").pvalue) if falls + rises else 1.0


def arranged(frames: int, name: str, rng: np.random.RandomState) -> np.ndarray:
    """Which frame of a clip stands at each place, int64 ``[frames]``.

    Args:
        name: ``"ordered"``, ``"reversed"``, ``"shuffled"`` (any order but the true one) or ``"frozen"`` (the middle
            frame all along).
    """
    places = np.arange(frames, dtype=np.int64)
    if name == "reversed":
        return places[::-1].copy()
    if name == "frozen":
        return np.full_like(places, frames // 2)
    if name == "shuffled":
        drawn = rng.permutation(frames)
        while frames > 1 and (drawn == places).all():
            drawn = rng.permutation(frames)
        return drawn.astype(np.int64)
    if name != "ordered":
        raise ValueError(f"frames are ordered, reversed, shuffled or frozen, not {name!r}")
    return places


def rearranged(clips: Tensor, places: Tensor) -> Tensor:
    """Clips ``[B, P, T, ...]`` with the frames of each video's clips at ``places``, int64 ``[B, T]``."""
    return clips[torch.arange(len(clips))[:, None], :, places.to(clips.device)].transpose(1, 2)
