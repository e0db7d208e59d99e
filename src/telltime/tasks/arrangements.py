"""What a network says of clips whose frames stand in other orders."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.checkpoints.model import Model
from telltime.clips.item import Item, ItemReader, item_rng
from telltime.datasets.record import Record, Table
from telltime.media.errors import MediaError
from telltime.media.video import Video
from telltime.metrics.classification import fused_scores, video_scores
from telltime.metrics.time_sensitivity import arranged, divergence, rearranged
from telltime.tasks.action import Fuse, view_scores
from telltime.tasks.clip_outputs import Outputs, Said
from telltime.tasks.logistic import LogisticProbe

ARRANGEMENTS = ("ordered", "reversed", "shuffled", "frozen")
SHUFFLES = 3


@dataclass(frozen=True)
class Asked:
    """A network and the classes that its scores are of.

    Attributes:
        classify: takes the place of the model's classifier where it has none.
        columns: of the scores, one for each class of the data set.
        names: of all columns.
        batch: clips forwarded at a time.
        seed: of the shuffles.
    """

    model: Model
    classify: LogisticProbe | None
    columns: np.ndarray
    names: tuple[str, ...]
    batch: int
    seed: int

    def __call__(self, batch: Item, table: Table) -> Said:
        """Scores ``[B, draws, P, K]`` of each arrangement; three draws of the shuffled, one of the others."""
        clips, present = batch["clips"], batch["present"]
        said: Said = {"present": present}
        for name in ARRANGEMENTS:
            drawn = [self.orders(name, clips.shape[2], record) for record in table.records]
            changed = (rearranged(clips, torch.from_numpy(np.stack(places))) for places in zip(*drawn, strict=True))
            said[name] = torch.stack([self.scores({"clips": each, "present": present}) for each in changed], 1)
        return said

    def scores(self, batch: Item) -> Tensor:
        """float32 ``[B, P, K]``; 0 for clips that are absent."""
        if self.classify is None:
            return view_scores(self.model, batch, self.batch)
        present = batch["present"]
        said = self.classify.logits(self.model.for_classes(batch["clips"][present], self.batch).cpu())
        scores = said.new_zeros(*present.shape, said.shape[-1])
        scores[present] = said
        return scores

    def orders(self, name: str, frames: int, record: Record) -> np.ndarray:
        """int64 ``[draws, frames]``: a function of seed and record."""
        rng = item_rng(self.seed, 0, record.id)
        return np.stack([arranged(frames, name, rng) for _ in range(SHUFFLES if name == "shuffled" else 1)])


@dataclass(frozen=True)
class Answers:
    """What was said of videos in one arrangement.

    Attributes:
        right: float64 ``[N]``, 0 or 1, or the share of several draws.
        confidence: float64 ``[N]``, of the likeliest class, the draws' mean.
        divergence: float64 ``[N]``, in nats, from what was said in order.
        told: int64 ``[N]``, column of the likeliest class, of the first draw.
    """

    right: np.ndarray
    confidence: np.ndarray
    divergence: np.ndarray
    told: np.ndarray


def answers(found: Outputs, labels: np.ndarray, fuse: Fuse) -> dict[str, Answers]:
    """What each arrangement's scores come to.

    Args:
        found: of :class:`Asked`.
        labels: int64 ``[N]``, columns of the scores.
    """
    present = found.values["present"]
    truth = torch.from_numpy(labels)[:, None]
    ordered = video_scores(found.values["ordered"][:, 0], present)
    answered = {}
    for name in ARRANGEMENTS:
        each = found.values[name].unbind(1)
        told = torch.stack([fused_scores(scores, present, fuse).argmax(1) for scores in each], 1)
        shares = torch.stack([video_scores(scores, present) for scores in each], 1)
        answered[name] = Answers(
            (told == truth).double().mean(1).numpy(),
            shares.amax(-1).double().mean(1).numpy(),
            divergence(ordered[:, None], shares).double().mean(1).numpy(),
            told[:, 0].numpy(),
        )
    return answered


def shown_video(asked: Asked, record: Record, reader: ItemReader, said: dict[str, Answers], row: int) -> dict[str, Any]:
    """A video's middle clip as each arrangement shows it, with what was said of it, for the report."""
    label = asked.names[asked.columns[record.label or 0]]
    video: dict[str, Any] = {"id": record.id, "label": label, "arrangements": []}
    try:
        clips = reader(Video(record.path, span=record.span), item_rng(asked.seed, 0, record.id))["clips"]
    except MediaError:
        return video
    clip = clips[len(clips) // 2]
    for name in ARRANGEMENTS:
        places = torch.from_numpy(asked.orders(name, len(clip), record)[0])
        told = asked.names[said[name].told[row]]
        video["arrangements"].append(
            {
                "name": name,
                "frames": clip[places].numpy(),
                "told": told,
                "confidence": float(said[name].confidence[row]),
                "correct": told == label,
            }
        )
    return video
