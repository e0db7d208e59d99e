"""TCA: frames of a video in context of each other, so that copies come close and all else stays away.

Source: Shao, Wen, Zhao, Xue, "Temporal Context Aggregation for Video Retrieval with Contrastive Learning", WACV 2021.

An anchor's vector is compared with that of a positive and with a bank of vectors of negatives. The bank is filled with
each step's negatives after the step; positives and negatives are encoded without gradient.
"""

import copy
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.clips.ragged import Ragged, offsets_of
from telltime.losses.circle import circle, circle_legacy, info_nce, triplet
from telltime.losses.frames import chamfer_matrix
from telltime.methods.bank import NegativeBank, apart
from telltime.methods.gather import all_rows
from telltime.methods.method import Batch, Step

Loss = Literal["circle", "circle-legacy", "info-nce", "triplet"]


class Views(NamedTuple):
    """Frame descriptors of a batch.

    Attributes:
        anchors, positives: ``B`` videos each.
        negatives: ``B * n`` videos.
        related: int64 ``[B, m]``, owners of what must not be negatives of an item, first that of its own videos.
        negative_owners: int64 ``[B * n]``, what the negatives show.
    """

    anchors: Ragged
    positives: Ragged
    negatives: Ragged
    related: Tensor
    negative_owners: Tensor


