"""The seed of the TCA reference outputs, told by an input that they store in pooled form."""

from functools import cache

import numpy as np
import torch

from telltime.backbones.pooling import imac


@cache
def tca_seed(golden):
    stored = golden.npz("tca_pooling.npz")
    shape = tuple(stored["shapes"][0])
    expected = stored["imac"][:, : shape[1]]
    for seed in range(5000):
        if np.allclose(imac(golden.tensor("pool_0", shape, seed).relu()), expected, atol=1e-5):
            return seed
    raise AssertionError("no seed makes the stored inputs")


def pooled_inputs(golden):
    """The maps of every layer, and the wide one, that the reference pooled."""
    stored, seed = golden.npz("tca_pooling.npz"), tca_seed(golden)
    maps = [golden.tensor(f"pool_{i}", tuple(shape), seed).relu() for i, shape in enumerate(stored["shapes"])]
    return maps, golden.tensor("pool_wide", tuple(stored["wide_shape"]), seed).relu()


def close(found, expected, atol):
    return torch.allclose(torch.as_tensor(found), torch.as_tensor(expected), rtol=0, atol=atol)
