"""Temporal distinctness: are the parts of a video told apart?

A window of an unseen video is cut into quarters, TCLR's four local clips; each is augmented twice, independently. Given
one quarter under one augmentation, the nearest of the video's four quarters under the other must be the same quarter.
A feature that only knows what a video shows scores 0.25; so does one that knows only where the camera's crop was.
"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.checkpoints.model import Model
from telltime.clips.loader import ClipLoader
from telltime.datasets.record import DatasetError, Table
from telltime.tasks.clips import augmented
from telltime.tasks.measuring import Reading, describe_data, describe_model, partial_notes
from telltime.tasks.result import Result
from telltime.views.readers import TCLRReader

QUARTERS = 4


def temporal_distinctness(
    model: Model, test: Table, reading: Reading | None = None, *, seed: int = 0, name: str | None = None
) -> Result:
    """Share of quarters whose nearest counterpart, by cosine of pooled features, is the same quarter.

    Metrics: ``temporal_distinctness``; chance is 0.25. Labels are not used. Videos shorter than the window are dropped.

    Args:
        seed: of the windows and augmentations, which depend on it and on the video's id alone.
    """
    started, reading = time.monotonic(), reading or Reading()
    place, clip = reading.place(), model.clip
    model.to(place).eval()
    reader = TCLRReader(size=clip.size, frames=clip.frames, ratio=QUARTERS, order=clip.order)
    videos = max(1, reading.batch // (2 * QUARTERS))
    loader = ClipLoader(
        test.records,
        reader,
        videos,
        seed,
        workers=reading.workers,
        policy=reading.policy,
        limits=reading.limits,
        shuffle=False,
    )
    locals_, told = list(range(2, 2 + 2 * QUARTERS)), reading.told("test: quarters")
    features, rows = [], []
    batches = loader.epoch(0)
    for items in batches:
        with torch.no_grad():
            pooled = model.encode(augmented(items, clip, place, locals_)).pooled.float().cpu()
        features.append(pooled.unflatten(0, (-1, QUARTERS, 2)).transpose(1, 2))
        rows += items["index"].tolist()
        if told:
            told(min(batches.position * videos, len(test)), len(test))
    if not features:
        raise DatasetError(f"not one of {len(test)} {test.split} videos is long enough and readable")
    right = same_quarter(torch.cat(features))
    by_quarter = {f"quarter {i + 1}": float(share) for i, share in enumerate(right.double().mean((0, 1)))}
    return Result(
        task="temporal-distinctness",
        protocol=f"{QUARTERS} quarters, two augmentations",
        metrics={"temporal_distinctness": float(right.double().mean())},
        model=describe_model(model, name),
        data=describe_data((test,)),
        records=len(rows),
        dropped=len(test) - len(rows),
        seconds=time.monotonic() - started,
        details={
            "chance": {"temporal_distinctness": 1 / QUARTERS},
            "per_class": by_quarter,
            "notes": partial_notes((test,)),
        },
    )


def same_quarter(features: Tensor) -> Tensor:
    """Which quarters find themselves: bool ``[N, 2, Q]`` of features ``[N, 2, Q, C]`` in two versions.

    Equal similarities count as wrong: a feature without time finds nothing.
    """
    unit = F.normalize(features, dim=-1)
    scores = unit @ unit.flip(1).transpose(-1, -2)
    own = scores.diagonal(dim1=-2, dim2=-1)
    others = scores.masked_fill(torch.eye(scores.shape[-1], dtype=torch.bool), -torch.inf).amax(-1)
    return own > others
