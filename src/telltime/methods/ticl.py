"""TICL: the time of day from a photo's features.

Source: Lin, Hu, Jiao, "What Time Tells Us? Learning Time Awareness from Static Images", TMLR 2025.

The image encoder stays as it is; a head on its stored features learns. Several heads can learn at once, each without
the photos of one fold: what they say of those photos is what calibration goes by.
"""

import inspect
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from telltime.backbones.time_heads import HEADS, CosineHead, MixtureHead, MonthHead, Straight
from telltime.clips.source import Source
from telltime.losses import clock
from telltime.methods.method import Batch, Step

Mode = Literal["always", "first-epoch"]
Loss = Literal["class-count", "in-batch", "soft"]


class Views(NamedTuple):
    """A batch on the device.

    Attributes:
        features: float ``[B, dim]``.
        hours: float64 ``[B]``.
        classes: int64 ``[B]``, the classes of the hours.
        months: float32 ``[B]``, 0 to 12, below 0 where not known.
        epoch: how many epochs are behind.
        photos: how many there are to learn from.
        rows: for each head the rows it learns from, int64, the first head's all.
    """

    features: Tensor
    hours: Tensor
    classes: Tensor
    months: Tensor
    epoch: int
    photos: int
    rows: tuple[Tensor | None, ...]


