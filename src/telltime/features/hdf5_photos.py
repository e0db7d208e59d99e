"""Photos' features in the published layout: one HDF5 file, ``features`` and a JSON row of ``metadata`` for each.

``features`` is float32 ``[N, D]``, ``metadata`` N strings in the form of :mod:`telltime.datasets.photo_rows`; row i of
one belongs to row i of the other. What made the features the layout does not say: when this package writes a file it
notes that in attributes, which other readers pass over.

The published script stores not the encoder's features but what an untrained adapter, drawn anew on each call, makes of
them (relu of a linear map of 192 numbers). Nothing can be learned from such a file that holds for another, so one whose
values are all at least 0 is refused, unless this package wrote it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from telltime.datasets.photo_rows import Row, as_json, rows_of
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import printable
from telltime.features.photos import FEATURE, photo_features
from telltime.features.store import Store, StoreError
from telltime.media.files import whole

FEATURES, METADATA, SETTINGS = "features", "metadata", "telltime"
_SHARD = 16_384


def export_photos(store: Store, table: Table, path: str | Path) -> tuple[str, ...]:
    """Write the rows of those photos of ``table`` that have features and a time, whole or not at all.

    Returns:
        Ids of the photos left out: they have no features or no time, without which the layout has no row.

    Raises:
        StoreError: no photo is left, or the file cannot be written.
    """
    import h5py

    found = photo_features(store, table)
    timed = [i for i, r in enumerate(found.table.records) if r.capture is not None and r.capture.local is not None]
    if not timed:
        raise StoreError(f"{path}: not one of {len(table)} photos has features and a time to be written")
    rows = [_told(found.table.records[i]) for i in timed]
    values = np.ascontiguousarray(found.features[timed].numpy(), dtype=np.float32)
    with whole(path) as beside:
        try:
            with h5py.File(beside, "w") as file:
                file.create_dataset(FEATURES, data=values)
                file.create_dataset(METADATA, data=rows, dtype=h5py.string_dtype("utf-8"))
                file.attrs[SETTINGS] = json.dumps(store.settings)
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(f"{path} cannot be written ({error})") from error
    written = {found.table.records[i].id for i in timed}
    return tuple(record.id for record in table.records if record.id not in written)


def import_photos(
    path: str | Path, folder: str | Path | None = None, settings: Mapping[str, Any] | None = None
) -> tuple[Store, Table]:
    """The rows of an HDF5 file as a store, in ``folder`` or in memory, and as a table of photos with their times.

    The photos themselves need not be there: their paths are those beside the file. Of rows that name the same photo
    the first counts.

    Args:
        settings: what made the features, if that is known; by default what the file notes, or else its name.

    Raises:
        StoreError: the file is missing, damaged, of another layout or made by the published script, or the folder
            holds something else.
    """
    path = Path(path)
    values, rows, noted = read_hdf5_photos(path)
    store = Store.create(folder, settings or noted or {"kind": "photos", "hdf5": path.name, "numbers": values.shape[1]})
    first = {row.file: i for i, row in reversed(list(enumerate(rows)))}
    kept = sorted(first.values())
    mark = f"{path.name} {path.stat().st_size}"
    todo = [i for i in kept if store.mark(rows[i].file) != mark]
    for at in range(0, len(todo), _SHARD):
        part = todo[at : at + _SHARD]
        tensor = torch.from_numpy(np.ascontiguousarray(values[part]))
        store.add([rows[i].file for i in part], [mark] * len(part), {FEATURE: tensor})
    records = tuple(Record(rows[i].file, path.parent / rows[i].file, capture=rows[i].capture) for i in kept)
    notes = (f"{len(rows) - len(kept)} rows name a photo that another row has named",) if len(kept) < len(rows) else ()
    return store, Table("photos", "all", path.parent, records=records, notes=notes)


def read_hdf5_photos(path: str | Path) -> tuple[np.ndarray, list[Row], dict[str, Any]]:
    """Features float32 ``[N, D]``, their rows, and what made them, as far as the file notes it.

    Raises:
        StoreError: the file is missing, damaged, of another layout, or holds the published script's features.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise StoreError(f"{path}: there is no such file")
    with _readable(path), h5py.File(path, "r") as file:
        if FEATURES not in file or METADATA not in file:
            held = ", ".join(sorted(file)) or "nothing"
            raise StoreError(f"{path} holds {held}; expected the data sets {FEATURES} and {METADATA}")
        features, metadata = file[FEATURES], file[METADATA]
        if not isinstance(features, h5py.Dataset) or not isinstance(metadata, h5py.Dataset):
            raise StoreError(f"{path}: {FEATURES} and {METADATA} are groups; expected data sets")
        if features.ndim != 2 or features.dtype.kind != "f" or metadata.ndim != 1:
            raise StoreError(
                f"{path}: {FEATURES} is {features.dtype} {list(features.shape)} and {METADATA} "
                f"{list(metadata.shape)}; expected numbers [N, D] and strings [N]"
            )
        if len(features) != len(metadata):
            raise StoreError(f"{path} holds {len(features)} features for {len(metadata)} rows of metadata")
        values = np.asarray(features[...], dtype=np.float32)
        texts = metadata[...].tolist()
        noted = file.attrs.get(SETTINGS)
    settings = json.loads(noted) if isinstance(noted, str) and noted.startswith("{") else {}
    refuse_adapter_outputs(values, str(path), foreign=not settings)
    return values, _rows(texts, path), settings


def refuse_adapter_outputs(values: np.ndarray, what: str, foreign: bool = True) -> None:
    """Raise a :class:`StoreError` when features are none, are not finite, or, in a foreign file, are all at least 0."""
    if not values.size:
        raise StoreError(f"{what} holds no features")
    if not np.isfinite(values).all():
        raise StoreError(f"{what} holds features that are no finite numbers")
    if foreign and values.min() >= 0:
        raise StoreError(
            f"{what} holds no value below 0: these are no features of the image encoder but outputs of an adapter with "
            "random weights, which the published script stores by mistake, other ones on each call. Models trained on "
            "them cannot look at a photo; make the features anew with 'telltime embed'"
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, KeyError) as error:
        raise StoreError(f"{path} cannot be read as HDF5 ({(str(error) or 'damaged').splitlines()[0]})") from error


def _rows(texts: Sequence[Any], path: Path) -> list[Row]:
    try:
        return rows_of(json.loads(text) for text in texts)
    except (ValueError, TypeError, DatasetError) as error:
        raise StoreError(f"{path}: a row of {METADATA} is not as published ({error})") from error


def _told(record: Record) -> str:
    assert record.capture is not None
    return json.dumps(as_json(Row(printable(record.id), record.capture)), ensure_ascii=False)
