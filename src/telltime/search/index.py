"""An index of videos: what is in a collection, found again by any part of it.

>>> index = Index("my-index")
>>> index.add(["MY_VIDEOS"])                      # again later: only what is new, changed or gone costs time
>>> for hit in index.search("clip.mp4", top=10):
...     hit.path, hit.score, hit.probability, hit.spans
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from telltime.checkpoints.describer import DEFAULT, Describer, load_describer
from telltime.clips.policy import BadMedia
from telltime.clips.ragged import Ragged
from telltime.media.video import Limits, Video
from telltime.search.about import TABLE, About
from telltime.search.changes import Known, absolute, stamp_of, videos_in
from telltime.search.collection import Collection
from telltime.search.derive import derive, distinct
from telltime.search.errors import NoIndex, OtherEncoder
from telltime.search.insets import inset_rows
from telltime.search.lock import WriterLock
from telltime.search.pointer import place, point
from telltime.search.rows import FACTS, VIDEOS, facts, times_of, unpack
from telltime.search.scoring import MODES, Hit, Query, rank
from telltime.search.tables import Tables
from telltime.search.writing import Added, Progress, Writer

if TYPE_CHECKING:
    from telltime.search.copies import Copies

Hits = list[Hit]
Listing = list[Known]
Times = list[np.ndarray]

__all__ = ["Added", "Hit", "Index", "Known"]


class Index:
    """An index in a folder, or at a URI of a storage LanceDB knows.

    Opening reads nothing; a folder is made by the first :meth:`add`. Readers may look while one writer writes.

    Args:
        where: the folder or URI.
        encoder: what describes videos: a model by name or folder, or a loaded one. An index remembers its own; only a
            new one needs to be told, and is made with the embedded one by default.
        wait: seconds to wait while another process writes.
        device: to describe videos on; by default a GPU if there is one.
        storage: a folder or URI for the tables of a new index whose folder is ``where``.
    """

    def __init__(
        self,
        where: str | os.PathLike[str],
        encoder: str | os.PathLike[str] | Describer | None = None,
        *,
        wait: float = 0.0,
        device: str | torch.device | None = None,
        storage: str | None = None,
    ) -> None:
        self.where = os.fspath(where) if "://" in os.fspath(where) else absolute(where)
        self.wait, self.device = wait, device
        self._encoder = encoder
        self._storage = storage
        self._describer: Describer | None = encoder if isinstance(encoder, Describer) else None
        self._tables: Tables | None = None
        self._held: Collection | None = None

    def __len__(self) -> int:
        return len(self.list())

    @property
    def about(self) -> About:
        """What the index says of itself.

        Raises:
            NoIndex: there is none.
        """
        return About.read(self.tables)

    @property
    def dropped_log(self) -> Path:
        """The file that names what the last :meth:`add` left out; among temporary files where there is no folder."""
        if "://" not in self.where:
            return Path(self.where, "dropped.jsonl")
        return Path(tempfile.gettempdir(), "telltime", "dropped.jsonl")

    @property
    def tables(self) -> Tables:
        """Where it is kept."""
        if self._tables is None:
            self._tables = Tables(place(self.where))
        return self._tables

    def add(
        self,
        paths: "Sequence[str | os.PathLike[str]] | str | os.PathLike[str]",
        *,
        bad_media: str = "skip",
        max_dropped: float = 1.0,
        workers: int = 1,
        refit: bool = False,
        limits: Limits | None = None,
        progress: Progress | None = None,
    ) -> Added:
        """Make the index hold the videos at ``paths``, as they are now.

        New and changed files are described; files that are gone from the folders given are taken out; what lies
        elsewhere stays as it is. Changes are told by content. What was done when a run breaks off is kept.

        Args:
            paths: files and folders.
            bad_media: ``"skip"`` leaves files out that cannot be read, each with a line in the index's
                ``dropped.jsonl``; ``"raise"`` stops at the first.
            max_dropped: fail when a larger share of the files is left out.
            workers: threads that decode.
            refit: fit the whitening to the collection as it is now, which otherwise happens when it has grown fourfold.
            limits: how large a file may be.
            progress: called with what is being done, and with files done and to do.

        Raises:
            SearchError: a path does not exist, a folder holds no video, another process is writing, there is no room,
                or the index was made by another encoder or is damaged.
            MediaError, TooManyDropped: a file cannot be read, or too many.
        """
        given = [paths] if isinstance(paths, str | os.PathLike) else [*paths]
        found = videos_in(given)
        with self._writing(True) as writer:
            self.dropped_log.unlink(missing_ok=True)
            policy = BadMedia(bad_media, self.dropped_log, max_dropped)
            return writer.add(found, given, policy, workers, refit, limits, progress)

    def remove(self, paths: "Sequence[str | os.PathLike[str]] | str | os.PathLike[str]") -> int:
        """Take videos out, by file or folder; the files themselves are not touched. Returns how many there were.

        Raises:
            SearchError: the index holds nothing there.
        """
        given = [paths] if isinstance(paths, str | os.PathLike) else [*paths]
        with self._writing(False) as writer:
            return writer.remove(given)

    def list(self) -> Listing:
        """The videos it holds, by path."""
        if TABLE not in self.tables.names():
            raise NoIndex(f"there is no index in {self.where}; make one with telltime index FOLDER --index DIR")
        if VIDEOS not in self.tables.names():
            return []
        found = facts(self.tables.read(VIDEOS, FACTS))
        return [found[path] for path in sorted(found)]

    def search(self, path: str | os.PathLike[str], top: int = 10, mode: str = "copies") -> Hits:
        """Videos like the one at ``path``, best first; itself too, if the index holds it.

        Args:
            path: of a video file or frame folder, in the index or not.
            top: how many.
            mode: ``"copies"`` looks for the same footage, edited, cut or as a part of something longer; ``"scenes"``
                for videos that are alike as a whole.

        Raises:
            MediaError: the file cannot be read.
            SearchError: there is no index, or it is damaged.
        """
        if mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
        if top < 1:
            raise ValueError(f"top is at least 1, not {top}")
        collection = self.collection()
        query = self.query(path, mode)
        numbers, paths, rows = collection.candidates(query)
        calibration = collection.about.calibration

        def times(places: Sequence[int]) -> Times:
            wanted = [int(numbers[i]) for i in places]
            found = collection.times(wanted)
            return [found[number] for number in wanted]

        return rank(query, rows, paths, times, calibration, top, mode, collection.videos)

    def copies(self, rate: float | None = None, progress: Callable[[int, int], None] | None = None) -> "Copies":
        """Groups of videos that are copies of each other; see :func:`telltime.search.copies.find`."""
        from telltime.search.copies import find

        return find(self.collection(), rate, progress)

    def query(self, path: str | os.PathLike[str], mode: str = "scenes") -> Query:
        """A video described as the index describes its own.

        One that the index holds, unchanged, is read again only for ``"copies"``, to see how it would look small upon
        another video.
        """
        where = absolute(path)
        known = self.collection().known.get(where)
        held = self.held(where) if known is not None and known.stamp == stamp_of(where) else None
        if held is None:
            rows, times = distinct(*self.describer().timed_rows(Video(where)))
            held = self._query(where, rows, times)
        if mode != "copies":
            return held
        with Video(where) as video:
            return replace(held, insets=self._derived(inset_rows(self.describer(), video))[0])

    def held(self, path: str | os.PathLike[str]) -> Query | None:
        """A video as the index holds it, whatever has become of its file; ``None`` when it does not."""
        where = absolute(path)
        known = self.collection().known.get(where)
        table = self.tables.read(VIDEOS, ["number", "frames", "times", "rows"], [known.number] if known else [])
        if not table.num_rows:
            return None
        return self._query(where, unpack(table).rows, times_of(table.to_pylist()[0]))

    def collection(self) -> Collection:
        """What searches look through, as it is now; kept until the index changes."""
        if self._held is None or self._held.version != Collection.version_of(self.tables):
            self._held = Collection.load(self.tables, self.describer)
        return self._held

    def describer(self) -> Describer:
        """The model, loaded when first needed.

        Raises:
            OtherEncoder: it is not the one the index was made with.
            CheckpointError: it cannot be loaded.
        """
        about = self.about if TABLE in self.tables.names() else None
        if self._describer is None:
            name = self._encoder if self._encoder is not None else about.model if about else DEFAULT
            device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
            self._describer = load_describer(os.fspath(name), device)  # type: ignore[arg-type]
        if about is not None and about.digest != self._describer.digest():
            given = self._name()
            raise OtherEncoder(
                f"{self.where} was made with the model {about.model} ({about.digest[:8]}), not with {given} "
                f"({self._describer.digest()[:8]}): their descriptors cannot be compared; give --model {about.model} "
                "as it was then, or index into another folder"
            )
        return self._describer

    def _query(self, path: str, rows: torch.Tensor, times: np.ndarray) -> Query:
        final, vectors = self._derived(Ragged.of([rows]))
        return Query(path, final.rows, times, vectors[0])

    def _derived(self, rows: Ragged) -> tuple[Ragged, torch.Tensor]:
        about = self.collection().about
        return derive(None if about.fits else self.describer(), about, rows)

    def _name(self) -> str:
        """How the model is called, so that it can be loaded again."""
        if isinstance(self._encoder, Describer):
            return str(self._encoder.meta.get("source", "a model given as an object"))
        if self._encoder is None:
            return DEFAULT
        name = os.fspath(self._encoder)
        return absolute(name) if os.path.exists(os.path.expanduser(name)) else name

    def _writing(self, make: bool) -> "_Writing":
        return _Writing(self, make)

    def _begin(self, make: bool) -> Writer:
        if not make and TABLE not in self.tables.names():
            raise NoIndex(f"there is no index in {self.where}; make one with telltime index FOLDER --index DIR")
        describer = self.describer()
        if TABLE in self.tables.names():
            about = self.about
        else:
            fits = describer.whitening is None and describer.encoder is None
            about = About(self._name(), describer.digest(), describer.sampler, fits)
        return Writer(self.tables, about, describer)


class _Writing:
    """The writer of an index, with its lock held."""

    def __init__(self, index: Index, make: bool) -> None:
        self._index, self._make = index, make
        self._lock: WriterLock | None = None

    def __enter__(self) -> Writer:
        index = self._index
        if self._make:
            point(index.where, index._storage)
            index._tables = None
        elif TABLE not in index.tables.names():
            raise NoIndex(f"there is no index in {index.where}; make one with telltime index FOLDER --index DIR")
        self._lock = WriterLock(index.tables.where, index.wait)
        self._lock.__enter__()
        try:
            return index._begin(self._make)
        except BaseException:
            self._lock.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        assert self._lock is not None
        self._lock.__exit__()
