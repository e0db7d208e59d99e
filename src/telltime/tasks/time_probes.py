"""Does a network's feature of a clip tell in which order its frames were? Two probes of fixed features.

``arrow of time``
    Is the clip played forwards or backwards? Chance is 1/2.
``frame order``
    The clip is cut in three and the parts are put together in one of six orders: which? Chance is 1/6.

Both are logistic regressions on what the model's classifier takes, fitted on training videos and asked about others. A
network that averages what it sees in single frames stays at chance.
"""

from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from telltime.checkpoints.model import Model
from telltime.clips.item import Item
from telltime.datasets.record import Table
from telltime.metrics.time_sensitivity import rearranged
from telltime.tasks.clip_outputs import Said
from telltime.tasks.logistic import fit_logistic

MOST_VIDEOS = 2000
"""Videos of a split that the probes look at; of more, so many drawn with a seed."""

PARTS = 3
CHANCES = {"arrow_of_time_accuracy": 1 / 2, "frame_order_accuracy": 1 / 6}


def probe_orders(frames: int) -> list[np.ndarray]:
    """Orders of frames that the probes look at: in order, backwards, then the parts in each other order.

    With fewer than three frames there are the first two only.
    """
    parts = np.array_split(np.arange(frames, dtype=np.int64), PARTS)
    orders = [np.concatenate([parts[i] for i in order]) for order in permutations(range(PARTS))]
    return [orders[0], orders[0][::-1].copy(), *(orders[1:] if frames >= PARTS else [])]


def probe_features(model: Model, batch: Item, together: int) -> Said:
    """``features`` ``[B, orders, D]`` of each video's middle clip in each of :func:`probe_orders`.

    A video whose middle clip is absent gives its first.
    """
    present, clips = batch["present"], batch["clips"]
    middle = clips.shape[1] // 2
    place = torch.where(present[:, middle], middle, present.int().argmax(1))
    chosen = clips[torch.arange(len(clips)), place][:, None]
    found = []
    for order in probe_orders(clips.shape[2]):
        places = torch.from_numpy(order).expand(len(clips), -1)
        found.append(model.for_classes(rearranged(chosen, places)[:, 0], together).float().cpu())
    return {"features": torch.stack(found, 1)}


def probe_scores(train: Tensor, learned: Table, test: Tensor) -> dict[str, float]:
    """Accuracy of both probes on the features of the test videos.

    Args:
        train, test: float ``[N, orders, D]`` as :func:`probe_features` gives them.
        learned: records of ``train``; those of a group help to choose the penalty together.
    """
    groups = [record.group or record.id for record in learned.records]
    tasks = {"arrow_of_time_accuracy": [0, 1]}
    if train.shape[1] > 2:
        tasks["frame_order_accuracy"] = [0, *range(2, train.shape[1])]
    return {name: _accuracy(train[:, rows], groups, test[:, rows]) for name, rows in tasks.items()}


def some_videos(table: Table, seed: int) -> Table:
    """At most :data:`MOST_VIDEOS` of a table, in its order."""
    if len(table) <= MOST_VIDEOS:
        return table
    return table.take(sorted(np.random.RandomState(seed).permutation(len(table))[:MOST_VIDEOS].tolist()))


def _accuracy(train: Tensor, groups: list[str], test: Tensor) -> float:
    orders = train.shape[1]

    def labels(features: Tensor) -> np.ndarray:
        return np.tile(np.arange(orders), len(features))

    flat = train.flatten(0, 1)[:, None]
    present = torch.ones(len(flat), 1, dtype=torch.bool)
    probe = fit_logistic(flat, present, labels(train), [name for name in groups for _ in range(orders)], orders)
    told = probe.logits(test.flatten(0, 1)).argmax(-1).numpy()
    return float((told == labels(test)).mean())
