"""What dense evaluations share: names of models, data and labels, and pictures kept for the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.dense import DenseEncoder
from telltime.checkpoints.build import digest_of
from telltime.datasets.record import DatasetError, Record, Table
from telltime.features.dense import VIDEO_DEVIATION, is_picture
from telltime.tasks.measuring import Reading, describe_data

SHOWN = 8


def describe_encoder(encoder: DenseEncoder, size: int | tuple[int, int], name: str | None = None) -> dict[str, Any]:
    """What was measured and how it saw: name, hash, stride, input size, and the rule for position embeddings."""
    height, width = (size, size) if isinstance(size, int) else size
    described: dict[str, Any] = {"name": name or encoder.name, "digest": digest_of(encoder), "network": encoder.name}
    described |= {"stride": encoder.stride, "channels": encoder.channels, "input": f"{height}x{width}"}
    embedded = getattr(getattr(encoder, "network", None), "pos_embed", None) is not None
    return described | ({"position": encoder.position} if embedded else {})


def describe_masks(tables: Sequence[Table]) -> dict[str, Any]:
    """:func:`~telltime.tasks.measuring.describe_data`, and how many frames have masks."""
    frames = sum(len(record.masks or ()) for table in tables for record in table.records)
    return describe_data(tables) | {"annotated_frames": frames}


def masked(table: Table) -> Table:
    """The records that have masks.

    Raises:
        DatasetError: there are none.
    """
    kept = [i for i, record in enumerate(table.records) if record.masks is not None and len(record.masks)]
    if not kept:
        raise DatasetError(
            f"nothing of {table.name}'s {table.split} split below {table.root} has masks; this evaluation needs them: "
            "give a data set such as davis, voc or masked, whose masks lie beside it under the same names"
        )
    return table.take(kept)


def of_instances(table: Table) -> bool:
    """Whether labels are objects of single videos rather than classes of the data set."""
    return any(record.masks is not None and record.masks.objects == "instances" for record in table.records)


def things(table: Table) -> dict[str, str]:
    """For ``Result.details``: what its records are called."""
    return {"things": "picture" if all(is_picture(record) for record in table.records) else "video"}


def label_names(table: Table, labels: Sequence[int]) -> list[str]:
    """What labels are called; 0 is the background where the table's classes are not as many as the labels."""
    classes = ("background", *table.classes) if "background" not in table.classes[:1] else table.classes
    known = dict(enumerate(classes)) if not of_instances(table) else {0: "background"}
    return [known.get(label, f"object {label}" if of_instances(table) else f"label {label}") for label in labels]


def deviation(encoder: DenseEncoder, table: Table) -> tuple[float, float, float] | None:
    """What videos are divided by as published, where the encoder has ImageNet's standard deviations; else its own."""
    usual = torch.allclose(encoder.std.flatten().cpu(), torch.tensor((0.229, 0.224, 0.225)), atol=1e-6)
    return VIDEO_DEVIATION if usual and things(table)["things"] == "video" else None


def called(settings: Any, presets: Mapping[str, Any]) -> str:
    """Settings by the preset they are nearest to and what differs from it: ``"paper"``, ``"paper, size 224"``."""
    differing = {
        name: [f"{key} {value}" for key, value in vars(settings).items() if value != getattr(preset, key)]
        for name, preset in presets.items()
    }
    name = min(differing, key=lambda each: len(differing[each]))
    return ", ".join([name, *differing[name]])


def streaming(how: Reading) -> dict[str, Any]:
    """What :func:`telltime.features.dense.see` takes of how an evaluation reads."""
    return {"batch": how.batch, "threads": how.workers, "policy": how.policy, "limits": how.limits}


class Pictures:
    """Frames, truth and prediction of a few records, for the page.

    Args:
        ids: records there are, of which up to ``most`` evenly spread ones are kept.
        most: how many to keep.
    """

    def __init__(self, ids: Sequence[str], most: int = SHOWN) -> None:
        spread = np.linspace(0, len(ids) - 1, min(most, len(ids))).round().astype(int)
        self._wanted = {ids[i] for i in spread}
        self.kept: list[dict[str, Any]] = []

    def wants(self, record: Record) -> bool:
        """Whether :meth:`add` keeps this record."""
        return record.id in self._wanted

    def add(
        self,
        record: Record,
        frames: Tensor | np.ndarray,
        truth: np.ndarray | None,
        predicted: np.ndarray,
        score: float | None = None,
    ) -> None:
        """Keep a record's frames uint8 ``[n, 3, H, W]`` and labels uint8 ``[n, h, w]`` of any size."""
        if self.wants(record):
            one = {"id": record.id, "frames": np.asarray(frames), "truth": truth, "predicted": predicted}
            self.kept.append(one | {"score": score})

    def details(self) -> dict[str, Any]:
        """For ``Result.details``."""
        return {"segmented": self.kept}
