"""From a video to descriptors of its frames, and to one vector: loaded, used and saved.

>>> describer = load_describer("efficientnet-lite0")        # the default: its weights come with the package
>>> found = describer.describe(Video("clip.mp4"))
>>> found.rows.shape, found.times.shape, found.vector.shape
(torch.Size([12, 1280]), (12,), torch.Size([1280]))
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from telltime import __version__
from telltime.backbones.frame_descriptors import EMBEDDED, FrameDescriptor
from telltime.backbones.whitening import Whitening
from telltime.checkpoints.build import build, build_seeded, check_fits, describe
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.folder import read_folder, weights_hash, write_folder
from telltime.checkpoints.resolve import resolve
from telltime.clips.ragged import Ragged
from telltime.media.video import Video
from telltime.views.frame_reader import FrameReader

__all__ = ["DEFAULT", "CheckpointError", "Described", "Describer", "load_describer"]

DEFAULT = "efficientnet-lite0"
_TOGETHER = 16_384


class Described(NamedTuple):
    """A video's descriptors, on the CPU.

    Attributes:
        rows: float32 ``[n, D]``, each of length 1.
        times: float64 ``[n]``, seconds since the file's first frame.
        vector: float32 ``[D']``, of length 1.
    """

    rows: Tensor
    times: np.ndarray
    vector: Tensor


class Describer(nn.Module):
    """What turns a video into descriptors: frames are described, whitened, and encoded in each other's context.

    Args:
        frames: describes single frames.
        whitening: projects their rows, if any.
        encoder: maps :class:`Ragged` rows to ``(vectors [V, D'], Ragged of rows)``, if any.
        sampler: which frames, see :func:`telltime.clips.frame_sampling.frame_indices`.
        meta: where it comes from (JSON values).
    """

    def __init__(
        self,
        frames: FrameDescriptor,
        whitening: Whitening | None = None,
        encoder: nn.Module | None = None,
        sampler: str = "tca",
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if whitening is not None and whitening.size != frames.dim:
            raise ValueError(f"the whitening takes rows of {whitening.size} numbers, the frames have {frames.dim}")
        self.frames, self.whitening, self.encoder = frames, whitening, encoder
        self.reader = FrameReader(sampler, frames.size, frames.crop, frames.scaling)  # type: ignore[arg-type]
        self.meta = dict(meta or {})
        self.eval()

    @property
    def sampler(self) -> str:
        """Which frames are described."""
        return self.reader.sampler

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    @property
    def dim(self) -> int:
        """Numbers of a row before the encoder."""
        return self.frames.dim if self.whitening is None else self.whitening.dim

    @property
    def batch(self) -> int:
        """Frames that go through the network at once, for speed."""
        return 128 if self.device.type == "cuda" else 16

    @torch.no_grad()
    def pixels_rows(self, pixels: Tensor) -> Tensor:
        """Frames cropped as :attr:`reader` crops them, uint8 ``[N, 3, size, size]``, to float32 ``[N, dim]``.

        Whitened rows have length 1; without whitening every stage's part has.
        """
        parts = []
        for part in pixels.split(self.batch):
            rows = self.frames(part)
            parts.append(rows if self.whitening is None else self.whitening(rows))
        return torch.cat(parts).cpu()

    def rows_of(self, frames: Tensor) -> Tensor:
        """Decoded frames of any size, uint8 ``[T, 3, H, W]``, RGB, to the same rows."""
        return self.pixels_rows(self.reader.frames(frames))

    def frame_rows(self, video: Video | str | Path) -> Tensor:
        """float32 ``[n, dim]``: the video's frames before the encoder; see :meth:`timed_rows`."""
        return self.timed_rows(video)[0]

    def timed_rows(self, video: Video | str | Path) -> tuple[Tensor, np.ndarray]:
        """The video's frames before the encoder, float32 ``[n, dim]``, and their times, float64 ``[n]`` seconds.

        The file is read once, a few frames at a time, while the network works on those before.

        Raises:
            MediaError: the video cannot be read, or none of its frames decodes.
        """
        ((rows, times),) = self.stream([video])
        if isinstance(rows, Exception):
            raise rows
        return rows, times

    def describe(self, video: Video | str | Path) -> Described:
        """Rows, times and vector of a video; errors as for :meth:`timed_rows`.

        With an encoder rows are its frames and the vector is its; otherwise the vector is the rows' mean, at length 1.
        """
        rows, times = self.timed_rows(video)
        encoded, vectors = self.encode(Ragged.of([rows]))
        return Described(encoded.rows, times, vectors[0])

    def train(self, mode: bool = True) -> "Describer":
        """Put the encoder in training mode or out of it; frames are always described as in evaluation."""
        super().train(mode)
        self.frames.eval()
        return self

    @torch.no_grad()
    def encode(self, rows: Ragged) -> tuple[Ragged, Tensor]:
        """Rows of several videos, as :meth:`frame_rows` gives them, to final rows and vectors.

        Returns:
            Rows float32 in the same sequences, and vectors ``[V, D']``, all of length 1 and on the CPU.
        """
        if self.encoder is None:
            unit = rows.like(normalize(rows.rows.float(), dim=-1).cpu())
            return unit, normalize(unit.mean(), dim=-1)
        parts, vectors = [], []
        was = self.encoder.training
        self.encoder.eval()
        try:
            for first, last in _groups(rows.lengths):
                found, frames = self.encoder(rows.slice(first, last).to(self.device, torch.float32))
                parts.append(frames.rows.cpu())
                vectors.append(found.cpu())
        finally:
            self.encoder.train(was)
        return rows.like(torch.cat(parts)), torch.cat(vectors)

    def stream(
        self, videos: Iterable[Video | str | Path], readers: int = 1
    ) -> Iterator[tuple[Tensor | Exception, np.ndarray]]:
        """What :meth:`timed_rows` gives of many videos, in their order; a video that fails gives its error.

        Args:
            videos: taken as they are needed.
            readers: threads that decode, each a video; 0 decodes in this one.
        """
        from telltime.checkpoints._streaming import stream

        return stream(self, videos, readers)

    def settings(self) -> dict[str, Any]:
        """What decides the rows before the encoder, as JSON has it: sampler, and digests of frames and whitening."""
        return {
            "sampler": self.sampler,
            "frames": _digest(self.frames),
            "whitening": None if self.whitening is None else _digest(self.whitening),
        }

    def digest(self) -> str:
        """A hash of all that decides its output: sampler, weights, classes and arguments. 32 hexadecimal digits."""
        parts = self.settings() | {"encoder": None if self.encoder is None else _digest(self.encoder)}
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()

    def save(self, folder: str | Path) -> Path:
        """Write ``model.safetensors`` and ``config.json`` into ``folder``; :func:`load_describer` reads them.

        Raises:
            CheckpointError: a part cannot be described by class and arguments, or ``folder`` is a file.
        """
        described = {
            "kind": "describer",
            "backbone": describe(self.frames),
            "whitening": None if self.whitening is None else describe(self.whitening),
            "encoder": None if self.encoder is None else describe(self.encoder),
            "sampler": self.sampler,
            "meta": self.meta,
            "telltime": __version__,
            "digest": self.digest(),
        }
        return write_folder(Path(folder), described, self.state_dict())


def load_describer(model: str | Path = DEFAULT, device: str | torch.device = "cpu") -> Describer:
    """The describer that ``model`` names, in evaluation mode.

    Args:
        model: ``"efficientnet-lite0"`` (the weights come with the package), a saved describer's folder or its run's,
            ``hf-hub:OWNER/NAME``, or a timm name, whose weights are downloaded unless they lie in timm's cache
            (``NAME@random`` needs none). ``"resnet50"`` describes as published: L3-iRMAC of four stages.
        device: where to put it.

    Raises:
        CheckpointError: nothing answers to the name, or what does describes no frames, or is damaged.
    """
    name = str(model)
    if name.replace("-", "_") == EMBEDDED:
        return _timm(EMBEDDED).to(device)
    source = resolve(model)
    if source.kind == "folder":
        return _saved(Path(source.name)).to(device)
    if source.kind == "hub":
        return _hub(source.name).to(device)
    if source.kind == "timm":
        return _timm(source.name).to(device)
    raise CheckpointError(
        f"{name} describes no frames; give {DEFAULT}, the folder of a TCA run or of a saved describer, or a timm name"
    )


def _timm(name: str) -> Describer:
    architecture, _, tag = name.partition("@")
    arguments: dict[str, Any] = {"name": architecture, "pretrained": tag != "random"}
    if architecture == "resnet50":
        arguments |= {"pooling": "rmac", "scaling": "published"}
    try:
        frames = build_seeded("telltime.backbones.frame_descriptors.FrameDescriptor", arguments)
    except OSError as error:
        raise CheckpointError(f"{name}: timm's weights cannot be had ({error}); {DEFAULT} needs no download") from error
    assert isinstance(frames, FrameDescriptor)
    return Describer(frames, meta={"method": "frames", "source": name})


def _saved(folder: Path) -> Describer:
    config, state = read_folder(folder)
    if config.get("kind") == "dense":
        raise CheckpointError(f"{folder} is an encoder of places, it describes no whole frames; expected a TCA model")
    if config.get("kind") != "describer":
        raise CheckpointError(f"{folder} holds a model of clips, which describes no frames; expected a TCA model")
    try:
        with torch.device("meta"):
            check_fits(_skeleton(config), state, "the file")
        with torch.random.fork_rng(devices=[]):
            made = _skeleton(config)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    made.load_state_dict(state)
    return made.eval()


def _skeleton(config: Mapping[str, Any]) -> Describer:
    """What a config describes, its weights as initialised."""
    try:
        arguments = dict(config["backbone"]["init_args"]) | {"pretrained": False}
        frames: Any = build(config["backbone"]["class_path"], arguments)
        whitening: Any = build(**config["whitening"]) if config.get("whitening") else None
        encoder = build(**config["encoder"]) if config.get("encoder") else None
        return Describer(frames, whitening, encoder, config["sampler"], config.get("meta"))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"its config.json is not that of a describer ({error})") from error


def _hub(name: str) -> Describer:
    from huggingface_hub import snapshot_download

    try:
        return _saved(Path(snapshot_download(name, allow_patterns=["model.safetensors", "config.json"])))
    except CheckpointError:
        raise
    except Exception as error:  # whatever network and hub may do
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"hf-hub:{name}: the hub gives no describer ({first})") from error


def _digest(module: nn.Module) -> str:
    content = json.dumps([describe(module), weights_hash(module.state_dict())], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _groups(lengths: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of sequences that together have a bounded number of rows."""
    first = total = 0
    for index, length in enumerate(lengths.tolist()):
        if index > first and total + length > _TOGETHER:
            yield first, index
            first, total = index, 0
        total += length
    yield first, len(lengths)
