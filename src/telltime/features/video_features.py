"""One feature a video from a network of whole clips, to stand beside frame features: VideoMAE's mean token.

They are read from a store or an HDF5 file, of rows ``[T, D]`` or a single one for each video, or computed by a VideoMAE
that the library ``transformers`` loads.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from telltime.checkpoints.errors import CheckpointError
from telltime.clips.policy import BadMedia
from telltime.clips.scene_frames import scene_frames
from telltime.datasets.record import Table
from telltime.features.frame_source import holds_rows, matched, open_rows
from telltime.features.marks import mark
from telltime.features.store import Store, StoreError
from telltime.media.errors import MediaError
from telltime.media.frames import Limits
from telltime.media.video import Video

VIDEOMAE = "MCG-NJU/videomae-base-finetuned-kinetics"
_VALUES = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read_video_features(path: str | Path, ids: list[str]) -> dict[str, Tensor]:
    """The mean row of each video that has rows there, float32 ``[D]``, by those of ``ids`` that are there.

    Raises:
        StoreError: it is no store and no HDF5 file, or their rows have several widths.
    """
    path = Path(path)
    if not holds_rows(path):
        raise StoreError(f"{path} holds no features: expected an HDF5 file or a store's folder")
    found = _of_store(path, ids) if path.is_dir() and _kind(path) != "frames" else _of_rows(path, ids)
    if len({len(row) for row in found.values()}) > 1:
        raise StoreError(f"{path}: its rows have several widths")
    return found


def _kind(folder: Path) -> Any:
    try:
        return json.loads((folder / "store.json").read_text()).get("kind")
    except (ValueError, AttributeError, OSError) as error:
        raise StoreError(f"{folder}: store.json is damaged ({error})") from error


def _of_rows(path: Path, ids: list[str]) -> dict[str, Tensor]:
    frames = open_rows(path)
    names = matched(frames, ids)
    return {name: frames.ragged([names[name]]).rows.float().mean(0) for name in ids if name in names}


def _of_store(path: Path, ids: list[str]) -> dict[str, Tensor]:
    store = Store.open(path)
    there = [name for name in ids if store.mark(name) is not None]
    found = {}
    for positions, values in store.shards(there):
        if len(values) != 1:
            raise StoreError(f"{path} holds {', '.join(sorted(values))}; expected one tensor a video")
        (rows,) = values.values()
        for place, row in zip(positions, rows.float(), strict=True):
            found[there[place]] = row.reshape(-1, row.shape[-1]).mean(0)
    return found


class VideoMAE(nn.Module):
    """The mean token of a VideoMAE on sixteen frames of a video.

    Args:
        name: folder it was saved in, or its id on the hub, from where it is then loaded.

    Raises:
        CheckpointError: the library ``transformers`` is not installed, or the name gives no VideoMAE.
    """

    def __init__(self, name: str = VIDEOMAE) -> None:
        super().__init__()
        try:
            from transformers import VideoMAEModel
        except ImportError:
            raise CheckpointError(
                f"{name}: a VideoMAE is read by the library transformers (pip install transformers); features that are "
                "computed already do too, as a store or an HDF5 file"
            ) from None
        try:
            self.network = VideoMAEModel.from_pretrained(name).eval().requires_grad_(False)
        except Exception as error:  # whatever library, network and hub may do
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CheckpointError(f"{name} gives no VideoMAE ({first})") from error
        self.name = name
        self.size, self.frames = int(self.network.config.image_size), int(self.network.config.num_frames)

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """Frames uint8 ``[N, T, 3, H, W]`` to float32 ``[N, D]``; squashed to a square, ImageNet's values."""
        device = next(self.parameters()).device
        flat = frames.flatten(0, 1).to(device).float() / 255
        flat = interpolate(flat, (self.size, self.size), mode="bilinear", antialias=True)
        mean, std = (flat.new_tensor(values).view(3, 1, 1) for values in _VALUES)
        tokens = self.network(pixel_values=((flat - mean) / std).unflatten(0, frames.shape[:2])).last_hidden_state
        return tokens.float().mean(1).cpu()


def compute_video_features(
    network: VideoMAE,
    table: Table,
    cache: str | Path | None = None,
    policy: BadMedia | None = None,
    limits: Limits | None = None,
) -> dict[str, Tensor]:
    """Features of every readable video of a table, float32 ``[D]`` by id, kept in the cache.

    Raises:
        MediaError, TooManyDropped: as the policy says.
    """
    settings = {"kind": "videomae", "network": network.name, "frames": network.frames}
    name = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()
    store = Store.create(None if cache is None else Path(cache) / f"videos-{name}", settings)
    marks = {record.id: mark(record) for record in table.records}
    policy = BadMedia() if policy is None else policy
    for record in table.records:
        if store.mark(record.id) == marks[record.id]:
            continue
        try:
            with Video(record.path, limits=limits or Limits(), span=record.span) as video:
                pixels = video.frames(scene_frames(video.probe().frames, network.frames), short_side=256).pixels
        except MediaError as error:
            policy.handle(record, error)
            continue
        store.add([record.id], [marks[record.id]], {"feature": network(pixels[None])})
    there = [record.id for record in table.records if store.mark(record.id) == marks[record.id]]
    return dict(zip(there, store.read("feature", there), strict=True)) if there else {}


def stacked(found: dict[str, Tensor], ids: list[str]) -> tuple[Tensor, np.ndarray]:
    """Features ``[n, D]`` of those of ``ids`` that have one, and a bool ``[len(ids)]`` of which these are."""
    there = np.array([name in found for name in ids], dtype=bool)
    rows = [found[name] for name in ids if name in found]
    return (torch.stack(rows) if rows else torch.zeros(0, 0)), there
