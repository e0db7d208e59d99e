"""Pictures with a mask each: what layouts such as those of Pascal VOC and COCO have in common."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from telltime.datasets.masks import Masks
from telltime.datasets.record import Record
from telltime.datasets.scan import printable
from telltime.datasets.sequences import MASK_SUFFIXES, listed
from telltime.media.image import SUFFIXES


def by_stem(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """The files of ``folder`` by their name without suffix."""
    return {Path(name).stem: folder / name for name in listed(folder, suffixes)}


def read_pictures(
    pictures: Path, masks: Path, names: Iterable[str] | None, meaning: tuple[int, ...]
) -> tuple[tuple[Record, ...], tuple[str, ...], tuple[str, ...]]:
    """Records of the pictures ``names`` (by default all that have a mask), ids of those missing, and notes.

    A picture that is there without its mask is a record without masks.
    """
    files, labels = by_stem(pictures, SUFFIXES), by_stem(masks, MASK_SUFFIXES)
    wanted = [name for name in files if name in labels] if names is None else list(names)
    records, missing, bare = [], [], []
    for name in wanted:
        if name not in files:
            missing.append(printable(name))
            continue
        mask = labels.get(name)
        if mask is None:
            bare.append(printable(name))
        told = None if mask is None else Masks({0: mask}, meaning, "classes")
        records.append(Record(printable(name), files[name], masks=told))
    notes = []
    if bare:
        notes.append(f"{len(bare)} pictures without a mask in {printable(masks.name)}, e.g. {bare[0]}")
    if names is None and len(wanted) < len(files):
        notes.append(f"{len(files) - len(wanted)} pictures without a mask are left out")
    return tuple(records), tuple(missing), tuple(notes)


def groups_lookup(groups: Mapping[str, Iterable[int]]) -> dict[int, int]:
    """Number of the group that each id is in: groups are numbered from 0 in the order of their names."""
    return {member: number for number, name in enumerate(sorted(groups)) for member in groups[name]}
