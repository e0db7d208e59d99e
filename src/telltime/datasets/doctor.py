"""What is there of a data set, what is missing, and what cannot be read."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from telltime.datasets import module
from telltime.datasets.mask_check import check_masks, sentences
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import printable
from telltime.media.errors import MediaError

Progress = Callable[[int, int], None]


def check(
    name: str,
    root: str | Path,
    annotation: str | Path | None = None,
    decode: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Examine a data set on disk; nothing is written to it.

    Args:
        name: a key of :data:`telltime.datasets.NAMES`.
        root: folder of the data set.
        annotation: where the lists are, if not below ``root``.
        decode: open every video, count its frames and decode the first and the last one.
        progress: called with videos done and videos in all.

    Returns:
        A dict ready for JSON:

        - ``name``, ``root``, ``kind`` (``"video"``, ``"photo"`` or ``"picture"``: of what ``videos`` counts), ``ok``
          (no problem at all), ``classes`` (how many), ``layout`` (the module's description);
        - ``splits``: for each fold and split ``{split, fold, listed, present, missing, published, share, unreadable}``:
          ``missing`` names ids, ``share`` is present / published (``None`` without a published size), ``unreadable``
          counts;
        - ``videos``: different files present; ``media``: their ``frames`` (min, median, max), ``sizes``, ``rates``;
        - ``unreadable``: ``{id, path, reason}`` where the first frame does not decode; ``damaged``: the same for each
          that breaks off before its last frame; ``decoded``: whether they were opened;
        - ``masks``: see :func:`telltime.datasets.mask_check.check_masks`; empty where there are none;
        - ``notes``: sentences on what was seen; ``problems``: sentences on what is wrong.

    Raises:
        DatasetError: there is no data set of that name.
    """
    source = module(name)
    tables, problems, spare = _tables(source, Path(root), annotation)
    videos: dict[Path, Record] = {r.path: r for table in tables for r in table.records}
    kind = getattr(source, "KIND", "video")
    opened = _open_photos if kind in ("photo", "picture") else _open_all
    unreadable, damaged, media = opened(list(videos.values()), progress) if decode else ([], [], {})
    masks = check_masks(list(videos.values())) if decode else {}
    bad = {entry["path"] for entry in unreadable}
    splits = [_summary(table, bad) for table in tables if table.split != "all"]
    missing = {m for table in tables for m in table.missing}
    if tables and not videos:
        problems.append(f"no {kind} of {name} is below {printable(Path(root))}")
    if missing:
        first = min(missing)
        problems.append(f"{len(missing)} listed {_are(kind, len(missing))} missing, e.g. {first}")
    if unreadable:
        problems.append(f"{len(unreadable)} {_are(kind, len(unreadable))} unreadable")
    told, wrong = sentences(masks)
    problems += wrong
    notes = list(dict.fromkeys(note for table in reversed(tables) for note in table.notes)) + spare + told
    if damaged:
        notes.append(f"{len(damaged)} of the videos break off early, e.g. {damaged[0]['id']}: {damaged[0]['reason']}")
    return {
        "name": name,
        "root": printable(Path(root)),
        "kind": kind,
        "ok": not problems,
        "layout": _layout(source.__doc__ or ""),
        "classes": max((len(t.classes) for t in tables), default=0),
        "videos": len(videos),
        "splits": splits,
        "decoded": decode,
        "media": media,
        "unreadable": unreadable,
        "damaged": damaged,
        "masks": masks,
        "notes": notes,
        "problems": problems,
    }


def _tables(source: Any, root: Path, annotation: str | Path | None) -> tuple[list[Table], list[str], list[str]]:
    """Every split of every fold that loads, and one sentence for each different reason that one does not.

    Those of splits that can be done without come last.
    """
    tables: list[Table] = []
    problems: list[str] = []
    spare: list[str] = []
    folds = getattr(source, "FOLDS", (None,))
    for fold in folds:
        for split in (*getattr(source, "SPLITS", ("train", "test")), *(["all"] if fold == folds[0] else [])):
            try:
                tables.append(source.load(root, split, fold or 1, annotation))
            except DatasetError as error:
                (spare if split in getattr(source, "OPTIONAL", ()) else problems).append(str(error))
    return tables, list(dict.fromkeys(problems)) if tables else problems[:1], spare if tables else []


def _summary(table: Table, bad: set[str]) -> dict[str, Any]:
    present = len(table.records)
    return {
        "split": table.split,
        "fold": table.fold,
        "listed": present + len(table.missing),
        "present": present,
        "missing": list(table.missing),
        "published": table.published,
        "share": present / table.published if table.published else None,
        "unreadable": sum(printable(r.path) in bad for r in table.records),
    }


Troubles = list[dict[str, str]]


def _open_all(records: list[Record], progress: Progress | None) -> tuple[Troubles, Troubles, dict[str, Any]]:
    from telltime.media.video import Video

    unreadable: Troubles = []
    damaged: Troubles = []
    frames: list[int] = []
    sizes: Counter[str] = Counter()
    rates: Counter[str] = Counter()
    for done, record in enumerate(records, 1):
        try:
            video = Video(record.path)
            probe = video.probe()
            video.frames([0])
            last = max(0, probe.frames - 1)
            if last not in video.frames([last], partial=True).indices:
                damaged.append(_trouble(record, f"frame {last} of {probe.frames} does not decode"))
        except (MediaError, OSError) as error:
            reason = error.reason if isinstance(error, MediaError) else str(error.strerror or error)
            unreadable.append(_trouble(record, reason))
        else:
            frames.append(probe.frames)
            sizes[f"{probe.width}x{probe.height}"] += 1
            rates[f"{probe.rate:.4g}"] += 1
        if progress:
            progress(done, len(records))
    if not frames:
        return unreadable, damaged, {}
    counted = {"min": min(frames), "median": median(frames), "max": max(frames)}
    return (
        unreadable,
        damaged,
        {"frames": counted, "sizes": dict(sizes.most_common()), "rates": dict(rates.most_common())},
    )


def _open_photos(records: list[Record], progress: Progress | None) -> tuple[Troubles, Troubles, dict[str, Any]]:
    from telltime.media.frames import Limits
    from telltime.media.image import open_upright

    unreadable: Troubles = []
    sizes: Counter[str] = Counter()
    for done, record in enumerate(records, 1):
        try:
            with open_upright(record.path, Limits()) as image:
                sizes[f"{image.width}x{image.height}"] += 1
        except (MediaError, OSError) as error:
            reason = error.reason if isinstance(error, MediaError) else str(error.strerror or error)
            unreadable.append(_trouble(record, reason))
        if progress:
            progress(done, len(records))
    return unreadable, [], {"sizes": dict(sizes.most_common())} if sizes else {}


def _trouble(record: Record, reason: str) -> dict[str, str]:
    return {"id": record.id, "path": printable(record.path), "reason": reason}


def _layout(docstring: str) -> str:
    """The indented block after ``Layout::`` in a module's docstring."""
    block = docstring.partition("Layout::\n\n")[2].partition("\n\n")[0]
    return "\n".join(line.removeprefix("    ") for line in block.splitlines())


def _are(kind: str, count: int) -> str:
    return f"{kind} is" if count == 1 else f"{kind}s are"
