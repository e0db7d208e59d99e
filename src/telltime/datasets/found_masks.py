"""Masks among the videos of any folder: which folders hold them, and whose they are.

A folder of masks lies below one that is named ``Annotations``, ``masks``, ``labels``, ``gt``, ``ground_truth`` or
``segmentation`` (``Annotations_2016`` and the like too), or next to its video as ``clip`` or ``clip_masks`` beside
``clip.mp4``. It belongs to the video whose path, without suffix, ends as its own does below that folder, so that
``Annotations/480p/camel`` is of ``JPEGImages/480p/camel``, and ``masks/run/7`` of ``videos/run/7.mp4``.

Masks of a frame folder go by the names of the frames, see :func:`telltime.datasets.sequences.match`; those of a video
file by the last number in their names, frames counted from 0. What is not named after any video stays what it is.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from telltime.datasets.masks import AS_STORED, Masks
from telltime.datasets.record import Record, Table
from telltime.datasets.scan import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Scan, printable
from telltime.datasets.sequences import MASK_SUFFIXES, listed, match, number, told_by_files
from telltime.media.errors import MediaError
from telltime.media.image import SUFFIXES
from telltime.media.mask import NotAMask, read_mask

MANY = 100
"""Records whose masks are opened at least, where there are so many, to see whether 255 is an object in them."""

_WORDS = "annotations?|masks?|labels?|gt|ground[ _-]?truth|segmentations?"
_ROOT = re.compile(rf"(?:{_WORDS})(?:[ _-].*)?", re.IGNORECASE)
_BESIDE = re.compile(rf"(?P<stem>.+)[ _-](?:{_WORDS})", re.IGNORECASE)


@dataclass(frozen=True)
class Shelf:
    """Folders of masks by the video they belong to.

    Attributes:
        root: folder that was walked.
        of: relative path of a video to that of its folder of masks.
        notes: sentences on masks that are not used.
    """

    root: Path
    of: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def attach(self, table: Table) -> Table:
        """The table with the masks of its records."""
        if not self.of:
            return table
        by_path = {self.root / video: self.root / masks for video, masks in self.of.items()}
        records, strays = [], []
        for record in table.records:
            if (folder := by_path.get(record.path)) is not None:
                files, left = _files(record, folder)
                strays += [f"{printable(folder.name)}/{printable(name)}" for name in left]
                record = replace(record, masks=Masks(files) if files else None)
            records.append(record)
        records = _told(records)
        notes = table.notes
        if strays:
            notes += (f"{len(strays)} mask{'s' * (len(strays) != 1)} of no frame not used, e.g. {strays[0]}",)
        return replace(table, records=tuple(records), notes=notes)


def set_apart(found: Scan) -> tuple[Scan, Shelf]:
    """The videos without the folders of masks among them, and the masks."""
    under = {folder: top for folder in found.pictures if (top := _top(folder)) is not None}
    by_name: dict[str, list[str]] = {}
    outside = [v for v in found.videos if v not in under]
    for video in outside:
        by_name.setdefault(_key(video, found).rpartition("/")[2], []).append(video)
    claims = _below(found, under, by_name) | _beside(found, by_name)
    if not claims:
        return found, Shelf(found.root)
    tops = {under[folder] for folder in claims if folder in under}
    gone = {folder for folder, top in under.items() if top in tops} | set(claims)
    of: dict[str, str] = {}
    spare = []
    for folder in sorted(claims, key=lambda f: (not _plain(under.get(f, "")), under.get(f, ""), f)):
        spare += [folder] if of.setdefault(claims[folder], folder) != folder else []
    notes = []
    if spare:
        several = sorted({under.get(f, f) for f in spare})
        notes.append(f"further masks of the same videos in {printable(several[0])} are not used")
    if lone := sorted(gone - set(claims)):
        notes.append(f"{len(lone)} folders of masks are of no video, e.g. {printable(lone[0])}")
    others = Counter(found.others)  # a lone mask was counted as a picture of no video
    for folder in gone - found.frame_folders:
        others.subtract(os.path.splitext(name)[1].lower() for name in listed(found.root / folder, IMAGE_SUFFIXES))
    kept = replace(
        found,
        videos=tuple(v for v in found.videos if v not in gone),
        frame_folders=found.frame_folders - gone,
        others={suffix: count for suffix, count in others.items() if count > 0},
    )
    return kept, Shelf(found.root, of, tuple(notes))


def _below(found: Scan, under: dict[str, str], by_name: dict[str, list[str]]) -> dict[str, str]:
    """The video of each folder of masks below a folder that is named for them."""
    claims: dict[str, str] = {}
    for top in sorted(set(under.values())):
        folders = [folder for folder, own in under.items() if own == top and folder != top]
        shared = os.path.commonpath([f.rpartition("/")[0] for f in folders]) if folders else top
        mine = {}
        for folder in folders:
            inside = folder[len(shared) :].strip("/")
            videos = [v for v in by_name.get(inside.rpartition("/")[2], []) if _ends(_key(v, found), inside)]
            if (video := _nearest(videos, top)) is not None:
                mine[folder] = video
        if mine and _hold_masks(found.root / folder for folder in list(mine)[:3]):
            claims |= mine
    return claims


def _beside(found: Scan, by_name: dict[str, list[str]]) -> dict[str, str]:
    """The video file of each folder of masks next to it."""
    claims: dict[str, str] = {}
    for folder in found.pictures:
        place, _, name = folder.rpartition("/")
        told = _BESIDE.fullmatch(name)
        for stem in (name, told["stem"] if told else None):
            videos = [
                v for v in by_name.get(stem or "", []) if v not in found.frame_folders and v.rpartition("/")[0] == place
            ]
            if len(videos) == 1 and _hold_masks([found.root / folder]):
                claims[folder] = videos[0]
                break
    return claims


def _top(folder: str) -> str | None:
    """The part of a path that ends in a folder named for masks, if there is one."""
    parts = folder.split("/")
    at = next((i for i, part in enumerate(parts) if _ROOT.fullmatch(part)), None)
    return None if at is None else "/".join(parts[: at + 1])


def _plain(top: str) -> bool:
    return top.rpartition("/")[2].casefold() in ("annotations", "masks")


def _key(video: str, found: Scan) -> str:
    stem, suffix = os.path.splitext(video)
    return stem if suffix.lower() in VIDEO_SUFFIXES and video not in found.frame_folders else video


def _ends(path: str, end: str) -> bool:
    return path == end or path.endswith(f"/{end}")


def _nearest(videos: list[str], top: str) -> str | None:
    """The one of ``videos`` that shares the longest way with ``top``; none where two do."""
    shares = [len(os.path.commonpath([f"/{v}", f"/{top}"])) for v in videos]
    return videos[shares.index(max(shares))] if shares and shares.count(max(shares)) == 1 else None


def _hold_masks(folders: Iterable[Path]) -> bool:
    """Whether the pictures in the folders are masks by what they hold: not where one shows colours of no label."""
    there = False
    for folder in folders:
        for name in listed(folder, MASK_SUFFIXES)[:2]:
            there = True
            try:
                read_mask(folder / name)
            except NotAMask:
                return False
            except MediaError:
                continue
            return True
    return there


def _told(records: list[Record]) -> list[Record]:
    """What the numbers of each record mean, by its own files; of many records, by those of some where they agree."""
    masked = [record for record in records if record.masks]
    step = max(1, len(masked) // MANY)
    told = {r.id: told_by_files(r.masks.files) for r in masked[::step] if r.masks}
    if len(kinds := set(told.values())) > 1:
        told = {r.id: told_by_files(r.masks.files) for r in masked if r.masks}
    usual = next(iter(kinds), AS_STORED)
    return [replace(r, masks=replace(r.masks, meaning=told.get(r.id, usual))) if r.masks else r for r in records]


def _files(record: Record, folder: Path) -> tuple[dict[int, Path], list[str]]:
    names = listed(folder, MASK_SUFFIXES)
    if record.path.is_dir():
        found, left = match(listed(record.path, SUFFIXES), names)
    else:
        found, left = {}, []
        for name in names:
            at = number(os.path.splitext(name)[0])
            left += [name] if at is None or found.setdefault(at, name) != name else []
    return {at: folder / name for at, name in sorted(found.items())}, left
