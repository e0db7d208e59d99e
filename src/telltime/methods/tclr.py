"""TCLR: clips of one video must stay distinct along time.

Source: Dave, Gupta, Rizve, Shah, "TCLR: Temporal Contrastive Learning for Video Representation", CVIU 2022.

A global clip covers four local clips; its feature map has four time slices, one for each. Three contrasts shape the
embedding: between videos (instance contrast, of global and of local clips), between the local clips of a video
(local-local), and between the slices of a global clip and the local clips below them (global-local).
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from telltime.backbones.norm import ViewBatchNorm, frozen_statistics, sharing
from telltime.clips.item import ItemReader
from telltime.losses.contrast import instance_contrast
from telltime.losses.temporal_contrast import global_local, local_local
from telltime.methods.gather import all_rows
from telltime.methods.method import Batch, Embedding, Step
from telltime.views.readers import TCLRReader
from telltime.views.tclr import augment

LOCALS = 4
"""Local clips below a global clip, and time slices of its feature map."""

VIEWS = 2 + 2 * LOCALS
"""Views of a video: a global and four local clips, each in two versions."""

FORWARD_ORDER = (0, 1, *range(2, VIEWS, 2), *range(3, VIEWS, 2))
"""Which view of an item comes when: both globals, the locals' first versions, their second. The published forwards ran
in this order, and running statistics depend on it."""


@dataclass(frozen=True)
class Weights:
    """What each loss term counts for; instance contrast alone is ``Weights(local_local=0, global_local=0)``."""

    ic_global: float = 1.0
    ic_local: float = 1.0
    local_local: float = 1.0
    global_local: float = 1.0


EQUAL = Weights()


class ProjectionHead(nn.Module):
    """Linear, batch norm, ReLU, linear, batch norm, then length 1: features ``[N, channels]`` to ``[N, dim]``."""

    def __init__(self, channels: int, dim: int = 128) -> None:
        super().__init__()
        self.channels, self.dim = channels, dim
        self.fc1 = nn.Linear(channels, channels)
        self.bn1 = ViewBatchNorm(channels)
        self.bn2 = ViewBatchNorm(dim)
        self.fc2 = nn.Linear(channels, dim, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return F.normalize(self.bn2(self.fc2(F.relu(self.bn1(self.fc1(features))))), dim=-1)


class TCLR(nn.Module):
    """Temporal contrastive learning of a video network.

    Batch statistics are those of each view alone, as if views were forwarded one after the other; over several
    processes they and the embeddings are those of the whole batch, so that the loss and the averaged gradient are those
    of one process. A batch of one video has no negatives between videos: both instance terms are then 0.

    Args:
        backbone: clips ``[N, 3, T, H, W]`` to a map ``[N, channels, 4, h, w]``, with an attribute ``channels``; of a
            multiple of 4 time slices, neighbours are averaged. Its batch norms are replaced by
            :class:`~telltime.backbones.norm.ViewBatchNorm`; its state-dict keys stay.
        reader: makes an item of a video; ``None`` is the published one.
        dim: length of the embeddings the losses compare.
        temperature: divides similarities in every term.
        weights: factors of the four terms, on top of ``reduction``.
        reduction: ``"paper"`` keeps the published scale: in units of a mean over rows the terms count 1 (instance,
            global), 14 (instance, local), the number of videos (local-local) and 16 (global-local), so that the balance
            moves with the batch size. ``"mean"`` counts each once.
        views_per_pass: how many of the ten views the backbone takes at a time. Each group's activations are recomputed
            in the backward pass: memory shrinks by this share, gradient and statistics are unchanged, a step takes
            about a third longer. ``None`` keeps all.
        sync_norm: over several processes, take batch statistics from all of them.
    """

    def __init__(
        self,
        backbone: nn.Module,
        reader: ItemReader | None = None,
        dim: int = 128,
        temperature: float = 0.1,
        weights: Weights = EQUAL,
        reduction: Literal["paper", "mean"] = "paper",
        views_per_pass: int | None = None,
        sync_norm: bool = True,
    ) -> None:
        super().__init__()
        if reduction not in ("paper", "mean"):
            raise ValueError(f'reduction is "paper" or "mean", not {reduction!r}')
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        if views_per_pass is not None and not 1 <= views_per_pass <= VIEWS:
            raise ValueError(f"views_per_pass is 1 to {VIEWS} or nothing, not {views_per_pass}")
        self.reader = reader or TCLRReader()
        self.backbone = ViewBatchNorm.convert(backbone)
        self.head = ProjectionHead(int(cast(Any, backbone).channels), dim)
        self.temperature = temperature
        self.weights = weights
        self.reduction = reduction
        self.views_per_pass = views_per_pass or VIEWS
        self.sync_norm = sync_norm

    def views(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """uint8 clips ``[B, 10, T, 3, S, S]`` and what was drawn for each to float views in 0..1.

        Every random number was drawn with the item: ``generator`` only says on which device the views are wanted.

        Returns:
            float32 ``[10 * B, 3, T, S, S]``, channels last, view after view in :data:`FORWARD_ORDER`.
        """
        by_view = {
            key: value.transpose(0, 1)[list(FORWARD_ORDER)].flatten(0, 1)
            for key, value in batch.items()
            if value.ndim > 1 and value.shape[1] == VIEWS
        }
        return augment(by_view.pop("clips").to(generator.device, non_blocking=True), by_view)

    def forward(self, views: Tensor) -> Step:
        """The loss of ``[10 * B, 3, T, H, W]``, laid out as :meth:`views` gives them.

        Logs ``ic_global``, ``ic_local``, ``local_local`` and ``global_local``, scaled by ``reduction`` and before
        ``weights``, and ``loss``.
        """
        if len(views) % VIEWS:
            raise ValueError(f"{len(views)} clips are not {VIEWS} views of every video")
        slices = self._slices(views)
        with torch.autocast(views.device.type, enabled=False):
            return self.objective(*self._embeddings(slices))

    def objective(self, globals_: Tensor, slices: Tensor, clips: Tensor) -> Step:
        """The loss of unit embeddings, in either version: globals ``[2, N, dim]``, their time slices
        ``[2, N, 4, dim]`` and local clips ``[2, N, 4, dim]``."""
        terms = {
            "ic_global": instance_contrast(globals_, self.temperature),
            "ic_local": instance_contrast(clips.transpose(1, 2).flatten(0, 1), self.temperature),
            "local_local": local_local(clips[0], clips[1], self.temperature).mean(),
            "global_local": global_local(slices, clips, self.temperature).mean(),
        }
        if self.reduction == "paper":
            published = {"ic_global": 1, "ic_local": 14, "local_local": globals_.shape[1], "global_local": 16}
            terms = {name: published[name] * term for name, term in terms.items()}
        loss = torch.stack([getattr(self.weights, name) * term for name, term in terms.items()]).sum()
        return Step(loss, {name: term.detach() for name, term in {**terms, "loss": loss}.items()})

    def embed(self, clip: Tensor) -> Embedding:
        """Float clips ``[N, 3, T, H, W]`` in 0..1 to the backbone's features; the projection head is not used."""
        features = self.backbone(clip)
        slices = _over_space(features)
        return Embedding(features, slices, slices.mean(-1))

    def after_step(self) -> None:
        """Nothing follows a step."""

    def _slices(self, views: Tensor) -> Tensor:
        """Clips ``[10 * B, 3, T, H, W]`` through the backbone, averaged over space: ``[10, B, channels, 4]``."""
        views = views.contiguous(memory_format=torch.channels_last_3d)
        videos = len(views) // VIEWS
        groups = views.split(self.views_per_pass * videos)
        if len(groups) == 1 or not torch.is_grad_enabled():
            slices = [self._group(group, videos) for group in groups]
        else:
            slices = [
                checkpoint(
                    self._group,
                    group,
                    videos,
                    use_reentrant=False,
                    preserve_rng_state=False,
                    context_fn=self._recompute_contexts,
                )
                for group in groups
            ]
        joined = torch.cat(slices)
        if joined.shape[-1] % LOCALS == 0:
            joined = joined.unflatten(-1, (LOCALS, -1)).mean(-1)
        if joined.shape[-1] != LOCALS:
            raise ValueError(
                f"TCLR matches {LOCALS} time slices with as many local clips; "
                f"clips of {views.shape[2]} frames gave {joined.shape[-1]}"
            )
        return joined.unflatten(0, (VIEWS, videos))

    def _group(self, clips: Tensor, videos: int) -> Tensor:
        with sharing(self.backbone, len(clips) // videos, self.sync_norm):
            return _over_space(self.backbone(clips))

    def _recompute_contexts(self) -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), frozen_statistics(self.backbone)

    def _embeddings(self, slices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Slices to the embeddings of all ``N`` videos of all processes.

        The published head ran 18 times, each time with its own statistics: for either global clip on its mean and on
        its four slices, then on the mean of each local clip.

        Returns:
            globals ``[2, N, dim]``, their slices ``[2, N, 4, dim]`` and local clips ``[2, N, 4, dim]``.
        """
        of_global = torch.cat([slices[:2].mean(-1, keepdim=True), slices[:2]], dim=-1)
        calls = torch.cat([of_global.permute(0, 3, 1, 2).flatten(0, 1), slices[2:].mean(-1)])
        with sharing(self.head, len(calls), self.sync_norm):
            rows = self.head(calls.flatten(0, 1).to(self.head.fc1.weight.dtype))
        rows = all_rows(rows.unflatten(0, calls.shape[:2]).transpose(0, 1).contiguous())
        rows = rows if rows.dtype == torch.float64 else rows.float()
        of_global, of_locals = rows.split([2 * (1 + LOCALS), 2 * LOCALS], dim=1)
        of_global = of_global.unflatten(1, (2, 1 + LOCALS)).transpose(0, 1)
        of_locals = of_locals.unflatten(1, (2, LOCALS)).transpose(0, 1)
        return of_global[:, :, 0], of_global[:, :, 1:], of_locals


def _over_space(features: Tensor) -> Tensor:
    """Map ``[N, C, T, h, w]`` to ``[N, C, T]``, in float32 at least."""
    return features.mean((3, 4), dtype=features.dtype if features.dtype == torch.float64 else torch.float32)
