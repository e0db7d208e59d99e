"""Photos that a published list names, from Flickr: what is there already, threads for the rest, a manifest of each.

``manifest.jsonl`` in the folder of photos gets one line a photo and run; the last line of a photo counts. ``status``:

- ``done``: the file is there, whole, with its size label, pixels, bytes and SHA-256;
- ``gone``, ``private``, ``no picture``, ``no flickr name``: it cannot be had, and is not asked for again;
- ``damaged``, ``failed``: it could not be had this time, and the next run tries again.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from telltime.datasets._fetching import Passing
from telltime.datasets.flickr import Flickr, FlickrError, Lost, chosen, photo_id
from telltime.datasets.record import DatasetError
from telltime.datasets.scan import printable
from telltime.media.errors import MediaError
from telltime.media.files import whole
from telltime.media.frames import Limits
from telltime.media.image import open_upright

MANIFEST = "manifest.jsonl"
FINAL = frozenset({"gone", "private", "no picture", "no flickr name"})
_IN_A_ROW = 20
"""Photos without an answer, one after the other, after which nobody is there."""


def listed(metadata: Path, limit: int | None = None) -> list[str]:
    """The file names in a published list, each once, in its order; of the first ``limit`` rows if given.

    Raises:
        DatasetError: there is no such file, or it is no list of rows with ``ground_path``.
    """
    try:
        rows = json.loads(metadata.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{printable(metadata)}: {error.strerror or error}") from None
    except ValueError as error:
        raise DatasetError(f"{printable(metadata)} is no JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{printable(metadata)}: expected a JSON list of objects, one a photo")
    names = (row.get("ground_path") or row.get("image_path") for row in rows[:limit])
    found = list(dict.fromkeys(PurePosixPath(name.replace("\\", "/")).name for name in names if isinstance(name, str)))
    if rows and not found:
        raise DatasetError(f"{printable(metadata)}: no row has a ground_path, the name of its photo")
    return found


def download(
    names: Iterable[str],
    out: Path,
    flickr: Flickr,
    workers: int = 8,
    short_side: int = 320,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, int]:
    """Fetch photos into ``out``, those that are not there yet; see :meth:`Run.all`."""
    return Run(out, flickr, short_side).all(list(names), workers, progress)


class Run:
    """One run into the folder ``out``.

    Args:
        out: folder of the photos and the manifest, made if needed.
        flickr: where to ask.
        short_side: pixels of the shorter side that are enough.
    """

    def __init__(self, out: Path, flickr: Flickr, short_side: int) -> None:
        self._out, self._flickr, self._short_side = out, flickr, short_side

    def all(
        self, names: list[str], workers: int, progress: Callable[[str, int, int], None] | None = None
    ) -> dict[str, int]:
        """Fetch what is not there of ``names``.

        Returns:
            How many photos have which status now; those that were there before count as ``"already there"``, those
            known to be lost by their status.

        Raises:
            FlickrError: the key is not accepted, or nobody answers.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        counts: Counter[str] = Counter()
        known, wanted = self._known(), []
        for name in names:
            status = self._already(name, known.get(name))
            if status is None:
                wanted.append(name)
            else:
                counts[status] += 1
        silent = 0
        with (self._out / MANIFEST).open("a+b") as manifest, closing(self._results(wanted, workers)) as results:
            _end_line(manifest)
            for line in results:
                manifest.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                manifest.flush()
                counts[line["status"]] += 1
                if progress:
                    progress("photos", counts.total(), len(names))
                silent = silent + 1 if line["status"] == "failed" else 0
                if silent == _IN_A_ROW:
                    raise FlickrError(f"{silent} photos in a row could not be had, the last because {line['reason']}")
        return dict(counts)

    def _results(self, names: list[str], workers: int) -> Generator[dict[str, Any], None, None]:
        """A manifest line for each of ``names``, as they are done."""
        left, running = iter(names), set[Future[dict[str, Any]]]()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="flickr")
        try:
            while True:
                while len(running) < 2 * workers and (name := next(left, None)) is not None:
                    running.add(pool.submit(self._one, name))
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:  # an error, an interruption or the end: nobody goes on in the background
            self._flickr.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._flickr.stop = threading.Event()

    def _one(self, name: str) -> dict[str, Any]:
        """Fetch one photo; what became of it."""
        photo = photo_id(name)
        line: dict[str, Any] = {"file": name, "id": photo}
        if photo is None:
            return line | {"status": "no flickr name", "reason": "expected <number>_<secret>.jpg"} | _now()
        try:
            size = chosen(self._flickr.sizes(photo), self._short_side)
            data = self._flickr.picture(size)
            if data.startswith((b"GIF8", b"\x89PNG")):
                raise Lost("no picture", "a sign came in place of the photo")
            width, height = self._write(name, data)
        except Lost as error:
            return line | {"status": error.status, "reason": str(error)} | _now()
        except Passing as error:
            return line | {"status": "failed", "reason": str(error)} | _now()
        except MediaError as error:
            return line | {"status": "damaged", "reason": error.reason} | _now()
        digest = hashlib.sha256(data).hexdigest()
        what = {"status": "done", "size": size.label, "width": width, "height": height}
        return line | what | {"bytes": len(data), "sha256": digest} | _now()

    def _write(self, name: str, data: bytes) -> tuple[int, int]:
        """Put the file in its place if it is a whole JPEG; its width and height."""
        with whole(self._out / name) as beside:
            beside.write_bytes(data)
            if data[:2] != b"\xff\xd8":
                raise MediaError(beside, "no JPEG came")
            with open_upright(beside, Limits()) as image:
                return image.size

    def _already(self, name: str, last: dict[str, Any] | None) -> str | None:
        """The status of a photo that needs nothing; ``None`` for one to fetch."""
        path = self._out / name
        if last is not None and last.get("status") in FINAL:
            return str(last["status"])
        if not path.is_file():
            return None
        if last is not None and last.get("status") == "done" and last.get("bytes") == path.stat().st_size:
            return "already there"
        try:  # brought here by other means, or before its line was written
            with open_upright(path, Limits()):
                return "already there"
        except MediaError:
            return None

    def _known(self) -> dict[str, dict[str, Any]]:
        """The last line of every photo; lines that broke off are passed over."""
        known: dict[str, dict[str, Any]] = {}
        path = self._out / MANIFEST
        for text in path.read_bytes().splitlines() if path.is_file() else ():
            try:
                line = json.loads(text)
                known[line["file"]] = line
            except (ValueError, KeyError, TypeError):
                continue
        return known


def _end_line(manifest: Any) -> None:
    """End a line that a killed run left open, so that the next one stands alone."""
    if manifest.seek(0, 2):
        manifest.seek(-1, 2)
        if manifest.read(1) != b"\n":
            manifest.write(b"\n")


def _now() -> dict[str, str]:
    return {"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
