"""TIME: a network of clips is told classes, and made to attend to time while it learns them.

Source: Yun, Kim, Han, Song, Ha, Shin, "Time Is MattEr: Temporal Self-supervision for Video Transformers", ICML 2022.

Three tasks stand beside the classes: tell every frame's place in time, be in doubt about the class of a clip whose
frames are shuffled, and tell for every patch in which direction it moves until the next frame. Ordered and shuffled
clips go through the network in one batch.
"""

import math
from dataclasses import replace
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from telltime.backbones.time_task_heads import TemporalHeads
from telltime.backbones.transformer import initialise
from telltime.backbones.xvit import XViT
from telltime.clips.item import ItemReader
from telltime.losses.temporal_tasks import class_loss, debias_loss, flow_loss, mixed_class_loss, order_loss
from telltime.methods.method import Batch, Embedding, Step
from telltime.views.farneback import flow_labels
from telltime.views.tclr import augment as of_views
from telltime.views.time import augment, partners
from telltime.views.time_reader import TimeReader

Triple = tuple[float, float, float]
KINDS = ("batch", "sample", "moved", "reversed")


class Views(NamedTuple):
    """What :meth:`TIME.forward` takes.

    Attributes:
        clips: float ``[B, 3, T, S, S]``, with mean and deviation taken off.
        places: int64 ``[B, T]``, or ``[1, T]`` for all: which frames a shuffled clip has, one after the other.
        labels: int64 ``[B]``, below 0 where there is none.
        flow: int64 ``[B, T' - 1, h * w]``, directions of the patches in 0..8; ``None`` where their loss does not count.
        share: ``[B]``, how much of a clip is its own where clips are mixed.
    """

    clips: Tensor
    places: Tensor
    labels: Tensor
    flow: Tensor | None = None
    share: Tensor | None = None


