"""Frame descriptors in the published layout: one HDF5 file, a float32 data set ``[T, D]`` a video, its id the name.

That layout (TCA, ViSiL, distill-and-select) says nothing of how the rows were made, nor of when their frames are.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from telltime.features.frame_store import FrameStore, StoreError
from telltime.media.files import whole


def export_hdf5(store: FrameStore, path: str | Path, ids: Sequence[str] | None = None) -> None:
    """Write a store's rows, whole or not at all; a ``/`` in an id makes groups.

    Raises:
        StoreError: the file cannot be written, or one id is the folder of another.
        KeyError: an id that the store does not have.
    """
    import h5py

    chosen = store.ids if ids is None else ids
    with whole(path) as beside:
        try:
            with h5py.File(beside, "w") as file:
                for video_id in chosen:
                    file.create_dataset(video_id, data=store.rows(video_id).numpy())
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(f"{path} cannot be written ({error})") from error


def import_hdf5(
    path: str | Path,
    folder: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    dtype: str = "float16",
) -> FrameStore:
    """The rows of an HDF5 file as a store, in ``folder`` or a temporary one; what is there already is not read again.

    Times are those of one row a second, which is what the published samplers take.

    Args:
        settings: what made the rows, if that is known; by default the file's name stands for it.

    Raises:
        StoreError: the file is missing, damaged or of another layout, or the folder holds something else.
    """
    path = Path(path)
    store = FrameStore.create(folder, settings or {"hdf5": path.name}, dtype)
    mark = f"{path.name} {path.stat().st_size}" if path.is_file() else ""
    for video_id, rows in read_hdf5(path):
        if store.mark(video_id) != mark:
            store.add(video_id, mark, torch.from_numpy(rows), np.arange(len(rows), dtype=np.float64))
    return store


def read_hdf5(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Ids and rows, float32 ``[T, D]``, one video at a time. A flat data set is one row, squeezed when it was saved.

    Raises:
        StoreError: the file is missing, damaged, or holds other than matrices of one width.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise StoreError(f"{path}: there is no such file")
    try:
        with h5py.File(path, "r") as file:
            yield from _matrices(file, path)
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{path} cannot be read as HDF5 ({str(error).splitlines()[0]})") from error


def _matrices(group: Any, path: Path, above: str = "", width: int | None = None) -> Iterator[tuple[str, np.ndarray]]:
    import h5py

    for name in group:
        item, full = group[name], f"{above}{name}"
        if isinstance(item, h5py.Group):
            yield from _matrices(item, path, f"{full}/", width)
            continue
        if item.ndim not in (1, 2) or item.dtype.kind not in "fiu" or width not in (None, item.shape[-1]):
            expected = f"[T, {width}]" if width else "[T, D]"
            raise StoreError(f"{path}: {full} is {item.dtype} {list(item.shape)}, expected numbers {expected}")
        width = int(item.shape[-1])
        yield full, np.atleast_2d(np.asarray(item, dtype=np.float32))
