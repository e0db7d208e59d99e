"""Frame descriptors wherever they are: a store, an HDF5 file in the published layout, or videos to be described."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from telltime.clips.ragged import Ragged
from telltime.datasets.record import Record, Table
from telltime.datasets.scan import Shelf, scan
from telltime.features.frame_store import FrameStore, StoreError

HDF5 = (".h5", ".hdf5")
_ROWS_TOGETHER = 1 << 16


class Frames(Protocol):
    """Rows of frames under the ids of their videos; :class:`FrameStore` is one."""

    @property
    def ids(self) -> list[str]: ...

    @property
    def lengths(self) -> Tensor: ...

    def ragged(self, ids: Sequence[str] | None = None) -> Ragged: ...


class Hdf5Frames:
    """The rows of an HDF5 file, read where they are: such files have hundreds of gigabytes.

    Raises:
        StoreError: it is no HDF5 file, or holds other than matrices.
    """

    def __init__(self, path: str | Path) -> None:
        import h5py

        self.path = Path(path)
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read as HDF5 ({str(error).splitlines()[0]})") from error
        self._shapes: dict[str, tuple[int, ...]] = {}

        def take(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                self._shapes[name] = item.shape

        self._file.visititems(take)
        wrong = next((name for name, shape in self._shapes.items() if len(shape) not in (1, 2)), None)
        if wrong is not None:
            raise StoreError(f"{self.path}: {wrong} is {list(self._shapes[wrong])}, expected numbers [T, D]")

    @property
    def ids(self) -> list[str]:
        """Names of the data sets."""
        return list(self._shapes)

    @property
    def lengths(self) -> Tensor:
        """int64, rows of each."""
        return torch.tensor([shape[0] if len(shape) == 2 else 1 for shape in self._shapes.values()])

    def ragged(self, ids: Sequence[str] | None = None) -> Ragged:
        """Rows of some videos, float32."""
        rows = (np.atleast_2d(self._file[name][()]).astype(np.float32) for name in (self.ids if ids is None else ids))
        return Ragged.of([torch.from_numpy(one) for one in rows])


def holds_rows(root: str | Path) -> bool:
    """Whether ``root`` is a store or an HDF5 file rather than videos."""
    root = Path(root)
    return root.suffix.lower() in HDF5 if root.is_file() else (root / "store.json").is_file()


def open_rows(root: str | Path, settings: dict[str, Any] | None = None) -> Frames:
    """The rows at ``root``.

    Args:
        settings: of the describer, which a store must have been made with; those of an imported store are not known.

    Raises:
        StoreError: they cannot be read, or were made by another describer.
    """
    root = Path(root)
    if root.is_file():
        return Hdf5Frames(root)
    store = FrameStore.open(root)
    return store if settings is None or "hdf5" in store.settings else FrameStore.open(root, settings)


def matched(frames: Frames, wanted: Iterable[str]) -> dict[str, str]:
    """Wanted ids to those of the rows: the same, else the same without ending, else the same bare name."""
    exact = set(frames.ids)
    shorter: dict[str, str] = {}
    for name in frames.ids:
        path = PurePosixPath(name)
        for short in (str(path.with_suffix("")) if path.suffix else name, path.name, path.stem):
            shorter.setdefault(short, name)
    found = {}
    for name in wanted:
        bare = PurePosixPath(name)
        tries = (name, str(bare.with_suffix("")) if bare.suffix else name, bare.name, bare.stem)
        hit = name if name in exact else next((shorter[one] for one in tries if one in shorter), None)
        if hit is not None:
            found[name] = hit
    return found


def listed_videos(root: str | Path, ids: Iterable[str], name: str) -> Table:
    """A table of those of ``ids`` that are videos below ``root``, with the others as missing."""
    shelf = Shelf(scan(Path(root)), fold_case=False)
    places = {video: shelf.find(video) for video in ids}
    records = tuple(Record(video, place) for video, place in places.items() if place is not None)
    missing = tuple(video for video, place in places.items() if place is None)
    return Table(name, "all", Path(root), (), records, missing, len(places), notes=shelf.strays())


def blocks(frames: Frames, ids: Sequence[str], rows: int = _ROWS_TOGETHER) -> Iterator[tuple[list[int], Ragged]]:
    """Places in ``ids`` and rows of the videos there, about ``rows`` rows together; videos without any are left out."""
    length = dict(zip(frames.ids, frames.lengths.tolist(), strict=True))
    held: list[int] = []
    total = 0
    for place, name in enumerate(ids):
        if not length[name]:
            continue
        if held and total + length[name] > rows:
            yield held, frames.ragged([ids[at] for at in held])
            held, total = [], 0
        held.append(place)
        total += length[name]
    if held:
        yield held, frames.ragged([ids[at] for at in held])