class TIME(nn.Module):
    """Temporal self-supervision beside classes, for any network of clips.

    Args:
        backbone: clips ``[N, 3, T, H, W]`` to a map ``[N, channels, T', h, w]``, whose places are the tokens. A video
            transformer also gives what its classifier takes (``tokens_and_class``); of other networks that is the map's
            mean. A network with batch norms takes its statistics from ordered and shuffled clips together.
        reader: makes an item of a video, with ``size`` and ``frames`` of the clips: a
            :class:`~telltime.views.time_reader.TimeReader`, or one of :mod:`telltime.views.readers` with one view.
        classes: how many; ``None`` for as many as the data has, 0 for the temporal tasks alone, without labels.
        order, debias, flow: weights of the three tasks beside the classes' 1; a task of weight 0 is not computed.
        smoothing: of the labels of classes, places and directions, as published.
        permutation: ``"batch"``, one for all clips of a batch as published, or ``"sample"``, one for each; of these and
            the published the identity is one. ``"moved"`` is one for each that leaves no frame where it was,
            ``"reversed"`` runs all backwards.
        order_on: whether places are told of ``"ordered"`` clips, as published, though embeddings of time give them
            away, or of ``"shuffled"`` ones, where only what is seen can tell.
        shuffled_share: of a batch, whose shuffled clips are looked at too; less is cheaper.
        flow_floor: pixels a patch must move until the next frame, on top of the published hundredth of the largest
            motion, not to count as still.
        mean, std: taken off and divided by, of values in 0..1.

    ``flow`` takes directions that the reader gives, or else estimates them here, on the device.
    """

    def __init__(
        self,
        backbone: nn.Module,
        reader: ItemReader | None = None,
        classes: int | None = None,
        order: float = 1.0,
        debias: float = 1.0,
        flow: float = 1.0,
        smoothing: float = 0.2,
        permutation: Literal["batch", "sample", "moved", "reversed"] = "batch",
        order_on: Literal["ordered", "shuffled"] = "ordered",
        shuffled_share: float = 1.0,
        flow_floor: float = 0.0,
        mean: Triple = (0.5, 0.5, 0.5),
        std: Triple = (0.5, 0.5, 0.5),
    ) -> None:
        super().__init__()
        if min(order, debias, flow, flow_floor) < 0 or not 0 <= smoothing < 1 or not 0 < shuffled_share <= 1:
            raise ValueError(
                "order, debias, flow and flow_floor are at least 0, smoothing below 1, shuffled_share within (0, 1]: "
                f"{order}, {debias}, {flow}, {flow_floor}, {smoothing}, {shuffled_share}"
            )
        if permutation not in KINDS or order_on not in ("ordered", "shuffled"):
            raise ValueError(f'permutation is one of {", ".join(KINDS)}, order_on "ordered" or "shuffled"')
        self.reader = reader or TimeReader(values="paper")
        if isinstance(self.reader, TimeReader) and self.reader.flow and not flow:
            self.reader = replace(self.reader, flow=False)
        self.backbone = backbone
        sizes = cast(Any, self.reader)
        self.grid = token_grid(backbone, int(sizes.frames), int(sizes.size))
        if self.grid[0] < 2:
            raise ValueError(f"{type(backbone).__name__} sees {sizes.frames} frames as one moment, it has no order")
        if order_on == "shuffled" and order and self.grid[0] != sizes.frames:
            raise ValueError(
                f'order_on="shuffled" asks for the place of each of {sizes.frames} frames, but '
                f'{type(backbone).__name__} has {self.grid[0]}; take order_on="ordered"'
            )
        self.order, self.debias, self.flow = order, debias, flow
        self.smoothing, self.permutation, self.order_on = smoothing, permutation, order_on
        self.shuffled_share, self.flow_floor = shuffled_share, flow_floor
        self.mean, self.std = mean, std
        self.reads: Literal["class", "pooled"] = "class" if hasattr(backbone, "tokens_and_class") else "pooled"
        self.head = TemporalHeads(int(cast(Any, backbone).channels), self.grid[0])
        self._start(self.head)
        self.classifier: nn.Linear | None = None
        self.classes = classes
        if classes is not None:
            self.set_classes(classes)

    def set_classes(self, count: int) -> None:
        """Make the classifier, unless the constructor was told another number of classes.

        Raises:
            ValueError: it was, and the data has more.
        """
        if self.classifier is not None or self.classes == 0:
            if self.classifier is not None and count > self.classifier.out_features:
                raise ValueError(
                    f"the data has {count} classes, the method was told {self.classifier.out_features}; leave it out"
                )
            return
        self.classes = count
        if count:
            self.classifier = nn.Linear(class_width(self.backbone), count)
            self._start(self.classifier)

    def views(self, batch: Batch, generator: torch.Generator) -> Views:
        """Items of the reader to float clips, permutations, and directions where their loss counts."""
        device = generator.device
        clips, told = self._clips(batch, device), batch.get("flow")
        labels = batch["label"].to(device, non_blocking=True)
        places = self._places(len(clips), clips.shape[2], generator)
        flow = None
        if self.flow:
            wanted = (len(clips), self.grid[0] - 1, self.grid[1] * self.grid[2])
            if told is not None and told.shape != wanted:
                raise ValueError(
                    f"the reader gives directions of {list(told.shape)}, {type(self.backbone).__name__} has tokens for "
                    f"{list(wanted)}; leave them to be estimated here"
                )
            flow = self._directions(clips) if told is None else told.to(device, non_blocking=True)
        mean, std = (clips.new_tensor(value).view(3, 1, 1, 1) for value in (self.mean, self.std))
        share = batch["mix"].to(clips) if "mix" in batch else None
        return Views((clips - mean) / std, places, labels, flow, share)

    def forward(self, views: Views) -> Step:
        """The loss of a batch.

        Logs the terms before their weights (``class``, ``order``, ``flow``, and as ``debias`` the divergence from
        uniform, without the constant ``log K``), the shares of right classes, places and directions (``top1``,
        ``order_top1``, ``flow_top1``), and the mean probability of the likeliest class on ordered and on shuffled clips
        (``confidence``, ``confidence_shuffled``).
        """
        clips, places, labels, flow, share = views
        whole = len(clips)
        tokens, seen = self._both(clips, places)
        terms: list[Tensor] = []
        logs: dict[str, Tensor] = {}

        def add(name: str, weight: float, term: Tensor, constant: float = 0.0) -> None:
            terms.append(weight * term)
            logs[name] = term.detach() - constant

        if self.classifier is not None:
            scores = self.classifier(seen)
            if share is None:
                loss = class_loss(scores[:whole], labels, self.smoothing)
            else:
                loss = mixed_class_loss(scores[:whole], labels, partners(labels), share, self.smoothing)
            add("class", 1.0, loss)
            right = (scores[:whole].argmax(1) == labels).sum() / (labels >= 0).sum().clamp(min=1)
            logs |= {"top1": right, "confidence": _confidence(scores[:whole])}
            if len(seen) > whole:
                logs["confidence_shuffled"] = _confidence(scores[whole:])
            if self.debias:
                add("debias", self.debias, debias_loss(scores[whole:]), math.log(scores.shape[1]))
        if self.order:
            wanted = places if self.order_on == "shuffled" else torch.arange(self.grid[0], device=places.device)[None]
            rows = tokens[whole:] if self.order_on == "shuffled" else tokens[:whole]
            scores = self.head.order(rows)
            wanted = wanted[: len(rows)]
            add("order", self.order, order_loss(scores, wanted, self.smoothing))
            logs["order_top1"] = (scores.argmax(-1) == wanted).float().mean()
        if self.flow and flow is not None:
            scores = self.head.flow(tokens[:whole])
            add("flow", self.flow, flow_loss(scores, flow, self.smoothing))
            logs["flow_top1"] = (scores.argmax(-1) == flow).float().mean()
        if not terms:
            raise ValueError("there is nothing to learn: no labels, and weight 0 for order and flow")
        return Step(torch.stack(terms).sum(), logs)

    def embed(self, clip: Tensor) -> Embedding:
        """Float clips ``[N, 3, T, H, W]``, with mean and deviation taken off, to the map of their tokens."""
        features = self.backbone(clip)
        slices = features.mean((3, 4), dtype=torch.promote_types(features.dtype, torch.float32))
        return Embedding(features, slices, slices.mean(-1))

    def after_step(self) -> None:
        """Nothing follows a step."""

    def shuffles(self, clips: int) -> int:
        """How many of so many clips are looked at shuffled too."""
        asked = (self.debias and self.classifier is not None) or (self.order and self.order_on == "shuffled")
        return math.ceil(self.shuffled_share * clips) if asked else 0

    def _both(self, clips: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens ``[B + b, T', h, w, C]`` and what the classifier takes, of all clips and then of shuffled ones."""
        rows = self.shuffles(len(clips))
        backbone: Any = self.backbone
        if not hasattr(backbone, "from_patches"):
            both = torch.cat([clips, arranged(clips[:rows], places, 2)]) if rows else clips
            tokens = backbone(both).permute(0, 2, 3, 4, 1)
            return tokens, tokens.mean((1, 2, 3))
        patches = backbone.patches(clips)
        if rows and patches.shape[1] == clips.shape[2]:
            patches = torch.cat([patches, arranged(patches[:rows], places, 1)])
        elif rows:
            patches = torch.cat([patches, backbone.patches(arranged(clips[:rows], places, 2))])
        found: tuple[Tensor, Tensor] = backbone.from_patches(patches)
        return found

    def _clips(self, batch: Batch, device: torch.device) -> Tensor:
        """Float ``[B, 3, T, S, S]`` in 0..1: the final crops, of which directions are told too."""
        clips = batch["clips"].to(device, non_blocking=True)
        if clips.ndim == 5:
            return augment(clips, batch)
        if clips.shape[1] != 1:
            raise ValueError(f"TIME takes one clip of a video, {type(self.reader).__name__} gives {clips.shape[1]}")
        return of_views(clips, {k: v for k, v in batch.items() if v.shape[:2] == clips.shape[:2]}).flatten(0, 1)

    def _places(self, clips: int, frames: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        if self.permutation == "reversed":
            return torch.arange(frames - 1, -1, -1, device=device)[None]
        rows = 1 if self.permutation == "batch" else clips
        drawn = torch.rand(rows, frames, generator=generator, device=device).argsort(1)
        if self.permutation == "moved":
            return torch.empty_like(drawn).scatter_(1, drawn, drawn.roll(1, 1))
        return drawn

    def _directions(self, clips: Tensor) -> Tensor:
        """Of frames in the middle of the moments that the network tells apart."""
        times, *grid = self.grid
        frames = (torch.arange(times, device=clips.device) * clips.shape[2] + clips.shape[2] // 2) // times
        chosen = clips if times == clips.shape[2] else clips[:, :, frames]
        return flow_labels(chosen.transpose(1, 2), cast(Any, tuple(grid)), self.flow_floor)

    def _start(self, module: nn.Module) -> None:
        """As published: X-ViT leaves linear layers as PyTorch starts them, the others start small."""
        if not isinstance(self.backbone, XViT):
            initialise(module)


def arranged(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """``x`` with its frames, along ``axis``, in the order of ``places``, int64 ``[B', T]`` with ``B'`` enough or 1."""
    if len(places) == 1:
        return x.index_select(axis, places[0])
    x = x.transpose(1, axis)
    return x[torch.arange(len(x), device=x.device)[:, None], places[: len(x)]].transpose(1, axis)


@torch.no_grad()
def token_grid(backbone: nn.Module, frames: int, size: int) -> tuple[int, int, int]:
    """Times, rows and columns of the map that clips of ``frames`` square pictures have, found with one black clip.

    Raises:
        ValueError: the network takes no such clips.
    """
    network, clip = cast(Any, backbone), next(backbone.parameters()).new_zeros(1, 3, frames, size, size)
    if hasattr(backbone, "from_patches"):
        return cast(Any, tuple(network.patches(clip).shape[1:4]))
    was = backbone.training
    backbone.eval()
    mapped = network(clip)
    backbone.train(was)
    return cast(Any, tuple(mapped.shape[2:]))


def class_width(backbone: nn.Module) -> int:
    """Numbers that a classifier takes of a network of clips."""
    return int(cast(Any, backbone).channels)


def _confidence(scores: Tensor) -> Tensor:
    return scores.detach().float().softmax(-1).amax(-1).mean()
