"""A model that tells the time: image tower, head and calibration, loaded, used and saved.

>>> clock = load_clock("runs/mine")
>>> features = clock.tower(clock.tower.prepare(picture)[None])
>>> clock.density(features)                      # [1, 96], shares of the quarters of an hour from midnight
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from telltime import __version__
from telltime.backbones.image_tower import CLIP, ImageTower
from telltime.backbones.time_heads import CosineHead, spread
from telltime.checkpoints._clock_files import named_tower, published_parts
from telltime.checkpoints.build import build, check_fits, describe, digest_of
from telltime.checkpoints.calibration import BINS, Calibration
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.folder import read_folder, weights_hash, write_folder
from telltime.checkpoints.resolve import resolve

__all__ = ["SHIPPED", "CheckpointError", "Clock", "load_clock"]

SHIPPED = Path(__file__).parents[1] / "assets" / "clock"
"""The head that comes with the package."""

KIND = "clock"
_CLIP_DIM = 768


class Clock(nn.Module):
    """What turns photos into distributions over the day.

    Args:
        head: features to scores and densities, see :mod:`telltime.backbones.time_heads`.
        tower: photos to features; ``None`` where features come from elsewhere.
        calibration: what is done to the head's densities; ``None`` leaves them.
        mean, scale: features are shifted and divided by these first, ``[D]``; by default they stay.
        limit: and then cut off at so many deviations, so that what was never seen pulls no further than what was.
        keep_tower: whether saving writes the tower's weights, because no name gives them back.
        named: what a saved model says of a tower that a name stands for, which is then had at first use.
        meta: where it comes from (JSON values). ``photos`` are the contents of those it learnt from, as
            :func:`telltime.features.photos.content` has them.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        head: nn.Module,
        tower: ImageTower | None = None,
        calibration: Calibration | None = None,
        mean: Tensor | None = None,
        scale: Tensor | None = None,
        limit: float | None = None,
        keep_tower: bool = False,
        meta: Mapping[str, Any] | None = None,
        named: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        dim = int(head.dim)  # type: ignore[arg-type]
        if tower is not None and tower.dim != dim:
            raise ValueError(f"the tower gives {tower.dim} numbers and the head takes {dim}")
        self.head, self._tower, self.calibration, self.keep_tower = head, tower, calibration, keep_tower
        self.register_buffer("mean", torch.zeros(dim) if mean is None else mean.float())
        self.register_buffer("scale", torch.ones(dim) if scale is None else scale.float())
        self.limit, self.meta, self._named = limit, dict(meta or {}), named
        self.eval()

    @property
    def tower(self) -> ImageTower:
        """What photos go through first.

        Raises:
            CheckpointError: it has none: it was trained on features that came ready; or what its name stands for cannot
                be had, or has changed.
        """
        if self._tower is None and self._named is not None:
            self._tower = _named_tower(self._named).to(self.mean.device)
        if self._tower is None:
            raise CheckpointError("this model has no image tower: it was trained on features that came ready")
        return self._tower

    @property
    def has_tower(self) -> bool:
        """Whether it can look at photos."""
        return self._tower is not None or self._named is not None

    @property
    def classes(self) -> int:
        """Equal parts of the day that its scores are of."""
        return int(self.head.classes)  # type: ignore[arg-type]

    @property
    def dim(self) -> int:
        """Numbers of a feature."""
        return len(self.mean)

    def ready(self, features: Tensor) -> Tensor:
        """Features as the tower gives them to what the head takes."""
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ValueError(f"features are [N, {self.dim}], not {list(features.shape)}")
        return standardised(features.to(self.mean), self.mean, self.scale, self.limit)

    @torch.no_grad()
    def scores(self, features: Tensor) -> Tensor:
        """The head's scores ``[N, classes]``, as they are."""
        return self.head(self.ready(features))

    @torch.no_grad()
    def embed(self, features: Tensor) -> Tensor:
        """What photos are found by their time with: the adapter's output, ``[N, ...]``."""
        embed: Any = self.head.embed
        return embed(self.ready(features))

    @torch.no_grad()
    def density(self, features: Tensor, bins: int = BINS, calibrated: bool = True) -> Tensor:
        """Shares of equal bins of the day, float32 ``[N, bins]``, the first from midnight; rows sum to 1."""
        density: Any = self.head.density
        if self.calibration is None or not calibrated:
            return density(self.ready(features), bins)
        raw = density(self.ready(features), BINS)
        found = torch.from_numpy(self.calibration.apply(raw.cpu().numpy())).to(raw)
        return found if bins == BINS else spread(found, bins)

    def arc(self, density: Any, share: float) -> Any:
        """The arcs of :meth:`density`'s rows that hold the time with a probability of ``share``.

        Calibrated ones where the model is; otherwise the shortest that hold ``share`` of the density.
        """
        return (self.calibration or Calibration()).arc(_array(density), share)

    def p_value(self, density: Any, hours: Any) -> np.ndarray:
        """How often a true time fits no better than ``hours``; see :meth:`Calibration.p_value`."""
        return (self.calibration or Calibration()).p_value(_array(density), hours)

    def digest(self) -> str:
        """A hash of all its weights: 32 hexadecimal digits."""
        return weights_hash(self.state_dict())

    def save(self, folder: str | Path, half: bool = False) -> Path:
        """Write ``model.safetensors`` and ``config.json`` into ``folder``; :func:`load_clock` reads them.

        Args:
            half: write the head's weights in 16 bits.

        Raises:
            CheckpointError: ``folder`` is a file.
        """
        tower = self._named
        if self._tower is not None:
            tower = {**describe(self._tower), "digest": digest_of(self._tower), "weights": self.keep_tower}
        described = {
            "kind": KIND,
            "backbone": describe(self.head),
            "tower": tower,
            "limit": self.limit,
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "meta": self.meta,
            "telltime": __version__,
        }
        state = {f"head.{key}": value for key, value in self.head.state_dict().items()}
        if half:
            state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
        state |= {"mean": self.mean, "scale": self.scale}
        if self._tower is not None and self.keep_tower:
            state |= {f"tower.{key}": value for key, value in self._tower.state_dict().items()}
        return write_folder(Path(folder), json.loads(json.dumps(described)), state)