class TCA(nn.Module):
    """Contrastive learning of an aggregator of frame descriptors.

    Over several processes keys are gathered, so that every process has the same bank, and the averaged gradient is that
    of one process with the whole batch. Gradient accumulation counts as one larger batch, too.

    Args:
        encoder: packed descriptors to ``(vectors, frames)``, with an attribute ``channels``, such as
            :class:`telltime.backbones.tca_encoder.TCAEncoder`.
        reader: where descriptors and pairs come from (:class:`telltime.training.source.Source`).
        bank: negatives that are kept.
        momentum: how slowly a second encoder follows, which encodes positives and negatives; at 0 (published) the
            encoder itself does.
        loss: ``"circle-legacy"`` has the published slip of row and column and is there for comparison only.
        margin: of the circle and triplet losses.
        gamma: scale of the circle loss.
        temperature: divides all similarities before the loss.
        mask_unfilled: leave out slots of the bank that nothing has come to yet, which are noise at first.
        in_batch: the batch's own negatives, and positives of other items, are negatives at once.
        frame_weight: what a second term counts, which compares videos frame by frame: cross entropy over the symmetric
            Chamfer similarities of an anchor with all positives of the batch.
        frame_temperature: divides these similarities.
    """

    def __init__(
        self,
        encoder: nn.Module,
        reader: Any = None,
        bank: int = 4096,
        momentum: float = 0.0,
        loss: Loss = "circle",
        margin: float = 0.25,
        gamma: float = 256.0,
        temperature: float = 1.0,
        mask_unfilled: bool = False,
        in_batch: bool = False,
        frame_weight: float = 0.0,
        frame_temperature: float = 0.05,
    ) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is 0 or more and below 1, not {momentum}")
        if min(temperature, frame_temperature) <= 0:
            raise ValueError(f"temperatures must be above 0, not {temperature} and {frame_temperature}")
        if loss not in _LOSSES:
            raise ValueError(f"loss is one of {', '.join(_LOSSES)}, not {loss!r}")
        self.encoder = encoder
        self.key_encoder = copy.deepcopy(encoder).requires_grad_(False) if momentum > 0 else None
        self.reader = reader
        self.bank = NegativeBank(bank, int(cast(Any, encoder).channels))
        self.loss = loss
        self.momentum, self.temperature, self.margin, self.gamma = momentum, temperature, margin, gamma
        self.mask_unfilled, self.in_batch = mask_unfilled, in_batch
        self.frame_weight, self.frame_temperature = frame_weight, frame_temperature
        self._coming: list[tuple[Tensor, Tensor]] = []

    def views(self, batch: Batch, generator: torch.Generator) -> Views:
        """Packed descriptors as :class:`telltime.clips.pairs.PairLoader` gives them, on ``generator``'s device."""
        rows = batch["rows"].to(generator.device, non_blocking=True)
        related, owners = (batch[key].to(generator.device, non_blocking=True) for key in ("related", "owners"))
        count = len(batch["index"])
        packed = Ragged(rows, batch["offsets"])
        return Views(
            packed.slice(0, count),
            packed.slice(count, 2 * count),
            packed.slice(2 * count, len(packed)),
            related,
            owners[2 * count :],
        )

    def forward(self, views: Views) -> Step:
        """The loss of a batch.

        Logs ``loss``, ``positive`` (mean similarity with the positive), ``negative`` (mean of each anchor's largest
        similarity with the bank) and, where it counts, ``frames`` (the second term).
        """
        anchors, anchor_frames = self.encoder(views.anchors)
        positives, negatives, positive_frames = self._keys(views)
        with torch.autocast(anchors.device.type, enabled=False):
            anchors = _wide(anchors)
            with torch.no_grad():
                gathered = all_rows(negatives), all_rows(views.negative_owners)
            logits, valid = self.logits(anchors, positives, views.related, *gathered)
            loss = _LOSSES[self.loss](self, logits, valid)
            logs = {"positive": logits[:, 0].mean() * self.temperature}
            if self.bank.size:
                banked = slice(1, 1 + self.bank.size)
                nearest = logits[:, banked].masked_fill(~valid[:, banked], -1 / self.temperature).amax(1)
                logs["negative"] = nearest.mean() * self.temperature
            if self.frame_weight:
                term = self._frame_term(anchor_frames, positive_frames, views.related)
                logs["frames"] = term
                loss = loss + self.frame_weight * term
            share = _share(len(anchors), loss)
        if self.training:
            self._coming.append(gathered)
        logs["loss"] = loss
        return Step(loss * share, {name: (value * share).detach() for name, value in logs.items()})

    def logits(
        self,
        anchors: Tensor,
        positives: Tensor,
        related: Tensor | None = None,
        negatives: Tensor | None = None,
        negative_owners: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Similarities over the temperature ``[B, 1 + K]``, column 0 the positive, and which of them count.

        With ``in_batch`` the columns of ``negatives`` ``[n, C]`` and of all positives follow those of the bank.
        """
        columns = [(anchors * positives).sum(1, keepdim=True), anchors @ self.bank.keys.T]
        usable = self.bank.usable(related, self.mask_unfilled).expand(len(anchors), -1)
        valid = [usable.new_ones(len(anchors), 1), usable]
        if self.in_batch and related is not None and negatives is not None and negative_owners is not None:
            with torch.no_grad():
                others, other_owners = all_rows(positives), all_rows(related[:, 0].contiguous())
            columns += [anchors @ negatives.T, anchors @ others.T]
            valid += [apart(related, negative_owners), apart(related, other_owners)]
        return torch.cat(columns, 1) / self.temperature, torch.cat(valid, 1)

    def embed(self, frames: Ragged) -> tuple[Tensor, Ragged]:
        """Packed descriptors to unit vectors ``[V, C]`` and encoded frames."""
        return self.encoder(frames)

    @torch.no_grad()
    def after_step(self) -> None:
        """Write the step's keys to the bank, and let the second encoder follow the first."""
        for keys, owners in self._coming:
            self.bank.write(keys, owners)
        self._coming.clear()
        if self.key_encoder is not None:
            for slow, fast in zip(self.key_encoder.parameters(), self.encoder.parameters(), strict=True):
                slow.mul_(self.momentum).add_(fast, alpha=1 - self.momentum)

    @torch.no_grad()
    def _keys(self, views: Views) -> tuple[Tensor, Tensor, Ragged]:
        """Vectors of positives ``[B, C]`` and negatives ``[B * n, C]``, and the positives' encoded frames."""
        encoder = self.encoder if self.key_encoder is None else self.key_encoder
        count = len(views.positives)
        vectors, frames = encoder(_joined(views.positives, views.negatives))
        return _wide(vectors[:count]), _wide(vectors[count:]), frames.slice(0, count)

    def _frame_term(self, anchors: Ragged, positives: Ragged, related: Tensor) -> Tensor:
        owners = related[:, 0].contiguous()
        with torch.no_grad():
            rows, lengths = all_rows(_wide(positives.rows)), all_rows(positives.lengths.to(positives.rows.device))
            everyone, rank = all_rows(owners), dist.get_rank() if _many() else 0
            first = int(all_rows(owners.new_tensor([len(owners)]))[:rank].sum())
        similar = chamfer_matrix(anchors.like(_wide(anchors.rows)), Ragged(rows, offsets_of(lengths.cpu())))
        places = torch.arange(first, first + len(owners), device=owners.device)
        counted = apart(related, everyone).scatter(1, places[:, None], True)
        similar = (similar / self.frame_temperature).masked_fill(~counted, -torch.inf)
        return F.cross_entropy(similar, places)


_LOSSES: dict[str, Callable[[TCA, Tensor, Tensor], Tensor]] = {
    "circle": lambda tca, logits, valid: circle(logits, tca.margin, tca.gamma, valid),
    "circle-legacy": lambda tca, logits, valid: circle_legacy(logits, tca.margin, tca.gamma, valid),
    "info-nce": lambda tca, logits, valid: info_nce(logits, valid=valid),
    "triplet": lambda tca, logits, valid: triplet(logits, tca.margin, valid),
}


def _wide(values: Tensor) -> Tensor:
    """float32 at least."""
    return values if values.dtype == torch.float64 else values.float()


def _joined(first: Ragged, second: Ragged) -> Ragged:
    return Ragged(
        torch.cat([first.rows, second.rows]), torch.cat([first.offsets, second.offsets[1:] + len(first.rows)])
    )


def _many() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _share(count: int, like: Tensor) -> Tensor | float:
    """What this process's mean counts in the mean over processes, so that items count alike."""
    if not _many():
        return 1.0
    total = like.new_tensor(float(count))
    dist.all_reduce(total)
    return count * dist.get_world_size() / total
