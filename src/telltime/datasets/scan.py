"""What lies under a folder: video files, frame folders, and everything that is neither."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_VIDEO = "3gp asf avi divx dv flv gif h264 hevc m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts mxf ogm ogv rm rmvb"
_MORE = "ts vob webm wmv y4m"
VIDEO_SUFFIXES = frozenset(f".{s}" for s in f"{_VIDEO} {_MORE}".split())
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
ARCHIVE_SUFFIXES = frozenset({".7z", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"})


def printable(path: str | os.PathLike[str]) -> str:
    """A path as text that can be printed and hashed; bytes that are not UTF-8 become ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Scan:
    """The content of a folder tree.

    Attributes:
        root: folder that was walked.
        videos: video files and frame folders below it, as ``/``-separated relative paths, sorted; ``"."`` when the
            root is itself a frame folder.
        frame_folders: those of ``videos`` that are folders of images.
        others: count of the remaining files by lower-case suffix (``""``: none).
        example: one file name for every suffix in ``others``.
        troubles: folders that could not be opened and links that lead back, each as a clause.
        pictures: every folder that holds an image and no video file, frame folders included.
    """

    root: Path
    videos: tuple[str, ...]
    frame_folders: frozenset[str] = frozenset()
    others: Mapping[str, int] = field(default_factory=dict)
    example: Mapping[str, str] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()

    def archives(self) -> list[str]:
        """Suffixes of archives found, most frequent first."""
        return [s for s, _ in Counter(self.others).most_common() if s in ARCHIVE_SUFFIXES]

    def notes(self, expected: Iterable[str] = ()) -> tuple[str, ...]:
        """Sentences on what is no video; suffixes in ``expected`` (say ``.txt`` of split lists) are left out."""
        strangers = {s: n for s, n in self.others.items() if s not in {*expected, *ARCHIVE_SUFFIXES}}
        said = list(self.troubles)
        for suffix in self.archives():
            count, example = self.others[suffix], printable(self.example[suffix])
            said.append(f"{count} {suffix} not read (e.g. {example}); extract archives where videos are missing")
        if strangers:
            kinds = ", ".join(
                f"{n} {suffix or 'without suffix'} (e.g. {printable(self.example[suffix])})"
                for suffix, n in sorted(strangers.items(), key=lambda kv: (-kv[1], kv[0]))
            )
            total = sum(strangers.values())
            said.append(f"{total} file{'s' * (total != 1)} with no known video suffix not read: {kinds}")
        return tuple(said)


def scan(root: Path) -> Scan:
    """Walk ``root``; links to folders are followed, none twice, so that loops end and nothing is counted double.

    A folder that holds two or more images and no video file is one video, a frame folder. Hidden files are passed over.
    """
    videos: list[str] = []
    frame_folders: set[str] = set()
    pictures: list[str] = []
    others: Counter[str] = Counter()
    example: dict[str, str] = {}
    troubles: list[str] = []
    for here, below in walk(root, troubles):
        images, files = [], []
        for name in below:
            suffix = os.path.splitext(name)[1].lower()
            if suffix in VIDEO_SUFFIXES:
                files.append(name)
            elif suffix in IMAGE_SUFFIXES:
                images.append(name)
            else:
                others[suffix] += 1
                example.setdefault(suffix, name)
        videos += files
        if images and not files:
            pictures.append(here.rstrip("/") or ".")
        if len(images) > 1 and not files:
            videos.append(here.rstrip("/") or ".")
            frame_folders.add(videos[-1])
        else:
            for image in images:
                suffix = os.path.splitext(image)[1].lower()
                others[suffix] += 1
                example.setdefault(suffix, image)
    said = tuple(sorted(troubles))
    return Scan(
        root, tuple(sorted(videos)), frozenset(frame_folders), dict(others), example, said, tuple(sorted(pictures))
    )


def walk(root: Path, troubles: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Every folder at and below ``root`` once: its path, ``""`` or ending in ``/``, and the paths of its files, sorted.

    Paths are relative to ``root``. Links to folders are followed after all real folders, so that real paths win;
    hidden entries are passed over; folders that do not open are told in ``troubles``.
    """
    seen: set[tuple[int, int]] = set()
    links: list[tuple[str, str]] = []
    pending = [("", str(root))]
    while pending or links:
        here, folder = pending.pop() if pending else links.pop(0)
        try:
            stat = os.stat(folder)
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted((e for e in listing if not e.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            troubles.append(f"could not open {printable(folder)}: {error.strerror}")
            continue
        files = []
        for entry in entries:
            below = f"{here}{entry.name}"
            if _is_dir(entry):
                (links if entry.is_symlink() else pending).append((f"{below}/", entry.path))
            else:
                files.append(below)
        yield here, files


def _is_dir(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


class Shelf:
    """Finds the videos that official lists name among those on disk.

    Lists and disks differ in letter case, in suffix (re-encoded to ``.mp4``), in being frame folders and in folders
    nested once more; what counts is the file's name without suffix and the name of a folder it lies in.

    Args:
        found: what is on disk.
        fold_case: file names that differ only in letter case are the same video. Folder names always may.
    """

    def __init__(self, found: Scan, *, fold_case: bool = True) -> None:
        self.found = found
        self._fold = str.casefold if fold_case else str
        self._by_stem: dict[str, list[str]] = {}
        for video in found.videos:
            self._by_stem.setdefault(self._stem(video, video in found.frame_folders), []).append(video)
        self._taken: set[str] = set()

    def find(self, listed: str, *, folders: Iterable[str] = ()) -> Path | None:
        """The path of ``listed`` (``Class/name.avi``), or ``None``; in another folder only when the name is unique.

        Args:
            listed: relative path as in the list; the last part may lack its suffix.
            folders: further names of the class folder to accept.
        """
        parent, _, name = listed.rpartition("/")
        wanted = {n.casefold() for n in (parent.rpartition("/")[2], *folders) if n}
        near = self._by_stem.get(self._stem(name), []) or self._by_stem.get(self._fold(name), [])
        choices = [v for v in near if not wanted or wanted & {p.casefold() for p in v.split("/")[:-1]}]
        if not choices and len(near) == 1:
            choices = near
        if not choices:
            return None
        best = min(choices, key=lambda v: (not v.endswith(listed), v in self.found.frame_folders, v.count("/"), v))
        self._taken.add(best)
        return self.found.root / best

    def strays(self) -> tuple[str, ...]:
        """A sentence on the videos on disk that no call of :meth:`find` asked for, if any."""
        left = [v for v in self.found.videos if v not in self._taken]
        if not left:
            return ()
        are = "video is" if len(left) == 1 else "videos are"
        return (f"{len(left)} {are} in no list and not used, e.g. {printable(left[0])}",)

    def _stem(self, path: str, folder: bool = False) -> str:
        name = path.rpartition("/")[2]
        stem, suffix = os.path.splitext(name)
        return self._fold(stem if suffix.lower() in VIDEO_SUFFIXES and not folder else name)


def folders(root: Path, depth: int) -> Iterator[Path]:
    """``root`` and the folders below it, nearest first, down to ``depth`` levels."""
    level = [root]
    for remaining in range(depth, -1, -1):
        yield from level
        if remaining:
            level = [Path(e) for folder in level for e in _subfolders(folder)]


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as listing:
            return sorted(e.path for e in listing if _is_dir(e) and not e.name.startswith("."))
    except OSError:
        return []
