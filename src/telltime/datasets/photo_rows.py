"""Rows of the published annotation of photos: where the file is, and when and where it was taken.

A JSON list of objects. Each has ``ground_path`` (file name, or path below the root), ``latitude``, ``longitude``
(degrees), ``time`` (``YYYY-MM-DD HH:MM:SS.0``, civil time at the place) and ``timezone`` (IANA name). This package also
writes and reads ``split`` (``train`` or ``test``), ``camera`` and, where no zone is known, ``offset`` (``+05:30``).
Other keys are passed over.

Published files are dirty, and are taken as they are: times without ``.0``, years no camera knew, and (0, 0) with
``Etc/GMT`` where the place is not known.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from telltime.datasets.record import DatasetError
from telltime.datasets.scan import printable
from telltime.media.capture_time import Capture
from telltime.media.files import whole
from telltime.media.zones import UnknownZone, offset_of

SOURCE = "the annotation"
_NOWHERE = "Etc/GMT"
_EARLIEST = 1990
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})")


@dataclass(frozen=True)
class Row:
    """One photo of an annotation.

    Attributes:
        file: as listed, ``/``-separated.
        capture: what the row tells; its notes say what is odd about it.
        split: ``"train"``, ``"test"`` or ``None``.
    """

    file: str
    capture: Capture
    split: str | None = None


def read_rows(path: str | Path) -> list[Row]:
    """The rows of an annotation, in order; a row that tells no time has a capture without one.

    Raises:
        DatasetError: the file cannot be read, or is no list of such objects; names the row.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"cannot read {printable(path)}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{printable(path)} is no text: {error.reason} at byte {error.start}") from None
    if not text.strip():
        raise DatasetError(f"{printable(path)} is empty; some published copies lack the rows, get the file anew")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DatasetError(f"{printable(path)} is no JSON: {error}") from None
    if not isinstance(content, list):
        raise DatasetError(f"{printable(path)}: expected a list of rows, found {type(content).__name__}")
    try:
        return rows_of(content)
    except DatasetError as error:
        raise DatasetError(f"{printable(path)}: {error}") from None


def rows_of(content: Iterable[object]) -> list[Row]:
    """The rows that decoded JSON objects stand for.

    Raises:
        DatasetError: one is no such object; names its number.
    """
    return [_row(number, entry) for number, entry in enumerate(content, 1)]


def write_rows(path: str | Path, rows: Iterable[Row]) -> None:
    """Write an annotation that :func:`read_rows` and the published code read; the file appears whole.

    Raises:
        ValueError: a row has no civil time.
    """
    with whole(path) as beside:
        text = json.dumps([as_json(row) for row in rows], indent=1, ensure_ascii=False)
        beside.write_bytes((text + "\n").encode("utf-8", "backslashreplace"))


def as_json(row: Row) -> dict[str, Any]:
    """The object that stands for ``row`` in the file.

    Raises:
        ValueError: it has no civil time.
    """
    capture = row.capture
    if capture.local is None:
        raise ValueError(f"{row.file} has no time, and a row without one says nothing")
    told: dict[str, Any] = {
        "ground_path": row.file,
        "latitude": capture.latitude or 0.0,
        "longitude": capture.longitude or 0.0,
        "time": f"{capture.local:%Y-%m-%d %H:%M:%S}.0",
        "timezone": capture.zone or (_NOWHERE if capture.latitude is None else ""),
    }
    if capture.zone is None and capture.offset is not None:
        minutes = round(capture.offset / timedelta(minutes=1))
        told["offset"] = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    optional = {"camera": capture.camera, "split": row.split}
    return told | {key: value for key, value in optional.items() if value is not None}


def query_rows(rows: Sequence[Row], per_hour: int = 2) -> tuple[list[int], list[int]]:
    """The published rule for retrieval: the first ``per_hour`` rows of every hour are queries, the rest the database.

    Returns:
        Indices of the queries and of the database, each in the order of ``rows``. Rows without a time are in neither.
    """
    taken = [0] * 24
    queries: list[int] = []
    database: list[int] = []
    for index, row in enumerate(rows):
        if row.capture.local is None:
            continue
        hour = row.capture.local.hour
        taken[hour] += 1
        (queries if taken[hour] <= per_hour else database).append(index)
    return queries, database


def group_of(capture: Capture) -> str | None:
    """What must not be split between train and test: day and place to 0.1 degree, or camera where there is no place."""
    if capture.day is None:
        return None
    if capture.latitude is not None and capture.longitude is not None:
        return f"{capture.day} {round(capture.latitude, 1) + 0.0:.1f} {round(capture.longitude, 1) + 0.0:.1f}"
    return f"{capture.day} {capture.camera or 'no place'}"


def _row(number: int, entry: object) -> Row:
    if not isinstance(entry, dict):
        raise DatasetError(f"row {number} is no object but {type(entry).__name__}")
    listed = entry.get("ground_path", entry.get("image_path"))
    if not isinstance(listed, str) or not listed.strip():
        raise DatasetError(f"row {number} names no file under ground_path")
    split = entry.get("split")
    if split not in (None, "train", "test"):
        raise DatasetError(f"row {number} has split {split!r}; expected train or test")
    return Row(listed.replace("\\", "/"), _capture(entry), split)


def _capture(entry: dict[str, Any]) -> Capture:
    notes: list[str] = []
    latitude, longitude = _position(entry, notes)
    local = _time(entry.get("time"), notes)
    zone = entry.get("timezone") or None
    offset = _offset(entry.get("offset"))
    if latitude is None and zone == _NOWHERE:
        zone = None
    if zone is not None and local is not None:
        try:
            offset = offset_of(str(zone), local)
        except (UnknownZone, OverflowError) as error:
            notes.append(str(error))
            zone = None
    camera = entry.get("camera")
    known = local is not None
    return Capture(
        local=local,
        offset=offset if known else None,
        zone=None if zone is None else str(zone),
        source=SOURCE if known else "none",
        sure=("weak" if notes else "stated") if known else "none",
        latitude=latitude,
        longitude=longitude,
        camera=None if camera is None else str(camera),
        notes=tuple(notes),
    )


def _time(value: object, notes: list[str]) -> datetime | None:
    try:
        local = datetime.fromisoformat(str(value).strip()).replace(tzinfo=None)
    except ValueError:
        notes.append(f"{value!r} is no time" if value else "no time")
        return None
    if not _EARLIEST <= local.year <= datetime.now().year + 1:
        notes.append(f"nobody took photos like these in {local.year}")
    return local.replace(microsecond=0)


def _position(entry: dict[str, Any], notes: list[str]) -> tuple[float | None, float | None]:
    try:
        latitude, longitude = float(entry["latitude"]), float(entry["longitude"])
    except (KeyError, TypeError, ValueError):
        return None, None
    if latitude == longitude == 0.0:
        return None, None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        notes.append(f"({latitude}, {longitude}) is no place on earth")
        return None, None
    return latitude, longitude


def _offset(value: object) -> timedelta | None:
    found = _OFFSET.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    return timedelta(minutes=-minutes if found[1] == "-" else minutes) if minutes < 24 * 60 else None
