"""Generated footage with known truth: textured shapes over drifting grounds under changing light, as real video files.

Every video has two labels. Its **look** is the shape and texture of its objects and the texture of the ground; any
frame shows it. Its **motion** is how objects move during their stay (directions, turning, approaching, the order of two
events); a single frame tells nothing of it. ``tie`` says how far the two go together, as in natural footage.

Objects enter, leave, change course and colour, strangers pass through, light and ground change: the parts of a video
differ, and what a whole video has in common is its look and its motion.

The layout is UCF101's, the class folder is the look; ``labels.json`` beside it holds both labels of every video.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from telltime.datasets import ucf101
from telltime.datasets._looks import LOOKS
from telltime.datasets._motions import MOTIONS
from telltime.datasets._scene import Style, render
from telltime.datasets.record import DatasetError, Table
from telltime.media.files import whole
from telltime.media.write import write_video

NAME = "generated"
FOLDS = (1, 2, 3)
SPLITS = ("train", "test")
AXES = ("look", "motion")
MOST_CLASSES = len(LOOKS)
_MARK = "telltime generated footage"


def generate(
    root: str | Path,
    classes: int = 8,
    videos_per_class: int = 24,
    groups: int = 12,
    frames: int = 96,
    size: tuple[int, int] = (72, 96),
    tie: float = 1.0,
    test_tie: float | None = None,
    seed: int = 0,
    rate: float = 25.0,
    style: Style | None = None,
    threads: int = 2,
) -> Path:
    """Write footage; the same arguments give the same bytes.

    Args:
        root: where to; new, empty, or footage generated before, which is then replaced file by file.
        classes: looks and as many motions, 1 to 12.
        videos_per_class: videos of each look.
        groups: videos of a group share their colours; a third of the groups at most is in the test split of a fold.
        frames, size, rate: length, height and width in pixels, frames per second.
        tie: probability that a video's motion is that of its look, beyond chance: 0 independent, 1 always.
        test_tie: the same for the videos of fold 1's test split; as ``tie`` unless given.
        seed: of everything.
        style: how much of everything there is.
        threads: videos drawn at a time.

    Returns:
        ``root``.

    Raises:
        DatasetError: ``root`` holds something else.
        ValueError: an argument is out of range.
    """
    root, style = Path(root), style or Style()
    test_tie = tie if test_tie is None else test_tie
    if not 1 <= classes <= MOST_CLASSES:
        raise ValueError(f"classes must be 1 to {MOST_CLASSES}, not {classes}")
    if not (0 <= tie <= 1 and 0 <= test_tie <= 1):
        raise ValueError(f"a tie is a probability in 0..1, not {tie} or {test_tie}")
    if min(videos_per_class, frames, groups, *size) < 1:
        raise ValueError("videos_per_class, groups, frames and size must be at least 1")
    _make_room(root)

    motions = list(MOTIONS)[:classes]
    held_out = {fold: _test_groups(fold, groups) for fold in FOLDS}
    videos: dict[str, dict[str, Any]] = {}
    jobs = []
    for look in range(classes):
        for number in range(videos_per_class):
            group, take = number % groups, number // groups
            rng = np.random.default_rng([seed, look, number])
            tied = rng.uniform() < (test_tie if group in held_out[1] else tie)
            motion = motions[look if tied else int(rng.integers(classes))]
            video = f"{LOOKS[look]}/v_{LOOKS[look]}_g{group + 1:02d}_c{take + 1:02d}.avi"
            videos[video] = {"look": LOOKS[look], "motion": motion, "group": group}
            jobs.append((video, np.random.default_rng([seed, look, group, 1 << 20]), rng, look, motion))

    def draw(job: tuple[str, np.random.Generator, np.random.Generator, int, str]) -> None:
        video, place, rng, look, motion = job
        write_video(root / "UCF-101" / video, render(place, rng, look, motion, frames, *size, style), rate, bf=0, g=12)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(draw, jobs))
    _write_lists(root, videos, held_out, LOOKS[:classes])
    told = {"made_by": _MARK, "seed": seed, "tie": tie, "test_tie": test_tie, "motions": motions, "videos": videos}
    with whole(root / "labels.json") as beside:
        beside.write_text(json.dumps(told, indent=1) + "\n")
    return root


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of generated footage.

    Args:
        annotation: which label: ``"look"`` (or nothing) or ``"motion"``.

    Raises:
        DatasetError: ``root`` holds no generated footage, or the label does not exist.
    """
    axis = str(annotation or AXES[0])
    if axis not in AXES:
        raise DatasetError(f"generated footage is labelled by {' or '.join(AXES)}, not by {axis!r}")
    told = _told(Path(root))
    if told is None:
        raise DatasetError(f"{root} holds no generated footage; telltime data make --root {root} draws some")
    table = ucf101.load(root, split, fold, name=NAME)
    if axis == AXES[0]:
        return table
    motions = tuple(told["motions"])
    records = []
    for record in table.records:
        motion = told["videos"]["/".join(record.id.split("/")[-2:])]["motion"]
        records.append(replace(record, label=motions.index(motion)))
    return replace(table, classes=motions, records=tuple(records))


def _test_groups(fold: int, groups: int) -> set[int]:
    """As in UCF101, where 7 of 25 groups are held out, others in each fold; none where there is but one group."""
    count = min(max(1, groups * 7 // 25), groups - 1)
    return {((fold - 1) * count + i) % groups for i in range(count)}


def _write_lists(root: Path, videos: dict[str, Any], held_out: dict[int, set[int]], looks: tuple[str, ...]) -> None:
    lists = root / "ucfTrainTestlist"
    number = {look: i + 1 for i, look in enumerate(looks)}
    texts = {"classInd.txt": [f"{i} {look}" for look, i in number.items()]}
    for fold, test in held_out.items():
        texts[f"trainlist{fold:02d}.txt"] = [
            f"{video} {number[v['look']]}" for video, v in videos.items() if v["group"] not in test
        ]
        texts[f"testlist{fold:02d}.txt"] = [video for video, v in videos.items() if v["group"] in test]
    for name, rows in texts.items():
        with whole(lists / name) as beside:
            beside.write_text("".join(row + "\n" for row in rows))


def _told(root: Path) -> dict[str, Any] | None:
    """``labels.json`` of generated footage, or nothing."""
    try:
        told = json.loads((root / "labels.json").read_text())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and told.get("made_by") == _MARK else None


def _make_room(root: Path) -> None:
    if root.is_dir() and any(root.iterdir()) and _told(root) is None:
        raise DatasetError(f"{root} holds other files; generated footage wants a new or empty folder")
    if root.exists() and not root.is_dir():
        raise DatasetError(f"{root} is a file; generated footage wants a folder")
    root.mkdir(parents=True, exist_ok=True)
