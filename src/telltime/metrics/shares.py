"""How far a share that was counted may be from the true one."""

import math

import numpy as np

_Z = 1.959963984540054


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score, which holds for few and for all hits too.

    Raises:
        ValueError: there is nothing counted, or more hits than that.
    """
    if not 0 <= hits <= total or not total:
        raise ValueError(f"{hits} hits of {total} are no share")
    share, spread = hits / total, _Z**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def paired_interval(first: np.ndarray, second: np.ndarray, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of ``mean(first - second)`` over rows drawn anew, both scores of a row together.

    Args:
        first, second: ``[N]``, of the same things in the same order.
    """
    apart = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    rows = np.random.default_rng(seed).integers(0, len(apart), (draws, len(apart)))
    low, high = np.quantile(apart[rows].mean(1), [0.025, 0.975])
    return float(low), float(high)
