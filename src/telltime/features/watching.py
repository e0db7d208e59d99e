"""One pass over a video that keeps what its segmentation takes: features of places, and what moves by itself."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.backbones.dense import DenseEncoder
from telltime.features.camera import moving, own_motion
from telltime.features.embed import Progress
from telltime.views.dense import resized, upsampled
from telltime.views.flow import enlarged, flow

_FITTED = 16
_TOGETHER = 4


class Frames(Protocol):
    """A video whose frames can be asked for."""

    def __len__(self) -> int: ...

    def at(self, indices: Sequence[int]) -> Iterator[Tensor]:
        """Frames uint8 ``[3, H, W]`` at ``indices``, which ascend."""
        ...


@dataclass(frozen=True)
class Watched:
    """What was seen of a video of ``T`` frames on a grid of ``h`` x ``w`` places.

    Attributes:
        grids: float16 ``[T, D, h, w]``, features; over the whole video of mean 0 and mean squared length 1, about.
        moves: float32 ``[T, h, w]``, how surely a place moves by itself, 0 to 1.
        rest: float32 ``[T, 2, h, w]``, its motion to the next frame less the camera's, in places.
        onward: float32 ``[T - 1, 2, h, w]``, flow from each frame to the next, in places.
        backward: the same from each next frame back.
    """

    grids: Tensor
    moves: Tensor
    rest: Tensor
    onward: Tensor
    backward: Tensor

    def __len__(self) -> int:
        return len(self.grids)


@torch.no_grad()
def watch(
    encoder: DenseEncoder,
    frames: Frames,
    side: int = 480,
    flow_side: int = 240,
    numbers: int = 64,
    told: Progress | None = None,
) -> Watched:
    """Look at a video once.

    Args:
        encoder: on the device to compute on.
        side: shorter side in pixels that frames are encoded at.
        flow_side: shorter side that flow is computed at, where frames are not smaller.
        numbers: of each place's features that are kept, by principal components.
        told: called with frames done and to do.
    """
    count = len(frames)
    at = torch.linspace(0, count - 1, min(count, _FITTED)).round().int().tolist()
    known = dict(zip(at, _maps(encoder, list(frames.at(at)), side), strict=True))
    basis = Basis([known[i] for i in at], numbers)
    grids: list[Tensor] = []
    pairs = _Pairs(flow_side)
    waiting: list[Tensor] = []
    for index, frame in enumerate(frames.at(range(count))):
        pairs.add(frame)
        if index not in known:
            waiting.append(frame)
        if len(waiting) == _TOGETHER or index == count - 1:
            new = [i for i in range(len(grids), index + 1) if i not in known]
            known |= dict(zip(new, _maps(encoder, waiting, side), strict=True))
            grids += [basis.reduce(known.pop(i)) for i in range(len(grids), index + 1)]
            waiting = []
        if told is not None:
            told(index + 1, count)
    stacked = torch.stack(grids)
    return Watched(stacked, *pairs.on_grid((int(stacked.shape[-2]), int(stacked.shape[-1])), stacked.device))


class Basis:
    """Principal components of features, the maps of several stages side by side.

    Each stage counts alike: its features are centred and divided by their mean length.

    Args:
        fitted: maps of some frames, each a list of ``[C, h, w]`` by stage, all of one grid.
        numbers: components kept at most.
    """

    def __init__(self, fitted: Sequence[Sequence[Tensor]], numbers: int) -> None:
        rows = [torch.cat([each.flatten(1) for each in stage], dim=1).mT for stage in zip(*fitted, strict=True)]
        self._means = [each.mean(0) for each in rows]
        centred = [each - mean for each, mean in zip(rows, self._means, strict=True)]
        self._scales = [1 / each.norm(dim=1).mean().clamp(min=1e-12) for each in centred]
        whole = torch.cat([each * scale for each, scale in zip(centred, self._scales, strict=True)], dim=1)
        values, vectors = torch.linalg.eigh((whole.mT @ whole).double() / len(whole))
        kept = min(numbers, vectors.shape[1])
        length = values[-kept:].sum().clamp(min=1e-12).sqrt()
        self._components = (vectors[:, -kept:].flip(1) / length).float()

    def reduce(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of one frame to float16 ``[D, h, w]``."""
        each = zip(maps, self._means, self._scales, strict=True)
        whole = torch.cat([(m - mean[:, None, None]) * scale for m, mean, scale in each])
        return torch.einsum("chw,cd->dhw", whole, self._components).half()


