"""Finding edited copies of real shots: what ``telltime index`` and ``telltime search`` do, with a known truth."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from telltime.metrics.ranking import average_precision, places
from telltime.search.index import Index
from telltime.search.scoring import Hit
from telltime.views.edits import EDITS, edit_video

EACH, SHOWN = 6, 7


@dataclass(frozen=True)
class CopySearch:
    """What a search for edited copies found.

    Attributes:
        videos: in the index.
        mean_ap: mean average precision over the originals, each asking for its own copies among all other videos.
        by_edit: edit to the share of its copies that stand among the best hits, as many as there are copies.
        query: the original whose hits are shown.
        hits: its hits, itself left out.
        right: whether each is one of its copies.
    """

    videos: int
    mean_ap: float
    by_edit: dict[str, float]
    query: Path
    hits: list[Hit] = field(repr=False)
    right: list[bool] = field(repr=False)


def search_copies(shots: list[Path], folder: Path, seed: int, each: int = EACH) -> CopySearch:
    """Write ``each`` edited copies of every shot, index all of them, and search for the copies of each shot.

    Every edit has its turn; ``folder`` gets ``copies/`` and ``index/``.
    """
    names = list(EDITS)
    copies: dict[Path, dict[Path, str]] = {}
    (folder / "copies").mkdir(parents=True, exist_ok=True)
    for number, shot in enumerate(shots):
        copies[shot] = {}
        for turn in range(each):
            edit = names[(each * number + turn) % len(names)]
            path = folder / "copies" / f"{shot.stem}-{edit}.mkv"
            edit_video(shot, edit, np.random.RandomState([seed, number, turn]), path)
            copies[shot][path.resolve()] = edit
    index = Index(folder / "index")
    index.add([*shots, folder / "copies"], bad_media="raise")
    paths = [video.path for video in index.list()]
    precisions, among = [], {name: list[bool]() for name in names}
    shown: list[Hit] = []
    for shot, edited in copies.items():
        hits = [hit for hit in index.search(shot, top=len(paths)) if hit.path != str(shot.resolve())]
        scores = {hit.path: hit.score for hit in hits}
        standing = np.array([scores.get(path, -np.inf) for path in paths])
        itself = [paths.index(str(shot.resolve()))]
        places_of = {copy: paths.index(str(copy)) for copy in edited}
        precisions.append(average_precision(places(standing, list(places_of.values()), itself)))
        for copy, edit in edited.items():
            among[edit].append(bool(places(standing, [places_of[copy]], itself).ranks[0] <= each))
        shown = shown or hits[:SHOWN]
    query, edited = next(iter(copies.items()))
    return CopySearch(
        videos=len(paths),
        mean_ap=float(np.mean(precisions)),
        by_edit={name: float(np.mean(told)) for name, told in among.items() if told},
        query=query,
        hits=shown,
        right=[Path(hit.path) in edited for hit in shown],
    )
