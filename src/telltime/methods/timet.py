"""TimeT: clusters of places, carried through time, supervise the last frame of a clip.

Source: Salehi, Gavves, Snoek, Asano, "Time Does Tell: Self-Supervised Time-Tuning of Dense Image Representations",
ICCV 2023, in the form of its published code.

The places of a clip's first frame are assigned to prototypes such that each gets its share (Sinkhorn-Knopp); the
assignments are carried to the last frame by likeness of places; the last frame must name the prototype that came to
each of its places. Only the last frame's pass through the tuned blocks has a gradient.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.backbones.attention_mask import attention_mask
from telltime.backbones.dense import DenseEncoder
from telltime.backbones.grid_parts import State
from telltime.clips.item import ItemReader
from telltime.losses.forwarding import Forwarder
from telltime.losses.sinkhorn import sinkhorn
from telltime.methods.followers import Branch, PlaceQueue, projection
from telltime.methods.method import Batch, Embedding, Step
from telltime.views.timet import augment
from telltime.views.timet_reader import TimeTReader


class TimeT(Branch):
    """Time-tuning of an image network's places.

    Over several processes assignments are those of the whole batch, so that with equal shares of it the mean loss and
    gradient are those of one process.

    Args:
        encoder: pictures to grids of features; its ``tuned`` names say what learns.
        reader: makes an item of a video; ``None`` is the published one.
        prototypes: how many clusters.
        head: sizes of the projection's layers, the last being that of the prototypes; none compares features as they
            are.
        epsilon, iterations: of Sinkhorn-Knopp.
        temperature: divides the last frame's scores in the cross-entropy.
        last_frames, radius, topk: of the feature forwarder, see :class:`~telltime.losses.forwarding.Forwarder`; its
            temperature is 0.1.
        teacher: who assigns the first frame: nobody else (``None``), a mean of the student over time (``"ema"``), or
            that mean with its weights swapped as in the published code (``"published"``), which is nearly the student.
        momentum: of the teacher at the start; it goes to 1 along half a cosine where the training's length is known.
        queue: places of earlier first frames that are assigned along with the batch's; 0 for none.
        foreground: leave out places that the class token attends to little, see
            :func:`~telltime.backbones.attention_mask.attention_mask`; takes a transformer.
        sinkhorn_over: the frames whose places are assigned together: the ``"first"`` of each clip, or ``"all"`` (the
            authors' later variant).
        normalise_prototypes: bring prototypes to length 1 ``"after"`` each step or ``"before"`` (the later variant).
        std: spread of the three colours that pictures in 0..1 are divided by, where it shall not be the encoder's; the
            published code had 0.228 for red.
    """

    def __init__(
        self,
        encoder: DenseEncoder,
        reader: ItemReader | None = None,
        prototypes: int = 200,
        head: Sequence[int] = (1024, 1024, 512, 256),
        epsilon: float = 0.05,
        iterations: int = 10,
        temperature: float = 0.1,
        last_frames: int = 7,
        radius: int = 6,
        topk: int = 5,
        teacher: Literal["ema", "published"] | None = None,
        momentum: float = 0.995,
        queue: int = 0,
        foreground: bool = False,
        sinkhorn_over: Literal["first", "all"] = "first",
        normalise_prototypes: Literal["after", "before"] = "after",
        std: Sequence[float] | None = None,
    ) -> None:
        if prototypes < 2 or temperature <= 0 or queue < 0 or not 0 <= momentum <= 1:
            raise ValueError(
                "prototypes are 2 or more, temperature above 0, queue at least 0 and momentum a share, "
                f"not {prototypes}, {temperature}, {queue} and {momentum}"
            )
        for name, value, known in (
            ("teacher", teacher, (None, "ema", "published")),
            ("sinkhorn_over", sinkhorn_over, ("first", "all")),
            ("normalise_prototypes", normalise_prototypes, ("after", "before")),
        ):
            if value not in known:
                raise ValueError(f"{name} is one of {', '.join(map(str, known))}, not {value!r}")
        dim = list(head)[-1] if head else encoder.channels
        made = nn.Parameter(F.normalize(torch.randn(prototypes, dim), dim=-1))
        super().__init__(encoder, projection([encoder.channels, *head]), made)
        self.reader = reader or TimeTReader()
        self.epsilon, self.iterations, self.temperature = epsilon, iterations, temperature
        self.last_frames, self.radius, self.topk = last_frames, radius, topk
        self.follow, self.momentum = teacher, momentum
        self.foreground, self.sinkhorn_over, self.normalise_prototypes = foreground, sinkhorn_over, normalise_prototypes
        self.std = None if std is None else tuple(std)
        self.teacher = None if teacher is None else self.copied().still()
        self.queue = PlaceQueue(queue, dim) if queue else None
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._length = 0
        self._same_trunk: bool | None = None
        self.register_load_state_dict_post_hook(_forget_trunk)

    def set_length(self, steps: int) -> None:
        """Tell how many steps the whole training has; the teacher's momentum goes by it."""
        self._length = steps

    def views(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """uint8 clips ``[B, T, 3, S, S]`` and what was drawn for each to float clips as the encoder takes them.

        Every random number was drawn with the item: ``generator`` only says on which device the views are wanted.
        """
        clips = batch["clips"].to(generator.device, non_blocking=True)
        draws = {key: value for key, value in batch.items() if key != "clips"}
        pictures = augment(clips, draws) / 255
        if self.std is None:
            return self.encoder.normalise(pictures)
        return (pictures - self.encoder.mean) / pictures.new_tensor(self.std).view(3, 1, 1)

    def forward(self, views: Tensor) -> Step:
        """The loss of clips ``[B, T, 3, S, S]`` of two frames or more, as :meth:`views` gives them.

        Logs ``loss`` and ``used``, the share of prototypes that came to any place.
        """
        if views.ndim != 5 or views.shape[1] < 2:
            raise ValueError(f"clips are [B, T, 3, S, S] of two frames or more, not {list(views.shape)}")
        if self.normalise_prototypes == "before":
            self.unit_prototypes()
        clips, frames = views.shape[:2]
        images = views.transpose(0, 1).flatten(0, 1)
        state = self.encoder.frozen(images)
        last, last_mask = self._seen(state.take(slice(-clips, None)))
        with torch.no_grad():
            rest, rest_mask = self._seen(state.take(slice(0, -clips)))
            q = self._assigned(images[:clips], state.take(slice(0, clips)), rest, last, rest_mask, last_mask)
            features = torch.cat([rest, last.detach()]).float().unflatten(0, (frames, clips))
            labels = self._carried(features, q)
        scores = self.scores(last)
        with torch.autocast(views.device.type, enabled=False):
            if last_mask is not None:
                scores = scores * last_mask.flatten()[:, None]
            each = F.cross_entropy(scores / self.temperature, labels.flatten(), reduction="none")
            loss = each.mean() if last_mask is None else (each * last_mask.flatten()).mean()
            used = torch.zeros_like(scores[0]).index_fill_(0, labels.flatten(), 1.0).mean()
        return Step(loss, {"loss": loss.detach(), "used": used.detach()})

    def embed(self, clip: Tensor) -> Embedding:
        """Float clips ``[N, 3, T, H, W]`` in 0..1 to the encoder's features; the projection head is not used."""
        images = self.encoder.normalise(clip.transpose(1, 2).flatten(0, 1))
        grids = self.encoder(images).unflatten(0, (len(clip), -1)).transpose(1, 2)
        slices = grids.mean((3, 4))
        return Embedding(grids, slices, slices.mean(-1))

    @torch.no_grad()
    def after_step(self) -> None:
        """Bring prototypes to length 1, and let the teacher follow."""
        self.steps += 1
        if self.normalise_prototypes == "after":
            self.unit_prototypes()
        if self.teacher is None:
            return
        momentum = self._momentum()
        mix = momentum if self.follow == "published" else 1 - momentum
        for slow, fast in zip(self.teacher.parameters(), _own(self), strict=True):
            if fast.requires_grad or not self._trunk_is_shared():
                slow.lerp_(fast, mix.to(slow.dtype))
        self.teacher.unit_prototypes()

    def _momentum(self) -> Tensor:
        """The teacher's momentum after the steps made, 0-d on the device."""
        if not self._length:
            return torch.full((), self.momentum, device=self.steps.device)
        share = self.steps.clamp(max=max(1, self._length - 1)) / self._length
        return 1 - (1 - self.momentum) * (1 + torch.cos(torch.pi * share)) / 2

    def _seen(self, state: State) -> tuple[Tensor, Tensor | None]:
        """Grids ``[N, C, h, w]`` of a state, and where their foreground is, ``[N, h, w]``, if that is asked."""
        if not self.foreground:
            return self.encoder.tail(state), None
        grid, attention = self.encoder.tail_and_attention(state)
        with torch.autocast(grid.device.type, enabled=False):
            return grid, attention_mask(attention)[:, 0]

    def _assigned(
        self,
        images: Tensor,
        state: State,
        rest: Tensor,
        last: Tensor,
        rest_mask: Tensor | None,
        last_mask: Tensor | None,
    ) -> Tensor:
        """Assignments ``[B, K, h, w]`` of the places of the first frames."""
        clips, _, height, width = last.shape
        who: Branch = self
        grids, mask = rest[:clips], None if rest_mask is None else rest_mask[:clips]
        if self.teacher is not None:
            who = self.teacher
            grids = who.encoder.tail(state if self._trunk_is_shared() else who.encoder.frozen(images))
        elif self.sinkhorn_over == "all":
            grids = torch.cat([rest, last.detach()])
            mask = None if rest_mask is None or last_mask is None else torch.cat([rest_mask, last_mask])
        rows = who.projected(grids)
        valid = None
        if self.queue is not None:
            if self.training:
                self.queue.push(rows[: clips * height * width], 10 * clips)
            kept, full = self.queue.mine()
            valid = torch.cat([torch.ones(len(rows), dtype=torch.bool, device=full.device), full.expand(len(kept))])
            rows = torch.cat([rows, kept])
        scores = who.scores_of(rows)
        if mask is not None:
            scores[: mask.numel()] *= mask.flatten()[:, None]
        q = sinkhorn(scores, self.epsilon, self.iterations, valid=valid)[: clips * height * width]
        return q.unflatten(0, (clips, height, width)).permute(0, 3, 1, 2)

    def _carried(self, features: Tensor, q: Tensor) -> Tensor:
        """Which prototype came to each place of the last frame: int64 ``[B, h, w]``, of ``[T, B, C, h, w]``."""
        forwarder = Forwarder(features[0], q, self.last_frames, self.radius, self.topk)
        for frame in features[1:]:
            q = forwarder.step(frame)
        return q.argmax(1)

    def _trunk_is_shared(self) -> bool:
        """Whether student and teacher are the same where nothing is tuned, so that one pass does for both."""
        if self._same_trunk is None:
            assert self.teacher is not None
            pairs = zip(self.encoder.named_parameters(), self.teacher.encoder.parameters(), strict=True)
            self._same_trunk = all(fast.requires_grad or torch.equal(fast, slow) for (_, fast), slow in pairs)
        return self._same_trunk


def _own(branch: Branch) -> list[Any]:
    """The parameters of encoder, head and prototypes, in one order for student and teacher."""
    return [branch.prototypes, *branch.encoder.parameters(), *branch.head.parameters()]


def _forget_trunk(method: Any, _: Any) -> None:
    method._same_trunk = None