def load_clock(model: str | Path | None = None, device: str | torch.device = "cpu", tower: bool = True) -> Clock:
    """The clock that ``model`` names, in evaluation mode.

    Args:
        model: a run of TICL or its model folder, ``hf-hub:OWNER/NAME``, or a published checkpoint, with or without its
            CLIP tower; without one the head that comes with the package.
        device: where to put it.
        tower: whether the image tower is wanted at once; otherwise one that only a name stands for is had at first use.

    Raises:
        CheckpointError: nothing answers to the name, what does tells no time, or its tower cannot be had.
    """
    if model is None:
        if not (SHIPPED / "config.json").is_file():
            raise CheckpointError("no head comes with this telltime; name one with --model")
        return _saved(SHIPPED, tower).to(device)
    source = resolve(model)
    if source.kind == "folder":
        return _saved(Path(source.name), tower).to(device)
    if source.kind == "published":
        return published_clock(Path(source.name), tower).to(device)
    if source.kind == "hub":
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(source.name, allow_patterns=["model.safetensors", "config.json"]))
        except Exception as error:  # whatever network and hub may do
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CheckpointError(f"hf-hub:{source.name}: the hub gives no model ({first})") from error
        return _saved(folder, tower).to(device)
    raise CheckpointError(f"{model} tells no time; give a run of ticl-photos, its model folder, or a published file")


def _saved(folder: Path, wanted: bool) -> Clock:
    config, state = read_folder(folder)
    if config.get("kind") != KIND:
        raise CheckpointError(f"{folder} holds a model that tells no time; expected one of TICL")
    try:
        head_state = _below(state, "head.")
        with torch.random.fork_rng(devices=[]):
            head = build(**config["backbone"])
        check_fits(head, head_state, "the file")
        head.load_state_dict(head_state)
        calibration = None if config.get("calibration") is None else Calibration.from_json(config["calibration"])
        told = dict(config["tower"]) if config.get("tower") else None
        keep = bool(told and told["weights"])
        tower = _kept_tower(told, _below(state, "tower.")) if told and keep else None
        named, limit, meta = None if keep else told, config.get("limit"), config.get("meta")
        made = Clock(head.float(), tower, calibration, state["mean"], state["scale"], limit, keep, meta, named)
        if wanted and made.has_tower:
            _ = made.tower
        return made
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{folder}: its config.json is not that of a clock ({error})") from error
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error


_TOWER = f"{ImageTower.__module__}.ImageTower"


def _kept_tower(told: Mapping[str, Any], state: dict[str, Tensor]) -> ImageTower:
    """The tower of a config from saved weights."""
    if told["class_path"] != _TOWER:
        raise CheckpointError(f"{told['class_path']} is no image tower")
    made = build(told["class_path"], dict(told["init_args"]) | {"pretrained": False})
    check_fits(made, state, "its image tower")
    made.load_state_dict(state)
    assert isinstance(made, ImageTower)
    return made


def _named_tower(told: Mapping[str, Any]) -> ImageTower:
    """The tower of a config from its name; one without a digest is whatever its name stands for."""
    if told["class_path"] != _TOWER:
        raise CheckpointError(f"{told['class_path']} is no image tower")
    found = named_tower(dict(told["init_args"]))
    if told["digest"] not in (None, digest_of(found)):
        raise CheckpointError(f"the weights of {found.name} are not those it was trained with; they have changed since")
    return found


def published_clock(path: Path, wanted: bool = True, content: Mapping[str, Any] | None = None) -> Clock:
    """A published checkpoint: the adapter and time encoder, or all with CLIP.

    Args:
        wanted: as ``tower`` of :func:`load_clock`.
        content: of the file, where it was read already.

    Raises:
        CheckpointError: it is none of TICL's or not whole, or CLIP is wanted and cannot be had.
    """
    parts = published_parts(path, content=content)
    head = CosineHead(parts.classes, parts.dim, parts.hidden)
    check_fits(head, parts.head, f"{path}: the file")
    head.load_state_dict(parts.head)
    named = None
    if parts.tower is None and parts.dim == _CLIP_DIM:
        arguments = {"name": CLIP, "profile": "reference"}
        named = {"class_path": _TOWER, "init_args": arguments, "digest": None, "weights": False}
    elif parts.tower is None and wanted:
        raise CheckpointError(f"{path} takes features of {parts.dim} numbers, which {CLIP} does not give")
    meta = {
        "method": "ticl",
        "source": path.name,
        "licence": "the repository of TICL names none; ask its authors before you pass these weights on",
        "notes": list(parts.notes),
    }
    made = Clock(head, parts.tower, keep_tower=parts.tower is not None, meta=meta, named=named)
    if wanted:
        _ = made.tower
    return made


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return {key: value.float() if value.is_floating_point() else value for key, value in found.items()}


def standardised(features: Tensor, mean: Tensor, scale: Tensor, limit: float | None) -> Tensor:
    """Features ``[N, D]`` shifted, divided, and cut off at ``limit`` on both sides."""
    found = (features - mean) / scale
    return found if limit is None else found.clamp(-limit, limit)


def _array(density: Any) -> Any:
    return density.detach().cpu().numpy() if isinstance(density, Tensor) else density
