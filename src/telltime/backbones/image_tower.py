"""Features of still photos: an image network, how pictures are made ready for it, and what is kept of its maps.

Three profiles say how a picture is made ready: ``"own"`` (as the network was trained; the embedded one sees the whole
picture), ``"reference"`` (squashed to a square, ImageNet's values: what TICL was published with, TMLR 2025) and
``"clip"`` (short side to size, centre cut out, CLIP's values).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from telltime.backbones.clip_vision import ClipShape, clip_network
from telltime.backbones.folding import fast_in_bf16, folded
from telltime.backbones.frame_descriptors import embedded_weights

EMBEDDED = "efficientnet-lite0"
CLIP = "clip-vit-large-patch14"
PROFILES = ("own", "reference", "clip")
PRECISIONS = ("auto", "float32", "bfloat16")

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP_VALUES = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)
_TIMM = {EMBEDDED: "tf_efficientnet_lite0", CLIP: "vit_large_patch14_clip_quickgelu_224.openai"}
_CLOSE = 1e-3


class ImageTower(nn.Module):
    """An image network that gives one row for each photo.

    Args:
        name: ``"efficientnet-lite0"`` (embedded), ``"clip-vit-large-patch14"``, or any timm name. With ``shape`` it is
            a CLIP tower of another size, and the name is what it is called.
        profile: ``"own"``, ``"reference"`` or ``"clip"``, see above.
        size: side of the pictures it takes, in pixels; by default what the network was trained with.
        stages: which feature maps, as timm numbers them; one past the last is what the final layers make of it.
            By default the network's final feature alone; of the embedded network what carries light and colour too:
            means of two early stages by where in the picture, a late one's over all, and the spreads of four.
        cells: for each stage, into how many rows and columns the picture is parted; each part's mean is kept.
        spread: stages whose standard deviation over the picture is kept too.
        precision: of the network without gradient; ``"auto"`` is bfloat16 where the device is faster in it.
        shape: sizes of a CLIP tower as :class:`~telltime.backbones.clip_vision.ClipShape` names them.
        pretrained: take the trained weights; otherwise they are random, to be loaded over.
    """

    mean: Tensor
    scale: Tensor
    gain: Tensor

    def __init__(
        self,
        name: str = EMBEDDED,
        profile: str = "own",
        size: int | None = None,
        stages: Sequence[int] | None = None,
        cells: Sequence[int] | None = None,
        spread: Sequence[int] | None = None,
        precision: str = "auto",
        shape: Mapping[str, int] | None = None,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        if profile not in PROFILES:
            raise ValueError(f"profile is one of {', '.join(PROFILES)}, not {profile!r}")
        if precision not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
        self.name = EMBEDDED if name.replace("_", "-") == EMBEDDED else name
        self.profile, self.precision = profile, precision
        self.shape = None if shape is None else dict(shape)
        self.network, values = self._made(size, pretrained)
        self.pretrained = False  # saved weights are loaded over it, so rebuilding needs neither file nor download
        self.size = int(size or values["size"])
        """Side of the pictures it takes, in pixels."""
        self.crop, self.resampling = values["crop"], values["resampling"]
        self._choose(stages, cells, spread)
        self.register_buffer("mean", 255 * torch.tensor(values["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", 1 / (255 * torch.tensor(values["std"]).view(3, 1, 1)), persistent=False)
        self._fast: tuple[Any, Any] = (None, None)
        self.eval()

    def _made(self, size: int | None, pretrained: bool) -> tuple[Any, dict[str, Any]]:
        """The network, and how its profile makes pictures ready."""
        import timm

        if self.shape is not None:
            network: Any = clip_network(ClipShape(**self.shape))
            own = {"size": self.shape["size"], "crop": 1.0, "resampling": "bicubic"}
            own |= {"mean": CLIP_VALUES[0], "std": CLIP_VALUES[1]}
        else:
            embedded = self.name == EMBEDDED
            more: dict[str, Any] = {} if self.name == CLIP else {"num_classes": 0}
            if size is not None and "vit" in self.name:
                more["img_size"] = size
            network = timm.create_model(_TIMM.get(self.name, self.name), pretrained=pretrained and not embedded, **more)
            if embedded:
                own = {"size": 224, "crop": None, "resampling": "bilinear", "mean": _LITE[0], "std": _LITE[1]}
                if pretrained:
                    network.load_state_dict(embedded_weights())
            else:
                own = _timm_values(timm.data.resolve_model_data_config(network))
        if self.profile == "reference":
            own |= {"crop": None, "resampling": "bilinear", "mean": IMAGENET[0], "std": IMAGENET[1]}
        elif self.profile == "clip":
            own |= {"crop": 1.0, "resampling": "bicubic", "mean": CLIP_VALUES[0], "std": CLIP_VALUES[1]}
        return network, own

    def _choose(self, stages: Sequence[int] | None, cells: Sequence[int] | None, spread: Sequence[int] | None) -> None:
        """Which parts make a row, and how many numbers that is."""
        usual = self.name == EMBEDDED and stages is None and cells is None and spread is None
        if usual:
            stages, cells, spread = (0, 1, 4), (4, 4, 1), (0, 1, 2, 3)
        self.stages = None if stages is None else list(stages)
        self.cells = None if self.stages is None else list(cells if cells is not None else [1] * len(self.stages))
        self.spread = None if self.stages is None else list(spread or ())
        gains = torch.ones(1)
        if self.stages is None or self.cells is None or self.spread is None:
            if cells is not None or spread is not None:
                raise ValueError("cells and spread go with stages")
            head = getattr(self.network, "num_classes", 0)
            self.dim = int(head or getattr(self.network, "head_hidden_size", None) or self.network.num_features)
            """Numbers of a row."""
            self.parts: tuple[int, ...] = (self.dim,)
            """How many of them, in order, come from one stage."""
        else:
            channels = [int(info["num_chs"]) for info in self.network.feature_info]
            self._maps = len(channels)
            if not self.stages or self.stages != sorted(set(self.stages)) or not 0 <= self.stages[-1] <= self._maps:
                raise ValueError(f"stages of {self.name} are ascending numbers from 0 to {self._maps}, not {stages}")
            if len(self.cells) != len(self.stages) or min(self.cells) < 1:
                raise ValueError(f"cells has a number of at least 1 for each of {len(self.stages)} stages, not {cells}")
            if not set(self.spread) <= set(range(self._maps + 1)):
                raise ValueError(f"spread names stages from 0 to {self._maps}, not {spread}")
            channels.append(int(self.network.num_features))
            sizes = [channels[s] * c * c for s, c in zip(self.stages, self.cells, strict=True)]
            sizes += [channels[s] for s in self.spread]
            self.dim, self.parts = sum(sizes), tuple(sizes)
            if self.name == EMBEDDED:
                known = torch.tensor([_MEAN_GAIN[s] for s in self.stages] + [_SPREAD_GAIN[s] for s in self.spread])
                share = self.dim / (len(sizes) * torch.tensor(sizes))
                gains = torch.repeat_interleave(known * share.sqrt(), torch.tensor(sizes))
        self.register_buffer("gain", gains, persistent=False)

    @property
    def least(self) -> int:
        """Short side that a picture should at least be decoded with: below it detail would be made up."""
        return self.size if self.crop is None else max(self.size, round(self.size / self.crop))

    def prepare(self, picture: Any) -> Tensor:
        """A picture at the network's size as the profile has it, uint8 ``[3, size, size]``, RGB.

        Args:
            picture: a ``PIL.Image`` in RGB, or uint8 ``[3, H, W]``.
        """
        from PIL import Image

        if isinstance(picture, Tensor):
            if picture.dtype != torch.uint8 or picture.ndim != 3 or picture.shape[0] != 3:
                raise ValueError(f"a picture is uint8 [3, H, W], not {picture.dtype} {list(picture.shape)}")
            picture = Image.fromarray(np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy()))
        elif picture.mode != "RGB":
            picture = picture.convert("RGB")
        how = Image.Resampling[self.resampling.upper()]
        if self.crop is None:
            cut = _resized(picture, self.size, self.size, how)
        else:
            short = self.least
            width, height = picture.size
            if width < height:
                sides = short, max(short, int(short * height / width))
            else:
                sides = max(short, int(short * width / height)), short
            picture = _resized(picture, *sides, how)
            left, top = ((side - self.size) // 2 for side in sides)
            cut = picture.crop((left, top, left + self.size, top + self.size))
        return torch.from_numpy(np.array(cut)).permute(2, 0, 1).contiguous()

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures as :meth:`prepare` gives them, uint8 ``[N, 3, size, size]``, to float32 ``[N, dim]``."""
        if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
            raise ValueError(f"pictures are uint8 [N, 3, H, W], not {pictures.dtype} {list(pictures.shape)}")
        return self.rows(self.normalised(pictures.to(self.mean.device, non_blocking=True)))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Values 0 to 255 of any type, ``[..., 3, H, W]``, as the network takes them; keeps the gradient."""
        return (pixels - self.mean) * self.scale

    def rows(self, pictures: Tensor) -> Tensor:
        """Pictures as :meth:`normalised` gives them, ``[N, 3, size, size]``, to float32 ``[N, dim]``.

        With gradient the network computes as it is; without, in a copy made for speed.
        """
        if torch.is_grad_enabled() and (pictures.requires_grad or self.training):
            return self._pooled(self.network, pictures)
        network, dtype = self._prepared()
        return self._pooled(network, pictures.to(dtype).contiguous(memory_format=torch.channels_last))

    def _pooled(self, network: Any, pictures: Tensor) -> Tensor:
        if self.stages is None or self.cells is None or self.spread is None:
            return network(pictures).float()
        wanted = sorted({*self.stages, *self.spread})
        inner = [stage for stage in wanted if stage < self._maps]
        if len(inner) == len(wanted):
            maps = network.forward_intermediates(pictures, indices=inner, output_fmt="NCHW", intermediates_only=True)
        else:
            last, maps = network.forward_intermediates(pictures, indices=inner or [self._maps - 1], output_fmt="NCHW")
            maps = [*(maps if inner else ()), last]
        by = {stage: each.float() for stage, each in zip(wanted, maps, strict=True)}
        rows = [_means(by[stage], cells) for stage, cells in zip(self.stages, self.cells, strict=True)]
        rows += [(by[stage].flatten(2).var(2, correction=0) + 1e-6).sqrt() for stage in self.spread]
        return torch.cat(rows, 1) * self.gain

    def train(self, mode: bool = True) -> "ImageTower":
        """Photos are always looked at as in evaluation: the tower is frozen."""
        return super().train(False)

    def _prepared(self) -> tuple[nn.Module, torch.dtype]:
        """A copy of the network made for speed, made again when its weights have changed."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        versions = sum(0 if each.is_inference() else each._version for each in tensors)
        state = (tensors[0].device, tensors[0].data_ptr(), self.precision, versions)
        if self._fast[0] != state:
            device = tensors[0].device
            low = self.precision == "bfloat16" or (self.precision == "auto" and fast_in_bf16(device))
            dtype = torch.bfloat16 if low else torch.float32
            network = self._folded()
            if dtype != torch.float32 or network is not self.network:
                network = network if network is not self.network else copy.deepcopy(network)
                network = network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._fast = (state, (network, dtype))
        return self._fast[1]

    @torch.no_grad()
    def _folded(self) -> nn.Module:
        """The network with its batch norms folded where it has some and that is the same function, or itself."""
        if not any(isinstance(each, nn.BatchNorm2d) for each in self.network.modules()):
            return self.network
        network = folded(self.network)
        probe = torch.linspace(-1, 1, 3 * self.size**2, device=self.mean.device).view(1, 3, self.size, self.size)
        rows = [self._pooled(each, probe) for each in (self.network, network)]
        close = _CLOSE * max(1.0, rows[0].abs().max().item())
        return network if (rows[0] - rows[1]).abs().max().item() < close else self.network

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_fast": (None, None)}


_MEAN_GAIN = (0.3, 0.5, 0.7, 1.5, 1.7, 6.0)
_SPREAD_GAIN = (0.9, 1.1, 1.7, 3.0, 5.6, 9.0)
"""Of the embedded network's stages: with them means and spreads vary by about 1 over fields of random colour.
Each part is then scaled so that all weigh the same together: a part of 16 numbers is not lost beside one of 320."""


def _means(maps: Tensor, cells: int) -> Tensor:
    """``[N, C, H, W]`` to ``[N, C * cells * cells]``."""
    return nn.functional.adaptive_avg_pool2d(maps, cells).flatten(1)


def _resized(picture: Any, width: int, height: int, how: Any) -> Any:
    """Along the rows first, as all did that made published features; newer versions of Pillow choose by cost."""
    return picture.resize((width, picture.height), how).resize((width, height), how)


def _timm_values(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "size": int(config["input_size"][-1]),
        "crop": float(config["crop_pct"]),
        "resampling": config["interpolation"] if config["interpolation"] in ("bilinear", "bicubic") else "bicubic",
        "mean": tuple(config["mean"]),
        "std": tuple(config["std"]),
    }
