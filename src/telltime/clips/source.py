"""What a method's ``reader`` may be instead of a reader of clips: something that brings its own batches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from telltime.clips.policy import BadMedia
from telltime.datasets.record import Table

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Terms:
    """What a training asks of its data.

    Attributes:
        table: the videos to train on.
        annotation: file or folder of annotations that the recipe names, if any.
        folder: of the run; what is prepared once is kept below it, for a resume to find.
        batch_size: items of a batch, over all processes.
        seed: of everything drawn.
        drop_last: leave out a last batch that is not full.
        workers: threads or processes that may read videos.
        policy: what to do about media that cannot be read.
        device: where batches are wanted.
        rank, world: this process and how many train together.
        wait: returns when every process has called it, however long the first of them prepares.
        say: tells a person something, in a sentence.
    """

    table: Table
    folder: Path
    batch_size: int
    seed: int
    drop_last: bool
    workers: int
    policy: BadMedia
    device: "torch.device"
    annotation: Path | None = None
    rank: int = 0
    world: int = 1
    wait: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda line: None


class Opened(NamedTuple):
    """Data that is ready to be trained on.

    Attributes:
        loader: batches, as :class:`telltime.training.settings.Loader` describes.
        save: writes a trained method into a folder, with where it comes from (JSON values).
        videos: how many there are.
        missing: how many were listed and are not there.
        next: arguments of ``telltime`` that use the trained model, with ``RUN`` for the run.
        finish: called once the training has ended of itself; goes on with what was saved, such as calibrating it.
    """

    loader: Any
    save: "Callable[[Path, nn.Module, Mapping[str, Any]], object]"
    videos: int
    missing: int = 0
    next: str = ""
    finish: Callable[[], None] = lambda: None


@runtime_checkable
class Source(Protocol):
    """Prepares what a method is trained on: a ``reader`` of this kind is asked once, before the training.

    It holds its settings only, so that a method that has one can be copied and saved.
    """

    def open(self, terms: Terms) -> Opened:
        """Batches on these terms; every process calls it, and only rank 0 writes.

        Raises:
            DatasetError: the videos or annotations are not what it needs.
            MediaError, TooManyDropped: as the policy says.
        """
