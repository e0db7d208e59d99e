"""What has happened to the files since they were indexed, told by their content."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from telltime.datasets.record import Record
from telltime.datasets.scan import printable, scan
from telltime.features.marks import mark
from telltime.search.errors import SearchError

_CHUNK = 1 << 20

Named = str | os.PathLike[str]


@dataclass(frozen=True)
class Known:
    """A video of the index.

    Attributes:
        number: unique, and larger for what came later.
        path: absolute.
        stamp: cheap mark of the file as it was: size, time of change, both ends.
        digest: hash of the whole file.
        seconds: its length.
        frames: how many frames are described.
    """

    number: int
    path: str
    stamp: str
    digest: str
    seconds: float
    frames: int


@dataclass
class Changes:
    """What a run has to do.

    Attributes:
        describe: files to look at, in order: new ones and those whose content changed.
        copies: path, stamp and the number of an indexed video with the very same content.
        touched: stamp of indexed videos whose file is newer, but not different, by number.
        gone: indexed videos below the given folders whose file is not there any more.
        replaced: indexed videos by the path at which there is other content now.
        same: how many files have not changed.
    """

    describe: list["Found"] = field(default_factory=list)
    copies: list[tuple["Found", int]] = field(default_factory=list)
    touched: dict[int, str] = field(default_factory=dict)
    gone: list[Known] = field(default_factory=list)
    replaced: dict[str, Known] = field(default_factory=dict)
    same: int = 0


@dataclass(frozen=True)
class Found:
    """A file to be indexed, with its marks."""

    path: str
    stamp: str
    digest: str

    @property
    def record(self) -> Record:
        return Record(printable(self.path), Path(self.path))


def videos_in(paths: Sequence[Named]) -> list[str]:
    """Absolute paths of the video files and frame folders that ``paths`` (files and folders) name, each once.

    A file that is named itself is taken whatever its suffix.

    Raises:
        SearchError: a path does not exist, or a folder holds no video.
    """
    found: dict[str, None] = {}
    for given in paths:
        path = absolute(given)
        if not os.path.exists(path):
            raise SearchError(f"there is no file or folder {printable(given)}; what is indexed goes with --remove")
        if not os.path.isdir(path):
            found[path] = None
            continue
        seen = scan(Path(path))
        if not seen.videos:
            raise SearchError(_nothing(given, seen.others, seen.archives(), seen.troubles))
        for video in seen.videos:
            found[path if video == "." else os.path.join(path, video)] = None
    return list(found)


def compare(found: Iterable[str], known: Mapping[str, Known], below: Sequence[str]) -> Changes:
    """What to do so that the index holds ``found``.

    Args:
        found: absolute paths that are there.
        known: the videos of the index by path.
        below: absolute paths of files and folders that were looked through: what the index has there and ``found`` has
            not is gone; what it has elsewhere stays.
    """
    changes = Changes()
    contents: dict[str, int] = {}
    for video in known.values():
        contents.setdefault(video.digest, video.number)
    there = set()
    for path in found:
        there.add(path)
        stamp = stamp_of(path)
        old = known.get(path)
        if old is not None and old.stamp == stamp:
            changes.same += 1
            continue
        content = digest(path)
        if old is not None and old.digest == content:
            changes.same += 1
            changes.touched[old.number] = stamp
            continue
        if old is not None:
            changes.replaced[path] = old
        new = Found(path, stamp, content)
        if content in contents:
            changes.copies.append((new, contents[content]))
        else:
            changes.describe.append(new)
    roots = tuple(below)
    changes.gone = [video for path, video in known.items() if path not in there and is_below(path, roots)]
    return changes


def stamp_of(path: str) -> str:
    """The cheap mark of a file, as :class:`Known` has it."""
    return mark(Record(printable(path), Path(path)))


def digest(path: str) -> str:
    """A hash of a file's content, or of names and content of a folder's files; of nothing where it cannot be read."""
    state = hashlib.blake2b(digest_size=16)
    try:
        if os.path.isdir(path):
            for entry in sorted(os.scandir(path), key=lambda e: e.name):
                if entry.is_file():
                    state.update(os.fsencode(entry.name) + b"\0")
                    _read(entry.path, state)
        else:
            _read(path, state)
    except OSError:
        return f"unreadable {printable(path)}"
    return state.hexdigest()


def is_below(path: str, roots: Sequence[str]) -> bool:
    """Whether ``path`` is one of ``roots`` or lies in one."""
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)


def absolute(path: Named) -> str:
    """An absolute path without ``~`` and ``..``; links are kept, so that a video has the name its owner gave it."""
    return os.path.abspath(os.path.expanduser(path))


def _read(path: str, state: "hashlib.blake2b") -> None:
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)


def _nothing(folder: Named, others: Mapping[str, int], archives: Sequence[str], troubles: Sequence[str]) -> str:
    if archives:
        return f"no video in {printable(folder)}, but {others[archives[0]]} {archives[0]} archives; extract them first"
    total = sum(others.values())
    beside = f" among {total} other files" if total else "" if troubles else ", it is empty"
    hint = troubles[0] if troubles else "a folder that was indexed and is empty now goes with --remove"
    return f"no video found in {printable(folder)}{beside}; {hint}"
