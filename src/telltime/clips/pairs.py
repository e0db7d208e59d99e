"""Batches of anchors, positives and negatives from frame descriptors that lie in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from telltime.clips.item import item_rng
from telltime.clips.loader import epoch_order
from telltime.clips.ragged import Ragged, offsets_of

_TRIES = 64
_NOBODY = -3


@dataclass(frozen=True)
class Windows:
    """Which frames of a sequence are taken.

    Attributes:
        max_frames: longer ones are cut to this many, at a random place; ``None`` never cuts.
        excerpt: smallest share of a sequence that is taken, drawn between this and 1; 1 takes all.
        within: anchor and positive show the same, frame by frame: the shorter excerpt lies within the longer.
        speed: how often a positive is sped up or slowed down to half, a share 0 to 1.
        splice: how often a positive stands between frames of a negative, a share 0 to 1.
    """

    max_frames: int | None = None
    excerpt: float = 1.0
    within: bool = False
    speed: float = 0.0
    splice: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.excerpt <= 1 or not 0 <= self.speed <= 1 or not 0 <= self.splice <= 1:
            raise ValueError(f"excerpt is above 0 and at most 1, speed and splice are shares, not {self}")
        if self.max_frames is not None and self.max_frames < 1:
            raise ValueError(f"max_frames is at least 1, not {self.max_frames}")


WHOLE = Windows()


class PairLoader:
    """Goes through pairs epoch by epoch; an item is a function of seed, epoch and its number.

    A batch holds ``"index"`` (int64 ``[B]``, numbers of the items), ``"rows"`` (float32 ``[N, D]``) with ``"offsets"``
    (int64 ``[S + 1]``, on the host) of ``S = B * (2 + negatives)`` sequences, anchors first, then positives, then the
    negatives item by item, ``"owners"`` (int64 ``[S]``), and ``"related"`` (int64 ``[B, m]``): the anchor's owner, then
    those related to it, filled up with -3.

    Args:
        frames: descriptors of all ``V`` sequences; where they lie is where batches are made.
        owners: int64 ``[V]``, what each sequence shows, at least 0: copies of each other have the same.
        anchors, positives: candidates of every item, packed int64 sequence numbers; one of each is drawn, two
            different ones where there is a choice.
        background: int64, the sequences that negatives are drawn from, none twice in an item and none of the anchor's
            owner, as far as there are enough.
        negatives: how many an item has.
        batch_size: items of one batch, over all processes together.
        seed: decides order and items.
        drop_last: leave out a last batch that is not full.
        related: for every owner the other owners that might show the same, packed int64; they are no negatives of it.
        rank, world: this process and how many train together; each takes a stretch of every batch, in rank order.
    """

    def __init__(
        self,
        frames: Ragged,
        owners: np.ndarray,
        anchors: Ragged,
        positives: Ragged,
        background: np.ndarray,
        negatives: int,
        batch_size: int,
        seed: int,
        windows: Windows = WHOLE,
        drop_last: bool = True,
        related: Ragged | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1 or negatives < 0 or not 0 <= rank < world:
            raise ValueError(f"impossible {batch_size=}, {negatives=}, {rank=}, {world=}")
        if len(owners) != len(frames) or len(anchors) != len(positives):
            raise ValueError(
                f"{len(owners)} owners for {len(frames)} sequences, {len(anchors)} anchors for {len(positives)}"
            )
        if negatives and not len(background):
            raise ValueError("there is nothing to draw negatives from")
        self.frames, self.negatives, self.windows = frames, negatives, windows
        self.owners = np.asarray(owners, dtype=np.int64)
        self.background = np.asarray(background, dtype=np.int64)
        self.batch_size, self.seed, self.drop_last, self.rank, self.world = batch_size, seed, drop_last, rank, world
        self._anchors, self._positives = (_choices(ragged) for ragged in (anchors, positives))
        self._offsets = frames.offsets.numpy()
        self._related = None if related is None else _choices(related)

    def __len__(self) -> int:
        """Batches of one epoch."""
        full, rest = divmod(len(self._anchors), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def epoch(self, epoch: int, skip_batches: int = 0) -> Iterator[dict[str, Tensor]]:
        """The batches of an epoch, from batch ``skip_batches`` on."""
        order = epoch_order(len(self._anchors), self.seed, epoch)
        for number in range(skip_batches, len(self)):
            items = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield self._batch(np.array_split(items, self.world)[self.rank], epoch)

    def _batch(self, items: np.ndarray, epoch: int) -> dict[str, Tensor]:
        drawn = [self._item(int(item), item_rng(self.seed, epoch, f"pair {item}")) for item in items]
        sequences = [item[0][0] for item in drawn] + [item[0][1] for item in drawn]
        places = [item[1][0] for item in drawn] + [item[1][1] for item in drawn]
        for chosen, taken in drawn:
            sequences += chosen[2:]
            places += taken[2:]
        lengths = torch.tensor([len(place) for place in places], dtype=torch.int64)
        flat = torch.from_numpy(np.concatenate(places) if places else np.empty(0, np.int64))
        rows = self.frames.rows
        return {
            "index": torch.from_numpy(items.astype(np.int64)),
            "rows": rows.index_select(0, flat.to(rows.device)).float(),
            "offsets": offsets_of(lengths),
            "owners": torch.from_numpy(self.owners[np.asarray(sequences, dtype=np.int64)]),
            "related": self._relations(self.owners[np.asarray(sequences[: len(items)], dtype=np.int64)]),
        }

    def _relations(self, owners: np.ndarray) -> Tensor:
        """int64 ``[B, m]``."""
        if self._related is None:
            return torch.from_numpy(owners[:, None])
        rows = [torch.from_numpy(np.append(owner, self._related[owner])) for owner in owners.tolist()]
        return (
            pad_sequence(rows, batch_first=True, padding_value=_NOBODY)
            if rows
            else torch.empty(0, 1, dtype=torch.int64)
        )

    def _item(self, item: int, rng: np.random.RandomState) -> tuple[list[int], list[np.ndarray]]:
        """Numbers of the sequences of an item, and the rows taken of each."""
        anchor = _draw(self._anchors[item], rng)
        positive = _draw(self._positives[item], rng, other_than=anchor)
        negatives = self._draw_negatives(self.owners[anchor], rng)
        longer, shorter = self._pair(anchor, positive, rng)
        shorter = self._played(shorter, rng)
        shorter = self._spliced(shorter, negatives, rng)
        taken = [longer, shorter, *(self._window(number, rng) for number in negatives)]
        return [anchor, positive, *negatives], taken

    def _draw_negatives(self, owner: int, rng: np.random.RandomState) -> list[int]:
        found: list[int] = []
        for attempt in range(_TRIES):
            missing = self.negatives - len(found)
            if not missing:
                break
            enough = attempt + 1 < _TRIES
            for number in self.background[rng.randint(len(self.background), size=missing)].tolist():
                if not enough or (number not in found and self.owners[number] != owner):
                    found.append(number)
        return found

    def _pair(self, anchor: int, positive: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Rows of anchor and positive, one within the other's time if they show the same frame by frame."""
        first, last = self._window_of(anchor, rng)
        if not self.windows.within or self._length(anchor) != self._length(positive):
            return np.arange(first, last), self._window(positive, rng)
        begin, end = self._cut(first, last, rng)
        if rng.rand() < 0.5:
            (first, last), (begin, end) = (begin, end), (first, last)
        move = int(self._offsets[positive] - self._offsets[anchor])
        return np.arange(first, last), np.arange(begin + move, end + move)

    def _played(self, places: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        if not self.windows.speed or rng.rand() >= self.windows.speed:
            return places
        factor = np.exp(rng.uniform(-np.log(2), np.log(2)))
        shown = max(1, round(len(places) / factor))
        return places[np.minimum((np.arange(shown) * factor).astype(np.int64), len(places) - 1)]

    def _spliced(self, places: np.ndarray, negatives: list[int], rng: np.random.RandomState) -> np.ndarray:
        if not negatives or not self.windows.splice or rng.rand() >= self.windows.splice:
            return places
        other = self._window(negatives[rng.randint(len(negatives))], rng)[: len(places)]
        cut = rng.randint(len(other) + 1)
        return np.concatenate([other[:cut], places, other[cut:]])

    def _window(self, number: int, rng: np.random.RandomState) -> np.ndarray:
        return np.arange(*self._window_of(number, rng))

    def _window_of(self, number: int, rng: np.random.RandomState) -> tuple[int, int]:
        return self._cut(int(self._offsets[number]), int(self._offsets[number + 1]), rng)

    def _cut(self, first: int, last: int, rng: np.random.RandomState) -> tuple[int, int]:
        """A window of the rows ``first`` to ``last``; every place is as likely."""
        count = last - first
        size = count if self.windows.excerpt == 1 else max(1, round(rng.uniform(self.windows.excerpt, 1) * count))
        size = min(size, self.windows.max_frames or size)
        start = first + (rng.randint(count - size + 1) if size < count else 0)
        return start, start + size

    def _length(self, number: int) -> int:
        return int(self._offsets[number + 1] - self._offsets[number])


def _choices(packed: Ragged) -> list[np.ndarray]:
    return np.split(packed.rows.numpy(), packed.offsets[1:-1].numpy())


def _draw(choices: np.ndarray, rng: np.random.RandomState, other_than: int = -1) -> int:
    left = choices[choices != other_than]
    left = left if len(left) else choices
    return int(left[rng.randint(len(left))])
