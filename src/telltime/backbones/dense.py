"""Image networks as encoders of places: a picture becomes a grid of features.

A transformer's grid are its patch tokens; a convolutional network's is its last map at the stride asked for. The
default needs no download: EfficientNet-Lite0 at stride 16. A network is taken in two passes: what is in front of the
blocks that are tuned runs once and without gradient.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from telltime.backbones.frame_descriptors import embedded_weights
from telltime.backbones.grid_parts import MapParts, Part, State
from telltime.backbones.vit_grid import POSITIONS, VitGrid, is_vit, make_vit, take_any_size

EMBEDDED = "efficientnet-lite0"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_TIMM = {EMBEDDED: "tf_efficientnet_lite0"}
_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)


class DenseEncoder(nn.Module):
    """Pictures to grids of features.

    Whatever ``train`` is told, the network stays as it is in use: batch norms keep their statistics. Only the tuned
    parameters need a gradient.

    Args:
        name: ``"efficientnet-lite0"`` (embedded) or any timm name with feature maps; with ``shape`` what it is called.
        stride: pixels a cell stands for, of a convolutional network; a transformer's is its patch, whatever is said.
        size: side of the pictures whose positions a transformer holds, where it shall differ from timm's.
        position: how a transformer's positions are brought to other grids: ``"published"`` (bicubic by a factor of
            ``cells + 0.1``, as DINO) or ``"size"`` (timm's: bicubic, antialiased). Convolutional networks and those
            with rotary positions have no such choice.
        tuned: parts of the names of the network's parameters that are tuned; by default the last two blocks. A name
            with a dot at its end, ``"blocks.1."``, leaves ``blocks.10`` alone.
        pretrained: take the trained weights; otherwise they are random, to be loaded over.
        deep: a convolutional network's stages behind the stride run dilated, at the same stride, so that the places
            come from its last map, the one that is pooled for classes and tells things apart better, instead of the
            last that has the stride.
        shape: sizes of a transformer as :func:`telltime.backbones.vit_grid.make_vit` takes them; it is random.

    Raises:
        ValueError: the network has no feature map at the stride, or no parameter named so.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str = EMBEDDED,
        stride: int = 16,
        size: int | None = None,
        position: Literal["published", "size"] = "published",
        tuned: Sequence[str] | None = None,
        pretrained: bool = True,
        shape: Mapping[str, Any] | None = None,
        deep: bool = False,
    ) -> None:
        super().__init__()
        if position not in POSITIONS:
            raise ValueError(f'position is "published" or "size", not {position!r}')
        self.name = EMBEDDED if name.replace("_", "-") == EMBEDDED else name
        self.size, self.position, self.deep = size, position, deep
        self.shape = None if shape is None else dict(shape)
        self.network: Any = self._made(size, stride, pretrained)
        self.pretrained = False  # saved weights are loaded over it, so rebuilding needs neither file nor download
        self._vit = VitGrid(self.network) if is_vit(self.network) else None
        self._maps = None if self._vit else MapParts(self.network, None if deep else self._stage(stride))
        self.stride = self._vit.patch if self._vit else stride
        """Pixels a cell of the grid stands for, each way."""
        self.channels = int(self.network.num_features if self._vit or deep else self._info(stride)["num_chs"])
        """Numbers of a cell."""
        self.tuned = list(self._usual() if tuned is None else tuned)
        self._first = self._mark()
        mean, std = self._values()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> "DenseEncoder":
        """Only remembers the mode; see the class."""
        super().train(mode)
        self.network.eval()
        return self

    def prepare(self, frames: Tensor) -> Tensor:
        """Frames uint8 ``[..., 3, H, W]``, RGB, as the network takes them: float32 of the same shape."""
        if frames.dtype != torch.uint8 or frames.shape[-3] != 3:
            raise ValueError(f"frames are uint8 [..., 3, H, W], not {frames.dtype} {list(frames.shape)}")
        return self.normalise(frames.to(self.mean.device, non_blocking=True) / 255)

    def normalise(self, pictures: Tensor) -> Tensor:
        """Float pictures ``[..., 3, H, W]`` in 0..1 as the network takes them."""
        return (pictures - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """Prepared images ``[N, 3, H, W]`` to float features ``[N, channels, h, w]``, row by row of the grid.

        Sides that are no multiples of a transformer's patch are resized to the nearest multiples; a convolutional
        network's grid is as large as its padding makes it.
        """
        return self.tail(self.frozen(images))

    def frozen(self, images: Tensor) -> State:
        """Prepared images through everything in front of the first tuned block, without gradient."""
        with torch.no_grad():
            return self._run(State(images), self._parts()[: self._first])

    def tail(self, state: State) -> Tensor:
        """The rest of the way, from :meth:`frozen` to features ``[N, channels, h, w]``."""
        state = self._run(state, self._parts()[self._first :])
        return self._vit.grid(state) if self._vit else state.values

    def tail_and_attention(self, state: State) -> tuple[Tensor, Tensor]:
        """As :meth:`tail`, and the attention as :meth:`attention` gives it, without gradient, in one pass."""
        vit = self._transformer()
        parts = self._parts()[self._first :]
        before_last = len(parts) - 2
        if before_last < 0:
            raise ValueError("the last block runs without gradient here; attention(images) gives its attention")
        state = self._run(state, parts[:before_last])
        with torch.no_grad():
            attention = vit.attention(state)
        return vit.grid(self._run(state, parts[before_last:])), attention

    def tokens(self, images: Tensor) -> Tensor:
        """Prepared images to ``[N, n, channels]``: a transformer's tokens after the final norm, those of class and
        registers first; of a convolutional network the cells, row by row."""
        state = self._run(self.frozen(images), self._parts()[self._first :])
        return state.values if self._vit else state.values.flatten(2).mT

    @torch.no_grad()
    def attention(self, images: Tensor) -> Tensor:
        """How much a transformer's class token attends to each patch in the last block: ``[N, heads, h, w]``, float32,
        the sum over patches at most 1.

        Raises:
            ValueError: the network has no class token, or no attention that can be read.
        """
        vit = self._transformer()
        return vit.attention(self._run(State(images), self._parts()[:-2]))

    def _transformer(self) -> VitGrid:
        if self._vit is None:
            raise ValueError(f"{self.name} has no attention: foreground masks take a transformer, such as a DINO ViT")
        return self._vit

    def _parts(self) -> list[Part]:
        if self._vit:
            return self._vit.parts(self.position)
        assert self._maps is not None
        return self._maps.parts()

    @staticmethod
    def _run(state: State, parts: Sequence[Part]) -> State:
        for part in parts:
            state = part(state)
        return state

    def _made(self, size: int | None, stride: int, pretrained: bool) -> Any:
        import timm

        if self.shape is not None:
            return make_vit(self.shape)
        embedded = self.name == EMBEDDED
        more: dict[str, Any] = ({} if size is None else {"img_size": size}) | (
            {"output_stride": stride} if self.deep else {}
        )
        try:
            network: Any = timm.create_model(
                _TIMM.get(self.name, self.name), pretrained=pretrained and not embedded, num_classes=0, **more
            )
        except TypeError as error:
            lacking = "runs no stage dilated" if self.deep else "takes no size: it has no positions"
            raise ValueError(f"timm's {self.name} {lacking}") from error
        if pretrained and embedded:
            network.load_state_dict(embedded_weights())
        if is_vit(network):
            take_any_size(network)
        elif not hasattr(network, "forward_intermediates"):
            raise ValueError(f"timm's {self.name} gives no feature maps")
        return network

    def _values(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and spread of the pictures the network was trained with."""
        import timm

        if self.name == EMBEDDED:
            return _LITE
        if self.shape is not None:
            return IMAGENET
        config = timm.data.resolve_model_data_config(self.network)
        return config["mean"], config["std"]

    def _stage(self, stride: int) -> int:
        at = [i for i, each in enumerate(self.network.feature_info) if each["reduction"] == stride]
        if not at:
            offered = sorted({int(each["reduction"]) for each in self.network.feature_info})
            raise ValueError(
                f"timm's {self.name} has no feature map at stride {stride}; it has {', '.join(map(str, offered))}"
            )
        return at[-1]

    def _info(self, stride: int) -> dict[str, Any]:
        return list(self.network.feature_info)[self._stage(stride)]

    def _usual(self) -> list[str]:
        """The last two blocks of a transformer, or parts with weights of the maps' way."""
        if self._vit:
            return [f"blocks.{i}." for i in range(self._vit.depth)[-2:]]
        assert self._maps is not None
        weighted = [
            name
            for name, module in zip(self._maps.names, self._maps.modules, strict=True)
            if next(module.parameters(), None) is not None
        ]
        return [f"{name}." for name in weighted[-2:]] or [""]

    def _mark(self) -> int:
        """Let only tuned parameters need a gradient; return the first part that holds one."""
        way: Any = self._vit or self._maps
        first = len(self._parts())
        found = set()
        for name, parameter in self.network.named_parameters():
            part = way.part_of(name)
            said = [each for each in self.tuned if each in name]
            parameter.requires_grad_(bool(said) and part is not None)
            if said and part is not None:
                first = min(first, part)
                found.update(said)
        if lost := [each for each in self.tuned if each not in found]:
            raise ValueError(f"{self.name} has no parameter with {lost[0]!r} in its name that takes part in features")
        return first