class TICL(nn.Module):
    """Learning to tell the time on features that are ready.

    Args:
        reader: brings features and hours (:class:`telltime.clips.source.Source`).
        classes: equal parts of the day, by whole minutes.
        dim: numbers of a feature; by default what the reader gives.
        head: ``"cosine"`` (published), ``"soft"`` (soft circular labels), ``"mixture"`` (von Mises), ``"month"`` (hour
            by month).
        loss: of the cosine head: ``"in-batch"`` (published), ``"class-count"`` (equal, from one row a class; dropout
            is drawn by class then) or ``"soft"``. The other heads have their own.
        train_mode: ``"always"``; ``"first-epoch"`` has batch norm and dropout in training mode in the first epoch
            only, as the published code does.
        width: hours, of soft labels.
        month_width: months, of the month head's labels.
        decay: of the heads other than the cosine one: how strongly their last weights are held near 0, as against all
            photos together, so that it need not change with how many there are: the precision of a normal prior.
        folds: heads that learn beside the first one, each without one fold; by default what the reader has.
        arguments: of the head's class, beside ``classes`` and ``dim``.
    """

    def __init__(
        self,
        reader: Source | None = None,
        classes: int = 24,
        dim: int | None = None,
        head: Literal["cosine", "soft", "mixture", "month"] = "cosine",
        loss: Loss = "class-count",
        train_mode: Mode = "always",
        width: float = 1.0,
        month_width: float = 1.0,
        decay: float = 0.0,
        folds: int | None = None,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"head is one of {', '.join(HEADS)}, not {head!r}")
        if not 1 <= classes <= 1440:
            raise ValueError(f"the day has 1 to 1440 classes, not {classes}")
        folds = int(getattr(reader, "folds", 0)) if folds is None else folds
        dim = int(getattr(reader, "dim", 768)) if dim is None else dim
        if min(width, month_width) <= 0 or decay < 0 or folds < 0 or folds == 1:
            raise ValueError("widths are above 0, decay is not below 0, and there are no folds or at least 2")
        if loss not in ("class-count", "in-batch", "soft") or train_mode not in ("always", "first-epoch"):
            raise ValueError(f"there is no loss {loss!r} or no train_mode {train_mode!r}")
        given = dict(arguments or {})
        if strange := [name for name in given if name not in inspect.signature(HEADS[head]).parameters]:
            raise ValueError(f"the head {head!r} takes no argument {strange[0]!r}")
        self.reader, self.classes, self.dim, self.head, self.loss = reader, classes, dim, head, loss
        self.train_mode, self.width, self.month_width, self.decay, self.folds = (
            train_mode,
            width,
            month_width,
            decay,
            folds,
        )
        made = [HEADS[head](classes=classes, dim=dim, **given) for _ in range(1 + folds)]
        self.clock, self.others = made[0], nn.ModuleList(made[1:])

    @property
    def flat(self) -> bool:
        """Whether its densities hold for a day whose hours are equally common."""
        return self.head == "cosine" and self.loss != "soft"

    def views(self, batch: Batch, generator: torch.Generator) -> Views:
        """A batch with ``features``, ``hours``, and if it has them ``months``, ``fold``, ``epoch`` and ``photos``."""
        device, hours = generator.device, batch["hours"].double()
        features = batch["features"]
        if features.shape[1] != self.dim:
            raise ValueError(
                f"features have {features.shape[1]} numbers and the method takes {self.dim}; "
                f"set method.dim={features.shape[1]}"
            )
        minutes = (hours.remainder(24) * 60 + 1e-6).long() % 1440
        months = batch.get("months", torch.full_like(hours, -1.0)).float()
        rows: list[Tensor | None] = [None]
        if self.folds:
            fold = batch["fold"]
            rows += [(fold != number).nonzero()[:, 0].to(device) for number in range(self.folds)]
        return Views(
            features.to(device, non_blocking=True),
            hours.to(device, non_blocking=True),
            (minutes * self.classes // 1440).to(device, non_blocking=True),
            months.to(device, non_blocking=True),
            int(batch["epoch"][0]) if "epoch" in batch else 0,
            int(batch["photos"][0]) if "photos" in batch else len(hours),
            tuple(rows),
        )

    def forward(self, views: Views) -> Step:
        """The loss of a batch; logs ``loss`` and ``top1`` of the first head."""
        if self.training:
            self._set_mode(views.epoch)
        with torch.autocast(views.features.device.type, enabled=False):
            first, scores = self._term(self.clock, views, None)
            total = first
            for head, rows in zip(self.others, views.rows[1:], strict=True):
                if rows is not None and len(rows) > 1:
                    total = total + self._term(head, views, rows)[0]
            top1 = (scores.detach().argmax(1) == views.classes).double().mean()
        return Step(total, {"loss": first.detach(), "top1": top1})

    def embed(self, features: Tensor) -> Tensor:
        """Features ``[N, dim]`` to what photos are found by; with the cosine head the adapter's output."""
        return cast(Tensor, self.clock.embed(features))

    def density(self, features: Tensor, bins: int = 96) -> Tensor:
        """Shares of bins of the day ``[N, bins]``, not calibrated."""
        return cast(Tensor, self.clock.density(features, bins))

    def after_step(self) -> None:
        """Nothing follows a step."""

    def _set_mode(self, epoch: int) -> None:
        train = self.train_mode == "always" or epoch == 0
        for head in (self.clock, *self.others):
            head.train(train)

    def _term(self, head: nn.Module, views: Views, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """A head's loss over some rows with what holds its weights near 0, and its scores."""
        loss, scores = self._told(head, views, rows)
        if self.decay and isinstance(head, Straight):
            share = 1.0 if rows is None else len(rows) / len(views.features)
            loss = loss + self.decay / (2 * views.photos * share) * head.out.weight.square().sum()
        return loss, scores

    def _told(self, head: nn.Module, views: Views, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        features, hours, classes, months = (
            value if rows is None else value[rows]
            for value in (views.features, views.hours, views.classes, views.months)
        )
        if isinstance(head, MixtureHead):
            weights, centres, log_kappa = head.curves(features)
            with torch.no_grad():
                scores = head(features)
            return clock.von_mises_mixture(weights, centres, log_kappa, hours), scores
        if isinstance(head, MonthHead):
            grid = head.grid(features)
            return clock.hour_by_month(grid, hours, months, self.width, self.month_width), grid.logsumexp(2)
        if isinstance(head, CosineHead) and self.loss == "in-batch":
            logits = head.pairs(features, classes)
            return clock.in_batch(logits), _by_class(logits.detach(), classes, self.classes)
        if isinstance(head, CosineHead):
            counts = torch.zeros(self.classes, device=classes.device, dtype=features.dtype)
            counts = counts.scatter_add(0, classes, torch.ones_like(classes, dtype=features.dtype))
            scores = head(features, counts)
            if self.loss == "class-count":
                return clock.class_count(scores, classes, counts), scores
            return clock.soft_circular(scores, hours, self.width), scores
        scores = head(features)
        return clock.soft_circular(scores, hours, self.width), scores


def _by_class(logits: Tensor, classes: Tensor, count: int) -> Tensor:
    """Columns of a batch ``[B, B]`` to those of classes: the highest of each, minus infinity where there is none."""
    columns = classes.expand(len(logits), -1)
    empty = logits.new_full((len(logits), count), -torch.inf)
    return empty.scatter_reduce(1, columns, logits, "amax")