def stages_around(encoder: DenseEncoder) -> list[int]:
    """Feature maps of a convolutional network from half to twice the encoder's stride; of others none."""
    last = {int(each["reduction"]): i for i, each in enumerate(getattr(encoder.network, "feature_info", ()))}
    near = [last[pixels] for pixels in sorted(last) if encoder.stride / 2 <= pixels <= encoder.stride * 2]
    return near if len(near) > 1 and encoder.stride in last else []


def _maps(encoder: DenseEncoder, frames: Sequence[Tensor], side: int) -> list[list[Tensor]]:
    """Frames uint8 ``[3, H, W]`` to maps ``[C, h, w]`` of each stage, on the encoder's grid."""
    found: list[list[Tensor]] = []
    for start in range(0, len(frames), _TOGETHER):
        some = torch.stack(list(frames[start : start + _TOGETHER])).to(encoder.mean.device)
        images = encoder.prepare(resized(some, _size(some, side, encoder.stride)))
        with torch.autocast("cuda", torch.bfloat16) if images.is_cuda else nullcontext():
            stages = _stages(encoder, images)
        found += [list(each) for each in zip(*(stage.float().unbind(0) for stage in stages), strict=True)]
    return found


def _stages(encoder: DenseEncoder, images: Tensor) -> list[Tensor]:
    if not (near := stages_around(encoder)):
        return [encoder(images)]
    maps = encoder.network.forward_intermediates(images, indices=near, output_fmt="NCHW", intermediates_only=True)
    grid = tuple(-(-side // encoder.stride) for side in images.shape[-2:])
    size = next((int(m.shape[-2]), int(m.shape[-1])) for m in maps if tuple(m.shape[-2:]) == grid)
    return [F.adaptive_avg_pool2d(m, size) if m.shape[-1] > size[1] else upsampled(m, size) for m in maps]


def _size(frames: Tensor, side: int, multiple: int) -> tuple[int, int]:
    """Height and width of the shorter side asked for, both multiples of the stride or patch."""
    scale = side / min(frames.shape[-2:])
    height, width = (max(2, round(each * scale / multiple)) * multiple for each in frames.shape[-2:])
    return height, width


class _Pairs:
    """Motion between frames as they come."""

    def __init__(self, side: int) -> None:
        self._side, self._last = side, torch.empty(0)
        self._flows: list[Tensor] = []
        self._rest: list[Tensor] = []
        self._excess: list[Tensor] = []

    def add(self, frame: Tensor) -> None:
        short, long = min(frame.shape[-2:]), max(frame.shape[-2:])
        to = min(self._side, short)
        size = (to, round(long * to / short)) if frame.shape[-2] == short else (round(long * to / short), to)
        picture = resized(frame[None], size).float() / 255
        if len(self._last):
            both = flow(torch.cat([self._last, picture]), torch.cat([picture, self._last]))
            rest, excess = own_motion(both)
            self._flows.append(both)
            self._rest.append(rest)
            self._excess.append(excess)
            self._flows[-1] = F.avg_pool2d(both, 4) / 4 if min(size) >= 64 else both
        self._last = picture

    def on_grid(self, size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``moves``, ``rest``, ``onward`` and ``backward`` of :class:`Watched`.

        What a frame shows against both its neighbours counts: what is only covered or uncovered shows against one.
        """
        if not self._flows:
            none = torch.zeros(1, *size, device=device)
            still = none.new_zeros(0, 2, *size)
            return none, none[:, None].repeat(1, 2, 1, 1), still, still
        forth, back = torch.stack(self._excess).unbind(1)
        least = torch.minimum(torch.cat([forth, back[-1:]]), torch.cat([forth[:1], back]))
        moves = F.adaptive_avg_pool2d(moving(least)[:, None], size)[:, 0]
        scale = [size[1] / self._last.shape[-1], size[0] / self._last.shape[-2]]
        onward, backward = (enlarged(each, size) for each in torch.stack(self._flows).unbind(1))
        ahead, behind = torch.stack(self._rest).unbind(1)
        rest = torch.cat([ahead, -behind[-1:]])
        rest = F.adaptive_avg_pool2d(rest, size) * rest.new_tensor(scale).view(1, 2, 1, 1)
        return moves.to(device), rest.to(device), onward.to(device), backward.to(device)
