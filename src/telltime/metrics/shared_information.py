"""How much two partitions of the same things say of each other."""

import numpy as np


def shared_information(first: np.ndarray, second: np.ndarray) -> float:
    """Normalised mutual information of two labellings, 0 (independent) to 1 (the same up to names).

    ``2 I(a, b) / (H(a) + H(b))``; two labellings of one label each are the same, but say nothing: 0.
    Source: Strehl, Ghosh, "Cluster ensembles", JMLR 2002, with the arithmetic mean of the entropies.

    Args:
        first, second: whole numbers from 0 on, of one shape.
    """
    first, second = np.asarray(first).ravel().astype(np.int64), np.asarray(second).ravel().astype(np.int64)
    if first.shape != second.shape or not len(first):
        raise ValueError(f"labellings are of the same things, not of {len(first)} and {len(second)}")
    width = int(second.max()) + 1
    together = np.bincount(first * width + second).astype(float)
    together = np.pad(together, (0, -len(together) % width)).reshape(-1, width) / len(first)
    parts = [_entropy(together.sum(1)), _entropy(together.sum(0))]
    whole = sum(parts)
    return float(max(0.0, 2 * (whole - _entropy(together.ravel())) / whole)) if whole > 0 else 0.0


def _entropy(shares: np.ndarray) -> float:
    there = shares[shares > 0]
    return float(-(there * np.log(there)).sum())
